from fleetsim.core.draws import Draws
from fleetsim.lab.faults.delay import Delay
from fleetsim.lab.faults.flow import Direction

CLIENT = Direction.TO_CLIENT


def test_latency_is_added_to_every_arrival() -> None:
    """Without jitter every arrival is late by the latency, whole."""
    flow = Delay(0.25).flow(CLIENT, Draws(1))
    (first,) = flow.pieces(100, 1.0)
    (second,) = flow.pieces(50, 1.1)
    assert (first.size, first.due_s) == (100, 1.25)
    assert (second.size, second.due_s) == (50, 1.35)


def test_jitter_spreads_between_latency_and_latency_plus_jitter() -> None:
    """Arrivals far apart are late by [latency, latency + jitter), all over it."""
    flow = Delay(1.0, jitter_s=0.5).flow(CLIENT, Draws(1))
    late = [
        piece.due_s - now_s
        for now_s in range(0, 4000, 2)
        for piece in flow.pieces(1, float(now_s))
    ]
    assert all(0.999 <= each < 1.501 for each in late)
    assert min(late) < 1.05
    assert max(late) > 1.45
    assert 1.23 < sum(late) / len(late) < 1.27


def test_jitter_never_overtakes() -> None:
    """TCP keeps the order: a late arrival holds up those behind it."""
    flow = Delay(0.0, jitter_s=1.0).flow(CLIENT, Draws(5))
    due = [piece.due_s for _ in range(50) for piece in flow.pieces(1, 0.0)]
    assert due == sorted(due)
    assert due[-1] > due[0]
