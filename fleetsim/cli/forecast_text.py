"""Forecast as text: findings, a table of periods, and when to switch."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from cryptography import x509
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleetsim.forecast.coverage import Coverage, Span, moment_of
from fleetsim.forecast.forecast import Forecast, switch_words
from fleetsim.forecast.lint import Finding, Level
from fleetsim.forecast.wording import dated, moment_words
from fleetsim.report.plain import plain_table

_STYLES: Final = {Level.ERROR: "red", Level.WARNING: "yellow", Level.NOTE: "dim"}
_DAY_S: Final = 86_400


def print_forecast(forecast: Forecast, console: Console) -> None:
    """Print a forecast.

    Args:
        forecast: What was found.
        console: Where to; see :func:`fleetsim.report.terminal.make_console`.
    """
    question = forecast.question
    groups = ", ".join(group.name for group in question.table.groups)
    console.print(
        f"{question.title}: profile {question.profile.name}, table "
        f"{question.table.name} ({groups}), endpoint {question.host}",
        style="bold",
        soft_wrap=True,
    )
    for bundle, findings in zip(
        question.bundles, forecast.bundle_findings, strict=True
    ):
        certificates = bundle.outcome.bundle.certificates
        _describe(f"Bundle {bundle.name}", certificates, findings, console)
    for chain, findings in zip(question.chains, forecast.chain_findings, strict=True):
        _describe(f"Chain {chain.name}", chain.certificates, findings, console)
    console.print()
    numbers = _numbers(forecast.coverages)
    for coverage in forecast.coverages:
        console.print(
            f"Trusting {coverage.bundle}, served {coverage.chain}",
            style="bold",
            soft_wrap=True,
        )
        console.print(_table(coverage, numbers))
    for why, number in numbers.items():
        console.print(f"({number}) {why}", soft_wrap=True)
    if forecast.switches:
        console.print()
        console.print("Switching", style="bold")
    for switch in forecast.switches:
        console.print(
            f"{switch.bundle}: from {switch.old} to {switch.new}: "
            f"{switch_words(switch, question.window)}",
            soft_wrap=True,
        )
    console.print()
    console.print(f"{forecast.handshakes} handshakes in memory", style="dim")
    console.print()


def _describe(
    title: str,
    certificates: Sequence[x509.Certificate],
    findings: Iterable[Finding],
    console: Console,
) -> None:
    console.print()
    console.print(title, style="bold", soft_wrap=True)
    for certificate in certificates:
        console.print(f"  {dated(certificate)}", soft_wrap=True)
    for finding in findings:
        console.print(
            Text(f"  {finding}", style=_STYLES[finding.level]), soft_wrap=True
        )


def _table(coverage: Coverage, numbers: Mapping[str, int]) -> Table:
    groups = [each.group for each in coverage.spans[0].reach.groups]
    table = plain_table("from", "to", *groups, "why")
    for span in coverage.spans:
        table.add_row(
            _moment(span.from_unix_s),
            _moment(span.to_unix_s),
            *(_cell(each.failure is None) for each in span.reach.groups),
            f"({numbers[span.why]})" if span.why else "",
        )
    return table


def _cell(is_ok: bool) -> Text:
    return Text("yes", style="green") if is_ok else Text("no", style="red")


def _numbers(coverages: Sequence[Coverage]) -> dict[str, int]:
    """Reasons by number: one reason holds for many rows."""
    spans: Iterable[Span] = (span for each in coverages for span in each.spans)
    reasons = dict.fromkeys(span.why for span in spans if span.why)
    return {why: number for number, why in enumerate(reasons, 1)}


def _moment(unix_s: int) -> str:
    return moment_words(moment_of(unix_s), is_exact=unix_s % _DAY_S != 0)
