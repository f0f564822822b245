"""Backoff."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.backoff import delay_s
from fleetsim.core.draws import Draws
from fleetsim.core.settings import RetryPolicy

POLICIES = st.builds(
    RetryPolicy,
    first_s=st.floats(1e-3, 1e6),
    factor=st.floats(1.0, 1e300),
    max_s=st.floats(1e-3, 1e9),
    jitter_ratio=st.floats(0.0, 1.0),
)
FAILURES = st.one_of(st.integers(1, 50), st.integers(1, 10**400))


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param(RetryPolicy(), [10.0, 10.0, 10.0, 10.0], id="constant"),
        pytest.param(
            RetryPolicy(first_s=1.0, factor=2.0, max_s=5.0),
            [1.0, 2.0, 4.0, 5.0],
            id="doubling",
        ),
        pytest.param(
            RetryPolicy(first_s=10.0, max_s=4.0), [4.0, 4.0, 4.0, 4.0], id="max-first"
        ),
    ],
)
def test_growth(policy: RetryPolicy, expected: list[float]) -> None:
    """The wait grows by the factor up to the bound."""
    assert [delay_s(policy, n, Draws(1)) for n in (1, 2, 3, 4)] == expected


@given(POLICIES, FAILURES, st.integers(0, 2**64 - 1))
def test_bounds(policy: RetryPolicy, failures: int, seed: int) -> None:
    """Whatever the count, the wait is finite and within its interval."""
    wait_s = delay_s(policy, failures, Draws(seed))
    assert math.isfinite(wait_s)
    assert 0.0 <= wait_s <= policy.max_s
    floor = min(policy.first_s, policy.max_s) * (1.0 - policy.jitter_ratio)
    assert wait_s >= floor * (1.0 - 1e-9)


@given(st.floats(1.0, 3.0), st.integers(1, 10**6))
def test_never_shrinks(factor: float, failures: int) -> None:
    """Without jitter one more failure never means a shorter wait."""
    policy = RetryPolicy(first_s=0.5, factor=factor, max_s=600.0)
    assert delay_s(policy, failures, Draws(0)) <= delay_s(
        policy, failures + 1, Draws(0)
    )


def test_constant_policy_stays_constant_for_huge_counts() -> None:
    """Factor 1 never reaches the bound, not even after 10**400 failures."""
    assert delay_s(RetryPolicy(first_s=3.0), 10**400, Draws(0)) == 3.0


@pytest.mark.parametrize(("jitter_ratio", "drawn"), [(0.0, False), (0.5, True)])
def test_jitter_alone_draws(jitter_ratio: float, drawn: bool) -> None:
    """A policy without jitter leaves the device's random sequence alone."""
    draws = Draws(7)
    delay_s(RetryPolicy(jitter_ratio=jitter_ratio), 1, draws)
    assert (draws.bits() != Draws(7).bits()) is drawn


def test_jitter_spreads_over_the_interval() -> None:
    """Full jitter uses the whole interval, not a part of it."""
    draws = Draws(1)
    policy = RetryPolicy(first_s=100.0, jitter_ratio=1.0)
    waits = sorted(delay_s(policy, 1, draws) for _ in range(1000))
    assert waits[0] < 5.0
    assert waits[-1] > 95.0
    assert 45.0 < waits[500] < 55.0
