"""Bars: where the time of an upload goes, phase by phase, for every operation."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fleetsim.report.aggregate import HANDSHAKE, Aggregate
from fleetsim.report.plain import shown_time

_COLOURS: Final = {
    "dns": "series-8",
    "tcp": "series-6",
    "tls": "series-4",
    "send": "series-2",
    "wait": "series-1",
    "rest": "max",
}
_NS_PER_MS: Final = 1e6


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar.

    Attributes:
        name: Phase; ``rest`` = what no phase covers (the program's own time).
        colour: Class of its colour.
        start: Percent of the longest bar.
        width: Percent of the longest bar.
        label: Its length in words.
    """

    name: str
    colour: str
    start: float
    width: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """Mean time of one kind of operation.

    Attributes:
        name: Operation, and cohort where it is told for one.
        label: Its length in words.
        segments: Its phases from left to right.
    """

    name: str
    label: str
    segments: tuple[Segment, ...]


def phase_bars(records: Aggregate) -> tuple[Bar, ...]:
    """Mean time of successful attempts by phase: of every operation, then of uploads by cohort.

    The mean over *all* attempts is told: a phase that a kept connection spared counts
    as 0 there, so the phases of a bar add up to its length.
    """
    cuts: list[tuple[str, str, str | None]] = [
        (operation, operation, None)
        for operation in records.operations()
        if operation != HANDSHAKE
    ]
    cohorts = records.cohorts()
    if 1 < len(cohorts) <= 20:
        cuts += [(f"upload, {cohort}", "upload", cohort) for cohort in cohorts]
    means = {
        name: found
        for name, operation, cohort in cuts
        if (found := _means(records, operation, cohort))
    }
    longest = max((sum(found.values()) for found in means.values()), default=0.0)
    if not longest:
        return ()
    return tuple(
        Bar(name, shown_time(sum(found.values())), tuple(_segments(found, longest)))
        for name, found in means.items()
    )


def _means(records: Aggregate, operation: str, cohort: str | None) -> dict[str, float]:
    whole = records.times_of("total", (operation,), cohort)
    if not whole.count:
        return {}
    found = {
        phase: records.times_of(phase, (operation,), cohort).sum_ns
        / whole.count
        / _NS_PER_MS
        for phase in ("dns", "tcp", "tls", "send", "wait")
    }
    found["rest"] = max(
        0.0, whole.sum_ns / whole.count / _NS_PER_MS - sum(found.values())
    )
    return found


def _segments(means: dict[str, float], longest: float) -> Iterator[Segment]:
    start = 0.0
    for name, value in means.items():
        width = value / longest * 100
        if width > 0:
            yield Segment(
                name,
                _COLOURS[name],
                round(start, 3),
                round(width, 3),
                shown_time(value),
            )
        start += width
