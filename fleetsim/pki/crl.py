"""CRL: certificate revocation lists, version 2 (RFC 5280 section 5).

Full lists only. A certificate that is to leave the list (a lifted ``certificateHold``)
is simply absent from the next one; ``removeFromCRL`` belongs to delta lists.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum, unique

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from fleetsim.exceptions import Problem
from fleetsim.pki.authority import Authority
from fleetsim.pki.certificates import Validity, authority_key_identifier
from fleetsim.pki.problems import refuse


@unique
class Reason(StrEnum):
    """Why a certificate was revoked (RFC 5280 5.3.1), as ``openssl ca`` spells it."""

    UNSPECIFIED = "unspecified"
    KEY_COMPROMISE = "keyCompromise"
    CA_COMPROMISE = "CACompromise"
    AFFILIATION_CHANGED = "affiliationChanged"
    SUPERSEDED = "superseded"
    CESSATION_OF_OPERATION = "cessationOfOperation"
    CERTIFICATE_HOLD = "certificateHold"


_FLAGS: dict[Reason, x509.ReasonFlags] = {
    Reason.KEY_COMPROMISE: x509.ReasonFlags.key_compromise,
    Reason.CA_COMPROMISE: x509.ReasonFlags.ca_compromise,
    Reason.AFFILIATION_CHANGED: x509.ReasonFlags.affiliation_changed,
    Reason.SUPERSEDED: x509.ReasonFlags.superseded,
    Reason.CESSATION_OF_OPERATION: x509.ReasonFlags.cessation_of_operation,
    Reason.CERTIFICATE_HOLD: x509.ReasonFlags.certificate_hold,
}


@dataclass(frozen=True, slots=True)
class Revocation:
    """One revoked certificate.

    Attributes:
        serial: Its serial number.
        revoked_at: When, aware; fractions of a second are cut off.
        reason: Why.
    """

    serial: int
    revoked_at: datetime
    reason: Reason = Reason.UNSPECIFIED


def build_crl(
    authority: Authority,
    revocations: Sequence[Revocation],
    *,
    number: int,
    validity: Validity,
) -> x509.CertificateRevocationList:
    """Build and sign a list of certificates revoked by ``authority``.

    Args:
        authority: Who issued the certificates and signs the list.
        revocations: What is revoked, each serial once.
        number: CRL number, >= 0, rising from list to list (RFC 5280 5.2.3).
        validity: thisUpdate and nextUpdate; both in the past make an expired list.

    Raises:
        InputError: For a negative number, an empty validity, a serial that is repeated or not
            positive.
    """
    problems = []
    if number < 0:
        problems.append(Problem("CRL number", f"cannot be {number}"))
    if validity.not_after == validity.not_before:
        problems.append(Problem("CRL", "next update must be later than this update"))
    counts = Counter(each.serial for each in revocations)
    problems.extend(
        Problem(f"serial {serial:x}", "is revoked twice")
        for serial, count in counts.items()
        if count > 1
    )
    problems.extend(
        Problem(f"serial {serial}", "must be positive")
        for serial in counts
        if serial < 1
    )
    refuse(problems)
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(validity.not_before)
        .next_update(validity.not_after)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(authority_key_identifier(authority.certificate), critical=False)
    )
    for each in revocations:
        builder = builder.add_revoked_certificate(_entry(each))
    return builder.sign(authority.key, hashes.SHA256())


def _entry(revocation: Revocation) -> x509.RevokedCertificate:
    moment = revocation.revoked_at.astimezone(UTC).replace(microsecond=0)
    builder = (
        x509.RevokedCertificateBuilder()
        .serial_number(revocation.serial)
        .revocation_date(moment)
    )
    # RFC 5280 5.3.1: leave the extension out rather than write "unspecified".
    if revocation.reason is not Reason.UNSPECIFIED:
        flag = _FLAGS[revocation.reason]
        builder = builder.add_extension(x509.CRLReason(flag), critical=False)
    return builder.build()
