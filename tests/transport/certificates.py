"""Certificates for TLS tests, good ones and every kind of bad one.

Built with ``cryptography`` alone, not with the pki room: a test of the verdict on a bad
certificate must be able to make one.
"""

import datetime as dt
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

EARLY = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
LATE = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
PAST = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
FUTURE = dt.datetime(2090, 1, 1, tzinfo=dt.UTC)
DEVICE_UNIX_S = int(dt.datetime(2026, 11, 22, tzinfo=dt.UTC).timestamp())


@lru_cache
def key(kind: str = "rsa-2048", number: int = 0) -> Key:
    """A private key, made once per kind and number: keys are slow to make."""
    del number  # only tells two keys of a kind apart
    if kind == "p256":
        return ec.generate_private_key(ec.SECP256R1())
    bits = int(kind.removeprefix("rsa-"))
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate, its key, and the certificates above it, nearest first."""

    certificate: x509.Certificate
    key: Key
    above: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """What a server sends: leaf and intermediates, without the root."""
        return (self.certificate, *self.above[:-1])

    @property
    def name(self) -> x509.Name:
        """The subject."""
        return self.certificate.subject


def authority(
    name: str = "Root",
    *,
    parent: Issued | None = None,
    kind: str = "rsa-2048",
    number: int = 1,
    is_ca: bool = True,
    path_length: int | None = None,
    can_sign: bool = True,
    not_before: dt.datetime = EARLY,
    not_after: dt.datetime = LATE,
) -> Issued:
    """Make a root (no parent) or an intermediate."""
    own = key(kind, number)
    usage = _usage(key_cert_sign=can_sign, crl_sign=can_sign, digital_signature=True)
    return _sign(
        _builder(name, own, parent, not_before, not_after)
        .add_extension(
            x509.BasicConstraints(ca=is_ca, path_length=path_length if is_ca else None),
            critical=True,
        )
        .add_extension(usage, critical=True),
        own,
        parent,
    )


def leaf(
    name: str = "server",
    *,
    parent: Issued | None = None,
    kind: str = "rsa-2048",
    number: int = 0,
    dns: Sequence[str] = ("storage.test",),
    addresses: Sequence[str] = ("127.0.0.1", "::1"),
    usages: Iterable[x509.ObjectIdentifier] = (
        ExtendedKeyUsageOID.SERVER_AUTH,
        ExtendedKeyUsageOID.CLIENT_AUTH,
    ),
    not_before: dt.datetime = EARLY,
    not_after: dt.datetime = LATE,
    critical_unknown: bool = False,
    key_encipherment: bool = True,
) -> Issued:
    """Make a leaf for servers and clients; self-signed without a parent."""
    own = key(kind, number)
    encipher = key_encipherment and isinstance(own, rsa.RSAPrivateKey)
    builder = _builder(name, own, parent, not_before, not_after).add_extension(
        _usage(digital_signature=True, key_encipherment=encipher), critical=True
    )
    names: list[x509.GeneralName] = [x509.DNSName(text) for text in dns]
    names += [x509.IPAddress(ipaddress.ip_address(text)) for text in addresses]
    if names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
    if usages := tuple(usages):
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    if critical_unknown:
        oid = x509.ObjectIdentifier("1.3.6.1.4.1.99999.1")
        builder = builder.add_extension(
            x509.UnrecognizedExtension(oid, b"\x05\x00"), critical=True
        )
    return _sign(builder, own, parent)


def crl(
    parent: Issued,
    revoked: Iterable[x509.Certificate] = (),
    *,
    last_update: dt.datetime = EARLY,
    next_update: dt.datetime = LATE,
    signer: Key | None = None,
) -> x509.CertificateRevocationList:
    """Make a CRL of an authority."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(parent.name)
        .last_update(last_update)
        .next_update(next_update)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(parent.key.public_key()),
            critical=False,
        )
    )
    for certificate in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(certificate.serial_number)
            .revocation_date(EARLY)
            .build()
        )
    return builder.sign(signer or parent.key, hashes.SHA256())


def forged(issued: Issued) -> Issued:
    """The same certificate with one bit of its signature turned over."""
    der = bytearray(issued.certificate.public_bytes(Encoding.DER))
    der[-1] ^= 1
    return Issued(x509.load_der_x509_certificate(bytes(der)), issued.key, issued.above)


def _usage(**allowed: bool) -> x509.KeyUsage:
    fields = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{field: allowed.get(field, False) for field in fields})


def _builder(
    name: str,
    own: Key,
    parent: Issued | None,
    not_before: dt.datetime,
    not_after: dt.datetime,
) -> x509.CertificateBuilder:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer_key = parent.key if parent is not None else own
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(parent.name if parent is not None else subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )


def _sign(
    builder: x509.CertificateBuilder,
    own: Key,
    parent: Issued | None,
) -> Issued:
    signer = parent.key if parent is not None else own
    certificate = builder.sign(signer, hashes.SHA256())
    above = (parent.certificate, *parent.above) if parent is not None else ()
    return Issued(certificate, own, above)
