from hypothesis import given
from hypothesis import strategies as st

from fleetsim.lab.timetable import Timetable, Trouble

S = 1_000_000_000


class Time:
    """A clock the test moves."""

    def __init__(self) -> None:
        self.now_ns = 5 * S

    def __call__(self) -> int:
        """Now."""
        return self.now_ns


def test_trouble_ends_when_its_time_is_over() -> None:
    """It is due at its end, not before, and only once."""
    time = Time()
    timetable = Timetable(time)
    begun = timetable.begin("tls", "outage", 2.5)
    assert begun == Trouble(
        front="tls", kind="outage", began_ns=5 * S, ends_ns=7 * S + S // 2
    )
    assert timetable.next_end_s() == 2.5
    time.now_ns += 2 * S
    assert timetable.take_due() == ()
    assert timetable.active() == (begun,)
    time.now_ns += S // 2
    assert timetable.next_end_s() == 0.0
    assert timetable.take_due() == (begun,)
    assert timetable.take_due() == ()
    assert timetable.active() == ()


def test_trouble_without_an_end_is_never_due() -> None:
    """It is over by command alone, and only what is on can be ended."""
    time = Time()
    timetable = Timetable(time)
    timetable.begin("tls", "slow", None)
    time.now_ns += 10**6 * S
    assert timetable.next_end_s() is None
    assert timetable.take_due() == ()
    assert timetable.end("tls", "slow")
    assert not timetable.end("tls", "slow")


def test_one_of_a_kind_per_front() -> None:
    """A trouble begun again ends when the new one does; fronts are apart."""
    time = Time()
    timetable = Timetable(time)
    timetable.begin("a", "outage", 1.0)
    timetable.begin("a", "outage", 9.0)
    timetable.begin("b", "outage", 3.0)
    time.now_ns += 4 * S
    assert [each.front for each in timetable.take_due()] == ["b"]
    assert [each.front for each in timetable.active("a")] == ["a"]
    assert timetable.active("b") == ()


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 100)), min_size=1, max_size=20)
)
def test_due_troubles_come_in_the_order_of_their_ends(
    begun: list[tuple[int, int]],
) -> None:
    """However they were begun, asking at every announced end finds each once."""
    time = Time()
    timetable = Timetable(time)
    expected = {}
    for front, duration_s in begun:
        timetable.begin(str(front), "slow", float(duration_s))
        expected[str(front)] = duration_s
    found = []
    while (wait_s := timetable.next_end_s()) is not None:
        time.now_ns += round(wait_s * S)
        found += [(each.ends_ns, each.front) for each in timetable.take_due()]
    assert {front for _, front in found} == set(expected)
    assert len(found) == len(expected)
    assert [at for at, _ in found] == sorted(at for at, _ in found)  # type: ignore[type-var]  # all have ends
