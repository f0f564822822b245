"""S3 error documents."""

import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

import pytest
from botocore.parsers import RestXMLParser
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.events import Response
from fleetsim.core.failure import Failure, Kind, Phase, is_kind
from fleetsim.core.s3_error import MAX_DETAIL_CHARS, failure_of


def judge(
    body: bytes | str, status: int = 403, headers: dict[str, str] | None = None
) -> Failure | None:
    """Judge a response with this body."""
    data = body.encode() if isinstance(body, str) else body
    return failure_of(Response(status, headers or {}, data, True))


@pytest.mark.parametrize("status", [200, 201, 204, 206, 299, 304])
def test_successes(status: int) -> None:
    """2xx and the 304 of a conditional GET are no failures."""
    assert judge("", status) is None


def test_published_document() -> None:
    """The document of "REST error responses" gives its code and message."""
    document = """<?xml version="1.0" encoding="UTF-8"?>
<Error>
  <Code>NoSuchKey</Code>
  <Message>The resource you requested does not exist</Message>
  <Resource>/mybucket/myfoto.jpg</Resource>
  <RequestId>4442587FB7D0A2F9</RequestId>
</Error>"""
    assert judge(document, 404) == Failure(
        "s3.NoSuchKey", Phase.WAIT, "The resource you requested does not exist"
    )


@pytest.mark.parametrize(
    ("body", "kind", "detail"),
    [
        pytest.param(
            "<Error><Message>m</Message><Code>SlowDown</Code></Error>",
            "s3.SlowDown",
            "m",
            id="message-first",
        ),
        pytest.param("<Error><Code>A</Code></Error>", "s3.A", "", id="no-message"),
        pytest.param(
            "<Error><Code>A</Code><Message/></Error>", "s3.A", "", id="empty-message"
        ),
        pytest.param(
            '<Error xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            "<Code>A</Code><Message>m</Message></Error>",
            "s3.A",
            "m",
            id="default-namespace",
        ),
        pytest.param(
            '<s3:Error xmlns:s3="x"><s3:Code a="b">A</s3:Code></s3:Error>',
            "s3.A",
            "",
            id="prefix",
        ),
        pytest.param(
            "\ufeff <!-- c --> <?pi?><Error >\n<Code>\n A\n</Code></Error>",
            "s3.A",
            "",
            id="byte-order-mark-comment-white-space",
        ),
        pytest.param(
            "<Error><Code><![CDATA[A]]></Code>"
            "<Message> <![CDATA[<b>]]> </Message></Error>",
            "s3.A",
            "<b>",
            id="cdata",
        ),
        pytest.param(
            "<Error><Code>A</Code><Message>&lt;&#x41;&#66;&amp;lt;&quot;&apos;&gt;"
            "&nbsp;&#xD800;&#x110000;&</Message></Error>",
            "s3.A",
            "<AB&lt;\"'>&nbsp; \ufffd&",
            id="entities",
        ),
        pytest.param(
            "<Error><Code>A</Code><Message>one\n two\t\x1b[31m\x00</Message></Error>",
            "s3.A",
            "one two [31m",
            id="control-characters",
        ),
        pytest.param(
            "<Error><Code>A.B</Code></Error>", "s3.AB", "", id="code-with-dot"
        ),
    ],
)
def test_documents(body: str, kind: str, detail: str) -> None:
    """Foreign spellings of the document are understood, details are one clean line."""
    assert judge(body) == Failure(kind, Phase.WAIT, detail)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("", id="empty"),
        pytest.param("Forbidden", id="text"),
        pytest.param("<html><Error><Code>A</Code></Error></html>", id="html"),
        pytest.param("<Errors><Code>A</Code></Errors>", id="other-root"),
        pytest.param("<Error><Message>m</Message></Error>", id="no-code"),
        pytest.param("<Error><Code></Code></Error>", id="empty-code"),
        pytest.param("<Error><Code>A B</Code></Error>", id="code-of-two-words"),
        pytest.param("<Error><Code>Ä</Code></Error>", id="code-not-ascii"),
        pytest.param(f"<Error><Code>{'A' * 65}</Code></Error>", id="code-too-long"),
        pytest.param("<Error><Code>A", id="cut-off"),
        pytest.param(
            '<!DOCTYPE Error [<!ENTITY a "b">]><Error><Code>&a;</Code></Error>',
            id="document-type",
        ),
        pytest.param("<Error><Code>&a;</Code></Error>", id="unknown-entity"),
        pytest.param("<Error>" + " " * 70_000 + "<Code>A</Code></Error>", id="too-far"),
        pytest.param("<Error><Code>A</Code></Error>".encode("utf-16"), id="utf-16"),
        pytest.param(b"\xff\xfe\x00\x80", id="noise"),
    ],
)
def test_not_a_document(body: str | bytes) -> None:
    """Without a readable code, the status is all there is to report."""
    assert judge(body, 503) == Failure(
        Kind.HTTP_STATUS, Phase.WAIT, "503 Service Unavailable"
    )


@pytest.mark.parametrize(
    ("status", "headers", "detail"),
    [
        (403, {}, "403 Forbidden"),
        (301, {}, "301 Moved Permanently"),
        (
            307,
            {"location": "https://b.s3.eu-west-1.amazonaws.com/k?X-Amz-Signature=ab"},
            "307 Temporary Redirect, to https://b.s3.eu-west-1.amazonaws.com/k",
        ),
        (302, {"location": "/a\x1bb"}, "302 Found, to /a b"),
        (599, {"location": "/a"}, "599"),
    ],
)
def test_status_alone(status: int, headers: dict[str, str], detail: str) -> None:
    """Redirects say where to, without the query that may carry a signature."""
    found = judge("", status, headers)
    assert found == Failure(Kind.HTTP_STATUS, Phase.WAIT, detail)


@pytest.mark.parametrize(
    ("body", "headers", "detail"),
    [
        (
            "<html><head><title>400 The SSL certificate error</title></head></html>",
            {"server": "nginx/1.22.1"},
            "400 Bad Request; nginx says: 400 The SSL certificate error",
        ),
        ("<TITLE>No\x1b\nway</TITLE>", {}, "400 Bad Request; it says: No way"),
        ("<title></title>", {"server": "x"}, "400 Bad Request"),
    ],
    ids=["nginx", "unfit", "empty"],
)
def test_page_for_people(body: str, headers: dict[str, str], detail: str) -> None:
    """A page instead of an S3 document: its title and who wrote it are the detail."""
    found = judge(body, 400, headers)
    assert found == Failure(Kind.HTTP_STATUS, Phase.WAIT, detail)


def test_redirect_with_document() -> None:
    """A redirect of S3 is named by its document."""
    body = "<Error><Code>PermanentRedirect</Code><Message>m</Message></Error>"
    assert judge(body, 301, {"location": "/x"}) == Failure(
        "s3.PermanentRedirect", Phase.WAIT, "m"
    )


def test_details_are_cut() -> None:
    """A novel in the message does not reach the records."""
    body = f"<Error><Code>A</Code><Message>{'word ' * 1000}</Message></Error>"
    found = judge(body)
    assert found is not None
    assert len(found.detail) == MAX_DETAIL_CHARS


@given(
    st.text("ABCabc019", min_size=1, max_size=20),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])),
    st.booleans(),
)
def test_reads_what_botocore_reads(code: str, message: str, declared: bool) -> None:
    """Code and message are those that botocore's XML parser finds."""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n' if declared else ""
    text = escape(message, {'"': "&quot;", "'": "&apos;"})
    body = f"{head}<Error><Code>{code}</Code><Message>{text}</Message></Error>"
    try:
        ET.fromstring(body)  # noqa: S314 - our own text, as an oracle of well-formedness
    except ET.ParseError:
        return
    parsed = RestXMLParser().parse(
        {"status_code": 403, "headers": {}, "body": body.encode()}, None
    )
    found = judge(body)
    assert found is not None
    assert found.kind == f"s3.{parsed['Error']['Code']}"
    theirs = parsed["Error"]["Message"] or ""
    clean = "".join(c if c.isprintable() else " " for c in theirs)
    assert found.detail == " ".join(clean.split())[:MAX_DETAIL_CHARS]


FRAGMENTS = st.sampled_from(
    [
        "<Error>",
        "<Code>",
        "</Code>",
        "<Message>",
        "</Message>",
        "</Error>",
        "<![CDATA[",
        "]]>",
        "<!--",
        "-->",
        "<?",
        "?>",
        "&amp;",
        "&#",
        "x:",
        "<",
        ">",
        "&",
        ";",
        "A",
    ]
)


@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(st.one_of(FRAGMENTS, st.text(max_size=3)), max_size=40).map(
            lambda parts: "".join(parts).encode()
        ),
    ),
    st.sampled_from([301, 307, 400, 403, 404, 500, 503, 599]),
)
def test_anything_gives_a_failure_of_the_taxonomy(body: bytes, status: int) -> None:
    """No body raises; every kind is a member, every detail one short line."""
    found = judge(body, status)
    assert found is not None
    assert is_kind(found.kind)
    assert len(found.detail) <= MAX_DETAIL_CHARS
    assert found.detail.isprintable()


@pytest.mark.parametrize(
    "part",
    [
        "<Code>",
        "<Code ",
        "<Code><![CDATA[",
        "<!-- ",
        "<?",
        " ",
        "<",
        "<a:Code>",
        "&#",
        "a",
    ],
)
def test_hostile_repetition_ends(part: str) -> None:
    """A megabyte of openings without ends is read in one pass, not for ever."""
    for start in ("", "<Error>", "<Error><Message>"):
        found = judge(start + part * (1_000_000 // len(part)))
        assert found is not None
        assert found.kind == Kind.HTTP_STATUS
