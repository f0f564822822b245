"""Device actions: each reaches the fleet as it is meant, and says what it changed."""

from collections.abc import Iterable
from typing import Any

import pytest

from fleetsim.runner.device_actions import act_on_devices
from fleetsim.scenario.timeline_schema import (
    LoseRtc,
    NetworkDown,
    NetworkUp,
    PowerCycleDevices,
    Selector,
    SetClock,
    SkewClock,
    SleepDevices,
    WakeDevices,
)
from tests.runner.stage import Stage, only, timeline_of

ENTRY = only(timeline_of({"name": "t", "at": "0s"}))
CHOSEN = (3, 1)


class Told:
    """A fleet that writes down what it is told and says that it changed one device."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        async def act(indexes: Iterable[int], *arguments: Any, **named: Any) -> int:
            assert tuple(indexes) == CHOSEN
            self.told.append((name, *arguments, *named.items()))
            return 1

        return act


@pytest.mark.parametrize(
    ("action", "told"),
    [
        (PowerCycleDevices(over=2.5), ("power_cycle", ("over_s", 2.5))),
        (SleepDevices(to=Selector()), ("sleep",)),
        (WakeDevices(), ("wake",)),
        (SkewClock(by=60), ("skew_clock", 60)),
        (SkewClock(by=60, backwards=True), ("skew_clock", -60)),
        (SetClock(time="2031-05-06T07:08:09Z"), ("set_clock", 1935817689)),
        (LoseRtc(), ("lose_rtc",)),
        (NetworkDown(), ("set_network", ("is_up", False))),
        (NetworkUp(), ("set_network", ("is_up", True))),
    ],
    ids=[
        "power cycle",
        "sleep",
        "wake",
        "forwards",
        "backwards",
        "set",
        "lose",
        "down",
        "up",
    ],
)
def test_what_the_fleet_is_told(action: Any, told: tuple[Any, ...]) -> None:
    """One call with the chosen devices in their order."""
    fleet: Any = Told()
    stage = Stage()
    facts = stage.complete(
        act_on_devices(stage.execution(ENTRY), action, fleet, CHOSEN)
    )
    assert fleet.told == [told]
    assert facts == {"devices": 2, "changed": 1}
