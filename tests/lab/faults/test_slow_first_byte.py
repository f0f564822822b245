from fleetsim.core.draws import Draws
from fleetsim.lab.faults.flow import Direction
from fleetsim.lab.faults.slow_first_byte import SlowFirstByte


def test_only_what_comes_before_the_time_waits() -> None:
    """The first byte opens the way after the delay; what comes later passes at once."""
    flow = SlowFirstByte(2.0).flow(Direction.TO_CLIENT, Draws(1))
    assert flow is not None
    due = [
        piece.due_s for now_s in (10.0, 11.0, 12.5) for piece in flow.pieces(5, now_s)
    ]
    assert due == [12.0, 12.0, 12.5]


def test_the_server_does_not_wait() -> None:
    """What the client sends passes untouched."""
    assert SlowFirstByte(2.0).flow(Direction.TO_SERVER, Draws(1)) is None
