"""Tests of fleetsim.lab.s3_reply."""

import pytest

from fleetsim.lab.s3_errors import CODES, S3Error
from fleetsim.lab.s3_reply import error_reply, http_date, is_header_text


@pytest.mark.parametrize(
    ("text", "is_safe"),
    [
        ("", True),
        ("plain text", True),
        ("é ü", True),
        ("a\r\nb: c", False),
        ("a\nb", False),
        ("nul\0", False),
        ("é\n", False),
        ("é\x85", False),
        ("\udcff", False),
        ("\x7f", False),
    ],
)
def test_header_text(text: str, *, is_safe: bool) -> None:
    """Nothing that could end a header line is header text."""
    assert is_header_text(text) is is_safe


def test_http_date() -> None:
    """Dates are those of RFC 9110 5.6.7."""
    assert http_date(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_has_a_reply(code: str) -> None:
    """Each code answers with an error status and its document."""
    reply = error_reply(S3Error(code), "/b", "1")
    assert 400 <= reply.status < 600
    assert f"<Code>{code}</Code>".encode() in reply.body
    assert reply.error_code == code
