"""Timers of a fleet: in order, never early, never lost, one real timer for all."""

from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.engine.clock import MAX_FIRED_AT_ONCE, Alarms, MonotonicClock
from tests.engine.fake_loop import FakeLoop

MS = 1_000_000
"""Timers of the loop go in whole milliseconds."""


def make() -> tuple[FakeLoop, Alarms]:
    """Timers on a fake loop."""
    loop = FakeLoop()
    return loop, Alarms(loop.as_loop(), lambda: loop.now_ns)


def test_monotonic_clock_starts_at_0_and_does_not_go_back() -> None:
    """Run time is counted from the making of the clock."""
    clock = MonotonicClock()
    first, second = clock.now_ns(), clock.now_ns()
    assert 0 <= first <= second


dues = st.lists(st.integers(0, 1000).map(lambda ms: ms * MS), min_size=1, max_size=50)


@given(dues=dues, cancelled=st.sets(st.integers(0, 49)))
def test_every_alarm_fires_once_in_order_and_never_early(
    dues: list[int], cancelled: set[int]
) -> None:
    """What was armed fires when due, sorted by time; what was disarmed never does."""
    loop, alarms = make()
    fired: list[tuple[int, int]] = []

    def note(index: int) -> None:
        fired.append((loop.now_ns, index))

    armed = [
        alarms.arm(due_ns, partial(note, index)) for index, due_ns in enumerate(dues)
    ]
    for index in cancelled & set(range(len(dues))):
        armed[index].disarm()
    loop.run_until(2000 * MS)
    assert {index for _, index in fired} == set(range(len(dues))) - cancelled
    assert len(fired) == len({index for _, index in fired})
    assert [now_ns for now_ns, _ in fired] == sorted(dues[i] for _, i in fired)
    assert all(now_ns >= dues[index] for now_ns, index in fired)
    assert len(alarms) == loop.pending == 0


@given(dues=dues)
def test_one_real_timer_is_armed_at_most(dues: list[int]) -> None:
    """However many devices wait, the loop has one timer for all of them."""
    loop, alarms = make()
    for due_ns in dues:
        alarms.arm(due_ns, lambda: None)
        assert loop.pending == 1


@given(due_ns=st.integers(0, 10 * MS))
def test_between_two_milliseconds_an_alarm_is_late_and_never_early(due_ns: int) -> None:
    """Timers of libuv count milliseconds: an alarm fires at the next whole one, once."""
    loop, alarms = make()
    fired: list[int] = []
    alarms.arm(due_ns, lambda: fired.append(loop.now_ns))
    loop.run_until(20 * MS)
    assert len(fired) == loop.timers_set == 1
    assert due_ns <= fired[0] < due_ns + MS


def test_arming_from_a_callback() -> None:
    """A device that arms its next wait while its timer fires is not forgotten."""
    loop, alarms = make()
    fired: list[int] = []

    def again() -> None:
        fired.append(loop.now_ns)
        if len(fired) < 5:
            alarms.arm(loop.now_ns + 10 * MS, again)

    alarms.arm(10 * MS, again)
    loop.run_until(100 * MS)
    assert fired == [10 * MS, 20 * MS, 30 * MS, 40 * MS, 50 * MS]


def test_a_past_due_time_fires_at_once() -> None:
    """An alarm for the past asks for no negative delay."""
    loop, alarms = make()
    loop.run_until(100)
    fired: list[int] = []
    alarms.arm(50, lambda: fired.append(loop.now_ns))
    loop.run_until(100)
    assert fired == [100]


def test_sockets_are_served_between_batches() -> None:
    """A herd of alarms does not hold the loop: a batch, then another turn of the loop."""
    loop, alarms = make()
    fired: list[int] = []
    for _ in range(MAX_FIRED_AT_ONCE * 2 + 1):
        alarms.arm(10 * MS, lambda: fired.append(loop.timers_set))
    loop.run_until(10 * MS)
    assert len(fired) == MAX_FIRED_AT_ONCE * 2 + 1
    assert len(set(fired)) == 3


def test_a_late_loop_fires_everything_that_became_due() -> None:
    """When the loop comes late, all that is due fires in one go."""
    loop, alarms = make()
    fired: list[int] = []
    for due_ns in (10 * MS, 20 * MS, 30 * MS):
        alarms.arm(due_ns, lambda: fired.append(loop.now_ns))
    loop.run_until(30 * MS, late_ns=25 * MS)
    assert fired == [35 * MS] * 3


@pytest.mark.parametrize("from_callback", [True, False])
def test_cancel_all(*, from_callback: bool) -> None:
    """After cancel_all nothing fires, also when an alarm itself ends the run."""
    loop, alarms = make()
    fired: list[int] = []
    if from_callback:
        alarms.arm(5 * MS, alarms.cancel_all)
    for due_ns in (10 * MS, 20 * MS):
        alarms.arm(due_ns, lambda: fired.append(loop.now_ns))
    if not from_callback:
        alarms.cancel_all()
    loop.run_until(100 * MS)
    assert fired == []
    assert loop.pending == 0
    alarms.arm(110 * MS, lambda: fired.append(loop.now_ns))
    loop.run_until(200 * MS)
    assert fired == [110 * MS], "timers can be armed again"
