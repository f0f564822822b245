import subprocess

import pytest

from fleetsim.lab.terminators.evidence import (
    VERDICTS,
    failure_kind,
    openssl_reason,
    text,
)
from tests.integration.tls_wire import program


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("(SSL: error:0A0000C1:SSL routines::no shared cipher)", 193),
        ("error:0A000412:SSL routines::sslv3 alert bad certificate", 1042),
        # Another library (20 is libssl): not a reason of TLS.
        ("error:0480006C:PEM routines::no start line", 0),
        ("Connection reset by peer", 0),
        ("", 0),
    ],
)
def test_reason_of_a_packed_error(said: str, reason: int) -> None:
    """The reason is what is left of the library number."""
    assert openssl_reason(said) == reason


@pytest.mark.parametrize(
    ("reason", "words"),
    [(193, "no shared cipher"), (1042, "sslv3 alert bad certificate")],
)
def test_openssl_packs_likewise(reason: int, words: str) -> None:
    """``openssl errstr`` unpacks the same numbers to the same words."""
    packed = f"{20 << 23 | reason:08X}"
    said = subprocess.run(
        [program("openssl"), "errstr", packed],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert openssl_reason(said) == reason
    assert words in said


@pytest.mark.parametrize(
    ("reason", "verify_code", "kind"),
    [
        (0, 0, "tls.reset"),
        (193, 0, "tls.no_shared_cipher"),
        (1048, 0, "tls.alert.unknown_ca"),
        (134, 10, "tls.verify.cert_has_expired"),
        (267, 0, "tls.protocol"),
    ],
)
def test_failure_kinds(reason: int, verify_code: int, kind: str) -> None:
    """Reasons are classified by the one translator of TLS errors."""
    assert failure_kind(reason, verify_code) == kind


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("certificate revoked", "cert_revoked"),
        ("certificate has expired", "cert_has_expired"),
        ("CRL has expired", "crl_has_expired"),
        ("unable to get certificate CRL", "unable_to_get_crl"),
        ("EE certificate key too weak", "ee_key_too_small"),
    ],
)
def test_verdicts_by_their_words(words: str, name: str) -> None:
    """Nginx logs OpenSSL's words for a verdict; they lead back to its name."""
    assert VERDICTS[words] == name


@pytest.mark.parametrize(
    ("value", "expected"), [("a", "a"), ("-", ""), ("", ""), (None, ""), (7, "")]
)
def test_text(value: object, expected: str) -> None:
    """A lone dash stands for nothing."""
    assert text(value) == expected
