"""Certificates: what goes into one, and the single place that signs one (RFC 5280).

Decisions taken here:

* A validity is a value of two whole seconds. X.509 knows no fractions, so a lifetime of
  five seconds expires five seconds after the *whole* second in which it began. The past
  and the future are both allowed: expired and not-yet-valid certificates are test cases.
* RFC 5280 4.1.2.5 counts the second notAfter as valid, OpenSSL (X509_cmp_time) does
  not. Devices and lab verify with OpenSSL, so its reading is the one used here.
* A certificate may outlive its issuer, as in real accidents; verifiers judge each one
  on its own dates.
* Signatures are SHA-256 throughout (the device documentation names no other).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum, unique
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from fleetsim.core.draws import Draws
from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.keys import PrivateKey, PublicKey, public_part

SerialSource = Callable[[], int]
"""Returns a new serial number at every call, 1..2**159-1 (RFC 5280 4.1.2.2)."""

Extension = tuple[x509.ExtensionType, bool]
"""An extension and whether it is critical."""

_EARLIEST = datetime(1950, 1, 1, tzinfo=UTC)  # first UTCTime year, RFC 5280 4.1.2.5.1
_LATEST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)  # "no well-defined end"


@unique
class Usage(StrEnum):
    """Extended key usages that matter for TLS (RFC 5280 4.2.1.12)."""

    SERVER_AUTH = "serverAuth"
    CLIENT_AUTH = "clientAuth"


_USAGE_OIDS: dict[Usage, ObjectIdentifier] = {
    Usage.SERVER_AUTH: ExtendedKeyUsageOID.SERVER_AUTH,
    Usage.CLIENT_AUTH: ExtendedKeyUsageOID.CLIENT_AUTH,
}


@dataclass(frozen=True, slots=True)
class Validity:
    """From when to when a certificate is valid, whole seconds.

    Attributes:
        not_before: First second, aware; 1950..9999. Fractions are cut off.
        not_after: First second in which OpenSSL calls it expired, aware; not before
            ``not_before``.

    Raises:
        InputError: When naive, out of range or the wrong way round.
    """

    not_before: datetime
    not_after: datetime

    def __post_init__(self) -> None:
        if self.not_before.tzinfo is None or self.not_after.tzinfo is None:
            raise InputError(Problem("validity", "times need a time zone (UTC)"))
        first = self.not_before.astimezone(UTC).replace(microsecond=0)
        last = self.not_after.astimezone(UTC).replace(microsecond=0)
        if not _EARLIEST <= first <= last <= _LATEST:
            raise InputError(
                Problem(
                    "validity",
                    f"{first:%Y-%m-%dT%H:%M:%SZ} to {last:%Y-%m-%dT%H:%M:%SZ} is not a "
                    "period between the years 1950 and 9999",
                )
            )
        object.__setattr__(self, "not_before", first)
        object.__setattr__(self, "not_after", last)

    @classmethod
    def lasting(
        cls, now: datetime, lifetime_s: float, *, starts_in_s: float = 0.0
    ) -> Self:
        """Make a validity from a moment and a lifetime.

        Args:
            now: The present, aware.
            lifetime_s: Time between the two ends, seconds, >= 0.
            starts_in_s: Start relative to ``now``; negative = in the past.

        Raises:
            InputError: When the result leaves the years 1950 to 9999 or is negative.
        """
        try:
            first = now + timedelta(seconds=starts_in_s)
            last = first.replace(microsecond=0) + timedelta(seconds=lifetime_s)
        except (OverflowError, ValueError) as exc:
            raise InputError(
                Problem("validity", f"a lifetime of {lifetime_s} s is out of range")
            ) from exc
        return cls(first, last)

    def contains(self, moment: datetime) -> bool:
        """Tell whether a moment lies inside: from not_before until before not_after."""
        return self.not_before <= moment < self.not_after


def validity_of(certificate: x509.Certificate) -> Validity:
    """Read the validity of a certificate."""
    return Validity(certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def random_serial() -> int:
    """Draw a serial number of 159 random bits from the operating system."""
    return x509.random_serial_number()


def seeded_serials(seed: int) -> SerialSource:
    """Make a repeatable source of 127-bit serial numbers; same seed, same sequence."""
    draws = Draws(seed)

    def draw() -> int:
        # The top bit is set so that no serial is ever 0 or short.
        return 1 << 126 | draws.bits() << 62 | draws.bits() >> 2

    return draw


def key_usage(
    *,
    digital_signature: bool = False,
    key_encipherment: bool = False,
    signs_certificates: bool = False,
) -> Extension:
    """Make a critical key usage extension (RFC 5280 4.2.1.3).

    TLS key exchange by RSA needs ``key_encipherment`` (RFC 5246 7.4.2).
    """
    usage = x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
    return usage, True


def basic_constraints(*, is_ca: bool, path_length: int | None = None) -> Extension:
    """Make a critical basic constraints extension (RFC 5280 4.2.1.9)."""
    return x509.BasicConstraints(ca=is_ca, path_length=path_length), True


def leaf_key_usage(
    key: PublicKey,
    *,
    with_key_encipherment: bool = True,
    signs_certificates: bool = False,
) -> Extension:
    """Make the key usage of an end entity: what its kind of key does in TLS.

    RSA signs and, unless switched off, deciphers premaster secrets; EC signs.
    """
    return key_usage(
        digital_signature=True,
        key_encipherment=with_key_encipherment and isinstance(key, rsa.RSAPublicKey),
        signs_certificates=signs_certificates,
    )


def extended_key_usage(usages: Sequence[Usage]) -> tuple[Extension, ...]:
    """Make the extended key usage extension, or nothing for no usages."""
    if not usages:
        return ()
    return ((x509.ExtendedKeyUsage([_USAGE_OIDS[usage] for usage in usages]), False),)


def subject_key_identifier(key: PublicKey) -> x509.SubjectKeyIdentifier:
    """Make the identifier of a key: SHA-1 of its bits (RFC 5280 4.2.1.2 method 1)."""
    return x509.SubjectKeyIdentifier.from_public_key(key)


def authority_key_identifier(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Point to an issuer's key by the identifier in the issuer's own certificate."""
    try:
        found = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        key = public_part(issuer, "issuing certificate")
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(found.value)


def sign_certificate(
    *,
    subject_name: x509.Name,
    public_key: PublicKey,
    issuer_name: x509.Name,
    issuer_key: PrivateKey,
    validity: Validity,
    serial: int,
    extensions: Sequence[Extension],
) -> x509.Certificate:
    """Sign one X.509 v3 certificate with SHA-256."""
    builder = x509.CertificateBuilder(
        issuer_name=issuer_name,
        subject_name=subject_name,
        public_key=public_key,
        serial_number=serial,
        not_valid_before=validity.not_before,
        not_valid_after=validity.not_after,
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer_key, hashes.SHA256())


def certificates_pem(certificates: Sequence[x509.Certificate]) -> bytes:
    """Encode certificates as PEM, one after the other, order kept."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def parse_certificates_pem(pem: bytes, where: str) -> tuple[x509.Certificate, ...]:
    """Read one or more PEM certificates.

    Raises:
        InputError: When there is none or one is garbled.
    """
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError as exc:
        raise InputError(Problem(where, "not a readable PEM certificate")) from exc
