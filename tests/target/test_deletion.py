"""DeleteObjects as every server understands it."""

import base64
import hashlib
from types import SimpleNamespace

import pytest

from fleetsim.target.deletion import Deleted, add_content_md5, can_be_in_xml


@pytest.mark.parametrize(
    ("key", "can"),
    [
        ("0000002A/device.json", True),
        ("ö & <+>?#%2F\t'\"", True),
        ("\U0001f69a", True),
        ("a\x01b", False),
        ("a\nb", False),
        ("a\rb", False),
        ("a\ufffeb", False),
    ],
)
def test_which_keys_xml_can_carry(key: str, *, can: bool) -> None:
    """XML 1.0, 2.2 Char; line ends are normalised by parsers (2.11)."""
    assert can_be_in_xml(key) is can


def test_content_md5_is_that_of_the_body() -> None:
    """RFC 1864: base64 of the 16 bytes."""
    request = SimpleNamespace(body=b"<Delete/>", headers={})
    add_content_md5(request)
    digest = hashlib.md5(b"<Delete/>", usedforsecurity=False).digest()
    assert base64.b64decode(request.headers["Content-MD5"]) == digest


def test_answers_add_up() -> None:
    """Counts, refusals and the news of a versioned bucket."""
    first = Deleted.of_answer(
        {"Deleted": [{"Key": "a"}, {"Key": "b", "DeleteMarker": True}]}
    )
    second = Deleted.of_answer({"Errors": [{"Key": "c", "Code": "AccessDenied"}]})
    assert first + second == Deleted(2, ("c: AccessDenied",), versioned=True)
    assert Deleted.of_answer({}) == Deleted()
