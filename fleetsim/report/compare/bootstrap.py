"""Bootstrap: how sure a difference between two runs is.

*What is resampled.* Attempts are not independent witnesses. Requests of the same second
share a queue, a processor and a garbage collection: one stall of a server delays a
hundred of them, and to resample them one by one would take that stall for a hundred
observations and give an interval that is far too narrow. So a run is cut into *blocks*
of time, long against what one attempt takes, and whole blocks are resampled (block
bootstrap; Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, section 8.6).
Figures of which a device has one each (stranded, files lost, freshness) are resampled by
device, because what is correlated there is the history of a device.

*Pairs.* An attempt belongs to the block its plan puts it in, not to the one in which it
ended. Two runs of one plan then have the same operations of the same devices in the same
block, so the same blocks are drawn for both: herds and ramps, which are in both runs,
drop out of the difference. Runs of different plans are drawn apart.

*What is inferred.* The interval tells what these two runs, as they were, bear out. It
cannot know what a third run of the same on another day would have shown: the noise from
run to run of a shared machine is not in it. For that reason a difference counts only
when the *whole* interval lies beyond a tolerance (:class:`Rule`), and 99 % is the
default, not 95 %: a comparison looks at dozens of figures.

The generator of random numbers has a fixed seed: the same runs give the same answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

REPLICATES: Final = 4000
"""Resamples: the ends of a 99 % interval rest on 20 of them on either side."""

SEED: Final = 1979
"""Fixed, so that the same inputs give the same answer (the year of Efron's paper)."""

FEWEST_BLOCKS: Final = 10
"""Fewer blocks than that are no sample of anything."""

BEYOND: Final = 10
"""Fewest values beyond a percentile, on average, for it to be judged."""

_CHUNK: Final = 250

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference and how sure it is.

    Attributes:
        low: Lower end.
        high: Upper end.
    """

    low: float
    high: float


def weights(units: int) -> Iterator[Numbers]:
    """How often each unit is drawn, resample by resample, in chunks.

    Args:
        units: Blocks or devices, >= 1.

    Yields:
        Arrays of resamples by units; each row adds up to ``units``.
    """
    source = np.random.default_rng(SEED)
    for start in range(0, REPLICATES, _CHUNK):
        size = min(_CHUNK, REPLICATES - start)
        drawn = source.multinomial(units, np.full(units, 1 / units), size=size)
        yield drawn.astype(np.float64)


def pairs(units: tuple[int, int], *, paired: bool) -> Iterator[tuple[Numbers, Numbers]]:
    """Weights for two runs at once.

    Args:
        units: Blocks or devices of either run; equal when they are pairs.
        paired: The same draw for both.
    """
    if paired:
        for drawn in weights(units[0]):
            yield drawn, drawn
        return
    # one source after the other: were both drawn alike, they would be pairs after all
    first = list(weights(units[0]))
    source = np.random.default_rng(SEED + 1)
    for drawn in first:
        other = source.multinomial(
            units[1], np.full(units[1], 1 / units[1]), size=len(drawn)
        )
        yield drawn, other.astype(np.float64)


def interval(values: Numbers, confidence: float) -> Interval | None:
    """Percentile interval of resampled values; ``None`` = there is no such thing.

    Args:
        values: One a resample; those that are not finite do not count.
        confidence: 0..1, exclusive.
    """
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(finite, (tail, 1 - tail), method="nearest")
    return Interval(float(low), float(high))


def percentiles(
    drawn: Numbers, counts: Numbers, uppers: Numbers, percent: float
) -> Numbers:
    """Percentile of each resample of a histogram kept by block.

    Args:
        drawn: Resamples by blocks.
        counts: Blocks by buckets.
        uppers: Largest value of each bucket.
        percent: 0..100.

    Returns:
        One value a resample; not a number where nothing was drawn.
    """
    seen = np.cumsum(drawn @ counts, axis=1)
    totals = seen[:, -1]
    rank = np.maximum(1, np.ceil(np.round(percent * totals / 100, 6)))
    found: Any = uppers[np.argmax(seen >= rank[:, np.newaxis], axis=1)]
    return np.where(totals > 0, found, np.nan)


def ratios(drawn: Numbers, above: Numbers, below: Numbers) -> Numbers:
    """Ratio of two sums over the units drawn; not a number over nothing.

    Args:
        drawn: Resamples by units.
        above: Numerator of each unit.
        below: Denominator of each unit.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Numbers = (drawn @ above) / (drawn @ below)
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When a difference is evidence.

    Attributes:
        confidence: Of the intervals, 0..1, exclusive.
        tolerance: Relative difference that does not matter, >= 0.
        resolution_s: Difference of times that does not matter, seconds, >= 0: below it
            one compares event loops.
    """

    confidence: float = 0.99
    tolerance: float = 0.05
    resolution_s: float = 0.001
