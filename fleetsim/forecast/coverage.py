"""Coverage: from when to when a device with some bundle accepts some chain.

Between two dates of the certificates involved nothing changes, so one set of handshakes
per interval settles it for every moment of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from cryptography import x509

from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.forecast.fingerprints import dates_of, is_valid_at
from fleetsim.forecast.handshakes import ClientSide, Reach
from fleetsim.forecast.reacher import Reacher
from fleetsim.forecast.wording import failure_words, moment_words, title_of
from fleetsim.transport.tls_server import PrivateKey, ServerCertificate, ServerTls


@dataclass(frozen=True, slots=True)
class NamedBundle:
    """A bundle by the name of its file or of what made it."""

    name: str
    bundle: TrustBundle


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedChain:
    """A chain by the name of its file or of what made it.

    Attributes:
        name: For people.
        certificates: As the server sends them, leaf first; length >= 1.
        key: Private key of the leaf, if it is at hand: then the handshakes are whole.
        base: How the server speaks TLS meanwhile, where that is not as always.
    """

    name: str
    certificates: tuple[x509.Certificate, ...]
    key: PrivateKey | None = None
    base: ServerTls | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A period in which the outcome stays the same.

    Attributes:
        from_unix_s: Its first second.
        to_unix_s: The first second after it.
        reach: What comes of each cipher group.
        why: Why some groups fail, with the certificates out of date; empty = none do.
    """

    from_unix_s: int
    to_unix_s: int
    reach: Reach
    why: str

    @property
    def ok(self) -> bool:
        """Whether some group connects."""
        return self.reach.ok


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What becomes of one bundle with one chain.

    Attributes:
        bundle: Name of the bundle.
        chain: Name of the chain.
        spans: In order, without a gap, together the whole window.
    """

    bundle: str
    chain: str
    spans: tuple[Span, ...]

    @property
    def changes(self) -> tuple[int, ...]:
        """Dates at which the outcome changes, unix seconds."""
        return tuple(span.from_unix_s for span in self.spans[1:])

    def ok_periods(self) -> tuple[tuple[int, int], ...]:
        """Periods in which some group connects, joined where they touch."""
        found: list[tuple[int, int]] = []
        for span in self.spans:
            if not span.ok:
                continue
            if found and found[-1][1] == span.from_unix_s:
                found[-1] = (found[-1][0], span.to_unix_s)
            else:
                found.append((span.from_unix_s, span.to_unix_s))
        return tuple(found)


def cover(
    reacher: Reacher,
    side: ClientSide,
    bundle: NamedBundle,
    chain: NamedChain,
    *,
    base: ServerTls,
    window: tuple[int, int],
) -> Coverage:
    """Find out from when to when a device accepts a server.

    Args:
        reacher: Makes the handshakes.
        side: The device; its bundle and clock are replaced.
        bundle: What it trusts.
        chain: What the server sends.
        base: How the server speaks TLS; its certificates are replaced.
        window: First second and first second after it, unix time.

    Raises:
        InputError: The server's settings, a group or the host cannot be used.
    """
    start, end = window
    certificates = (*bundle.bundle.certificates, *chain.certificates)
    inside = [date for date in dates_of(certificates) if start < date < end]
    spans: list[Span] = []
    for first, last in zip([start, *inside], [*inside, end], strict=True):
        at = replace(side, bundle=bundle.bundle, unix_s=first)
        reach = _reach(reacher, at, chain, chain.base or base)
        why = why_not(reach, certificates, first)
        if spans and spans[-1].reach == reach and spans[-1].why == why:
            spans[-1] = replace(spans[-1], to_unix_s=last)
        else:
            spans.append(Span(from_unix_s=first, to_unix_s=last, reach=reach, why=why))
    return Coverage(bundle=bundle.name, chain=chain.name, spans=tuple(spans))


def _reach(
    reacher: Reacher, side: ClientSide, chain: NamedChain, base: ServerTls
) -> Reach:
    if chain.key is None:
        return reacher.reach_chain(side, chain.certificates, base)
    certificate = ServerCertificate(chain=chain.certificates, key=chain.key)
    return reacher.reach(side, replace(base, certificates=(certificate,)), side.unix_s)


def why_not(reach: Reach, certificates: Iterable[x509.Certificate], unix_s: int) -> str:
    """Word why groups fail; where dates are the reason, name what is out of date."""
    if reach.first_failure is None:
        return ""
    words = failure_words(reach)
    kinds = {each.failure.kind for each in reach.groups if each.failure}
    if not any("expired" in kind or "not_yet" in kind for kind in kinds):
        return words
    late = tuple(dict.fromkeys(c for c in certificates if not is_valid_at(c, unix_s)))
    out_of_date = ", ".join(_dates_words(one, unix_s) for one in late)
    return f"{words}: {out_of_date}" if out_of_date else words


def _dates_words(certificate: x509.Certificate, unix_s: int) -> str:
    first, last = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if unix_s < first.timestamp():
        return f"{title_of(certificate)} begins {moment_words(first)}"
    return f"{title_of(certificate)} expired {moment_words(last)}"


def moment_of(unix_s: int) -> datetime:
    """Aware UTC time of unix seconds."""
    return datetime.fromtimestamp(unix_s, UTC)
