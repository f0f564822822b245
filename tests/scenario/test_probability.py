"""Distributions as values: bounds, means, repeatability."""

import math
import pickle
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.draws import Draws
from fleetsim.scenario.probability import (
    AnyDistribution,
    Empirical,
    Exponential,
    Fixed,
    Lognormal,
    Normal,
    Uniform,
)

numbers = st.floats(-1e9, 1e9)
positive = st.floats(1e-6, 1e9)
limits = st.tuples(numbers, numbers).map(sorted)


@st.composite
def distributions(draw: st.DrawFn) -> AnyDistribution:
    """Any distribution with finite bounds."""
    low, high = draw(limits)
    above, top = max(low, 0.0), max(high, 0.0)
    law: AnyDistribution = draw(
        st.one_of(
            st.builds(Fixed, numbers),
            st.just(Uniform(low, high)),
            st.builds(Normal, numbers, st.floats(0, 1e9), st.just(low), st.just(high)),
            st.builds(
                Lognormal, positive, st.floats(0, 10), st.just(above), st.just(top)
            ),
            st.builds(Exponential, positive, st.just(above), st.just(top)),
            st.lists(numbers, min_size=1, max_size=20).map(
                lambda values: Empirical(tuple(values), (), low, high)
            ),
            st.lists(
                st.tuples(numbers, st.floats(0.001, 10)), min_size=1, max_size=20
            ).map(
                lambda pairs: Empirical(
                    tuple(value for value, _ in pairs),
                    tuple(weight for _, weight in pairs),
                    low,
                    high,
                )
            ),
        )
    )
    return law


@given(distributions(), st.integers(0, 2**64 - 1))
def test_samples_lie_within_the_bounds(law: AnyDistribution, seed: int) -> None:
    """No draw leaves [lowest, highest]."""
    draws = Draws(seed)
    for _ in range(20):
        assert law.lowest <= law.sample(draws) <= law.highest


@given(distributions(), st.integers(0, 2**64 - 1))
def test_the_same_seed_gives_the_same_samples(law: AnyDistribution, seed: int) -> None:
    """A plan can be made again."""
    first, second = Draws(seed), Draws(seed)
    assert [law.sample(first) for _ in range(5)] == [
        law.sample(second) for _ in range(5)
    ]


@given(distributions())
def test_the_mean_lies_within_the_bounds(law: AnyDistribution) -> None:
    """An expected value is no further out than the values."""
    slack = 1e-6 * max(1.0, abs(law.lowest), abs(law.highest))
    assert law.lowest - slack <= law.mean() <= law.highest + slack


@given(distributions())
def test_distributions_survive_pickling(law: AnyDistribution) -> None:
    """Plans travel to other processes."""
    copy = pickle.loads(pickle.dumps(law))  # noqa: S301 - our own bytes
    assert copy == law
    assert copy.sample(Draws(1)) == law.sample(Draws(1))


@pytest.mark.parametrize(
    "law",
    [
        Fixed(3.0),
        Uniform(-2.0, 6.0),
        Normal(10.0, 2.0),
        Normal(0.0, 1.0, 0.0),
        Normal(5.0, 3.0, 4.0, 5.5),
        Normal(5.0, 0.0, 6.0, 7.0),
        Lognormal(2.0, 0.5),
        Lognormal(2.0, 1.5, 1.0, 9.0),
        Lognormal(2.0, 0.0, 0.0, 1.0),
        Exponential(3.0),
        Exponential(3.0, 2.0, 4.0),
        Empirical((1.0, 2.0, 6.0)),
        Empirical((1.0, 2.0, 6.0), (1.0, 0.0, 3.0)),
        Empirical((1.0, 2.0, 6.0), (), 1.5, 5.0),
    ],
    ids=repr,
)
def test_the_mean_is_that_of_many_samples(law: AnyDistribution) -> None:
    """Means are exact, the clamping included; the samples agree within 5 sigma."""
    draws = Draws(12345)
    samples = [law.sample(draws) for _ in range(20_000)]
    error = statistics.pstdev(samples) / math.sqrt(len(samples))
    assert abs(statistics.fmean(samples) - law.mean()) <= 5 * error + 1e-9


def test_the_spread_is_that_of_the_textbook() -> None:
    """Standard deviations of uniform, normal and exponential are the known ones."""
    for law, expected in (
        (Uniform(0.0, 12.0), 12 / math.sqrt(12)),
        (Normal(3.0, 2.0), 2.0),
        (Exponential(4.0), 4.0),
    ):
        draws = Draws(99)
        samples = [law.sample(draws) for _ in range(20_000)]
        assert statistics.pstdev(samples) == pytest.approx(expected, rel=0.03)


def test_weights_decide_how_often() -> None:
    """A value of weight 0 never comes, the others in proportion."""
    law = Empirical((1.0, 2.0, 3.0), (3.0, 0.0, 1.0))
    draws = Draws(5)
    samples = [law.sample(draws) for _ in range(8000)]
    assert samples.count(2.0) == 0
    assert samples.count(1.0) == pytest.approx(6000, rel=0.05)
