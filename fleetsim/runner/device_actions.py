"""Device actions: power, clocks and networks of the devices an entry selects."""

from collections.abc import Sequence
from typing import assert_never

from fleetsim.engine.actions import Devices
from fleetsim.runner.timeline import Execution, Facts
from fleetsim.scenario.dates import parse_date
from fleetsim.scenario.timeline_schema import (
    LoseRtc,
    NetworkDown,
    NetworkUp,
    PowerCycleDevices,
    SetClock,
    SkewClock,
    SleepDevices,
    WakeDevices,
)

DeviceAction = (
    PowerCycleDevices
    | SleepDevices
    | WakeDevices
    | SkewClock
    | SetClock
    | LoseRtc
    | NetworkDown
    | NetworkUp
)


async def act_on_devices(
    execution: Execution,
    action: DeviceAction,
    fleet: Devices,
    chosen: Sequence[int],
) -> Facts:
    """Carry one out.

    Args:
        execution: The entry.
        action: What is done.
        fleet: Who does it.
        chosen: Indexes of the devices.

    Returns:
        How many devices were chosen, and for how many it changed anything: a sleeping
        device is not switched off again.
    """
    match action:
        case PowerCycleDevices():
            execution.is_effective = action.over == 0
            changed = await fleet.power_cycle(chosen, over_s=action.over)
        case SleepDevices():
            changed = await fleet.sleep(chosen)
        case WakeDevices():
            changed = await fleet.wake(chosen)
        case SkewClock():
            by_s = -action.by if action.backwards else action.by
            changed = await fleet.skew_clock(chosen, by_s)
        case SetClock():
            changed = await fleet.set_clock(chosen, parse_date(action.time))
        case LoseRtc():
            changed = await fleet.lose_rtc(chosen)
        case NetworkDown():
            changed = await fleet.set_network(chosen, is_up=False)
        case NetworkUp():
            changed = await fleet.set_network(chosen, is_up=True)
        case _:
            assert_never(action)
    return {"devices": len(chosen), "changed": changed}
