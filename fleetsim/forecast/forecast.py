"""Forecast: bundles x chains x dates for one kind of device, and when to switch.

A *switch* is from one chain to the next. It is safe at a moment at which devices with
some bundle accept both: before it they connect to the old chain, after it to the new
one. The first safe moment is when the new chain begins to be accepted, the last is when
the old one ceases to be. Where there is none, another bundle has to reach the devices
while they still connect: until the end of the old chain's acceptance.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from cryptography import x509

from fleetsim.core.settings import CipherTable, DeviceProfile
from fleetsim.core.trust_bundle import EMPTY_BUNDLE, BundleOutcome
from fleetsim.forecast.coverage import (
    Coverage,
    NamedBundle,
    NamedChain,
    Span,
    cover,
    moment_of,
)
from fleetsim.forecast.handshakes import ClientSide
from fleetsim.forecast.lint import Finding, lint_bundle, lint_chain
from fleetsim.forecast.reacher import Reacher
from fleetsim.forecast.wording import dated, moment_words
from fleetsim.transport.tls_context import ClientContexts
from fleetsim.transport.tls_server import ServerTls


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleInput:
    """A bundle file as the devices load it.

    Attributes:
        name: For people.
        outcome: What a device made of it.
    """

    name: str
    outcome: BundleOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be forecast.

    Attributes:
        title: Which devices, for people.
        profile: Device model.
        table: Its cipher table.
        host: Host name or address of its endpoint.
        bundles: What devices may trust, in the order they get it.
        chains: What the server sends, in the order it does.
        base: How the server speaks TLS; its certificates do not matter.
        window: First second and first second after it, unix time.
    """

    title: str
    profile: DeviceProfile
    table: CipherTable
    host: str
    bundles: tuple[BundleInput, ...]
    chains: tuple[NamedChain, ...]
    base: ServerTls
    window: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """From one chain to the next, for devices with one bundle.

    Attributes:
        bundle: Name of the bundle.
        old: Name of the chain before.
        new: Name of the chain after.
        safe: Periods in which devices accept both, unix seconds, ends exclusive.
        old_until_unix_s: End of the old chain's first period; ``None`` = it has none.
    """

    bundle: str
    old: str
    new: str
    safe: tuple[tuple[int, int], ...]
    old_until_unix_s: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """The answer.

    Attributes:
        question: What was asked.
        bundle_findings: By bundle, in order.
        chain_findings: By chain, in order.
        coverages: Every bundle with every chain.
        switches: Every bundle with every pair of neighbouring chains.
        handshakes: Handshakes carried out.
    """

    question: Question
    bundle_findings: tuple[tuple[Finding, ...], ...]
    chain_findings: tuple[tuple[Finding, ...], ...]
    coverages: tuple[Coverage, ...]
    switches: tuple[Switch, ...] = field(default=())
    handshakes: int = 0


def make_forecast(question: Question) -> Forecast:
    """Find out who trusts whom, when.

    Raises:
        InputError: The server's settings, a cipher group or the host cannot be used.
    """
    contexts = ClientContexts(identities=1)
    reacher = Reacher(contexts)
    start = question.window[0]
    side = ClientSide(
        bundle=EMPTY_BUNDLE,
        groups=question.table.groups,
        rules=question.profile.tls,
        host=question.host,
        unix_s=start,
    )
    trusted = [each.outcome.bundle for each in question.bundles]
    coverages = tuple(
        cover(
            reacher,
            side,
            NamedBundle(bundle.name, bundle.outcome.bundle),
            chain,
            base=question.base,
            window=question.window,
        )
        for bundle in question.bundles
        for chain in question.chains
    )
    return Forecast(
        question=question,
        bundle_findings=tuple(
            lint_bundle(each.outcome, start) for each in question.bundles
        ),
        chain_findings=tuple(
            lint_chain(
                contexts,
                side,
                question.profile.bundle,
                chain.certificates,
                trusted,
            )
            for chain in question.chains
        ),
        coverages=coverages,
        switches=_switches(coverages, len(question.chains)),
        handshakes=reacher.handshakes,
    )


def _switches(coverages: Sequence[Coverage], chains: int) -> tuple[Switch, ...]:
    return tuple(
        _switch(old, new)
        for start in range(0, len(coverages), chains or 1)
        for old, new in pairwise(coverages[start : start + chains])
    )


def _switch(old: Coverage, new: Coverage) -> Switch:
    periods = old.ok_periods()
    return Switch(
        bundle=old.bundle,
        old=old.chain,
        new=new.chain,
        safe=overlaps(periods, new.ok_periods()),
        old_until_unix_s=periods[0][1] if periods else None,
    )


def overlaps(
    first: Sequence[tuple[int, int]], second: Sequence[tuple[int, int]]
) -> tuple[tuple[int, int], ...]:
    """Periods that lie in both of two sequences; ends are exclusive."""
    return tuple(
        sorted(
            (max(a, c), min(b, d))
            for a, b in first
            for c, d in second
            if max(a, c) < min(b, d)
        )
    )


# ---------------------------------------------------------------- as JSON


def forecast_data(forecast: Forecast) -> dict[str, Any]:
    """The forecast as plain JSON data; dates in ISO 8601, UTC."""
    question = forecast.question
    return {
        "devices": question.title,
        "profile": question.profile.name,
        "cipher_table": question.table.name,
        "host": question.host,
        "from": _iso(question.window[0]),
        "to": _iso(question.window[1]),
        "handshakes": forecast.handshakes,
        "bundles": [
            {
                "name": bundle.name,
                "certificates": _dated(bundle.outcome.bundle.certificates),
                "findings": [_finding(each) for each in findings],
            }
            for bundle, findings in zip(
                question.bundles, forecast.bundle_findings, strict=True
            )
        ],
        "chains": [
            {
                "name": chain.name,
                "certificates": _dated(chain.certificates),
                "findings": [_finding(each) for each in findings],
            }
            for chain, findings in zip(
                question.chains, forecast.chain_findings, strict=True
            )
        ],
        "coverage": [
            {
                "bundle": each.bundle,
                "chain": each.chain,
                "changes": [_iso(date) for date in each.changes],
                "spans": [_span(span) for span in each.spans],
            }
            for each in forecast.coverages
        ],
        "switches": [
            {
                "bundle": each.bundle,
                "old": each.old,
                "new": each.new,
                "safe": [[_iso(first), _iso(last)] for first, last in each.safe],
                "old_until": None
                if each.old_until_unix_s is None
                else _iso(each.old_until_unix_s),
                "verdict": switch_words(each, question.window),
            }
            for each in forecast.switches
        ],
    }


def switch_words(switch: Switch, window: tuple[int, int]) -> str:
    """Say when it is safe to switch."""
    if switch.old_until_unix_s is None:
        return f"devices do not connect to {switch.old} in the first place"
    until = _until(switch.old_until_unix_s, window)
    if not switch.safe:
        return (
            f"never safe: devices lose contact; another bundle must reach them while "
            f"{switch.old} is accepted ({until})"
        )
    parts = []
    for first, last in switch.safe:
        since = "now" if first <= window[0] else moment_words(moment_of(first))
        parts.append(f"from {since} {_until(last, window)}")
    return f"safe {' and '.join(parts)}"


def _until(unix_s: int, window: tuple[int, int]) -> str:
    if unix_s >= window[1]:
        return "to the end of the period looked at"
    return f"until {moment_words(moment_of(unix_s))}"


def _span(span: Span) -> dict[str, Any]:
    return {
        "from": _iso(span.from_unix_s),
        "to": _iso(span.to_unix_s),
        "ok": span.ok,
        "why": span.why,
        "groups": {
            each.group: {
                "ok": each.failure is None,
                "suite": each.suite,
                "version": each.version,
                "kind": "" if each.failure is None else each.failure.kind,
            }
            for each in span.reach.groups
        },
    }


def _finding(finding: Finding) -> dict[str, str]:
    return {
        "level": finding.level.value,
        "where": finding.where,
        "rule": finding.rule,
        "detail": finding.detail,
    }


def _dated(certificates: Sequence[x509.Certificate]) -> list[str]:
    return [dated(one) for one in certificates]


def _iso(unix_s: int) -> str:
    return f"{moment_of(unix_s):%Y-%m-%dT%H:%M:%SZ}"


__all__ = [
    "BundleInput",
    "Forecast",
    "Question",
    "Switch",
    "forecast_data",
    "make_forecast",
    "overlaps",
    "switch_words",
]
