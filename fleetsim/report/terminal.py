"""Terminal: the summary as people read it, first line first.

Everything printed comes from ``summary.json``. Without a terminal (a pipe, a file, CI)
it is plain text; ``NO_COLOR`` is honoured; a terminal that knows only ASCII gets ASCII.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleetsim.report.plain import number, plain_table, shown_time
from fleetsim.report.refusals import By
from fleetsim.report.terminal_rehearsal import print_rehearsal
from fleetsim.report.terminal_sides import print_both_sides
from fleetsim.scenario.quantities import approximate_size

_VERDICTS: Final = {
    "passed": ("PASSED", "bold green"),
    "failed": ("FAILED", "bold red"),
    "invalid": ("INVALID", "bold red"),
    "interrupted": ("INTERRUPTED", "bold yellow"),
}
_QUANTILES: Final = (
    ("p50", "p50_ms"),
    ("p90", "p90_ms"),
    ("p99", "p99_ms"),
    ("p99.9", "p999_ms"),
    ("max", "max_ms"),
)
_WHO: Final = {
    By.SERVER_TLS.value: "TLS server",
    By.FRONT.value: "HTTP front",
    By.S3.value: "S3 endpoint",
    By.DEVICE.value: "the device",
    By.NETWORK.value: "nobody: lost",
}
_IN_THEIR_WORDS: Final = frozenset({By.FRONT.value, By.S3.value, By.NETWORK.value})
_LATENCY_NOTE: Final = "total: from start (service time); response: from plan"


def print_summary(summary: Mapping[str, Any], console: Console) -> None:
    """Print a summary.

    Args:
        summary: As :func:`fleetsim.report.summary.build_summary` makes it.
        console: Where to; see :func:`fleetsim.report.console.make_console`.
    """
    console.print(_verdict(summary))
    console.print(_uploads(summary))
    if summary["detail"]:
        console.print(f"It ended with: {summary['detail']}")
    console.print(f"Profiles: {', '.join(summary['profiles']) or 'unknown'}")
    for title, table in (
        ("Latency", _latency(summary)),
        ("Operations", _operations(summary)),
        ("Failures", _counts(summary["failures"], "kind", "attempts")),
        ("Who refused", _refusals(summary)),
        (
            "Cipher groups of last success",
            _counts(summary["cipher_groups"], "group", "devices"),
        ),
        ("Cipher suites", _counts(summary["cipher_suites"], "suite", "handshakes")),
        ("Devices", _counts(summary["devices"]["by_state"], "state", "devices")),
        ("Cohorts", _cohorts(summary)),
        ("Thresholds", _thresholds(summary, console)),
    ):
        if table.row_count:
            console.print()
            console.print(title, style="bold")
            console.print(table)
            if title == "Latency":
                console.print(_LATENCY_NOTE, style="dim")
    print_rehearsal(summary, console)
    print_both_sides(summary, console)
    console.print()
    console.print(_generator(summary))


def _verdict(summary: Mapping[str, Any]) -> Text:
    word, style = _VERDICTS[summary["verdict"]]
    if summary.get("expect") == "fail":
        word, style = _expected(summary, word)
    line = Text.assemble((word, style), f" {summary['scenario']}: ")
    line.append(
        f"{number(summary['devices']['total'], 'device')}, "
        f"{number(summary['uploads']['acknowledged'], 'upload')} acknowledged "
        f"in {summary['seconds']:.1f} s"
    )
    generator = summary["generator"]
    if generator is not None and generator.get("devices_lost"):
        line.append("; ")
        line.append(f"{generator['devices_lost']:,} devices lost", style="bold red")
        line.append(" with their process: what ran is a smaller fleet than was planned")
    elif generator is not None and generator["saturated"]:
        line.append("; ")
        line.append("generator saturated", style="bold red")
        line.append(": times are the generator's, not the target's")
    if summary["unclassified"]:
        line.append(f"; {number(summary['unclassified'], 'failure')} without a kind")
    return line


def _expected(summary: Mapping[str, Any], word: str) -> tuple[str, str]:
    """Verdict of a scenario that shows damage on purpose."""
    match summary["verdict"]:
        case "failed" if summary["as_expected"]:
            return f"{word} as expected", "bold green"
        case "failed":
            return f"{word}, but not by the damage it shows", "bold red"
        case "passed":
            return f"{word}, but was expected to fail", "bold red"
        case _:
            return word, "bold yellow"


def _uploads(summary: Mapping[str, Any]) -> Text:
    uploads, audit = summary["uploads"], summary["audit"]
    acknowledged = uploads["acknowledged"]
    if audit is None or not audit["checked"]:
        why = f": {audit['reason']}" if audit and audit["reason"] else ""
        style = "red" if audit and audit["failed"] else ""
        return Text(
            f"acknowledged {acknowledged:,}; the bucket was not checked{why}",
            style=style,
        )
    late = f" ({audit['late']:,} more arrived unacknowledged)" if audit["late"] else ""
    if not uploads["unaccounted"]:
        size_only = (
            f"; {audit['size_only']:,} compared by size only (ETag is no MD5)"
            if audit["size_only"]
            else ""
        )
        return Text(
            f"acknowledged {acknowledged:,} = stored {audit['stored']:,}"
            f"{late}{size_only}",
            style="green",
        )
    parts = [
        f"{audit[name]:,} {words}"
        for name, words in (
            ("missing", "missing"),
            ("wrong_size", "of wrong size"),
            ("wrong_etag", "of wrong content"),
            ("unexplained", "that nobody sent"),
        )
        if audit[name]
    ]
    return Text(
        f"acknowledged {acknowledged:,} but stored {audit['stored']:,}: "
        f"{', '.join(parts)}; for example {audit['examples'][0]}{late}",
        style="red",
    )


def _latency(summary: Mapping[str, Any]) -> Table:
    table = plain_table("phase", "count", *(name for name, _ in _QUANTILES))
    for phase, figures in summary["latency"].items():
        if figures["count"]:
            table.add_row(
                phase,
                f"{figures['count']:,}",
                *(shown_time(figures[key]) for _, key in _QUANTILES),
            )
    return table


def _operations(summary: Mapping[str, Any]) -> Table:
    table = plain_table("operation", "attempts", "ok", "failed", "per operation", "p99")
    for operation, figures in summary["operations"].items():
        amplification = figures.get("amplification")
        table.add_row(
            operation,
            f"{figures['attempts']:,}",
            f"{figures['ok']:,}",
            f"{figures['failed']:,}",
            "" if amplification is None else f"{amplification:.2f}",
            shown_time(figures["service"]["p99_ms"]),
        )
    return table


def _refusals(summary: Mapping[str, Any]) -> Table:
    table = plain_table("refused by", "phase", "with", "attempts", "devices")
    for refusal in summary.get("refusals", ()):
        if refusal["by"] == By.RUN.value:
            continue
        told, words = refusal["answer"] or refusal["kind"], refusal["example"]
        if refusal["by"] in _IN_THEIR_WORDS and words:
            # The words of an HTTP server begin with the status.
            is_longer = f"HTTP {words}".startswith(told)
            told = f"HTTP {words}" if is_longer else f"{told} ({words})"
        table.add_row(
            _WHO[refusal["by"]],
            refusal["phase"],
            told,
            f"{refusal['attempts']:,}",
            f"{refusal['devices']:,}",
        )
    return table


def _cohorts(summary: Mapping[str, Any]) -> Table:
    table = plain_table(
        "cohort", "devices", "uploads", "failures", "groups", "response p50", "p99"
    )
    for name, figures in summary["cohorts"].items():
        response = figures["latency"]["response"]
        groups = figures["cipher_groups"]
        table.add_row(
            name,
            f"{figures['devices']['total']:,}",
            f"{figures['uploads']['acknowledged']:,}",
            f"{sum(figures['failures'].values()):,}",
            ", ".join(f"{group}: {count:,}" for group, count in groups.items()),
            shown_time(response["p50_ms"]),
            shown_time(response["p99_ms"]),
        )
    return table


def _thresholds(summary: Mapping[str, Any], console: Console) -> Table:
    is_unicode = console.encoding.lower().startswith("utf")
    good, bad = ("\N{CHECK MARK}", "\N{BALLOT X}") if is_unicode else ("ok", "FAILED")
    table = plain_table("", "threshold", "measured")
    for threshold in summary["thresholds"]:
        is_ok = threshold["ok"]
        is_damage = threshold.get("expect") == "fail"
        value = threshold["value"]
        told = threshold["reason"] if value is None else _measured(threshold)
        if is_damage:
            told += " (holds, but must not)" if is_ok else " (the damage shown)"
        table.add_row(
            Text(
                good if is_ok else bad, style="red" if is_ok is is_damage else "green"
            ),
            Text(threshold["expression"]),
            Text(told),
        )
    return table


def _counts(counts: Mapping[str, int], what: str, unit: str) -> Table:
    table = plain_table(what, unit)
    for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(name, f"{count:,}")
    return table


def _generator(summary: Mapping[str, Any]) -> Text:
    generator = summary["generator"]
    if generator is None:
        return Text("Generator: the run ended before it judged itself")
    line = (
        f"Generator: {generator['cpu_ratio']:.0%} of one core, "
        f"{generator['late_starts']:,} of {generator['starts']:,} starts late, "
        f"start lag p99 {shown_time(generator['start_lag_p99_ms'])}, "
        f"loop lag p99 {shown_time(generator['loop_lag_p99_ms'])}"
    )
    if generator.get("rss_bytes"):
        line += f", {approximate_size(generator['rss_bytes'])} of memory"
    if generator.get("processes"):
        line += f" in {len(generator['processes'])} processes"
    reasons: Iterable[str] = generator["reasons"]
    return Text("\n".join((line, *(f"  {reason}" for reason in reasons))))


def _measured(threshold: Mapping[str, Any]) -> str:
    value: float = threshold["value"]
    match threshold["unit"]:
        case "duration":
            return shown_time(value * 1000)
        case "ratio":
            return f"{value * 100:.3g} %"
        case _:
            return f"{value:,.0f}"
