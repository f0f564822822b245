"""Fingerprints: when two handshakes must come out alike, so that one is enough.

A handshake depends on what both sides are configured with, and on the two clocks only
by which certificates and lists are valid: between two dates nothing changes. RFC 5280
4.1.2.5 counts the second notAfter as valid, and so does OpenSSL 4; OpenSSL 3 and older
do not. Here both that second and the one after it begin a new interval, so that either
is right; the same holds for nextUpdate of a revocation list (5.1.2.5).

Client certificates of one issuer that differ in nothing but subject, serial number and
key value are alike to a server, unless a revocation list names one: the chain is built
by issuer, and the key proves itself in every handshake.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.transport.base import ClientIdentity
from fleetsim.transport.tls_server import ServerTls

_OF_THE_HOLDER: Final = (x509.SubjectKeyIdentifier, x509.SubjectAlternativeName)


def dates_of(certificates: Iterable[x509.Certificate]) -> tuple[int, ...]:
    """Every second at which one of them may become valid or expire, sorted, unix."""
    dates: set[int] = set()
    for one in certificates:
        dates.add(int(one.not_valid_before_utc.timestamp()))
        dates.update(_ends(one.not_valid_after_utc))
    return tuple(sorted(dates))


def _ends(last: datetime) -> tuple[int, int]:
    second = int(last.timestamp())
    return second, second + 1


def server_dates(server: ServerTls, identity: ClientIdentity) -> tuple[int, ...]:
    """Every date at which the server's verdict on a client may change."""
    dates = set(dates_of((identity.certificate, *identity.chain, *server.client_cas)))
    for crl in server.crls:
        dates.add(int(crl.last_update_utc.timestamp()))
        if crl.next_update_utc is not None:
            dates.update(_ends(crl.next_update_utc))
    return tuple(sorted(dates))


def interval_of(dates: Sequence[int], unix_s: int) -> int:
    """Number of the interval between dates that a moment is in, 0..len(dates)."""
    return bisect_right(dates, unix_s)


def is_valid_at(certificate: x509.Certificate, unix_s: int) -> bool:
    """Whether a certificate is valid at a moment, both of its ends included."""
    first = certificate.not_valid_before_utc.timestamp()
    return first <= unix_s <= certificate.not_valid_after_utc.timestamp()


def fingerprint_of(server: ServerTls) -> str:
    """SHA-256 over everything a client can notice of a server; private keys are not."""
    whole = hashlib.sha256()
    for one in server.certificates:
        whole.update(repr(one.server_names).encode())
        for certificate in one.chain:
            whole.update(certificate.public_bytes(Encoding.DER))
    for authority in server.client_cas:
        whole.update(authority.public_bytes(Encoding.DER))
    for crl in server.crls:
        whole.update(crl.public_bytes(Encoding.DER))
    rest = (
        server.min_version,
        server.max_version,
        server.cipher_list,
        server.tls13_suites,
        server.prefer_server_ciphers,
        server.dh_bits,
        server.curves,
        server.require_client_certificate,
        server.check_crl,
        len(server.certificates),
        len(server.client_cas),
        len(server.crls),
    )
    whole.update(repr(rest).encode())
    return whole.hexdigest()


def class_of(identity: ClientIdentity, server: ServerTls) -> tuple[object, ...]:
    """What a server can tell of a client certificate, apart from whose it is."""
    certificate = identity.certificate
    extensions = tuple(
        (each.oid.dotted_string, each.critical, each.value.public_bytes())
        for each in certificate.extensions
        if not isinstance(each.value, _OF_THE_HOLDER)
    )
    return (
        certificate.issuer.public_bytes(),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        certificate.signature_algorithm_oid.dotted_string,
        extensions,
        kind_of_key(certificate),
        certificate.public_key() == identity.key.public_key(),
        tuple(one.public_bytes(Encoding.DER) for one in identity.chain),
        _is_signed_by_one_of(certificate, (*identity.chain, *server.client_cas)),
        is_revoked(certificate, server.crls),
    )


def is_revoked(
    certificate: x509.Certificate, crls: Iterable[x509.CertificateRevocationList]
) -> bool:
    """Whether a list of its issuer names a certificate."""
    return any(
        crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
        is not None
        for crl in crls
        if crl.issuer == certificate.issuer
    )


def kind_of_key(certificate: x509.Certificate) -> str:
    """Kind and size of a public key, for people: ``RSA 2048``, ``EC secp256r1``."""
    match certificate.public_key():
        case rsa.RSAPublicKey() as key:
            return f"RSA {key.key_size}"
        case ec.EllipticCurvePublicKey() as key:
            return f"EC {key.curve.name}"
        case key:
            return type(key).__name__.lstrip("_").removesuffix("PublicKey")


def is_signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether a certificate bears the name and the signature of another one's key."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_signed_by_one_of(
    certificate: x509.Certificate, issuers: Iterable[x509.Certificate]
) -> bool:
    return any(
        is_signed_by(certificate, issuer)
        for issuer in issuers
        if issuer.subject == certificate.issuer
    )
