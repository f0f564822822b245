"""Wording: proofs and certificates in words, the same words for devices alike."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from fleetsim.core.failure import Failure
from fleetsim.forecast.fingerprints import is_revoked
from fleetsim.forecast.handshakes import ClientSide, Reach
from fleetsim.transport.tls_server import ServerTls

_SHORT_LIVED: Final = timedelta(days=7)
_SHOWN_ANCHORS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Why one front is out of reach.

    Attributes:
        front: Its name.
        server: How it speaks TLS.
        reach: What came of each group.
        renewed: The same after a renewal of its certificate; ``None`` = no authority
            above that certificate is trusted at all.
    """

    front: str
    server: ServerTls
    reach: Reach
    renewed: Reach | None


def stranding_words(side: ClientSide, findings: Iterable[Finding]) -> str:
    """Word the proof that none of several fronts can be reached."""
    if side.bundle.is_empty:
        return (
            "trusts no certificate: its bundle is empty, so that neither an upload nor "
            "an over-the-air check can connect"
        )
    anchors = side.bundle.certificates
    shown = ", ".join(dated(one) for one in anchors[:_SHOWN_ANCHORS])
    return "; ".join(
        (*(_finding_words(side, each) for each in findings), f"it trusts {shown}")
    )


def _finding_words(side: ClientSide, finding: Finding) -> str:
    parts = [f"cannot reach {finding.front}: {failure_words(finding.reach)}"]
    if _is_about_client(finding):
        parts.append(_own_certificate(side, finding.server))
    parts += [
        f"the server sends {chain_words(c.chain)}" for c in finding.server.certificates
    ]
    if finding.renewed is None:
        parts.append("none of the authorities above that is in the bundle and valid")
    else:
        parts.append(
            f"a renewed certificate would not help: {failure_words(finding.renewed)}"
        )
    return "; ".join(parts)


def failure_words(reach: Reach) -> str:
    """Failures by kind with the groups they hit, in the order of the groups."""
    groups: dict[str, list[str]] = {}
    for each in reach.groups:
        if each.failure is not None:
            text = one_failure(each.failure, each.refusal)
            groups.setdefault(text, []).append(each.group)
    if len(groups) == 1:
        return next(iter(groups))
    return ", ".join(f"{text} ({', '.join(who)})" for text, who in groups.items())


def one_failure(failure: Failure, refusal: Failure | None = None) -> str:
    """A failure with the check that failed, in OpenSSL's words."""
    says = failure.detail if refusal is None else f"the server: {refusal.detail}"
    return f"{failure.kind} ({says})" if says else failure.kind


def chain_words(chain: Iterable[x509.Certificate]) -> str:
    """A chain as sent, each certificate with its period; who issued the last one."""
    certificates = tuple(chain)
    last = certificates[-1]
    text = " under ".join(dated(one) for one in certificates)
    return text if last.issuer == last.subject else f"{text} by {name_of(last.issuer)}"


def dated(certificate: x509.Certificate) -> str:
    """Subject and period of a certificate."""
    return f"{title_of(certificate)} ({period(certificate)})"


def title_of(certificate: x509.Certificate) -> str:
    """Subject, or the first alternative name of a certificate that has none."""
    if list(certificate.subject):
        return name_of(certificate.subject)
    try:
        names = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except (x509.ExtensionNotFound, ValueError):
        return "a certificate without a name"
    return next((str(one.value) for one in names), "a certificate without a name")


def name_of(name: x509.Name) -> str:
    """Common name of a distinguished name, or all of it."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    text = f"CN={found[0].value!s}" if found else name.rfc4514_string()
    return "".join(c if c.isprintable() else "?" for c in text)[:80] or "no name"


def period(certificate: x509.Certificate) -> str:
    """From when to when; to the second for short-lived certificates."""
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    is_short = last - first < _SHORT_LIVED
    return f"{moment_words(first, is_short)} to {moment_words(last, is_short)}"


def moment_words(moment: datetime, is_exact: bool = True) -> str:
    """A date, with the time of day when it matters."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if is_exact else f"{moment:%Y-%m-%d}"


def skew_words(skew_s: float) -> str:
    """Word the proof that a device's clock shuts it out."""
    where = "ahead" if skew_s > 0 else "behind"
    return (
        f"its clock is {_span(abs(skew_s))} {where} and nothing sets it: the server "
        "refuses every signed request more than 15 minutes off (RequestTimeTooSkewed), "
        "over-the-air checks too"
    )


def _span(seconds: float) -> str:
    for size, unit in ((86_400 * 365.25, "years"), (86_400, "days"), (3600, "hours")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds / 60:.0f} minutes"


def _is_about_client(finding: Finding) -> bool:
    """Whether the server refused the device's certificate, not its cipher suites."""
    refusals = [each.refusal for each in finding.reach.groups if each.refusal]
    return bool(finding.server.client_cas) and any(
        each.kind.startswith("tls.verify.") for each in refusals
    )


def _own_certificate(side: ClientSide, server: ServerTls) -> str:
    if side.identity is None:
        return "it presents no certificate"
    own = side.identity.certificate
    text = f"its own certificate is of {name_of(own.issuer)} ({period(own)})"
    return f"{text} and revoked" if is_revoked(own, server.crls) else text
