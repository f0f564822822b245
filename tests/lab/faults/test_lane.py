from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.draws import Draws
from fleetsim.lab.faults.blackhole import Blackhole
from fleetsim.lab.faults.delay import Delay
from fleetsim.lab.faults.flow import Direction, End, Fault, Flow
from fleetsim.lab.faults.lane import Lane, LaneEvents
from fleetsim.lab.faults.slow_first_byte import SlowFirstByte
from fleetsim.lab.faults.throttle import Throttle
from fleetsim.lab.faults.truncate import Truncate
from tests.lab.faults.bench import BenchLoop


@dataclass
class Rig:
    """A lane and what came out of it, with the times."""

    lane: Lane
    loop: BenchLoop
    came: list[tuple[float, bytes]]
    eof_s: list[float]
    ends: list[End]

    @property
    def received(self) -> bytes:
        """Everything delivered."""
        return b"".join(data for _, data in self.came)


def rig(*faults: Fault) -> Rig:
    """Make a lane to the client under some faults."""
    loop = BenchLoop()
    came: list[tuple[float, bytes]] = []
    eof_s: list[float] = []
    ends: list[End] = []
    events = LaneEvents(
        deliver=lambda data: came.append((loop.now_s, data)),
        deliver_eof=lambda: eof_s.append(loop.now_s),
        end=ends.append,
        moved=lambda: None,
    )
    flows: list[tuple[str, Flow]] = []
    for number, fault in enumerate(faults):
        flow = fault.flow(Direction.TO_CLIENT, Draws(number))
        if flow is not None:
            flows.append((fault.kind, flow))
    return Rig(Lane(loop.as_loop(), flows, events), loop, came, eof_s, ends)


PASSING = st.lists(
    st.one_of(
        st.builds(Delay, st.floats(0, 2), st.floats(0, 2)),
        st.builds(Throttle, st.floats(10, 1e6)),
        st.builds(SlowFirstByte, st.floats(0, 5)),
    ),
    max_size=4,
)
SENT = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=200)), max_size=12)


@given(faults=PASSING, sent=SENT, pauses=st.lists(st.booleans(), max_size=12))
def test_every_byte_arrives_once_and_in_order(
    faults: list[Fault], sent: list[tuple[float, bytes]], pauses: list[bool]
) -> None:
    """Whatever faults are in a row and however the receiver pauses, TCP stays TCP."""
    made = rig(*faults)
    for number, (after_s, data) in enumerate(sent):
        made.loop.run_until(made.loop.now_s + after_s)
        if number < len(pauses):
            (made.lane.stop if pauses[number] else made.lane.go)()
        made.lane.push(data)
    made.lane.push_eof()
    made.lane.go()
    made.loop.run_until(1e6)
    assert made.received == b"".join(data for _, data in sent)
    assert len(made.eof_s) == 1
    assert made.lane.is_empty
    assert made.lane.queued_bytes == 0
    assert all(at_s <= made.eof_s[0] for at_s, _ in made.came)


@given(faults=PASSING, sent=SENT, lift_after=st.integers(0, 12), held=st.booleans())
def test_lifting_lets_everything_go(
    faults: list[Fault], sent: list[tuple[float, bytes]], lift_after: int, held: bool
) -> None:
    """When the faults are over nothing waits any more, also behind a blackhole."""
    every = (*faults, Blackhole()) if held else tuple(faults)
    made = rig(*every)
    for number, (after_s, data) in enumerate(sent):
        if number == lift_after:
            for kind in {fault.kind for fault in every}:
                made.lane.lift(kind)
            assert made.lane.is_empty
        made.loop.run_until(made.loop.now_s + after_s)
        made.lane.push(data)
    for kind in {fault.kind for fault in every}:
        made.lane.lift(kind)
    assert made.received == b"".join(data for _, data in sent)
    assert made.loop.pending == 0


def test_faults_in_a_row_add_up() -> None:
    """A delay behind a throttle delays what the throttle lets through."""
    made = rig(Throttle(1000.0), Delay(1.0))
    made.lane.push(b"x" * 1000)
    made.loop.run_until(1.01)
    assert made.received == b""
    made.loop.run_until(1.51)
    assert 470 <= len(made.received) <= 500
    made.loop.run_until(2.01)
    assert len(made.received) == 1000


def test_end_comes_behind_the_last_byte_before_it() -> None:
    """A cut lets exactly its bytes through, then tells."""
    made = rig(Truncate(5))
    made.lane.push(b"abc")
    assert made.ends == []
    made.lane.push(b"defgh")
    assert made.received.startswith(b"abcde")
    assert made.ends == [End.CLOSE]


def test_closed_lane_drops_everything() -> None:
    """Nothing leaves a closed lane and no timer outlives it."""
    made = rig(Delay(1.0))
    made.lane.push(b"abc")
    made.lane.close()
    made.lane.push(b"def")
    made.lane.push_eof()
    made.loop.run_until(10.0)
    assert (made.received, made.eof_s, made.loop.pending) == (b"", [], 0)
    assert made.lane.is_empty


def test_without_faults_bytes_pass_at_once() -> None:
    """An empty lane is a wire."""
    made = rig()
    made.lane.push(b"abc")
    made.lane.push_eof()
    assert (made.came, made.eof_s) == ([(0.0, b"abc")], [0.0])
