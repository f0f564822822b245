"""Listing: what a certificate says, in the words people compare certificates with."""

from dataclasses import asdict, dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.folder import PkiFolder, read_certificates
from fleetsim.pki.index import Entry
from fleetsim.pki.keys import describe_key
from fleetsim.pki.problems import refuse

_USAGE_NAMES = {
    ExtendedKeyUsageOID.SERVER_AUTH: "serverAuth",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRow:
    """One line of ``fleetsim pki show``.

    Attributes:
        kind: ``authority``, ``server`` or ``device``.
        name: Name in the folder.
        subject: RFC 4514 text, empty for an empty subject.
        issuer: RFC 4514 text.
        serial: Hex, lower case.
        not_before: First second of validity, UTC.
        not_after: End of validity, UTC.
        key: ``RSA 2048``, ``EC secp256r1`` …
        usage: Key usages and extended key usages.
        alternative_names: DNS names and addresses.
        sha256: Fingerprint, upper-case hex, as ``openssl x509 -fingerprint`` without
            its colons.
        file: File in the folder.
        revoked_at: When it was revoked, ``None`` = it was not.
        reason: Why, empty = not revoked.
    """

    kind: str
    name: str
    subject: str
    issuer: str
    serial: str
    not_before: datetime
    not_after: datetime
    key: str
    usage: tuple[str, ...]
    alternative_names: tuple[str, ...]
    sha256: str
    file: str
    revoked_at: datetime | None
    reason: str

    def as_json(self) -> dict[str, object]:
        """Return the row as JSON values; times in RFC 3339, UTC."""
        return {
            name: f"{value:%Y-%m-%dT%H:%M:%SZ}"
            if isinstance(value, datetime)
            else value
            for name, value in asdict(self).items()
        }


def list_certificates(
    folder: PkiFolder, entries: tuple[Entry, ...] | None = None
) -> tuple[CertificateRow, ...]:
    """Describe certificates of a folder from their files.

    Args:
        folder: The folder.
        entries: Which ones; ``None`` = all, oldest first.

    Raises:
        InputError: With every file that is missing, garbled or not what was issued.
    """
    problems: list[Problem] = []
    rows: list[CertificateRow] = []
    for entry in folder.index.certificates if entries is None else entries:
        try:
            rows.append(_row(entry, read_certificates(folder.path, entry)[0]))
        except InputError as exc:
            problems.extend(exc.problems)
    refuse(problems)
    return tuple(rows)


def _row(entry: Entry, certificate: x509.Certificate) -> CertificateRow:
    return CertificateRow(
        kind=entry.kind.value,
        name=entry.name,
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        key=describe_key(certificate.public_key()),
        usage=usages_of(certificate),
        alternative_names=alternative_names_of(certificate),
        sha256=certificate.fingerprint(hashes.SHA256()).hex().upper(),
        file=entry.certificate,
        revoked_at=entry.revoked_at,
        reason=entry.reason.value if entry.reason else "",
    )


def usages_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Name key usages and extended key usages as RFC 5280 does."""
    found: list[str] = []
    for extension in certificate.extensions:
        match extension.value:
            case x509.KeyUsage() as usage:
                flags = (
                    ("digitalSignature", usage.digital_signature),
                    ("nonRepudiation", usage.content_commitment),
                    ("keyEncipherment", usage.key_encipherment),
                    ("dataEncipherment", usage.data_encipherment),
                    ("keyAgreement", usage.key_agreement),
                    ("keyCertSign", usage.key_cert_sign),
                    ("cRLSign", usage.crl_sign),
                )
                found.extend(name for name, is_set in flags if is_set)
            case x509.ExtendedKeyUsage() as extended:
                found.extend(
                    _USAGE_NAMES.get(each, each.dotted_string) for each in extended
                )
            case _:
                pass
    return tuple(found)


def alternative_names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """List the DNS names and addresses of a certificate."""
    try:
        names = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except x509.ExtensionNotFound:
        return ()
    return (
        *names.get_values_for_type(x509.DNSName),
        *map(str, names.get_values_for_type(x509.IPAddress)),
    )
