"""Cuts, and the three faults that are cuts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.draws import Draws
from fleetsim.lab.faults.cut import CutFlow
from fleetsim.lab.faults.flow import Direction, End, Fault
from fleetsim.lab.faults.half_close import HalfClose
from fleetsim.lab.faults.reset import Reset
from fleetsim.lab.faults.truncate import Truncate


@given(
    after=st.integers(0, 3000),
    arrivals=st.lists(st.integers(1, 1000), min_size=1, max_size=8),
)
def test_exactly_so_many_bytes_pass_before_the_end(
    after: int, arrivals: list[int]
) -> None:
    """The end comes once, at the byte, as soon as that many have come."""
    flow = CutFlow(after, End.RESET)
    passed, ends_at = 0, []
    for size in arrivals:
        for piece in flow.pieces(size, 0.0):
            passed += piece.size
            if piece.end is not None:
                ends_at.append(passed)
    assert ends_at == ([after] if sum(arrivals) >= max(1, after) else [])


def test_end_of_stream_is_no_byte() -> None:
    """A client that leaves without a word is not cut off."""
    flow = CutFlow(0, End.RESET)
    assert [piece.end for piece in flow.pieces(0, 0.0)] == [None]


@pytest.mark.parametrize(
    ("fault", "direction", "end"),
    [
        (Reset(), Direction.TO_SERVER, End.RESET),
        (Reset(1), Direction.TO_CLIENT, End.RESET),
        (Truncate(), Direction.TO_SERVER, End.CLOSE),
        (Truncate(1), Direction.TO_CLIENT, End.CLOSE),
        (HalfClose(), Direction.TO_SERVER, End.HALF_CLOSE),
        (HalfClose(1), Direction.TO_CLIENT, End.HALF_CLOSE),
    ],
    ids=repr,
)
def test_bytes_to_the_client_count_or_its_first_own(
    fault: Fault, direction: Direction, end: End
) -> None:
    """With 0 the client's first byte is the signal, else bytes it gets are counted."""
    (other,) = set(Direction) - {direction}
    assert fault.flow(other, Draws(1)) is None
    flow = fault.flow(direction, Draws(1))
    assert flow is not None
    ends = [piece.end for piece in flow.pieces(1, 0.0)]
    assert ends[0] is end
    assert set(ends[1:]) <= {None}
