"""Actions on devices of a running fleet, by index, in a time that is free."""

import asyncio
from collections.abc import Iterator

import pytest

from fleetsim.core.commands import Connect, Send
from fleetsim.core.device import Device, Reported
from fleetsim.core.device_settings import RunClock
from fleetsim.core.settings import Credentials
from fleetsim.engine import actions
from fleetsim.engine.actions import FLAT_BATTERY_UNIX_S, DeviceActions
from fleetsim.engine.driver import Driver
from fleetsim.engine.fleet import Ending, Fleet
from fleetsim.exceptions import RecordingError
from fleetsim.transport.base import ClientIdentity
from fleetsim.transport.scripted import Answer
from tests.core.conversation import EPOCH_S, S
from tests.engine.rehearsal import Rehearsal, obliging, until

NEW_KEYS = Credentials(access_key="AKIDNEW", secret_key="also-not-a-secret")


def test_power_cycle_all_at_once() -> None:
    """Every device gets a new session; the count says how many had power."""
    run = Rehearsal()

    async def act(fleet: Fleet) -> None:
        await until(fleet, 25.5)
        assert await fleet.power_cycle(range(10)) == 10

    run.run(act)
    assert run.fleet is not None
    assert {outcome.power_cycles for outcome in run.fleet.outcomes()} == {1}
    sessions = {r.key.split("/")[1] for r in run.records if r.planned_ns > 26 * S}
    assert sessions == {"00000002"}


def test_power_cycle_spread_over_time() -> None:
    """Spread over 20 s the devices restart in order, evenly, the first at once."""
    run = Rehearsal()
    restarts: list[float] = []

    def note(rehearsal: Rehearsal, device: Device, command: Connect | Send) -> Answer:
        if command.task.operation == "schema" and isinstance(command, Connect):
            restarts.append(rehearsal.now_s)
        return obliging(rehearsal, device, command)

    run.script = note

    async def act(fleet: Fleet) -> None:
        await until(fleet, 20)
        assert await fleet.power_cycle(range(10), over_s=20.0) == 10
        assert 38 <= fleet.now_ns() / S < 38.1

    run.run(act, boot_uploads_schema=True, period_s=0)
    assert [round(at_s) for at_s in restarts] == [0] * 10 + list(range(20, 40, 2))


def test_sleep_and_wake() -> None:
    """Sleepers send nothing, wake into a new session, and count as asleep meanwhile."""
    run = Rehearsal()

    async def act(fleet: Fleet) -> None:
        await until(fleet, 20)
        assert await fleet.sleep([1, 3, 3, 99]) == 2
        assert fleet.figures()["asleep"] == 2
        assert fleet.figures()["asleep_share"] == 0.2
        assert fleet.progress.states["asleep"] == 2
        await until(fleet, 40)
        assert fleet.figures()["elapsed_s"] == pytest.approx(40, abs=0.1)
        assert await fleet.wake(range(10)) == 2
        assert fleet.states()["cohort"]["asleep"] == 0

    run.run(act)
    slept = [r for r in run.records if r.device in {"00000001", "00000003"}]
    assert not [r for r in slept if 20.1 * S < r.started_ns < 40 * S]
    assert run.states_of(1) == ["unreached", "connected", "asleep", "connected"]
    assert run.states_of(2) == ["unreached", "connected"]
    assert not [r for r in slept if 21 * S < r.planned_ns < 40 * S]


def test_the_drain_does_not_wait_for_sleepers() -> None:
    """Asleep at the end is a state of its own; the backlog stays on the card."""
    run = Rehearsal()

    async def act(fleet: Fleet) -> None:
        await until(fleet, 10.005)
        await fleet.sleep([0])
        await until(fleet, 45)

    assert run.run(act, drain_s=1000) is Ending.COMPLETED
    assert 60 <= run.loop.time() < 61
    assert run.fleet is not None
    outcomes = {outcome.device: outcome for outcome in run.fleet.outcomes()}
    assert outcomes["00000000"].state == "asleep"
    assert outcomes["00000000"].files_backlog == 1
    assert outcomes["00000001"].state == "connected"


def test_everybody_asleep_through_the_end() -> None:
    """A fleet that sleeps runs for its whole time all the same, and ends at once."""
    run = Rehearsal()

    async def act(fleet: Fleet) -> None:
        await until(fleet, 5)
        await fleet.sleep(range(10))

    run.run(act, drain_s=1000)
    assert 60 <= run.loop.time() < 61
    assert all(r.planned_ns <= 5 * S for r in run.records)


def test_woken_during_the_drain() -> None:
    """Who wakes in the drain still sends its backlog, and the drain waits for it."""
    run = Rehearsal()

    def slow(rehearsal: Rehearsal, device: Device, command: Connect | Send) -> Answer:
        return obliging(rehearsal, device, command)

    run.script = slow

    async def act(fleet: Fleet) -> None:
        await until(fleet, 20.005)
        await fleet.sleep([0])
        await fleet.set_network([1], is_up=False)
        await until(fleet, 62)
        await fleet.wake([0])
        await until(fleet, 64)
        await fleet.set_network([1], is_up=True)

    run.run(act, drain_s=30)
    assert run.fleet is not None
    outcomes = {outcome.device: outcome for outcome in run.fleet.outcomes()}
    assert outcomes["00000000"].files_backlog == 0
    assert outcomes["00000001"].files_backlog == 0
    assert 64 < run.loop.time() < 75


def test_clocks() -> None:
    """Skewed, set and flat clocks show in what the devices write from then on."""
    run = Rehearsal()

    async def act(fleet: Fleet) -> None:
        await until(fleet, 15)
        assert await fleet.skew_clock([0], 3600.0) == 1
        assert await fleet.skew_clock([1], -3600.0) == 1
        assert await fleet.skew_clock([1], 0.0) == 0
        assert await fleet.set_clock([2], 1_000_000_000) == 1
        assert await fleet.lose_rtc([3]) == 1

    run.run(act)
    for index, expected in enumerate(
        (EPOCH_S + 3600 + 50, EPOCH_S - 3600 + 50, 1_000_000_035)
    ):
        late = [
            r.device_unix_s - r.started_ns // S
            for r in run.records
            if r.device == f"{index:08X}" and r.started_ns > 16 * S
        ]
        assert all(abs(skew - (expected - 50)) <= 1 for skew in late[:1]), index
    flat = [r for r in run.records if r.device == "00000003" and r.started_ns > 16 * S]
    assert all(
        abs(r.device_unix_s - FLAT_BATTERY_UNIX_S - (r.started_ns - 15 * S) // S) <= 1
        for r in flat
    )


def test_network_down_and_up() -> None:
    """Devices without a network fail as unreachable, lose contact, and come back."""
    run = Rehearsal()

    async def act(fleet: Fleet) -> None:
        await until(fleet, 15)
        assert await fleet.set_network([0, 1], False) == 2
        assert await fleet.set_network([1], is_up=False) == 0
        await until(fleet, 50)
        assert fleet.figures()["failing"] == 2
        assert await fleet.set_network(range(10), True) == 2

    run.run(act, duration_s=100)
    kinds = {r.kind for r in run.records if r.device in {"00000000", "00000001"}}
    assert kinds == {"", "tcp.unreachable"}
    assert {r.kind for r in run.records if r.device > "00000001"} == {""}
    assert run.states_of(0)[:4] == ["unreached", "connected", "failing", "recovered"]


def test_credentials_change_from_the_next_request() -> None:
    """Devices sign with the new key; those not told go on with the old one."""
    run = Rehearsal()
    keys: dict[str, list[str]] = {}

    def note(rehearsal: Rehearsal, device: Device, command: Connect | Send) -> Answer:
        if isinstance(command, Send):
            head = command.head.decode()
            key = head.split("Credential=", 1)[1].split("/", 1)[0]
            keys.setdefault(device.device_id, []).append(key)
        return obliging(rehearsal, device, command)

    run.script = note

    async def act(fleet: Fleet) -> None:
        await until(fleet, 30.5)
        assert await fleet.set_credentials(range(5), NEW_KEYS) == 5
        assert await fleet.set_credentials(range(5), NEW_KEYS) == 0
        first, second = fleet.device(0), fleet.device(1)
        assert first is not None
        assert second is not None
        assert first.settings is second.settings, "one object for all of them"

    run.run(act)
    assert list(dict.fromkeys(keys["00000000"])) == ["AKIDEXAMPLE", "AKIDNEW"]
    assert set(keys["00000007"]) == {"AKIDEXAMPLE"}


def test_identity_goes_to_the_channel() -> None:
    """A new client certificate reaches the channel of that device only."""
    run = Rehearsal()
    identity = ClientIdentity(None, (), None)  # type: ignore[arg-type]  # only handed on

    async def act(fleet: Fleet) -> None:
        await until(fleet, 10)
        assert fleet.set_identity(4, identity)
        assert not fleet.set_identity(44, identity)

    run.run(act)
    assert run.channels["00000004"].identity is identity
    assert run.channels["00000005"].identity is None


def test_what_the_server_stored_of_devices() -> None:
    """Reports are those of acknowledged device.json files; each kind is judged once."""
    run = Rehearsal()
    judged: list[Reported] = []

    def is_wanted(report: Reported) -> bool:
        judged.append(report)
        return report.fw_ver == "01.07.05"

    async def act(fleet: Fleet) -> None:
        assert fleet.reported(0) is None
        assert fleet.count_reported(is_wanted) == 0
        await until(fleet, 7)
        assert fleet.reported(99) is None
        assert fleet.count_reported(is_wanted) == 10
        assert fleet.count_reported(is_wanted, [1, 2, 99]) == 2
        assert len(judged) == 2
        assert fleet.count_reported(lambda _report: False) == 0
        assert fleet.device(99) is None

    run.run(act, heartbeat_s=5)


def test_stranded_only_while_it_is_proved() -> None:
    """The fleet asks the proof once a second and once more at the very end."""
    run = Rehearsal()
    asked: list[float] = []

    def prove(device: Device) -> str | None:
        assert device.device_id == "00000000"
        asked.append(run.now_s)
        return "no way back" if run.now_s > 55 else None

    async def act(fleet: Fleet) -> None:
        fleet.set_stranding(prove)
        await until(fleet, 15)
        await fleet.set_network([0], False)

    run.run(act, drain_s=3)
    assert run.states_of(0)[-2:] == ["failing", "stranded"]
    assert run.fleet is not None
    assert run.fleet.outcomes()[0].state == "stranded"
    assert asked[-1] == pytest.approx(63, abs=0.2)
    assert len([at_s for at_s in asked if at_s < 60]) == pytest.approx(30, abs=2)


def test_a_broken_proof_surfaces() -> None:
    """A bug in a proof ends the run and is raised, like any other bug."""
    run = Rehearsal()

    def prove(_device: Device) -> str | None:
        raise ZeroDivisionError

    async def act(fleet: Fleet) -> None:
        fleet.set_stranding(prove)
        await fleet.set_network([0], False)
        await asyncio.sleep(1000)

    with pytest.raises(ExceptionGroup) as caught:
        run.run(act)
    assert isinstance(caught.value.exceptions[0], ZeroDivisionError)


def test_the_wall_clock_begins_with_the_run() -> None:
    """The clock is asked for when run time 0 is known, and replaces that of the plan."""
    origins: list[int] = []

    class Later(Fleet):
        def __init__(self, *args: object, **kwargs: object) -> None:
            super().__init__(*args, **kwargs, wall_clock=self._begins)  # type: ignore[arg-type]  # handed on

        def _begins(self, origin_ns: int) -> RunClock:
            origins.append(origin_ns)
            return RunClock(2_000_000_000 * S, 60.0)

    run = Rehearsal(fleet_class=Later)
    run.loop.jump(1234.5)
    run.run()
    assert origins == [pytest.approx(1234.5 * S, abs=S)]
    assert all(
        abs(r.device_unix_s - 2_000_000_000 - r.started_ns * 60 // S) <= 1
        for r in run.records
    )


def test_slices_let_the_loop_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever a slice of time is used up, others get their turn before it goes on."""
    ticks: Iterator[int] = iter(range(0, 10**12, actions.SLICE_NS // 4 + 1))
    acting = DeviceActions(lambda: next(ticks))
    order: list[str] = []

    class Fake:
        """Somebody to act on."""

        def __init__(self, number: int) -> None:
            self.number = number

        def power_off(self) -> bool:
            """Note the order."""
            order.append(f"device {self.number}")
            return True

    monkeypatch.setattr(Driver, "power_off", Fake.power_off)
    acting._by_index = {n: Fake(n) for n in range(12)}  # type: ignore[misc]  # fakes

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def other() -> None:
            order.append("other")
            if len(order) < 16:
                loop.call_soon(other)

        loop.call_soon(other)
        assert await acting.sleep(range(12)) == 12

    asyncio.run(main())
    told = [entry for entry in order if entry != "other"]
    assert told == [f"device {number}" for number in range(12)]
    others = [number for number, entry in enumerate(order) if entry == "other"]
    assert others[0] <= 4, "a slice is four looks at the clock"
    assert len(others) >= 2


def test_a_full_disk_of_histories_ends_the_run() -> None:
    """A history that cannot be written ends the run like a record that cannot."""
    run = Rehearsal()

    class Full:
        def __init__(self, _changes: object) -> None:
            self.taken = 0

        def add(self, *_: object) -> None:
            self.taken += 1
            if self.taken > 12:
                raise RecordingError("states.arrows", "disk full")

        def flush(self) -> None:
            """Nothing to write."""

    with pytest.MonkeyPatch.context() as patching:
        patching.setattr("tests.engine.rehearsal._History", Full)
        with pytest.raises(ExceptionGroup) as caught:
            run.run()
    assert isinstance(caught.value.exceptions[0], RecordingError)
    assert run.loop.time() < 15
