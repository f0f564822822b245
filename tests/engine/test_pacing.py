"""Pacing: the bound holds, nobody overtakes, every slot comes back."""

from hypothesis import given
from hypothesis import strategies as st

from fleetsim.engine.pacing import Limiter


class Applicant:
    """Somebody who wants a slot."""

    def __init__(self, name: int, admitted: list[int]) -> None:
        self.name = name
        self._admitted = admitted

    def on_admitted(self) -> None:
        """Note that a slot was handed over."""
        self._admitted.append(self.name)


def test_slots_are_handed_over_in_the_order_of_arrival() -> None:
    """Who waits longest gets the slot that comes back."""
    admitted: list[int] = []
    limiter = Limiter(1)
    assert limiter.take(Applicant(0, admitted))
    for name in (1, 2, 3):
        assert not limiter.take(Applicant(name, admitted))
    for _ in range(3):
        limiter.give_back()
    assert admitted == [1, 2, 3]
    assert limiter.taken == 1
    limiter.give_back()
    assert (limiter.taken, limiter.peak, limiter.queued) == (0, 1, 3)


def test_who_left_the_queue_gets_no_slot() -> None:
    """A device that gave up is passed over."""
    admitted: list[int] = []
    limiter = Limiter(1)
    limiter.take(Applicant(0, admitted))
    waiting = [Applicant(name, admitted) for name in (1, 2)]
    for one in waiting:
        limiter.take(one)
    limiter.forget(waiting[0])
    limiter.forget(waiting[0])
    limiter.give_back()
    assert admitted == [2]


actions = st.lists(st.sampled_from(["take", "give", "forget"]), max_size=200)


@given(limit=st.integers(1, 5), actions=actions)
def test_the_bound_holds(limit: int, actions: list[str]) -> None:
    """Whatever happens: never more than the limit, and nobody waits beside a free slot."""
    admitted: list[int] = []
    limiter = Limiter(limit)
    holders, waiting = 0, []
    for name, action in enumerate(actions):
        if action == "take":
            one = Applicant(name, admitted)
            if limiter.take(one):
                holders += 1
            else:
                waiting.append(one)
        elif action == "forget" and waiting:
            limiter.forget(waiting.pop())
        elif action == "give" and holders:
            before = len(admitted)
            limiter.give_back()
            if len(admitted) > before:
                assert admitted[-1] == waiting.pop(0).name
            else:
                assert not waiting
                holders -= 1
        assert limiter.taken == holders <= limit
        assert not waiting or holders == limit
        assert limiter.peak >= holders
