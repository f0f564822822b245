"""Particulars of a report: failures, the handshake bill, staleness, who is stranded."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fleetsim.core.histogram import Histogram
from fleetsim.report.contacts import Stranding
from fleetsim.report.failure_cells import FailureCell
from fleetsim.report.handshake_bill import Bill, Overhead
from fleetsim.report.html.charts import data_size, plain
from fleetsim.report.html.scales import clock
from fleetsim.report.html.table import Cell, Table, code, figure, table, text
from fleetsim.report.html.tables import moment
from fleetsim.report.plain import shown_time
from fleetsim.report.staleness import Staleness
from fleetsim.report.suite_names import iana_name

MAX_CELLS: Final = 200
"""Most rows of the table of failures; the rest is told as a number."""

_S_PER_DAY: Final = 86_400
_NS_PER_MS: Final = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Why devices are stranded.

    Attributes:
        reason: The proof, word for word.
        devices: Id, cohort and since when, in the order in which they became stranded.
    """

    reason: str
    devices: tuple[tuple[str, str, str], ...]


def failures(cells: Sequence[FailureCell]) -> Table:
    """Failed attempts by phase, kind and cohort, each with an example."""
    return table(
        "Failed attempts by phase, kind and cohort",
        {
            "phase": False,
            "kind": False,
            "cohort": False,
            "attempts": True,
            "devices": True,
            "first": True,
            "last": True,
            "operations": False,
            "example": False,
        },
        *(_failure(cell) for cell in cells[:MAX_CELLS]),
    )


def _failure(cell: FailureCell) -> tuple[Cell, ...]:
    return (
        text(cell.phase),
        code(cell.kind),
        code(cell.cohort),
        figure(cell.attempts),
        figure(cell.devices),
        figure(moment(cell.first_ns / 1e9)),
        figure(moment(cell.last_ns / 1e9)),
        text(", ".join(f"{name}: {n:,}" for name, n in cell.operations.most_common(8))),
        text(_example(cell), "soft"),
    )


def _example(cell: FailureCell) -> str:
    example = cell.example
    told = [
        (
            f"{example.device} {example.operation}, attempt {example.attempt}, "
            f"at {example.ended_ns / 1e9:,.3f} s to {example.endpoint or 'nowhere'}"
        )
    ]
    if example.group:
        told.append(f"offering {example.group}")
    if example.alert:
        told.append(f"alert {example.alert}")
    if example.status:
        told.append(f"HTTP {example.status}")
    if example.detail:
        told.append(example.detail)
    return "; ".join(told)


def negotiated(bill: Bill) -> Table:
    """The handshake bill by what was negotiated."""
    return table(
        "Completed handshakes by what was negotiated",
        {
            "cipher suite": False,
            "version": False,
            "group": False,
            "kind": False,
            "handshakes": True,
            "share": True,
            "flights": True,
            "round trips": True,
            "TLS p50": True,
            "TLS p99": True,
            "bytes sent besides the file": True,
            "bytes received": True,
        },
        *(
            (
                code(iana_name(key.suite)),
                text(key.version),
                text(key.group),
                text("resumed" if key.resumed else "full"),
                figure(line.count),
                figure(f"{line.count / bill.completed:.1%}"),
                figure(key.flights or None),
                figure(key.round_trips or None),
                figure(_time(line.times, 50)),
                figure(_time(line.times, 99)),
                figure(_each(line.overhead.sent, line.overhead)),
                figure(_each(line.overhead.received, line.overhead)),
            )
            for key, line in bill.lines.items()
        ),
    )


def bill_totals(
    bill: Bill, *, devices: int, seconds: float, shortened_by: float
) -> Iterator[tuple[str, str]]:
    """The handshake bill in all, and per device and day, as name and figure.

    Args:
        bill: The bill.
        devices: Devices of the run.
        seconds: How long the run took.
        shortened_by: What all times of the scenario were divided by, >= 1.
    """
    yield (
        "completed",
        (
            f"{bill.completed:,} ({bill.completed - bill.resumed:,} full, "
            f"{bill.resumed:,} resumed)"
        ),
    )
    if bill.failed:
        lost = data_size(bill.failed_sent + bill.failed_received)
        mean_ms = (bill.failed_times.mean_ns or 0) / _NS_PER_MS
        took = f", {shown_time(mean_ms)} each" if bill.failed_times.count else ""
        yield "failed", f"{bill.failed:,}: {lost} on the wire for nothing{took}"
    opened, kept = bill.overhead(), bill.kept
    if (each := _both_ways(opened)) is not None:
        yield (
            "a new connection",
            f"{each} besides the file: handshake, headers and answer of one PUT",
        )
    if opened.each is not None and kept.each is not None:
        yield (
            "a kept connection",
            (
                f"{_both_ways(kept)} besides the file, so the handshake is about "
                f"{data_size(max(0.0, opened.each - kept.each))}"
            ),
        )
    if devices and seconds:
        days = devices * seconds * shortened_by / _S_PER_DAY
        told = f"{plain(bill.completed / days)} handshakes"
        if bill.failed:
            told += f", {plain(bill.failed / days)} failed ones"
        if opened.each is not None:
            wire = (
                opened.each * bill.completed + bill.failed_sent + bill.failed_received
            )
            told += f", about {data_size(wire / days)} besides the files"
        busy_ns = bill.failed_times.sum_ns + sum(
            line.times.sum_ns for line in bill.lines.values()
        )
        told += f", {shown_time(busy_ns / _NS_PER_MS / days)} in handshakes"
        pace = "the run's own pace"
        if shortened_by > 1:
            pace += f", which was {shortened_by:g} times that of the scenario"
        yield f"per device and day, at {pace}", told


def stale(found: Sequence[Staleness]) -> Table:
    """How far each change has got, by full handshakes."""
    return table(
        "Full handshakes since each change",
        {
            "change": False,
            "at": True,
            "full handshake since": True,
            "in contact without one": True,
            "no success since": True,
            "cohorts without one": False,
        },
        *(
            (
                code(each.label),
                figure(moment(each.at_ns / 1e9)),
                figure(each.proved),
                figure(each.unproved, "warn" if each.unproved else ""),
                figure(each.silent, "warn" if each.silent else ""),
                text(
                    ", ".join(f"{c}: {n:,}" for c, n in each.unproved_by_cohort.items())
                ),
            )
            for each in found
        ),
    )


def proofs(stranded: Sequence[Stranding]) -> tuple[Proof, ...]:
    """Stranded devices by the proof of it, most devices first."""
    by_reason: dict[str, list[tuple[str, str, str]]] = {}
    for each in stranded:
        by_reason.setdefault(each.reason, []).append(
            (each.device, each.cohort, clock(each.since_ns / 1e9))
        )
    ranked = sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(Proof(reason=reason, devices=tuple(of)) for reason, of in ranked)


def _time(times: Histogram, percent: float) -> str:
    value_ns = times.percentile(percent)
    return shown_time(None if value_ns is None else value_ns / _NS_PER_MS)


def _each(amount: int, overhead: Overhead) -> str | None:
    return f"{amount / overhead.count:,.0f}" if overhead.count else None


def _both_ways(overhead: Overhead) -> str | None:
    if not overhead.count:
        return None
    return (
        f"{overhead.sent / overhead.count:,.0f} sent, "
        f"{overhead.received / overhead.count:,.0f} received"
    )
