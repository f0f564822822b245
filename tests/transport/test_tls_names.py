import subprocess

import pytest
from OpenSSL import SSL
from OpenSSL._util import lib

from fleetsim.core.failure import is_kind
from fleetsim.transport import tls_names
from fleetsim.transport.openssl_names import reason_text, verify_text
from tests.integration.tls_wire import program

# OpenSSL's words for a code it does not know.
UNKNOWN = "unknown certificate verification error"


def test_every_alert_makes_a_kind() -> None:
    """All 256 alert numbers have distinct names that the taxonomy takes."""
    names = [tls_names.alert_name_of(number) for number in range(256)]
    assert len(set(names)) == 256
    assert all(is_kind(f"tls.alert.{name}") for name in names)


@pytest.mark.parametrize("number", sorted(tls_names.ALERTS))
def test_alert_names_agree_with_openssl(number: int) -> None:
    """Where OpenSSL has a text for an alert, it has the words of the IANA name."""
    SSL.Context(SSL.TLS_METHOD)  # libssl loads its texts with the first context
    text = reason_text(1000 + number)
    if number in (0, 52, 117, 121):  # never a reason, or younger than OpenSSL's table
        assert not text
        return
    spelling = {"user_canceled": "user_cancelled"}
    name = tls_names.alert_name_of(number)
    assert text.split(" ", 1)[1].removeprefix("alert ") == spelling.get(
        name, name
    ).replace("_", " ")


def test_verify_codes_agree_with_the_binding() -> None:
    """Every ``X509_V_ERR_`` constant of the binding has its code in the table."""
    prefix = "X509_V_ERR_"
    known = {
        name.removeprefix(prefix).lower(): getattr(lib, name)
        for name in dir(lib)
        if name.startswith(prefix)
    }
    table = {name: code for code, name in tls_names.VERIFY_CODES.items()}
    assert len(known) > 40
    assert {name: table[name] for name in known} == known


def test_verify_codes_are_complete() -> None:
    """Every code that OpenSSL has words for has a name here, and none is invented."""
    worded = {code for code in range(1, 300) if verify_text(code) != UNKNOWN}
    unworded = {101, 104} - worded  # in x509_vfy.h, without a text
    assert worded | unworded == set(tls_names.VERIFY_CODES) - {0}
    assert all(is_kind(f"tls.verify.{n}") for n in tls_names.VERIFY_CODES.values())


def test_verify_code_of_the_future() -> None:
    """A code newer than the table still makes a member of the taxonomy."""
    assert tls_names.verify_name_of(4711) == "code_4711"
    assert is_kind("tls.verify.code_4711")


@pytest.mark.parametrize(
    ("reasons", "words"),
    [
        (tls_names.NO_SHARED_CIPHER, "cipher"),
        (
            tls_names.OWN_CERTIFICATE,
            ("certificate", "key", "signature", "md too weak", "cert type"),
        ),
        ({tls_names.CERTIFICATE_VERIFY_FAILED}, "certificate verify failed"),
        (
            {tls_names.PEER_DID_NOT_RETURN_A_CERTIFICATE},
            "peer did not return a certificate",
        ),
        ({tls_names.UNEXPECTED_EOF_WHILE_READING}, "unexpected eof while reading"),
    ],
    ids=["no cipher", "own certificate", "verify", "none", "eof"],
)
def test_reason_numbers_mean_what_we_think(
    reasons: frozenset[int], words: str | tuple[str, ...]
) -> None:
    """The reason numbers still stand for these texts in the installed OpenSSL."""
    SSL.Context(SSL.TLS_METHOD)
    wanted = (words,) if isinstance(words, str) else words
    for number in reasons:
        assert any(word in reason_text(number) for word in wanted), number


def test_alerts_against_the_openssl_program() -> None:
    """``openssl errstr`` of another OpenSSL version agrees on the numbers."""
    for number, words in ((48, "unknown ca"), (116, "certificate required")):
        code = f"{20 << 23 | 1000 + number:x}"
        said = subprocess.run(
            [program("openssl"), "errstr", code],
            capture_output=True,
            text=True,
            check=True,
        )
        assert words in said.stdout
        assert tls_names.alert_name_of(number) == words.replace(" ", "_")
