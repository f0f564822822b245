"""Certificates for unit tests, made by ``cryptography``; keys are shared and weak."""

from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import NameOID

Key = (
    rsa.RSAPrivateKey
    | ec.EllipticCurvePrivateKey
    | dsa.DSAPrivateKey
    | ed25519.Ed25519PrivateKey
)


@cache
def make_key(kind: str) -> Key:
    """Make a key: ``rsa-<bits>``, ``p256``, ``p384``, ``dsa`` or ``ed25519``."""
    match kind.split("-"):
        case ["rsa", bits]:
            return rsa.generate_private_key(65537, int(bits))
        case ["p256"]:
            return ec.generate_private_key(ec.SECP256R1())
        case ["p384"]:
            return ec.generate_private_key(ec.SECP384R1())
        case ["dsa"]:
            return dsa.generate_private_key(2048)
        case _:
            return ed25519.Ed25519PrivateKey.generate()


def make_name(text: str) -> x509.Name:
    """Make a distinguished name of a common name; empty = an empty name."""
    if not text:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def make_certificate(
    subject: str,
    *,
    issuer: str | None = None,
    key: str = "rsa-1024",
    is_ca: bool | None = True,
    serial: int = 1,
) -> x509.Certificate:
    """Make a certificate; ``is_ca=None`` leaves basicConstraints out."""
    private = make_key(key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(make_name(subject))
        .issuer_name(make_name(subject if issuer is None else issuer))
        .public_key(private.public_key())
        .serial_number(serial)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2040, 1, 1, tzinfo=UTC))
    )
    if is_ca is not None:
        builder = builder.add_extension(
            x509.BasicConstraints(ca=is_ca, path_length=None), critical=True
        )
    algorithm = (
        None if isinstance(private, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    )
    return builder.sign(private, algorithm)
