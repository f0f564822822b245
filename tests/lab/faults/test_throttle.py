import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.draws import Draws
from fleetsim.lab.faults.flow import Direction
from fleetsim.lab.faults.throttle import Throttle


@given(
    rate=st.floats(1, 1e9),
    arrivals=st.lists(st.integers(1, 5000), min_size=1, max_size=10),
)
def test_rate_is_exact(rate: float, arrivals: list[int]) -> None:
    """So many bytes take their number divided by the rate, however they are cut."""
    flow = Throttle(rate).flow(Direction.TO_SERVER, Draws(1))
    pieces = [piece for size in arrivals for piece in flow.pieces(size, 100.0)]
    assert pieces[-1].due_s - 100.0 == pytest.approx(sum(arrivals) / rate, rel=1e-6)


def test_bytes_trickle() -> None:
    """A large arrival passes in steps of 20 ms, not all at its end."""
    flow = Throttle(1000.0).flow(Direction.TO_CLIENT, Draws(1))
    pieces = list(flow.pieces(1000, 0.0))
    assert len(pieces) == 50
    assert pieces[0].due_s == pytest.approx(0.02)


def test_silence_earns_no_burst() -> None:
    """After a pause the rate is what it was: nothing was saved up."""
    flow = Throttle(100.0).flow(Direction.TO_CLIENT, Draws(1))
    list(flow.pieces(100, 0.0))
    late = list(flow.pieces(100, 50.0))
    assert late[-1].due_s == pytest.approx(51.0)
