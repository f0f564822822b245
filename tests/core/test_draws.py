"""Draws: the published generator, its seeds, and the shape of what it draws."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.draws import Draws, derive_seed, mix

BITS_64 = st.integers(0, 2**64 - 1)


def test_the_published_sequence() -> None:
    """SplitMix64 from seed 1234567: the check values of Rosetta Code, "Pseudo-random numbers/Splitmix64"."""
    draws = Draws(1234567)
    assert [draws.bits() for _ in range(5)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]


def test_mix_is_a_permutation_as_far_as_we_look() -> None:
    """The finaliser is invertible: distinct inputs have distinct outputs."""
    inputs = [*range(5000), *((1 << 64) - 1 - n for n in range(5000))]
    assert len({mix(value) for value in inputs}) == len(inputs)


@given(seed=BITS_64)
def test_same_seed_same_sequence(seed: int) -> None:
    """Two sources of one seed draw the same, of every kind."""
    one, two = Draws(seed), Draws(seed)
    assert [one.bits(), one.uniform(), one.normal()] == [
        two.bits(),
        two.uniform(),
        two.normal(),
    ]


@given(seed=BITS_64)
def test_uniform_is_half_open(seed: int) -> None:
    """A uniform draw lies in [0, 1)."""
    draws = Draws(seed)
    assert all(0.0 <= draws.uniform() < 1.0 for _ in range(100))


@given(a=BITS_64, b=BITS_64)
def test_derived_seeds_depend_on_the_order(a: int, b: int) -> None:
    """Seeds of (a, b) and (b, a) differ unless the parts are equal."""
    assert (derive_seed(a, b) == derive_seed(b, a)) == (a == b)
    assert 0 <= derive_seed(a, b) < 2**64


def test_derived_streams_do_not_meet() -> None:
    """A thousand devices with a thousand draws each share no value."""
    drawn: set[int] = set()
    for device in range(1000):
        draws = Draws(derive_seed(42, device))
        drawn.update(draws.bits() for _ in range(100))
    assert len(drawn) == 100_000


def test_moments() -> None:
    """Mean and deviation are those of the distributions, within five sigma."""
    draws = Draws(7)
    uniform = [draws.uniform() for _ in range(20_000)]
    normal = [draws.normal() for _ in range(20_000)]
    assert statistics.fmean(uniform) == pytest.approx(0.5, abs=0.0103)
    assert statistics.pstdev(uniform) == pytest.approx(12**-0.5, abs=0.01)
    assert statistics.fmean(normal) == pytest.approx(0.0, abs=0.036)
    assert statistics.pstdev(normal) == pytest.approx(1.0, abs=0.026)
