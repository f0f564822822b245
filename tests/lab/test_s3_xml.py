"""Tests of fleetsim.lab.s3_xml, read back by the standard library's parser."""

from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.lab.s3_errors import S3Error
from fleetsim.lab.s3_xml import (
    NAMESPACE,
    document,
    element,
    elements,
    error_document,
    iso_time,
    parse,
    url_encode,
)

# Every character that XML 1.0 2.2 allows.
XML_TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
)


@given(text=XML_TEXT)
def test_text_survives(text: str) -> None:
    """Whatever text goes in, an XML parser reads the same text."""
    found = ET.fromstring(document("Root", element("Key", text)))  # noqa: S314  # ours
    assert found.findtext(f"{{{NAMESPACE}}}Key") == text


@given(text=st.text())
def test_own_documents_can_be_written_for_any_text(text: str) -> None:
    """No text makes writing fail, not even what XML has no way to say."""
    document("Root", element("Key", text))


@given(text=XML_TEXT)
def test_parse_reads_what_was_written(text: str) -> None:
    """Documents are read with and without the S3 namespace."""
    body = element("Key", text) + elements([("None", None), ("Size", 3)])
    for raw in (document("Delete", body), f"<Delete>{body}</Delete>".encode()):
        node = parse(raw, "Delete")
        assert (node.get("Key"), node.get("Size"), node.get("None")) == (
            text,
            "3",
            None,
        )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<Delete>",
        b"<Other/>",
        b"\x00",
        b"<!DOCTYPE Delete><Delete/>",
        b'<?xml version="1.0" encoding="nonsense"?><Delete/>',
        b"<Delete>" + b"<a>" * 20 + b"</a>" * 20 + b"</Delete>",
        b"<Delete>" + b"<a/>" * 100_001 + b"</Delete>",
        b"<Delete>&unknown;</Delete>",
    ],
    ids=range(9),
)
def test_bad_documents(body: bytes) -> None:
    """What is no document of the right kind and size is MalformedXML."""
    with pytest.raises(S3Error, match="MalformedXML"):
        parse(body, "Delete")


def test_error_document() -> None:
    """An error has code, message, details, resource and request id, escaped."""
    error = S3Error("NoSuchKey", details=(("Key", "<&>"),))
    found = ET.fromstring(error_document(error, "/b/<&>", "77"))  # noqa: S314  # ours
    assert found.tag == "Error"
    assert found.findtext("Code") == "NoSuchKey"
    assert found.findtext("Message") == "The specified key does not exist."
    assert found.findtext("Key") == "<&>"
    assert found.findtext("Resource") == "/b/<&>"
    assert found.findtext("RequestId") == "77"


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_url_encoding(text: str) -> None:
    """Keys of an encoded listing decode to themselves and are plain ASCII."""
    encoded = url_encode(text)
    assert unquote(encoded) == text
    assert encoded.isascii()
    assert "+" not in encoded


def test_iso_time() -> None:
    """Times have milliseconds and are UTC."""
    assert iso_time(784111777.25) == "1994-11-06T08:49:37.250Z"
