import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fleetsim.exceptions import InputError
from fleetsim.lab.terminators import files
from fleetsim.pki.certificates import parse_certificates_pem
from fleetsim.pki.crl import build_crl
from tests.lab.tls_clients import (
    VALID,
    presented,
    root,
    server,
    server_p256,
    server_tls,
)

CA = root("devices")
CRL = build_crl(CA, (), number=1, validity=VALID)


def test_everything_is_pem_and_private(tmp_path: Path) -> None:
    """The folder is 0700, keys are 0600, and each file holds what its name says."""
    tls = server_tls(
        server("localhost"),
        client_cas=(CA.certificate,),
        crls=(CRL, CRL),
        check_crl=True,
    )
    place = tmp_path / "tls-1"
    files.write_files(place, tls)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.iterdir()}
    assert modes == {
        "server-0.pem": 0o600,
        "client-ca.pem": 0o644,
        "crl.pem": 0o644,
        "dh.pem": 0o644,
    }
    pair = (place / "server-0.pem").read_bytes()
    assert parse_certificates_pem(pair, "pair")[0] == server("localhost").certificate
    key = load_pem_private_key(pair[pair.index(b"-----BEGIN RSA") :], None)
    assert key.public_key() == server("localhost").certificate.public_key()
    assert pair.endswith(b"-----END DH PARAMETERS-----\n")
    assert (place / "crl.pem").read_bytes().count(b"BEGIN X509 CRL") == 2
    assert x509.load_pem_x509_crl((place / "crl.pem").read_bytes()) == CRL
    with pytest.raises(FileExistsError):
        files.write_files(place, tls)


def test_what_is_not_used_is_not_written() -> None:
    """Lists that are not checked, CAs and primes that are not wanted leave no file."""
    tls = server_tls(dh_bits=0, crls=(CRL,))
    assert set(files.contents(tls)) == {"server-0.pem"}
    assert b"DH PARAMETERS" not in files.contents(tls)["server-0.pem"]


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ([(), ()], [(), ()]),
        ([("a",), ()], [(), ("a",)]),
        ([("a",), ("b",)], [(), ("b",)]),
        ([("a",), ("a",)], [(), ()]),
    ],
    ids=["two defaults", "default second", "first stands in", "with its companion"],
)
def test_defaults_come_first(
    named: list[tuple[str, ...]], expected: list[tuple[str, ...]]
) -> None:
    """Certificates without names come first; if there is none, the first's names go."""
    tls = server_tls(
        certificates=tuple(presented(server("localhost"), *names) for names in named)
    )
    found = files.certificate_files(tls)
    assert [one.name for one in found] == ["server-0.pem", "server-1.pem"]
    assert [one.server_names for one in found] == expected


def test_rsa_comes_before_other_keys() -> None:
    """HAProxy shows a client without SNI the first certificate alone."""
    contents = files.contents(server_tls(server_p256(), server("localhost")))
    assert b"BEGIN RSA PRIVATE KEY" in contents["server-0.pem"]
    assert b"BEGIN EC PRIVATE KEY" in contents["server-1.pem"]


@pytest.mark.parametrize(
    ("given", "dh_bits", "expected"),
    [
        ("ALL:@SECLEVEL=0", 2048, "ALL:@SECLEVEL=0"),
        ("ALL @SECLEVEL=0", 2048, "ALL:@SECLEVEL=0"),
        ("AES128-SHA, AES256-SHA", 2048, "AES128-SHA:AES256-SHA:@SECLEVEL=2"),
        ("ALL:@SECLEVEL=1", 0, "ALL:@SECLEVEL=1:!kDHE"),
        ("DEFAULT", 0, "DEFAULT:!kDHE:@SECLEVEL=2"),
    ],
)
def test_cipher_list(given: str, dh_bits: int, expected: str) -> None:
    """One word, always with a security level, without DHE where it has no prime."""
    tls = server_tls(cipher_list=given, dh_bits=dh_bits)
    assert files.ciphers(tls) == expected


@pytest.mark.parametrize("text", ["", "ALL;", "ALL\n", "a b", 'a"', "a{", "a#b", "$a"])
def test_no_text_escapes_its_place(text: str) -> None:
    """What a configuration file could misunderstand is refused."""
    with pytest.raises(InputError, match="field"):
        files.word("field", text)
