"""Same seed, same device histories: a rehearsal with everything that can go wrong."""

from collections import defaultdict

import pytest

from fleetsim.core.commands import Connect, Send
from fleetsim.core.contact import Change
from fleetsim.core.device import Device
from fleetsim.core.events import ConnectFailed, ResponseReceived
from fleetsim.core.failure import Failure, Kind, Phase, verify
from fleetsim.core.settings import RetryPolicy
from fleetsim.engine.fleet import Fleet
from fleetsim.transport.scripted import Answer
from tests.core.conversation import EPOCH_S, NO_SHARED_CIPHER, S, s3_error
from tests.engine.rehearsal import Rehearsal, obliging, until

DEVICES = 40
PERIOD_S = 10.0
REFUSED = Failure(Kind.TCP_REFUSED, Phase.TCP)


def troubled(rehearsal: Rehearsal, device: Device, command: Connect | Send) -> Answer:
    """A server that is down for a while, drops a group, and judges clocks."""
    now_s = rehearsal.now_s
    if isinstance(command, Connect):
        if 50.1 < now_s < 75.1:
            return ConnectFailed(REFUSED)
        if abs(command.verify_unix_s - EPOCH_S - now_s) > 100_000:
            return ConnectFailed(verify("cert_not_yet_valid"))
        if now_s > 120.1 and command.group is not None and "1" in command.group.name:
            return ConnectFailed(NO_SHARED_CIPHER)
    elif abs(command.task.device_unix_s - EPOCH_S - now_s) > 900:
        answer = s3_error(403, "RequestTimeTooSkewed")
        return ResponseReceived(answer, is_open=False)
    return obliging(rehearsal, device, command)


async def trouble(fleet: Fleet) -> None:
    """What the operator and the world do to the fleet."""
    flat = {f"{index:08X}" for index in range(5, 10)}
    fleet.set_stranding(
        lambda device: "its clock is flat" if device.device_id in flat else None
    )
    await until(fleet, 20.17)
    await fleet.sleep(range(5))
    await fleet.lose_rtc(range(5, 10))
    await fleet.skew_clock(range(10, 15), 1000.0)
    await until(fleet, 30.17)
    await fleet.set_network(range(15, 20), False)
    await until(fleet, 100.17)
    await fleet.wake(range(5))
    await fleet.set_network(range(15, 20), True)
    await fleet.skew_clock(range(10, 15), -1000.0)
    await fleet.set_clock(range(5, 7), EPOCH_S + 100)
    await until(fleet, 150.17)
    await fleet.power_cycle(range(20, 30), over_s=4.0)


def rehearse(latency_seed: int) -> Rehearsal:
    """Run it on one network timing."""
    run = Rehearsal(troubled, latency_seed)
    run.run(
        trouble,
        devices=DEVICES,
        duration_s=220.0,
        period_s=PERIOD_S,
        heartbeat_s=30.0,
        retry=RetryPolicy(first_s=4.0, jitter_ratio=0.5),
    )
    return run


def by_device(run: Rehearsal) -> dict[str, list[Change]]:
    """The history of every device."""
    found = defaultdict(list)
    for device, change in run.changes:
        found[device].append(change)
    return dict(found)


@pytest.mark.slow
def test_same_network_same_everything() -> None:
    """On the same network timing two runs agree attempt by attempt, change by change."""
    one, two = rehearse(1), rehearse(1)
    assert one.changes == two.changes
    assert one.records == two.records


@pytest.mark.slow
def test_other_timing_same_histories() -> None:
    """On another network timing the states, their order and their reasons agree.

    The times agree to a contact period and a second: a try just before or just after
    something happened makes the difference of a wait, a recovery that ends with the next
    success that of a period, and silence and proofs are looked at once a second.
    """
    one, two = by_device(rehearse(1)), by_device(rehearse(2))
    assert one.keys() == two.keys()
    for device, changes in one.items():
        others = two[device]
        assert [(c.was, c.now, c.reason) for c in changes] == [
            (c.was, c.now, c.reason) for c in others
        ], device
        for change, other in zip(changes, others, strict=True):
            assert abs(change.at_ns - other.at_ns) < (PERIOD_S + 1) * S, (
                device,
                change,
                other,
            )


@pytest.mark.slow
def test_the_histories_tell_what_happened() -> None:
    """Every group of devices shows what was done to it, and no other."""
    run = rehearse(3)
    histories = by_device(run)

    def states(index: int) -> list[str]:
        return [change.now.value for change in histories[f"{index:08X}"]]

    for index in range(5):
        assert states(index)[:4] == ["unreached", "connected", "asleep", "connected"]
    for index in range(5, 7):
        assert states(index)[:5] == [
            "unreached",
            "connected",
            "failing",
            "stranded",
            "recovered",
        ]
    for index in range(7, 10):
        assert states(index) == ["unreached", "connected", "failing", "stranded"]
    for index in range(10, DEVICES):
        assert states(index)[:4] == ["unreached", "connected", "failing", "recovered"]
    assert run.fleet is not None
    final = {outcome.device: outcome for outcome in run.fleet.outcomes()}
    assert {final[f"{index:08X}"].state for index in range(7, 10)} == {"stranded"}
    assert {final[f"{index:08X}"].cipher_group for index in range(10, 20)} == {
        "group 3"
    }
    for index in range(20, 30):
        # Restarted after the first group was gone: 1 fails, 2 connects.
        assert final[f"{index:08X}"].cipher_group == "group 2"
