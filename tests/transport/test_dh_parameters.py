import subprocess
from base64 import b64decode
from decimal import Decimal, localcontext

import pytest

from fleetsim.transport.dh_parameters import DH_PARAMETERS
from tests.integration.tls_wire import program


def prime_of(pem: bytes) -> tuple[int, int]:
    """Prime and generator of PKCS#3 parameters: a SEQUENCE of two INTEGERs in DER."""
    der = b64decode(b"".join(pem.splitlines()[1:-1]))
    _, at = header(der, 0)
    numbers = []
    while at < len(der):
        assert der[at] == 2  # INTEGER
        length, at = header(der, at)
        numbers.append(int.from_bytes(der[at : at + length]))
        at += length
    prime, generator = numbers
    return prime, generator


def header(der: bytes, at: int) -> tuple[int, int]:
    """Length of the DER element at a position, and where its content begins."""
    length, at = der[at + 1], at + 2
    if length & 0x80:
        width = length & 0x7F
        length, at = int.from_bytes(der[at : at + width]), at + width
    return length, at


@pytest.mark.parametrize(
    ("bits", "nudge"), [(2048, 560316), (3072, 2625351), (4096, 5736041)]
)
def test_ffdhe_follows_its_formula(bits: int, nudge: int) -> None:
    """RFC 7919 A: p = 2^b - 2^(b-64) + ([2^(b-130) e] + X) 2^64 - 1."""
    with localcontext() as context:
        context.prec = 1400
        e_bits = int(Decimal(1).exp() * 2 ** (bits - 130))
    prime = 2**bits - 2 ** (bits - 64) + (e_bits + nudge) * 2**64 - 1
    assert prime_of(DH_PARAMETERS[bits]) == (prime, 2)


def test_oakley_group_2_begins_and_ends_as_published() -> None:
    """RFC 2409 6.2: 2^1024 - 2^960 - 1 + 2^64 * ([2^894 pi] + 129093)."""
    prime, generator = prime_of(DH_PARAMETERS[1024])
    text = f"{prime:X}"
    assert generator == 2
    assert len(text) == 256
    assert text.startswith("FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E08")
    assert text.endswith("49286651ECE65381FFFFFFFFFFFFFFFF")


@pytest.mark.parametrize("bits", sorted(DH_PARAMETERS))
def test_openssl_finds_them_sound(bits: int) -> None:
    """``openssl dhparam -check``: safe prime, generator fits, size as labelled."""
    said = subprocess.run(
        [program("openssl"), "dhparam", "-check", "-noout", "-text"],
        input=DH_PARAMETERS[bits],
        capture_output=True,
        check=True,
    )
    assert b"appear to be ok" in said.stdout + said.stderr
    assert f"({bits} bit)".encode() in said.stdout
