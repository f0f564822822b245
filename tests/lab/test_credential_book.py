"""Tests of fleetsim.lab.credential_book."""

import pytest

from fleetsim.core.settings import Credentials
from fleetsim.lab.credential_book import CredentialBook
from fleetsim.lab.s3_errors import S3Error


def test_rotation() -> None:
    """Credentials count from their adding to their removal or expiry."""
    old = Credentials(access_key="OLD", secret_key="1")
    new = Credentials(access_key="NEW", secret_key="2", session_token="t")
    book = CredentialBook([old])
    assert book.admit("OLD", "", 0.0) is old
    book.add(new, expires_unix_s=10.0)
    assert (len(book), "NEW" in book) == (2, True)
    assert book.admit("NEW", "t", 9.9) is new
    for access_key, token, now_unix_s, code in (
        ("NEW", "t", 10.0, "ExpiredToken"),
        ("NEW", "", 0.0, "InvalidAccessKeyId"),
        ("NEW", "\udcff", 0.0, "InvalidToken"),
        ("OLD", "t", 0.0, "InvalidToken"),
        ("NOBODY", "", 0.0, "InvalidAccessKeyId"),
    ):
        with pytest.raises(S3Error) as caught:
            book.admit(access_key, token, now_unix_s)
        assert caught.value.code == code
    assert book.remove("OLD")
    assert not book.remove("OLD")
    with pytest.raises(S3Error, match="InvalidAccessKeyId"):
        book.admit("OLD", "", 0.0)


def test_secrets_do_not_show() -> None:
    """A book does not print what it holds."""
    book = CredentialBook([Credentials(access_key="AK", secret_key="hidden-secret")])
    assert "hidden" not in repr(vars(book))
