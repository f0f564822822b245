"""A whole fleet on a real loop in virtual time: stages, signals, errors, bounds."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from fleetsim.core.commands import Connect, Send
from fleetsim.core.device import Device
from fleetsim.core.events import Connected, Handshake, RequestFailed, ResponseReceived
from fleetsim.core.progress import STATES, Progress, Stage
from fleetsim.core.trust_bundle import EMPTY_BUNDLE
from fleetsim.engine import clock, fleet, health
from fleetsim.engine.driver import Driver
from fleetsim.engine.fleet import CohortBinding, Ending, Fleet, Timing
from fleetsim.exceptions import RecordingError
from fleetsim.recording.record import Record
from fleetsim.scenario.plan import DevicePlan
from fleetsim.transport.scripted import Answer, ScriptedChannel
from tests.core.conversation import RESET, S, make_settings, ok
from tests.engine.rehearsal import Rehearsal
from tests.engine.virtual_loop import VirtualLoop

MS = 1_000_000
HANDSHAKE = Connected(Handshake(version="TLSv1.2", suite="AES128-GCM-SHA256"))
Script = Callable[[Connect | Send], tuple[Answer, int]]


def obliging(command: Connect | Send) -> tuple[Answer, int]:
    """A network on which everything works: 20 ms to connect, 30 ms to answer."""
    if isinstance(command, Connect):
        return HANDSHAKE, 20 * MS
    return ResponseReceived(ok(etag='"e"'), is_open=command.keep_open), 30 * MS


def silent(command: Connect | Send) -> tuple[Answer, int]:
    """A server that takes the request and says nothing for an hour."""
    if isinstance(command, Connect):
        return HANDSHAKE, 20 * MS
    return RequestFailed(RESET), 3600 * S


@dataclass
class Sink:
    """Keeps records; may refuse them as a full disk does."""

    records: list[Record] = field(default_factory=list)
    flushes: int = 0
    refuses: str = ""

    def add(self, record: Record) -> None:
        """Keep one."""
        if self.refuses == "add":
            raise RecordingError("records.parquet", "disk full")
        self.records.append(record)

    def flush(self) -> None:
        """Count."""
        if self.refuses == "flush":
            raise RecordingError("records.parquet", "disk full")
        self.flushes += 1


@dataclass
class Run:
    """Everything around one run.

    Attributes:
        loop: Its loop; time is free.
        sink: Where its records go.
        ticks: What it told once a second.
    """

    loop: VirtualLoop
    sink: Sink = field(default_factory=Sink)
    ticks: list[Progress] = field(default_factory=list)
    fleet: Fleet | None = None

    def run(
        self,
        *,
        devices: int = 20,
        duration_s: float = 60.0,
        drain_s: float = 15.0,
        in_flight: int = 1000,
        start_over_s: float = 5.0,
        surveyed_shards: int | None = None,
        at: tuple[tuple[float, str], ...] = (),
        **settings: Any,
    ) -> Ending:
        """Run a fleet; ``at`` calls methods of it at these times."""

        async def main() -> Ending:
            made = self.fleet = Fleet(
                [
                    DevicePlan(
                        index=index,
                        device_id=f"{index:08X}",
                        cohort=0,
                        seed=index,
                        start_ns=int(index * start_over_s * S / devices),
                        phase_ns=index * 10 * S // devices,
                        clock_skew_s=0.0,
                    )
                    for index in range(devices)
                ],
                [
                    CohortBinding(
                        settings=make_settings(duration_s=duration_s, **settings),
                        bundle=EMPTY_BUNDLE,
                        identity=lambda _plan: None,
                    )
                ],
                timing=Timing(
                    duration_ns=int(duration_s * S), drain_ns=int(drain_s * S)
                ),
                in_flight=in_flight,
                sink=self.sink,
                on_tick=self.ticks.append,
                surveyed_shards=surveyed_shards,
            )
            for when_s, method in at:
                self.loop.call_later(when_s, getattr(made, method))
            return await made.run()

        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            return runner.run(main())


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Make a run whose network is a script."""

    def build(script: Script = obliging) -> Run:
        loop = VirtualLoop()
        monkeypatch.setattr(clock, "time", loop)
        monkeypatch.setattr(health, "time", loop)

        def channel(_network: object, driver: Driver, **_: object) -> ScriptedChannel:
            return ScriptedChannel(
                driver,
                script,
                lambda after_ns, callback: loop.call_later(after_ns / 1e9, callback),
            )

        monkeypatch.setattr(fleet, "NetworkChannel", channel)
        return Run(loop)

    return build


def test_a_run_from_power_on_to_the_last_file(make: Callable[..., Run]) -> None:
    """Every planned file is uploaded; the run ends with the backlog, not the deadline."""
    run = make()
    assert run.run() is Ending.COMPLETED
    records = run.sink.records
    # 20 devices, a file every 10 s for a minute; the first of phase 0 is before power-on.
    expected = sum(
        1
        for index in range(20)
        for k in range(7)
        if index * 0.25 < index * 0.5 + 10 * k < 60
    )
    assert len([r for r in records if not r.kind]) == len(records) == expected
    assert len({(r.device, r.planned_ns) for r in records}) == expected
    assert all(r.planned_ns <= r.due_ns <= r.started_ns <= r.ended_ns for r in records)
    assert 60 <= run.loop.time() < 60.5
    assert run.fleet is not None
    assert sum(o.files_acknowledged for o in run.fleet.outcomes()) == expected
    assert not run.fleet.health().saturated


def test_same_plan_same_records(make: Callable[..., Run]) -> None:
    """Two runs of one plan on one network are the same, record by record."""
    one, two = make(), None
    one.run(heartbeat_s=7)
    two = make()
    two.run(heartbeat_s=7)
    assert one.sink.records == two.sink.records


def test_progress_is_told_once_a_second(make: Callable[..., Run]) -> None:
    """Ticks show the power-on, the stage and an empty backlog."""
    run = make()
    run.run(duration_s=20)
    assert [round(tick.now_ns / S) for tick in run.ticks[:3]] == [1, 2, 3]
    assert run.ticks[0].powered < run.ticks[-1].powered == 20
    assert {tick.stage for tick in run.ticks} <= {Stage.LOAD, Stage.DRAIN}
    assert all(tick.devices == 20 and tick.failing == 0 for tick in run.ticks)
    assert run.sink.flushes >= len(run.ticks)


def test_progress_for_live_views(make: Callable[..., Run]) -> None:
    """Who asks gets a survey and the generator's health, who does not gets neither."""
    run = make()
    run.run(duration_s=20, surveyed_shards=1)
    last = run.ticks[-1]
    assert last.survey is not None
    assert last.survey.by_group() == {"group 1": 20}
    assert [STATES[code] for code in last.survey.states] == ["connected"] * 20
    assert last.cohorts == {"cohort": dict(last.states)}
    assert last.health is not None
    assert last.health.starts > 0
    unasked = make()
    unasked.run(duration_s=20)
    assert unasked.ticks[-1].survey is None
    assert unasked.ticks[-1].health is None
    seen, unseen = (
        sorted((r.device, r.planned_ns, r.kind) for r in each.sink.records)
        for each in (run, unasked)
    )
    assert seen == unseen


def test_drain_ends_at_its_deadline(make: Callable[..., Run]) -> None:
    """What is under way when the drain is over is recorded as stopped by the run."""
    run = make(silent)
    assert run.run(duration_s=30, drain_s=4) is Ending.COMPLETED
    assert 34 <= run.loop.time() < 34.5
    assert {r.kind for r in run.sink.records} == {"run.stopped"}
    assert len(run.sink.records) == 20


def test_first_signal_drains(make: Callable[..., Run]) -> None:
    """The load ends at the signal, the backlog still goes, nothing new is planned."""
    run = make()
    assert run.run(at=((25.0, "interrupt"),)) is Ending.INTERRUPTED
    assert 25 <= run.loop.time() < 25.5
    assert max(r.planned_ns for r in run.sink.records) <= 25 * S
    assert not [r for r in run.sink.records if r.kind]


def test_second_signal_stops_at_once(make: Callable[..., Run]) -> None:
    """Nobody waits for a silent server after the second signal."""
    run = make(silent)
    ending = run.run(drain_s=1000, at=((25.0, "interrupt"), (27.0, "interrupt")))
    assert ending is Ending.INTERRUPTED
    assert 27 <= run.loop.time() < 27.5
    assert {r.kind for r in run.sink.records} == {"run.stopped"}


def test_signal_before_anybody_is_on(make: Callable[..., Run]) -> None:
    """Devices that were never powered on do not hold the end up."""
    run = make()
    run.run(start_over_s=50, at=((1.0, "interrupt"),), drain_s=1000)
    assert run.loop.time() < 2
    assert run.fleet is not None
    assert run.fleet.progress.powered < 20


@pytest.mark.parametrize("refuses", ["add", "flush"])
def test_a_full_disk_ends_the_run(make: Callable[..., Run], refuses: str) -> None:
    """A sink that refuses is raised as it is, soon, and not after the whole run."""
    run = make()
    run.sink.refuses = refuses
    with pytest.raises(RecordingError, match="disk full"):
        run.run(duration_s=3600)
    assert run.loop.time() < 15


def test_a_bug_is_raised(make: Callable[..., Run]) -> None:
    """An exception in a callback ends the run and surfaces: nothing is swallowed."""

    def broken(command: Connect | Send) -> tuple[Answer, int]:
        raise ZeroDivisionError(str(command.task.key))

    run = make(broken)
    with pytest.raises(ZeroDivisionError):
        run.run(duration_s=3600)
    assert run.loop.time() < 15


def test_in_flight_bound(make: Callable[..., Run]) -> None:
    """Never more attempts at once than allowed; who had to wait is counted and told."""
    under_way, peak = 0, 0

    def slow(command: Connect | Send) -> tuple[Answer, int]:
        nonlocal under_way, peak
        if isinstance(command, Connect):
            under_way += 1
            peak = max(peak, under_way)
            return HANDSHAKE, 1500 * MS
        under_way -= 1
        return obliging(command)

    run = make(slow)
    run.run(in_flight=2, drain_s=60)
    assert peak == 2
    assert run.fleet is not None
    verdict = run.fleet.health()
    assert verdict.saturated
    assert verdict.late_starts > 0
    late = [r for r in run.sink.records if r.started_ns > r.due_ns]
    assert late
    assert all(r.planned_ns <= r.due_ns for r in run.sink.records)


def test_timers_of_heartbeat_and_check(make: Callable[..., Run]) -> None:
    """Heartbeats keep their period through the load and end with it."""
    run = make()
    run.run(devices=1, start_over_s=0, heartbeat_s=10, period_s=0, duration_s=45)
    beats = [r.planned_ns // S for r in run.sink.records]
    assert beats == [0, 10, 20, 30, 40]


class Oftener(Fleet):
    """A fleet of a run that was shortened to a quarter."""

    def __init__(self, *args: Any, timing: Timing, **options: Any) -> None:
        timing = replace(timing, look_every_ns=S // 4)
        super().__init__(*args, timing=timing, **options)


@pytest.mark.parametrize(
    ("fleet_class", "looks_per_s"), [(Fleet, 1), (Oftener, 5)], ids=["1 s", "250 ms"]
)
def test_a_shortened_run_looks_oftener(
    fleet_class: type[Fleet], looks_per_s: int
) -> None:
    """At devices in trouble: at every tick, and four times a second between them."""
    run = Rehearsal(fleet_class=fleet_class)
    asked: list[float] = []

    def prove(_device: Device) -> None:
        asked.append(run.now_s)

    async def act(fleet: Fleet) -> None:
        fleet.set_stranding(prove)
        await fleet.set_network([0], False)

    run.run(act, devices=1)
    in_ten = [at_s for at_s in asked if 40 <= at_s < 50]
    assert len(in_ten) == pytest.approx(10 * looks_per_s, abs=1)
