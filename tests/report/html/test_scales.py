"""Axes: round numbers that enclose what they show."""

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fleetsim.report.html.scales import (
    clock,
    linear_ticks,
    log_ticks,
    nice_step,
    thinned,
    time_ticks,
)

VALUES = st.floats(1e-6, 1e12)


@given(VALUES, st.integers(1, 10))
def test_a_step_fits_as_often_as_asked_and_no_oftener(span: float, most: int) -> None:
    """Steps are 1, 2 or 5 times a power of ten."""
    step = nice_step(span, most)
    assert span / step <= most * (1 + 1e-6)
    assert f"{step:.0e}"[0] in "125"


@given(VALUES)
def test_linear_ticks_enclose_the_highest_value(highest: float) -> None:
    """They begin at 0 and are few."""
    ticks = linear_ticks(highest)
    assert ticks[0] == 0
    assert ticks[-1] >= highest * (1 - 1e-6)
    assert 2 <= len(ticks) <= 6


@given(VALUES, VALUES)
def test_log_ticks_enclose_both_values(one: float, other: float) -> None:
    """They are powers of ten, at least a decade apart."""
    low, high = sorted((one, other))
    ticks = log_ticks(low, high)
    assert len(ticks) >= 2
    assert ticks[0] <= low * (1 + 1e-6)
    assert ticks[-1] >= high * (1 - 1e-6)


@given(st.floats(1, 1e9))
def test_time_ticks_stay_on_the_axis(end_s: float) -> None:
    """Few enough for a phone."""
    ticks = time_ticks(end_s)
    assert ticks[0] == 0
    assert ticks[-1] <= end_s
    assert len(ticks) <= 7


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1:00"), (3599, "59:59"), (86400, "24:00:00")],
)
def test_run_times_are_told_short(seconds: float, told: str) -> None:
    """Seconds, then a clock."""
    assert clock(seconds) == told


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), max_size=30))
def test_thinning_keeps_first_and_last_place(
    points: list[tuple[float, float]],
) -> None:
    """No two neighbours fall on the same place."""
    assume(points)
    kept = list(thinned(iter(points)))
    rounded = [(round(x, 1), round(y, 1)) for x, y in points]
    assert (kept[0], kept[-1]) == (rounded[0], rounded[-1])
    assert all(one != other for one, other in pairwise(kept))
