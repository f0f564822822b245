"""Charts are values: shapes in the box, ticks in percent, and the table of their figures."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.histogram import Histogram
from fleetsim.report.html.charts import (
    HEIGHT,
    WIDTH,
    Chart,
    Line,
    TimeAxis,
    data_size,
    ms,
    percentile_chart,
    plain,
    time_chart,
)

SERIES = st.lists(st.one_of(st.none(), st.floats(0, 1e9)), min_size=1, max_size=40)


def chart(
    *values: list[float | None],
    stacked: bool = False,
    logarithmic: bool = False,
    axis: TimeAxis | None = None,
) -> Chart:
    """A chart of these series."""
    return time_chart(
        axis or TimeAxis(step_s=1, slots=max(map(len, values))),
        [
            Line(name=f"line {n}", values=each, colour=f"series-{n + 1}")
            for n, each in enumerate(values)
        ],
        key="k",
        title="t",
        told="told",
        unit=plain,
        stacked=stacked,
        logarithmic=logarithmic,
    )


def numbers(found: Chart) -> list[tuple[float, float]]:
    """All points of all shapes."""
    pattern = re.compile(r"[ML]([-\d.e+]+) ([-\d.e+]+)")
    return [
        (float(x), float(y))
        for shape in found.shapes
        for x, y in pattern.findall(shape.path)
    ]


@given(SERIES, SERIES, st.booleans(), st.booleans())
def test_nothing_is_drawn_outside_of_the_box(
    one: list[float | None], other: list[float | None], stacked: bool, logarithmic: bool
) -> None:
    """Whatever the values."""
    found = chart(one, other, stacked=stacked, logarithmic=logarithmic and not stacked)
    for x, y in numbers(found):
        assert -0.1 <= x <= WIDTH + 0.1
        assert -0.1 <= y <= HEIGHT + 0.1
    assert all(0 <= tick.place <= 100 for tick in (*found.x_ticks, *found.y_ticks))


@given(SERIES)
def test_the_table_has_a_row_for_every_slot(values: list[float | None]) -> None:
    """And a place on the axis for every row: the pointer reads it."""
    found = chart(values)
    assert len(found.rows) == len(found.x_places) == len(values)
    assert list(found.x_places) == sorted(found.x_places)
    assert [row[1] == "" for row in found.rows] == [v is None for v in values]


def test_a_gap_stays_a_gap() -> None:
    """A slot without a measurement is not bridged by a line."""
    found = chart([1.0, 2.0, None, 3.0, 4.0])
    assert found.shapes[0].path.count("M") == 2


def test_a_stack_adds_up() -> None:
    """The second area lies on the first: its top is the sum."""
    found = chart([1.0], [3.0], stacked=True)
    tops = [min(y for _, y in numbers_of(shape.path)) for shape in found.shapes]
    assert tops == [HEIGHT * 0.75, 0.0]


def numbers_of(path: str) -> list[tuple[float, float]]:
    """Points of a path."""
    return [
        (float(x), float(y)) for x, y in re.findall(r"[ML]([-\d.]+) ([-\d.]+)", path)
    ]


@pytest.mark.parametrize(
    ("times", "told"),
    [
        pytest.param((1, 50), ["1", "2"], id="apart"),
        pytest.param((1, 1.2, 1.4, 90), ["1\N{EN DASH}3", "4"], id="together"),
        pytest.param((1, 90, 1.1), ["1, 3", "2"], id="not in a row"),
    ],
)
def test_marks_that_would_cover_each_other_are_one(
    times: tuple[float, ...], told: list[str]
) -> None:
    """Its label names them all."""
    axis = TimeAxis(step_s=1, slots=100, marks=tuple((at, f"at {at}") for at in times))
    found = chart([1.0], axis=axis)
    assert [mark.number for mark in found.marks] == told
    assert all(f"at {at}" in "".join(m.label for m in found.marks) for at in times)


@pytest.mark.parametrize(
    ("times", "told"),
    [
        pytest.param((1, 50), [("1", False), ("2", False)], id="apart"),
        pytest.param(
            (1, 1.1, 1.2, 7, 7.1),
            [("1\N{EN DASH}3", False), ("4, 5", True)],
            id="wide numbers",
        ),
        pytest.param(
            (1, 1.1, 1.2, 7, 7.1, 14),
            [("1\N{EN DASH}3", False), ("4, 5", True), ("6", False)],
            id="room again",
        ),
    ],
)
def test_numbers_of_marks_do_not_cover_each_other(
    times: tuple[float, ...], told: list[tuple[str, bool]]
) -> None:
    """Two moments keep two lines; the number of the second goes a row up."""
    axis = TimeAxis(step_s=1, slots=100, marks=tuple((at, "done") for at in times))
    found = chart([1.0], axis=axis)
    assert [(mark.number, mark.is_raised) for mark in found.marks] == told


def test_percentiles_are_those_of_the_histogram() -> None:
    """The table tells the same figures as every other report."""
    times = Histogram.of(range(1_000_000, 2_000_000, 500))
    found = percentile_chart({"x": ("series-1", times)}, key="k", title="t", told="d")
    told = {row[0]: row[1] for row in found.rows}
    assert told["99 %"] == ms((times.percentile(99) or 0) / 1e6)
    assert told["maximum"] == ms((times.maximum_ns or 0) / 1e6)
    points = numbers(found)
    assert points == sorted(points, key=lambda point: point[0])
    assert all(0 <= x <= WIDTH and -0.1 <= y <= HEIGHT + 0.1 for x, y in points)


def test_nothing_measured_draws_nothing() -> None:
    """An empty histogram is no curve."""
    empty = percentile_chart(
        {"x": ("series-1", Histogram())}, key="k", title="t", told="d"
    )
    assert empty.shapes == ()


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (ms(0.0123), "12.3 µs"),
        (ms(1), "1 ms"),
        (ms(1500), "1.5 s"),
        (ms(90_000), "1.5 min"),
        (plain(12), "12"),
        (plain(1234.5), "1,234"),
        (plain(2_500_000), "2.5 M"),
        (data_size(999), "999 B"),
        (data_size(48_800), "48.8 kB"),
        (data_size(3e9), "3 GB"),
    ],
)
def test_figures_are_told_in_the_unit_that_suits_them(told: str, expected: str) -> None:
    """Three digits."""
    assert told == expected
