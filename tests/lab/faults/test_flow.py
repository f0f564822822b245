"""Laws that hold for the flow of every fault."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.draws import Draws
from fleetsim.lab.faults.blackhole import Blackhole
from fleetsim.lab.faults.catalog import FAULTS
from fleetsim.lab.faults.delay import Delay
from fleetsim.lab.faults.flow import NEVER, Direction, Fault
from fleetsim.lab.faults.half_close import HalfClose
from fleetsim.lab.faults.reset import Reset
from fleetsim.lab.faults.slow_first_byte import SlowFirstByte
from fleetsim.lab.faults.throttle import Throttle
from fleetsim.lab.faults.truncate import Truncate

EVERY: tuple[Fault, ...] = (
    Blackhole(),
    Delay(0.2),
    Delay(0.2, jitter_s=0.3),
    HalfClose(),
    HalfClose(100),
    Reset(),
    Reset(100),
    SlowFirstByte(1.5),
    Throttle(1000.0),
    Truncate(),
    Truncate(100),
)
ARRIVALS = st.lists(
    st.tuples(st.integers(0, 5000), st.floats(0, 10)), min_size=1, max_size=20
)


def test_every_fault_is_examined() -> None:
    """The table above leaves no kind of the catalogue out."""
    assert {fault.kind for fault in EVERY} == set(FAULTS)


@pytest.mark.parametrize("fault", EVERY, ids=repr)
@pytest.mark.parametrize("direction", Direction)
@given(arrivals=ARRIVALS)
def test_no_byte_is_lost_invented_or_sent_before_its_time(
    fault: Fault, direction: Direction, arrivals: list[tuple[int, float]]
) -> None:
    """Pieces add up to their arrival, and their due times never run backwards."""
    flow = fault.flow(direction, Draws(1))
    if flow is None:
        return
    now_s, last_s = 0.0, 0.0
    for size, after_s in arrivals:
        now_s += after_s
        pieces = list(flow.pieces(size, now_s))
        assert sum(piece.size for piece in pieces) == size
        for piece in pieces:
            assert piece.due_s >= now_s
            assert piece.due_s >= last_s
            last_s = piece.due_s


@pytest.mark.parametrize("fault", EVERY, ids=repr)
@pytest.mark.parametrize("direction", Direction)
@given(arrivals=ARRIVALS)
def test_same_draws_same_flow(
    fault: Fault, direction: Direction, arrivals: list[tuple[int, float]]
) -> None:
    """What a fault does depends on its seed and on what arrives, on nothing else."""
    one, other = (fault.flow(direction, Draws(7)) for _ in range(2))
    if one is None or other is None:
        assert one is other
        return
    now_s = 0.0
    for size, after_s in arrivals:
        now_s += after_s
        assert list(one.pieces(size, now_s)) == list(other.pieces(size, now_s))


def test_a_blackhole_holds_for_ever() -> None:
    """No byte of either direction is ever due."""
    for direction in Direction:
        flow = Blackhole().flow(direction, Draws(1))
        assert [piece.due_s for piece in flow.pieces(10, 3.0)] == [NEVER]
