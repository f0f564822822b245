"""Counts are exact, merging is order-free, percentiles are off by less than 0.8 %."""

import math
from itertools import permutations

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.histogram import (
    BUCKETS,
    HIGHEST_NS,
    Bins,
    Histogram,
    bin_values,
    bucket_index,
    bucket_range,
)

durations = st.one_of(
    st.integers(0, HIGHEST_NS),
    st.integers(0, 41).map(lambda power: 1 << power),
    st.integers(1, 41).map(lambda power: (1 << power) - 1),
)
samples = st.lists(durations, max_size=60)


def nearest_rank(values: list[int], percent: float) -> int:
    """Percentile by definition: the smallest value that enough values do not exceed."""
    ordered = sorted(values)
    for number, value in enumerate(ordered, start=1):
        if number * 100 >= percent * len(values) - 1e-6:
            return value
    return ordered[-1]


@given(durations)
def test_buckets_are_those_of_hdrhistogram(value: int) -> None:
    """Index and range of every bucket are those of an HdrHistogram of two digits."""
    other = HdrHistogram(1, HIGHEST_NS, 2)
    index = bucket_index(value)
    assert index == other._counts_index_for(value)
    low, high = bucket_range(index)
    assert low == other.get_lowest_equivalent_value(value)
    assert high == other.get_highest_equivalent_value(value)
    assert index < BUCKETS <= other.counts_len


@given(durations)
def test_a_bucket_is_narrower_than_a_hundredth_of_its_values(value: int) -> None:
    """The width of a bucket is below 0.8 % of its smallest value, or one nanosecond."""
    low, high = bucket_range(bucket_index(value))
    assert low <= value <= high
    assert high - low + 1 <= max(1, low * 0.008)


@given(samples, st.floats(0, 100))
def test_percentiles_are_never_too_small_nor_far_too_large(
    values: list[int], percent: float
) -> None:
    """A percentile is the nearest rank's value, at most 0.8 % above it."""
    found = Histogram.of(values).percentile(percent)
    if not values:
        assert found is None
        return
    exact = min(values) if percent == 0 else nearest_rank(values, percent)
    assert found is not None
    assert exact <= found <= exact * 1.008
    assert min(values) <= found <= max(values)


@given(samples)
def test_extremes_mean_and_count_are_exact(values: list[int]) -> None:
    """What is kept beside the buckets is not rounded."""
    histogram = Histogram.of(values)
    assert histogram.count == len(values)
    assert histogram.sum_ns == sum(values)
    if values:
        assert histogram.minimum_ns == min(values)
        assert histogram.maximum_ns == max(values)
        assert histogram.mean_ns == sum(values) / len(values)
    else:
        assert histogram.minimum_ns is histogram.maximum_ns is histogram.mean_ns is None


@given(samples)
def test_one_by_one_and_all_at_once_count_alike(values: list[int]) -> None:
    """``record`` and ``record_many`` are the same counting."""
    one_by_one = Histogram()
    for value in values:
        one_by_one.record(value)
    assert one_by_one == Histogram.of(values)
    assert list(one_by_one.buckets()) == list(Histogram.of(values).buckets())
    assert sum(count for _, _, count in one_by_one.buckets()) == len(values)


@given(st.lists(samples, min_size=3, max_size=3))
def test_merging_is_exact_and_order_free(parts: list[list[int]]) -> None:
    """Any order and any grouping of merges gives the histogram of all values."""
    whole = Histogram.of([value for part in parts for value in part])
    for order in permutations(parts):
        left = Histogram.of(order[0])
        left.merge(Histogram.of(order[1]))
        left.merge(Histogram.of(order[2]))
        right = Histogram.of(order[1])
        right.merge(Histogram.of(order[2]))
        grouped = Histogram.of(order[0])
        grouped.merge(right)
        assert left == grouped == whole


@given(samples)
def test_bins_carry_everything(values: list[int]) -> None:
    """A histogram taken apart into bins and put together again is the same."""
    histogram = Histogram()
    histogram.add(Histogram.of(values).bins())
    assert histogram == Histogram.of(values)
    assert bin_values(values).sum_ns == sum(values)


def test_values_beyond_an_hour_count_as_an_hour_and_stay_exact_as_extremes() -> None:
    """A stuck attempt of a day neither breaks the buckets nor hides in the maximum."""
    day = 24 * HIGHEST_NS
    histogram = Histogram.of([1_000, day])
    histogram.record(day + 1)
    assert histogram.maximum_ns == day + 1
    assert histogram.percentile(100) == day + 1
    assert [count for _, _, count in histogram.buckets()] == [1, 2]
    assert len(histogram.counts()) == BUCKETS


@pytest.mark.parametrize("values", [[-1], [5, -1, 7]], ids=["alone", "among others"])
def test_negative_durations_are_refused_whole(values: list[int]) -> None:
    """Nothing is counted of a batch with a negative duration."""
    histogram = Histogram()
    with pytest.raises(ValueError, match="negative"):
        histogram.record_many(values)
    with pytest.raises(ValueError, match="negative"):
        histogram.record(-1)
    assert histogram == Histogram()


@pytest.mark.parametrize("percent", [-0.1, 100.1, math.nan, math.inf])
def test_percentiles_outside_the_scale_are_refused(percent: float) -> None:
    """A percentile is between 0 and 100."""
    with pytest.raises(ValueError, match="between 0 and 100"):
        Histogram.of([1]).percentile(percent)


def test_percentile_ranks_do_not_suffer_from_floats() -> None:
    """99.9 % of a thousand values is the 999th, not the 1000th."""
    histogram = Histogram.of([100] * 999 + [200])
    assert histogram.percentile(99.9) == 100
    assert histogram.percentile(99.95) == 200


def test_memory_grows_with_the_largest_value() -> None:
    """An empty histogram holds no buckets; one of microseconds far from all."""
    assert len(Histogram().counts()) == 0
    assert len(Histogram.of([1_000]).counts()) < BUCKETS / 4


def test_a_copy_goes_its_own_way() -> None:
    """Counting into a histogram leaves its copies alone."""
    histogram = Histogram.of([1, 2, 3])
    copied = histogram.copy()
    histogram.record(4)
    assert copied == Histogram.of([1, 2, 3])
    assert copied != histogram
    assert histogram != "something else"
    assert "count=4" in repr(histogram)


def test_empty_bins_change_nothing() -> None:
    """Adding nothing keeps the extremes."""
    histogram = Histogram.of([7])
    histogram.add(Bins(counts={}, minimum_ns=0, maximum_ns=0, sum_ns=0))
    assert histogram.minimum_ns == histogram.maximum_ns == 7
