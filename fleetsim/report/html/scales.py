"""Scales: round numbers for axes, and where a value lies between two ends."""

import math
from collections.abc import Iterator
from typing import Final

_STEPS_S: Final = (
    *(1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200),
    *(10_800, 21_600, 43_200, 86_400, 172_800, 604_800),
)

_NOTHING: Final = 1e-9  # less than that is the rounding of a float


def nice_step(span: float, most: int) -> float:
    """Give the smallest of 1, 2, 5 times a power of ten that fits often enough.

    Args:
        span: What is to be divided, > 0.
        most: Most steps, >= 1.
    """
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in (1, 2, 5):
        if factor * power >= rough * (1 - 1e-9):
            return factor * power
    return 10 * power


def linear_ticks(highest: float, most: int = 4) -> tuple[float, ...]:
    """Round values from 0 to at least ``highest``; the last one ends the axis.

    Args:
        highest: Largest value shown, >= 0.
        most: Most steps.
    """
    if highest < _NOTHING:
        return (0.0, 1.0)
    step = nice_step(highest, most)
    count = math.ceil(highest / step - 1e-9)
    return tuple(round(step * number, 12) for number in range(count + 1))


def log_ticks(lowest: float, highest: float) -> tuple[float, ...]:
    """Powers of ten that enclose both values, at least one decade.

    Args:
        lowest: Smallest value shown, > 0.
        highest: Largest value shown, >= ``lowest``.
    """
    first = math.floor(math.log10(lowest) + 1e-9)
    last = max(first + 1, math.ceil(math.log10(highest) - 1e-9))
    return tuple(10.0**power for power in range(first, last + 1))


def time_ticks(end_s: float, most: int = 6) -> tuple[float, ...]:
    """Round times from 0 up to ``end_s`` at most, seconds.

    Args:
        end_s: End of the axis, > 0.
        most: Most ticks after the first.
    """
    step = next(
        (float(step) for step in _STEPS_S if end_s / step <= most),
        math.ceil(end_s / most / 604_800) * 604_800.0,
    )
    return tuple(step * number for number in range(int(end_s / step) + 1))


def clock(seconds: float) -> str:
    """Write a run time as short as it can be told: ``45 s``, ``2:05``, ``1:00:00``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, left_s = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left_s:02}" if hours else f"{minutes}:{left_s:02}"


def thinned(points: Iterator[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Leave out points that fall on the same tenth of a unit of both axes."""
    before: tuple[float, float] | None = None
    for x, y in points:
        place = (round(x, 1), round(y, 1))
        if place != before:
            yield place
            before = place
