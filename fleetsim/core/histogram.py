"""Histogram: latency counts in log-linear buckets, exact to merge, small to keep.

Values are nanoseconds. Every power of two is cut into 128 equal buckets, values below
256 ns have a bucket each, so a bucket is never wider than 1/128 (0.78 %) of the values
in it. The layout is the one an HdrHistogram has for ``lowest = 1``, ``highest`` = one
hour and two significant digits (hdrhistogram.org, "HdrHistogram: A High Dynamic Range
Histogram"): the counts of the one *are* the counts of the other, index by index, and
nothing is lost or moved when a log is written.

Counts, never percentiles, are merged: merging is addition, so the order in which
seconds, processes or machines are put together cannot change a result. Count, sum,
smallest and largest value are kept exactly beside the buckets.
"""

import math
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Self

SUB_BUCKET_BITS: Final = 7
HIGHEST_NS: Final = 3_600_000_000_000  # one hour; larger values count as "an hour"

_LINEAR_BITS: Final = SUB_BUCKET_BITS + 1  # values below 2**8 have their own bucket


def bucket_index(value_ns: int) -> int:
    """Give the bucket of a value, 0..:data:`BUCKETS` - 1.

    Args:
        value_ns: Value >= 0; values above one hour share the bucket of one hour.
    """
    value = min(value_ns, HIGHEST_NS)
    shift = value.bit_length() - _LINEAR_BITS
    return (shift << SUB_BUCKET_BITS) + (value >> shift) if shift > 0 else value


BUCKETS: Final = bucket_index(HIGHEST_NS) + 1


def bucket_range(index: int) -> tuple[int, int]:
    """Give the smallest and the largest value of a bucket, both inclusive, in ns."""
    shift = (index >> SUB_BUCKET_BITS) - 1
    if shift <= 0:
        return index, index
    low = (index - (shift << SUB_BUCKET_BITS)) << shift
    return low, low + (1 << shift) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """Values already sorted into buckets: what one flush or one column adds.

    Attributes:
        counts: Bucket index to number of values; every number is > 0.
        minimum_ns: Smallest value; meaningless when ``counts`` is empty.
        maximum_ns: Largest value; meaningless when ``counts`` is empty.
        sum_ns: Sum of all values.
    """

    counts: Mapping[int, int]
    minimum_ns: int
    maximum_ns: int
    sum_ns: int


def bin_values(values_ns: Iterable[int]) -> Bins:
    """Sort values into buckets, once for all histograms they belong to.

    Raises:
        ValueError: If a value is negative; nothing has been counted then.
    """
    values = list(values_ns)
    if not values:
        return Bins(counts={}, minimum_ns=0, maximum_ns=0, sum_ns=0)
    low, high, total = min(values), max(values), sum(values)
    if low < 0:
        raise ValueError(f"a duration cannot be negative: {low} ns")
    if high > HIGHEST_NS:
        values = [min(value, HIGHEST_NS) for value in values]
    # bucket_index written out: a call for each value would triple the cost
    indexes = [
        (shift << SUB_BUCKET_BITS) + (value >> shift)
        if (shift := value.bit_length() - _LINEAR_BITS) > 0
        else value
        for value in values
    ]
    return Bins(counts=Counter(indexes), minimum_ns=low, maximum_ns=high, sum_ns=total)


class Histogram:
    """Counts of durations; memory grows with the largest value, 36 KiB at most.

    Two histograms are equal when they hold the same counts, extremes and sum.
    """

    __slots__ = ("_counts", "_maximum_ns", "_minimum_ns", "_total", "sum_ns")

    def __init__(self) -> None:
        self._counts: array[int] = array("Q")
        self._total = 0
        self._minimum_ns = 0
        self._maximum_ns = 0
        self.sum_ns = 0

    @classmethod
    def of(cls, values_ns: Iterable[int]) -> Self:
        """Make a histogram of these values."""
        made = cls()
        made.record_many(values_ns)
        return made

    @property
    def count(self) -> int:
        """How many values were recorded."""
        return self._total

    @property
    def minimum_ns(self) -> int | None:
        """Smallest value, exact; ``None`` when nothing was recorded."""
        return self._minimum_ns if self._total else None

    @property
    def maximum_ns(self) -> int | None:
        """Largest value, exact; ``None`` when nothing was recorded."""
        return self._maximum_ns if self._total else None

    @property
    def mean_ns(self) -> float | None:
        """Arithmetic mean, exact; ``None`` when nothing was recorded."""
        return self.sum_ns / self._total if self._total else None

    def record(self, value_ns: int) -> None:
        """Count one value.

        Raises:
            ValueError: If it is negative.
        """
        if value_ns < 0:
            raise ValueError(f"a duration cannot be negative: {value_ns} ns")
        index = bucket_index(value_ns)
        self._reserve(index)
        self._counts[index] += 1
        self._note(1, value_ns, value_ns, value_ns)

    def record_many(self, values_ns: Iterable[int]) -> None:
        """Count many values.

        Raises:
            ValueError: If one is negative; none is counted then.
        """
        self.add(bin_values(values_ns))

    def add(self, bins: Bins) -> None:
        """Count values that are in buckets already."""
        if not bins.counts:
            return
        self._reserve(max(bins.counts))
        counts = self._counts
        for index, count in bins.counts.items():
            counts[index] += count
        self._note(
            sum(bins.counts.values()), bins.minimum_ns, bins.maximum_ns, bins.sum_ns
        )

    def merge(self, other: "Histogram") -> None:
        """Add everything another histogram holds; exact, in any order."""
        self.add(other.bins())

    def bins(self) -> Bins:
        """Give the content as bins."""
        return Bins(
            counts={index: count for index, count in enumerate(self._counts) if count},
            minimum_ns=self._minimum_ns,
            maximum_ns=self._maximum_ns,
            sum_ns=self.sum_ns,
        )

    def counts(self) -> "array[int]":
        """Copy the counts by bucket index, unsigned 64-bit; later buckets are empty."""
        return self._counts[:]

    def percentile(self, percent: float) -> int | None:
        """Give the value that ``percent`` of all values do not exceed.

        The nearest rank is taken (no interpolation) and the upper end of its bucket
        given, as HdrHistogram does: the answer is never too small, and too large by
        less than 0.8 %. It never leaves the range of the exact extremes.

        Args:
            percent: 0..100; 0 gives the smallest value, 100 the largest.

        Returns:
            Nanoseconds, ``None`` when nothing was recorded.

        Raises:
            ValueError: If ``percent`` is outside 0..100.
        """
        return self.percentiles(percent)[0]

    def percentiles(self, *percents: float) -> tuple[int | None, ...]:
        """Give several percentiles for the price of one; see :meth:`percentile`."""
        for percent in percents:
            if not 0 <= percent <= 100:
                raise ValueError(f"a percentile is between 0 and 100, not {percent}")
        if not self._total:
            return (None,) * len(percents)
        seen = list(accumulate(self._counts))
        return tuple(self._at_rank(percent, seen) for percent in percents)

    def _at_rank(self, percent: float, seen: Sequence[int]) -> int:
        if percent == 0:
            return self._minimum_ns
        rank = max(1, _rank(percent, self._total))
        if rank >= self._total:
            return self._maximum_ns
        upper = bucket_range(bisect_left(seen, rank))[1]
        return max(self._minimum_ns, min(upper, self._maximum_ns))

    def buckets(self) -> Iterator[tuple[int, int, int]]:
        """Walk the buckets that hold something, smallest first.

        Yields:
            Smallest value of the bucket, largest value, count; ns, inclusive.
        """
        for index, count in enumerate(self._counts):
            if count:
                low, high = bucket_range(index)
                yield low, high, count

    def copy(self) -> "Histogram":
        """Make an independent copy."""
        made = Histogram()
        made._counts = self._counts[:]
        made._note(self._total, self._minimum_ns, self._maximum_ns, self.sum_ns)
        return made

    def _reserve(self, index: int) -> None:
        missing = index + 1 - len(self._counts)
        if missing > 0:
            self._counts.frombytes(bytes(8 * missing))

    def _note(self, count: int, low: int, high: int, total: int) -> None:
        if self._total == 0:
            self._minimum_ns, self._maximum_ns = low, high
        else:
            self._minimum_ns = min(self._minimum_ns, low)
            self._maximum_ns = max(self._maximum_ns, high)
        self._total += count
        self.sum_ns += total

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return self.bins() == other.bins()

    __hash__ = None  # type: ignore[assignment]  # mutable: equal now, not for ever

    def __repr__(self) -> str:
        return (
            f"Histogram(count={self.count}, minimum_ns={self.minimum_ns}, "
            f"maximum_ns={self.maximum_ns})"
        )


def _rank(percent: float, total: int) -> int:
    # 99.9 % of 1000 is 999, but 99.9 / 100 * 1000 is 999.0000000000001 in floats
    return math.ceil(round(percent * total / 100, 6))
