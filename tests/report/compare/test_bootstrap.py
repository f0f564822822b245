"""The bootstrap: resamples of whole units, the same every time."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.histogram import Histogram, bucket_index, bucket_range
from fleetsim.report.compare.bootstrap import (
    REPLICATES,
    Interval,
    interval,
    pairs,
    percentiles,
    ratios,
    weights,
)


@pytest.mark.parametrize("units", [1, 7, 60])
def test_every_resample_draws_as_many_units_as_there_are(units: int) -> None:
    """With replacement, and the same ones every time."""
    drawn = np.concatenate(list(weights(units)))
    assert drawn.shape == (REPLICATES, units)
    assert (drawn.sum(axis=1) == units).all()
    assert (drawn == np.concatenate(list(weights(units)))).all()


def test_pairs_are_drawn_together_and_others_apart() -> None:
    """Runs of one plan share their blocks; runs of different plans share nothing."""
    for one, other in pairs((20, 20), paired=True):
        assert one is other
    apart = list(pairs((20, 20), paired=False))
    assert any((one != other).any() for one, other in apart)
    different = next(iter(pairs((20, 30), paired=False)))
    assert (different[0].shape[1], different[1].shape[1]) == (20, 30)


@given(
    st.lists(st.integers(1, 10**9), min_size=1, max_size=50),
    st.sampled_from([50.0, 90.0, 99.0, 100.0]),
)
def test_a_percentile_of_everything_is_that_of_the_histogram(
    values: list[int], percent: float
) -> None:
    """Same rank, same bucket as :mod:`fleetsim.core.histogram`."""
    used = sorted({bucket_index(value) for value in values})
    counts = np.zeros((1, len(used)))
    for value in values:
        counts[0, used.index(bucket_index(value))] += 1
    uppers = np.array([float(bucket_range(index)[1]) for index in used])
    (found,) = percentiles(np.ones((1, 1)), counts, uppers, percent)
    exact = Histogram.of(values).percentile(percent)
    assert exact is not None
    assert bucket_index(int(found)) == bucket_index(exact)


def test_nothing_drawn_has_no_percentile_and_no_ratio() -> None:
    """Not a number is no figure."""
    nothing = np.zeros((1, 2))
    assert np.isnan(percentiles(nothing, np.ones((2, 3)), np.arange(3.0), 50)).all()
    assert np.isnan(ratios(nothing, np.ones(2), np.ones(2))).all()


def test_a_ratio_is_that_of_the_sums() -> None:
    """Not the mean of ratios: a block with few attempts counts for little."""
    (found,) = ratios(np.ones((1, 2)), np.array([1.0, 0.0]), np.array([1.0, 99.0]))
    assert found == 0.01


def test_an_interval_leaves_out_its_tails() -> None:
    """And what is not finite."""
    values = np.array([*range(1001), np.nan, np.inf], dtype=np.float64)
    assert interval(values, 0.9) == Interval(50, 950)
    assert interval(np.array([np.nan]), 0.9) is None


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    """90 % of the intervals of a mean hold it, within what 200 samples can tell."""
    source = np.random.default_rng(5)
    drawn = np.concatenate(list(weights(60)))[:1000]
    held = 0
    for _ in range(200):
        sample = source.exponential(1.0, 60)
        found = interval(drawn @ sample / 60, 0.9)
        assert found is not None
        held += found.low <= 1.0 <= found.high
    assert 0.82 <= held / 200 <= 0.96
