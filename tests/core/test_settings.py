"""Settings: values that must not leak, and the documented defaults."""

import pytest

from fleetsim.core.settings import (
    BundleRules,
    CipherGroup,
    Credentials,
    Endpoint,
    FallbackPolicy,
    TlsRules,
)


def test_secrets_never_show() -> None:
    """Neither the secret key nor the session token is in any text of credentials."""
    credentials = Credentials(
        access_key="AKID", secret_key="hush-secret", session_token="hush-token"
    )
    for text in (repr(credentials), str(credentials), f"{credentials}"):
        assert "AKID" in text
        assert "hush" not in text


def test_credentials_compare_by_their_secret_too() -> None:
    """Leaving the secret out of repr does not leave it out of equality."""
    one = Credentials(access_key="A", secret_key="1")
    assert one != Credentials(access_key="A", secret_key="2")


@pytest.mark.parametrize(("scheme", "is_tls"), [("https", True), ("http", False)])
def test_tls_by_scheme(scheme: str, *, is_tls: bool) -> None:
    """Connections to https are TLS, to http they are not."""
    endpoint = Endpoint(scheme=scheme, host="a", port=1, bucket="b")
    assert endpoint.is_tls is is_tls


def test_offer_keeps_the_order() -> None:
    """A group offers its suites in its own order, in OpenSSL's syntax."""
    assert CipherGroup("g", ("B", "A")).offered == "B:A"


def test_documented_defaults() -> None:
    """Ten certificates at most, distinct issuers, RSA 512/1024/2048 (CSS Electronics, "certificates"); TLS 1.2."""
    rules = BundleRules()
    assert rules.max_certificates == 10
    assert rules.distinct_by == "issuer"
    assert rules.rsa_bits == (512, 1024, 2048)
    assert rules.ec_curves == ()
    assert (TlsRules().min_version, TlsRules().max_version) == ("TLSv1.2", "TLSv1.2")
    assert FallbackPolicy().advance_on == "any_failure"
