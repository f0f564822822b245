"""Charts as values: shapes in a box of 1000 by 200, ticks in percent, and a table.

The template stretches the box to the width of the page while texts and strokes keep
their size, so a chart is as readable on a phone as on a wall. Every chart carries the
table of its figures: it is what a screen reader reads, and what the pointer shows.

Colours are classes (``c0`` … ``c9``, ``state-connected`` …): the style sheet knows them.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from fleetsim.core.histogram import Histogram
from fleetsim.report.html.scales import (
    clock,
    linear_ticks,
    log_ticks,
    thinned,
    time_ticks,
)

WIDTH: Final = 1000
HEIGHT: Final = 200

_DEEPEST: Final = 6  # 99.9999 %: no run has more to show
_CLOSE: Final = 2.5  # percent of the axis: the width of a label on a phone
_CHARACTER: Final = 2.0  # percent of the axis: a character of a label on a phone
_LEAST: Final = 1e-9  # less than that is the rounding of a float
_MOST_RANGE: Final = 1e6  # between the ends of a logarithmic axis: more cannot be read
_NS_PER_MS: Final = 1e6

Format = Callable[[float], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One series of a chart over time.

    Attributes:
        name: In the legend and at the head of its column.
        values: One a slot, >= 0; ``None`` = nothing was measured.
        colour: Class of its colour.
    """

    name: str
    values: Sequence[float | None]
    colour: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of an axis.

    Attributes:
        place: Where, percent of the axis from the left or from the top.
        label: What it says.
    """

    place: float
    label: str


@dataclass(frozen=True, slots=True)
class Shape:
    """Something to draw.

    Attributes:
        kind: ``line`` or ``area``.
        colour: Class of its colour.
        path: SVG path data in the box.
    """

    kind: str
    colour: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something the scenario did, as a line through every chart over time.

    Attributes:
        number: Its number in the table of the timeline; several that began so
            close to each other that only one line can be drawn.
        place: Percent of the axis from the left.
        label: What it was, and when.
        is_raised: Whether its number stands in the upper of two rows, because it
            would cover the one before it.
    """

    number: str
    place: float
    label: str
    is_raised: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A chart, ready to be drawn.

    Attributes:
        key: Unique on its page; letters and ``-``.
        title: Heading, with the unit.
        told: What it shows in one sentence, for those who do not see it.
        shapes: In the order of drawing.
        x_ticks: Labels below.
        y_ticks: Labels on the left.
        legend: Colour and name of each series; empty = the title says it.
        marks: Actions of the timeline.
        warm_up: Percent of the axis that was warm-up.
        head: Heads of the columns of the table.
        rows: Its rows, first cell = the place on the axis.
        x_places: Percent of the axis for each row.
    """

    key: str
    title: str
    told: str
    shapes: tuple[Shape, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    legend: tuple[tuple[str, str], ...] = ()
    marks: tuple[Mark, ...] = ()
    warm_up: float = 0.0
    head: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    x_places: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeAxis:
    """The axis that all charts over time of a page share.

    Attributes:
        step_s: Seconds between two points.
        slots: Number of points.
        marks: Actions of the timeline: run time in seconds and what it was.
        warm_up_s: End of the warm-up.
    """

    step_s: int
    slots: int
    marks: tuple[tuple[float, str], ...] = ()
    warm_up_s: float = 0.0

    @property
    def end_s(self) -> float:
        """End of the axis, seconds."""
        return max(1, self.slots) * float(self.step_s)

    def place(self, at_s: float) -> float:
        """Percent of the axis, 0..100."""
        return round(min(1.0, max(0.0, at_s / self.end_s)) * 100, 2)

    def x(self, slot: int) -> float:
        """Middle of a slot in the box."""
        return (slot + 0.5) / max(1, self.slots) * WIDTH


def time_chart(
    axis: TimeAxis,
    lines: Sequence[Line],
    *,
    key: str,
    title: str,
    told: str,
    unit: Format,
    stacked: bool = False,
    logarithmic: bool = False,
) -> Chart:
    """Make a chart over the time of the run.

    Args:
        axis: The page's axis of time.
        lines: What to draw; a stacked chart draws the first at the bottom.
        key: Unique on the page.
        title: Heading.
        told: One sentence for those who do not see it.
        unit: Writes a value.
        stacked: Areas on top of each other; a missing value is 0.
        logarithmic: Powers of ten on the left; values of 0 are not drawn.
    """
    found = [v for line in lines for v in line.values if v is not None]
    if stacked:
        highest = max(map(sum, _columns(lines, axis.slots)), default=0.0)
    else:
        highest = max(found, default=0.0)
    positive = [value for value in found if value > _LEAST]
    ticks = (
        log_ticks(max(min(positive), max(positive) / _MOST_RANGE), max(positive))
        if logarithmic and positive
        else linear_ticks(highest)
    )
    y = _scale(ticks, is_log=logarithmic and bool(positive))
    shapes = _stack(axis, lines, y) if stacked else _lines(axis, lines, y)
    return Chart(
        key=key,
        title=title,
        told=told,
        shapes=tuple(shapes),
        x_ticks=tuple(Tick(axis.place(at), clock(at)) for at in time_ticks(axis.end_s)),
        y_ticks=_y_ticks(ticks, y, unit),
        legend=tuple((line.colour, line.name) for line in lines),
        marks=tuple(_in_rows(_marks(axis))),
        warm_up=axis.place(axis.warm_up_s),
        head=("time", *(line.name for line in lines)),
        rows=tuple(
            (
                clock(slot * axis.step_s),
                *(_cell(line.values, slot, unit) for line in lines),
            )
            for slot in range(axis.slots)
        ),
        x_places=tuple(round(axis.x(slot) / 10, 2) for slot in range(axis.slots)),
    )


def percentile_chart(
    times: Mapping[str, tuple[str, Histogram]], *, key: str, title: str, told: str
) -> Chart:
    """Make a percentile plot: nines to the right, milliseconds up, both logarithmic.

    Args:
        times: Name to colour and durations; empty histograms are left out.
        key: Unique on the page.
        title: Heading.
        told: One sentence for those who do not see it.
    """
    drawn = {name: pair for name, pair in times.items() if pair[1].count}
    most = max((times.count for _, times in drawn.values()), default=1)
    nines = min(_DEEPEST, max(2, math.ceil(math.log10(max(most, 2)))))
    percents = [0.0, 50.0, *(100 - 100 / 10**power for power in range(1, nines + 1))]
    if not drawn:
        return Chart(key=key, title=title, told=told, shapes=(), x_ticks=(), y_ticks=())
    lowest = min(_ms(times.minimum_ns) for _, times in drawn.values())
    highest = max(_ms(times.maximum_ns) for _, times in drawn.values())
    ticks = log_ticks(max(lowest, 1e-6), max(highest, 1e-6))
    y = _scale(ticks, is_log=True)
    rows = [10.0, 25.0, 50.0, 75.0, *percents[2:]]
    return Chart(
        key=key,
        title=title,
        told=told,
        shapes=tuple(
            Shape("line", colour, _path(thinned(_percentile_points(times, nines, y))))
            for colour, times in drawn.values()
        ),
        x_ticks=tuple(
            Tick(_nines_place(percent, nines), _percent(percent))
            for percent in percents
            if percent != 0
        ),
        y_ticks=_y_ticks(ticks, y, ms),
        legend=tuple((colour, name) for name, (colour, _) in drawn.items()),
        head=("percentile", *drawn),
        rows=(
            *(
                (
                    _percent(percent),
                    *(_quantile(times, percent) for _, times in drawn.values()),
                )
                for percent in rows
            ),
            (
                "maximum",
                *(ms(_ms(times.maximum_ns)) for _, times in drawn.values()),
            ),
        ),
        x_places=(*(_nines_place(percent, nines) for percent in rows), 100.0),
    )


def ms(value: float) -> str:
    """Write milliseconds in the unit that suits them."""
    if value >= 60_000:
        return f"{value / 60_000:.3g} min"
    if value >= 1000:
        return f"{value / 1000:.3g} s"
    if value >= 1:
        return f"{value:.3g} ms"
    return f"{value * 1000:.3g} µs" if value > 0 else "0"


def plain(value: float) -> str:
    """Write a count or a rate."""
    if value >= 1_000_000:
        return f"{value / 1_000_000:.3g} M"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def data_size(value: float) -> str:
    """Write bytes in decimal units."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return f"{value:.0f} B"


def _marks(axis: TimeAxis) -> Iterator[Mark]:
    """Marks from left to right; those that would cover each other are one."""
    group: list[tuple[int, float, str]] = []
    numbered = [
        (number, axis.place(at_s), label)
        for number, (at_s, label) in enumerate(axis.marks, start=1)
    ]
    for each in sorted(numbered, key=lambda mark: mark[1]):
        if group and each[1] - group[0][1] > _CLOSE:
            yield _mark(group)
            group = []
        group.append(each)
    if group:
        yield _mark(group)


def _in_rows(marks: Iterable[Mark]) -> Iterator[Mark]:
    """Raise the numbers that would cover others: their lines tell different moments."""
    lower_end, upper_end = -math.inf, -math.inf
    for mark in marks:
        half = len(mark.number) * _CHARACTER / 2
        is_raised = mark.place - half < lower_end and upper_end < lower_end
        if is_raised:
            upper_end = mark.place + half
        else:
            lower_end = mark.place + half
        yield replace(mark, is_raised=is_raised)


def _mark(group: Sequence[tuple[int, float, str]]) -> Mark:
    numbers = sorted(number for number, _, _ in group)
    is_run = numbers[-1] - numbers[0] == len(numbers) - 1
    if len(numbers) > 2 and is_run:
        told = f"{numbers[0]}\N{EN DASH}{numbers[-1]}"
    else:
        told = ", ".join(map(str, numbers))
    return Mark(
        number=told,
        place=group[0][1],
        label="; ".join(f"{number} {label}" for number, _, label in sorted(group)),
    )


def _scale(ticks: Sequence[float], *, is_log: bool) -> Callable[[float], float]:
    low, high = ticks[0], ticks[-1]
    if not is_log:
        return lambda value: HEIGHT * (1 - value / high)
    span = math.log10(high / low)
    return lambda value: HEIGHT * (1 - math.log10(max(value, low) / low) / span)


def _y_ticks(
    ticks: Sequence[float], y: Callable[[float], float], unit: Format
) -> tuple[Tick, ...]:
    return tuple(Tick(round(y(tick) / HEIGHT * 100, 2), unit(tick)) for tick in ticks)


def _columns(lines: Sequence[Line], slots: int) -> Iterator[list[float]]:
    for slot in range(slots):
        yield [_value(line.values, slot) or 0.0 for line in lines]


def _value(values: Sequence[float | None], slot: int) -> float | None:
    return values[slot] if slot < len(values) else None


def _cell(values: Sequence[float | None], slot: int, unit: Format) -> str:
    value = _value(values, slot)
    return "" if value is None else unit(value)


def _lines(
    axis: TimeAxis, lines: Sequence[Line], y: Callable[[float], float]
) -> Iterator[Shape]:
    for line in lines:
        parts: list[str] = []
        points: list[tuple[float, float]] = []
        for slot in range(axis.slots + 1):
            value = _value(line.values, slot) if slot < axis.slots else None
            if value is not None:
                points.append((round(axis.x(slot), 1), round(y(value), 1)))
            elif points:
                # a stretch of one point would be invisible: draw it as a dot
                parts.append(_path(points if len(points) > 1 else points * 2))
                points = []
        if parts:
            yield Shape("line", line.colour, "".join(parts))


def _stack(
    axis: TimeAxis, lines: Sequence[Line], y: Callable[[float], float]
) -> Iterator[Shape]:
    floor = [0.0] * axis.slots
    for line in lines:
        roof = [
            below + (_value(line.values, slot) or 0.0)
            for slot, below in enumerate(floor)
        ]
        if roof != floor:
            upper = _edge(axis, roof, y)
            lower = _edge(axis, floor, y)
            yield Shape("area", line.colour, f"{_path([*upper, *reversed(lower)])}Z")
        floor = roof


def _edge(
    axis: TimeAxis, values: Sequence[float], y: Callable[[float], float]
) -> list[tuple[float, float]]:
    """An edge from one end of the box to the other: first and last slot are drawn out."""
    inner = [(round(axis.x(slot), 1), round(y(v), 1)) for slot, v in enumerate(values)]
    return [(0.0, inner[0][1]), *inner, (float(WIDTH), inner[-1][1])]


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:g} {y:g}" for x, y in points)


def _percentile_points(
    times: Histogram, nines: int, y: Callable[[float], float]
) -> Iterator[tuple[float, float]]:
    seen, total = 0, times.count
    yield 0.0, y(_ms(times.minimum_ns))
    for _, high, count in times.buckets():
        seen += count
        percent = 100 * seen / total
        upper = min(high, times.maximum_ns or high)
        yield _nines_place(percent, nines) / 100 * WIDTH, y(upper / _NS_PER_MS)


def _nines_place(percent: float, nines: int) -> float:
    if percent >= 100:
        return 100.0
    return round(min(1.0, -math.log10(1 - percent / 100) / nines) * 100, 2)


def _percent(percent: float) -> str:
    return f"{percent:.4f}".rstrip("0").rstrip(".") + " %"


def _quantile(times: Histogram, percent: float) -> str:
    return ms(_ms(times.percentile(percent)))


def _ms(value_ns: float | None) -> float:
    return (value_ns or 0) / _NS_PER_MS
