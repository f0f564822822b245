"""Driving: the fleet and what goes on beside it, from the first device to the last file.

In one process the fleet and the recorder are here; in several each shard has its own
(:mod:`fleetsim.runner.shards`) and their files are put together at the end.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from fleetsim.core.device_settings import NS_PER_S
from fleetsim.core.progress import Progress
from fleetsim.engine.fleet import CohortBinding, Ending, Timing
from fleetsim.recording.hlog import HistogramLog
from fleetsim.recording.names import LATENCY_LOG
from fleetsim.recording.outcomes import write_devices, write_generator
from fleetsim.recording.recorder import Recorder, Snapshot
from fleetsim.recording.run_folder import RunFolder
from fleetsim.recording.shards import LostDevices, merge_shards
from fleetsim.recording.states import StateRecorder
from fleetsim.runner.rehearsal import Rehearsal, first_error
from fleetsim.runner.running import LocalFleet, RunningFleet
from fleetsim.scenario.plan import Plan

SHARD_LOST = "shard_lost"
"""Action of the line of ``timeline.jsonl`` that says that a process died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """A run that is ready to begin.

    Attributes:
        plan: The whole plan.
        bindings: By cohort index.
        rehearsal: What goes on beside the fleet.
        folder: The run folder.
        processes: Number of processes that run the devices.
        cores: Cores for them in turn; empty = any.
        source_addresses: Local addresses to dial from; empty = any.
        is_surveyed: Whether progress shall have a survey and the generator's health.
        on_tick: Told once a second, with what gives the running totals.
        on_prepared: Given what does the same as Ctrl-C.
        on_lost: Told that a process died: its name, and what died with it.
    """

    plan: Plan
    bindings: Sequence[CohortBinding]
    rehearsal: Rehearsal
    folder: RunFolder
    processes: int
    cores: tuple[int, ...]
    source_addresses: tuple[str, ...]
    is_surveyed: bool
    on_tick: Callable[[Progress, Callable[[], Snapshot]], None]
    on_prepared: Callable[[Callable[[], None]], None]
    on_lost: Callable[[str, LostDevices], None]


async def drive(run: Drive) -> tuple[Ending, frozenset[str]]:
    """Run the fleet, what goes on beside it, and write what they leave behind.

    Returns:
        How it ended, and the ids of the devices whose process died.

    Raises:
        RecordingError: The run folder could not be written.
        GeneratorError: A process could not be started, or all have died.
        TargetError: The lab's calendar could not be started.
    """
    if run.processes == 1:
        return await _drive_alone(run), frozenset()
    return await _drive_shards(run)


async def _drive_alone(run: Drive) -> Ending:
    plan, path = run.plan, run.folder.path
    fleet: LocalFleet | None = None

    def now_ns() -> int:
        return fleet.now_ns() if fleet is not None else 0

    with (
        Recorder(
            path,
            now_ns,
            warm_up_ns=plan.warm_up_ns,
            started_unix_s=datetime.now(UTC).timestamp(),
        ) as recorder,
        StateRecorder(path) as states,
    ):
        fleet = LocalFleet(
            plan.devices,
            run.bindings,
            timing=Timing(
                duration_ns=plan.duration_ns,
                drain_ns=plan.drain_ns,
                look_every_ns=plan.look_every_ns,
            ),
            in_flight=plan.in_flight,
            sink=recorder,
            source_addresses=run.source_addresses,
            on_tick=lambda progress: run.on_tick(progress, recorder.snapshot),
            states=states,
            wall_clock=run.rehearsal.wall_clock,
            surveyed_shards=plan.shard_count if run.is_surveyed else None,
        )
        ending = await _rehearse(fleet, run)
        recorder.finish()
        states.finish()
        write_devices(path, fleet.outcomes())
        write_generator(path, fleet.health())
    return ending


async def _drive_shards(run: Drive) -> tuple[Ending, frozenset[str]]:
    # Only here: a run of one process needs none of it.
    from fleetsim.runner.shards.fleet import ShardedFleet, Sharding  # noqa: PLC0415

    path = run.folder.path
    started_unix_s = datetime.now(UTC).timestamp()
    with closing(HistogramLog(path / LATENCY_LOG, started_unix_s)) as log:
        fleet = ShardedFleet(
            run.plan,
            run.bindings,
            sharding=Sharding(
                count=run.processes,
                folder=path,
                cpus=run.cores,
                source_addresses=run.source_addresses,
                is_surveyed=run.is_surveyed,
            ),
            log=log,
            on_tick=lambda progress: run.on_tick(progress, fleet.snapshot),
            on_lost=lambda name, lost: _note_lost(run, name, lost),
            wall_clock=run.rehearsal.wall_clock,
        )
        ending = await _rehearse(fleet, run)
    await asyncio.to_thread(merge_shards, path, fleet.lost)
    write_devices(path, fleet.outcomes())
    write_generator(path, fleet.health())
    return ending, frozenset(device for lost in fleet.lost for device in lost.cohorts)


def _note_lost(run: Drive, name: str, lost: LostDevices) -> None:
    run.folder.note(
        SHARD_LOST,
        planned_ns=lost.at_ns,
        actual_ns=lost.at_ns,
        shard=name,
        devices=len(lost.cohorts),
        reason=lost.reason,
        at_s=lost.at_ns / NS_PER_S,
    )
    run.on_lost(name, lost)


async def _rehearse(fleet: RunningFleet, run: Drive) -> Ending:
    """Run the fleet with the timeline beside it; a signal ends both."""
    try:
        async with asyncio.TaskGroup() as group:
            beside = group.create_task(run.rehearsal.run(fleet))

            def interrupt() -> None:
                beside.cancel()
                fleet.interrupt()

            run.on_prepared(interrupt)
            with _signals(interrupt):
                ending = await fleet.run()
            beside.cancel()
    except ExceptionGroup as errors:
        raise first_error(errors) from errors
    run.rehearsal.close(fleet)
    return ending


@contextmanager
def _signals(interrupt: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    handled = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in handled}
    for number in handled:
        loop.add_signal_handler(number, interrupt)
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
            # The loop leaves SIGTERM deadly: the lab's keys would outlive the run.
            signal.signal(number, before[number])
