import pytest

from fleetsim.lab.terminators.evidence import VERDICTS, WORDS, entry_of, failure_kind
from fleetsim.target.observer.seen import Seen


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


def test_words_for_readers_of_logs() -> None:
    """Texts and numbers of verdicts lead to the same names; unknown texts to none."""
    assert WORDS.verdict_of("certificate revoked") == "cert_revoked"
    assert WORDS.verdict_named(23) == "cert_revoked"
    assert WORDS.verdict_of("something new") == ""
    assert WORDS.failure_kind(193) == "tls.no_shared_cipher"


def test_entry_of_a_line() -> None:
    """What a log entry and a line have in common is passed on."""
    seen = Seen(
        unix_s=1.5, peer="192.0.2.1:7", result="tls.reset", resumed=True, subject="CN=x"
    )
    entry = entry_of(seen)
    assert (entry.number, entry.unix_s, entry.peer) == (0, 1.5, "192.0.2.1:7")
    assert (entry.result, entry.resumed, entry.client_subject) == (
        "tls.reset",
        True,
        "CN=x",
    )
