from collections.abc import Callable
from typing import Any, cast

import pytest

from fleetsim.exceptions import InputError
from fleetsim.lab.faults.blackhole import Blackhole
from fleetsim.lab.faults.delay import Delay
from fleetsim.lab.faults.switch import FaultSwitch
from fleetsim.lab.slowness import Slowness
from fleetsim.lab.tls_front import TlsFront
from fleetsim.lab.troubles import Place, Troubles

S = 1_000_000_000


class Front:
    """A front on paper."""

    def __init__(self) -> None:
        self.faults = FaultSwitch()
        self.is_accepting = True
        self.live = 3

    def refuse(self) -> int:
        """Refuse."""
        self.is_accepting = False
        return self.close_connections()

    async def accept(self) -> None:
        """Accept."""
        self.is_accepting = True

    def close_connections(self) -> int:
        """Reset all."""
        closed, self.live = self.live, 0
        return closed


class Rig:
    """Three fronts, one of them the control plane's, on a clock the test moves."""

    def __init__(self) -> None:
        self.now_ns = 10 * S
        self.fronts = {name: Front() for name in ("a", "b", "control")}
        self.slowness = {name: Slowness() for name in self.fronts}
        self.troubles = Troubles(
            {
                name: Place(
                    front=cast("TlsFront", front),
                    slowness=self.slowness[name],
                    is_control=name == "control",
                )
                for name, front in self.fronts.items()
            },
            now_ns=lambda: self.now_ns,
            clock=lambda: self.now_ns / S + 1000.0,
        )

    @property
    def accepting(self) -> dict[str, bool]:
        """Who accepts."""
        return {name: front.is_accepting for name, front in self.fronts.items()}

    def kinds(self, front: str) -> list[str]:
        """Troubles of a front."""
        status = self.troubles.status()["fronts"][front]
        return [each["kind"] for each in status["troubles"]]


async def test_every_answer_says_when() -> None:
    """Monotonic time for reckoning, the lab's time of day for people."""
    rig = Rig()
    answers = [
        rig.troubles.outage("a", 1.0),
        rig.troubles.slow("a", 1.0, None),
        rig.troubles.fault("a", Blackhole(), 1.0, None),
        rig.troubles.reset("a"),
        rig.troubles.clear("a", None),
        await rig.troubles.restore("a"),
        rig.troubles.status(),
    ]
    for answer in answers:
        assert (answer["monotonic_ns"], answer["unix_s"]) == (10 * S, 1010.0)
        assert "a" in answer["fronts"]


async def test_all_means_all_but_the_control_plane() -> None:
    """Named, the control plane's front is hit like any other."""
    rig = Rig()
    done = rig.troubles.outage(None, None)
    assert done["fronts"] == {
        "a": {"connections_reset": 3, "ends_in_s": None},
        "b": {"connections_reset": 3, "ends_in_s": None},
    }
    assert rig.accepting == {"a": False, "b": False, "control": True}
    rig.troubles.outage("control", None)
    assert rig.accepting["control"] is False
    await rig.troubles.restore(None)
    assert rig.accepting == {"a": True, "b": True, "control": False}


async def test_each_trouble_ends_in_its_own_time() -> None:
    """Ends are due one after the other and undo what began, nothing else."""
    rig = Rig()
    rig.troubles.outage("a", 1.0)
    rig.troubles.slow("a", 5.0, 2.0)
    rig.troubles.fault("a", Delay(1.0), 1.0, 3.0)
    rig.troubles.fault("b", Delay(1.0), 1.0, None)
    assert rig.kinds("a") == ["outage", "slow", "fault.delay"]
    assert rig.troubles.next_end_s() == 1.0
    await rig.troubles.end_due()
    assert rig.kinds("a") == ["outage", "slow", "fault.delay"]
    rig.now_ns += S
    await rig.troubles.end_due()
    assert rig.accepting["a"] is True
    assert rig.slowness["a"].delay_s == 5.0
    rig.now_ns += S
    await rig.troubles.end_due()
    assert rig.slowness["a"].delay_s == 0.0
    assert rig.fronts["a"].faults.hits == {"delay": 0}
    rig.now_ns += S
    await rig.troubles.end_due()
    assert rig.fronts["a"].faults.hits == {}
    assert rig.kinds("a") == []
    assert rig.troubles.next_end_s() is None
    assert rig.kinds("b") == ["fault.delay"]


async def test_trouble_that_was_ended_does_not_end_another() -> None:
    """The end of an outage that was cut short does not cut the next one short."""
    rig = Rig()
    rig.troubles.outage("a", 1.0)
    assert (await rig.troubles.restore("a"))["fronts"]["a"] == {"ended": ["outage"]}
    rig.troubles.outage("a", 10.0)
    rig.now_ns += 2 * S
    await rig.troubles.end_due()
    assert rig.accepting["a"] is False
    assert (await rig.troubles.restore("b"))["fronts"]["b"] == {"ended": []}


def test_faults_are_cleared_by_kind() -> None:
    """Clearing one kind leaves the others, and says what was there."""
    rig = Rig()
    rig.troubles.fault(None, Delay(1.0), 0.5, None)
    rig.troubles.fault("a", Blackhole(), 1.0, 9.0)
    assert rig.troubles.clear("a", "delay")["fronts"] == {
        "a": {"ended": ["fault.delay"]}
    }
    assert rig.kinds("a") == ["fault.blackhole"]
    assert rig.troubles.clear(None, None)["fronts"] == {
        "a": {"ended": ["fault.blackhole"]},
        "b": {"ended": ["fault.delay"]},
    }
    assert rig.troubles.next_end_s() is None


def test_status_tells_what_is_left() -> None:
    """Ends are counted down; what has no end says so."""
    rig = Rig()
    rig.troubles.outage("a", 4.0)
    rig.troubles.slow("a", 1.0, None)
    rig.now_ns += S
    assert rig.troubles.status()["fronts"]["a"] == {
        "is_accepting": False,
        "live": 0,
        "answers_held": 0,
        "connections_hit": {},
        "troubles": [
            {"kind": "outage", "began_monotonic_ns": 10 * S, "ends_in_s": 3.0},
            {"kind": "slow", "began_monotonic_ns": 10 * S, "ends_in_s": None},
        ],
    }


@pytest.mark.parametrize(
    "use",
    [
        lambda t: t.outage("c", None),
        lambda t: t.slow("c", 1.0, None),
        lambda t: t.fault("c", Delay(1.0), 1.0, None),
        lambda t: t.reset("c"),
        lambda t: t.clear("c", None),
    ],
    ids=["outage", "slow", "fault", "reset", "clear"],
)
def test_unknown_front_is_refused(use: Callable[[Troubles], Any]) -> None:
    """The refusal names the fronts there are."""
    with pytest.raises(InputError, match="a, b, control"):
        use(Rig().troubles)
