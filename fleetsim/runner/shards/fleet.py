"""ShardedFleet: the shards of one plan as one fleet.

What is asked about the whole fleet is answered from the newest glance and tick of every
shard, added up. What is to happen to devices goes to the shards that run them; an action
is done when all of these have answered (:mod:`fleetsim.runner.shards.devices`).
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, assert_never

from fleetsim.core.device_settings import NS_PER_S, RunClock
from fleetsim.core.histogram import Histogram
from fleetsim.core.outcomes import DeviceOutcome, GeneratorHealth, ProcessHealth
from fleetsim.core.progress import Progress
from fleetsim.core.sums import add_up
from fleetsim.engine.fleet import CohortBinding, Ending, Timing
from fleetsim.engine.health import peak_rss_bytes
from fleetsim.engine.merging import merge_health, merge_progress
from fleetsim.engine.shard_fleet import Glance
from fleetsim.exceptions import GeneratorError, RecordingError
from fleetsim.recording.recorder import LatencyLog, Snapshot
from fleetsim.recording.shards import LostDevices, make_shard_folder
from fleetsim.runner.shards.devices import SharedDevices
from fleetsim.runner.shards.member import Member
from fleetsim.runner.shards.messages import (
    Answer,
    Ended,
    Failed,
    GivenIdentities,
    Go,
    Job,
    Order,
    Ready,
    Tick,
    ToParent,
)
from fleetsim.runner.shards.names import SharedNames
from fleetsim.scenario.plan import DevicePlan, Plan
from fleetsim.transport.resolver import Resolver

LOOK_S: Final = 0.02
"""A shard hears of changed surroundings at most this much later."""

LEAD_NS: Final = 20_000_000
"""Run time 0 is so far ahead when it is named that every shard hears of it before."""

TICK_AT_LEAST_NS: Final = 2 * NS_PER_S
"""A shard that does not tick does not keep the others from being seen."""

GRACE_NS: Final = 30 * NS_PER_S
"""A shard that has not ended so long after it should have is killed."""

Lost = Callable[[str, LostDevices], None]
"""Told that a shard died: its name, and what died with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharding:
    """How a plan is divided.

    Attributes:
        count: Number of shards, 1..number of devices.
        folder: Run folder; each shard records into one of its own below it.
        cpus: Cores for the shards in turn; empty = any.
        source_addresses: Local addresses to dial from; empty = any.
        is_surveyed: Whether progress shall have a survey and the generator's health.
    """

    count: int
    folder: Path
    cpus: tuple[int, ...] = ()
    source_addresses: tuple[str, ...] = ()
    is_surveyed: bool = False


class ShardedFleet(SharedDevices):
    """Runs the devices of a plan in several processes.

    Args:
        plan: The whole plan.
        bindings: One per cohort, by cohort index.
        sharding: How it is divided.
        log: Where the latency intervals of all shards go.
        on_tick: Called once a second with the progress.
        on_lost: Called when a shard has died.
        wall_clock: Gives the devices' wall clock for the monotonic time of run time 0.
    """

    def __init__(
        self,
        plan: Plan,
        bindings: Sequence[CohortBinding],
        *,
        sharding: Sharding,
        log: LatencyLog,
        on_tick: Callable[[Progress], None],
        on_lost: Lost,
        wall_clock: Callable[[int], RunClock],
    ) -> None:
        shares = [plan.shard(i, sharding.count) for i in range(sharding.count)]
        super().__init__(
            [
                Member(
                    name=f"shard {share.shard_index + 1} of {sharding.count}",
                    devices=share.devices,
                    on_message=self._take,
                    on_gone=self._gone,
                )
                for share in shares
            ]
        )
        self._shares = shares
        self._plan = plan
        self._bindings = bindings
        self._sharding = sharding
        self._log = log
        self._on_tick = on_tick
        self._on_lost = on_lost
        self._wall_clock = wall_clock
        self._all_ready = asyncio.Event()
        self._all_over = asyncio.Event()
        self._is_begun = False
        self._is_interrupted = False
        self._is_finishing = False
        self._error: BaseException | None = None
        self._end_by_ns = plan.duration_ns + plan.drain_ns + GRACE_NS
        self._intervals: dict[str, Histogram] = {}
        self._logged_ns = 0
        self._cpu_mark_s = time.process_time()
        self._names: SharedNames | None = None

    # ------------------------------------------------------------ run

    async def run(self) -> Ending:
        """Run to the end.

        Returns:
            How it ended. Outcomes and health are valid afterwards.

        Raises:
            GeneratorError: A process could not be started, or all have died.
            RecordingError: The run folder could not be written.
            RuntimeError: A bug in a shard, with its traceback.
        """
        try:
            await self._start()
            if self._error is None:
                self._begin()
                await self._follow()
                self._write_log()
        finally:
            for member in self._members:
                await member.process.close()
        if self._error is not None:
            raise self._error
        if all(member.lost is not None for member in self._members):
            reasons = {m.lost.reason for m in self._members if m.lost is not None}
            raise GeneratorError("every process of the fleet died", "; ".join(reasons))
        return Ending.INTERRUPTED if self._is_interrupted else Ending.COMPLETED

    async def _start(self) -> None:
        """Start every process and let it build its devices."""
        for member, share in zip(self._members, self._shares, strict=True):
            await member.process.start()
            member.process.send(self._job(member, share))
        self._shares.clear()
        await self._all_ready.wait()

    def _job(self, member: Member, share: Plan) -> Job:
        cpus = self._sharding.cpus
        index = share.shard_index
        return Job(
            name=member.name,
            devices=share.devices,
            bindings=tuple(
                replace(
                    binding,
                    identity=GivenIdentities(
                        {
                            device.index: identity
                            for device in share.devices
                            if device.cohort == cohort
                            and (identity := binding.identity(device)) is not None
                        }
                    ),
                )
                for cohort, binding in enumerate(self._bindings)
            ),
            timing=Timing(
                duration_ns=share.duration_ns,
                drain_ns=share.drain_ns,
                look_every_ns=share.look_every_ns,
            ),
            in_flight=share.in_flight,
            warm_up_ns=share.warm_up_ns,
            folder=make_shard_folder(self._sharding.folder, index),
            source_addresses=self._sharding.source_addresses,
            cpu=cpus[index % len(cpus)] if cpus else None,
            surveyed_shards=share.shard_count if self._sharding.is_surveyed else None,
        )

    def _begin(self) -> None:
        """Name run time 0."""
        origin_ns = time.monotonic_ns() + LEAD_NS
        self._clock.origin_ns = origin_ns
        self._cpu_mark_s = time.process_time()
        self._names = SharedNames(
            Resolver(asyncio.get_running_loop(), self.now_ns), self._tell
        )
        self._is_begun = True
        go = Go(origin_ns, self._wall_clock(origin_ns))
        for member in self._members:
            member.process.send(go)

    async def _follow(self) -> None:
        """Accompany the shards until all are over."""
        while not self._all_over.is_set():
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._all_over.wait()
            except TimeoutError:
                self._refresh()
                for member in self._members:
                    member.give_out()
            self._second()
            if self.now_ns() > self._end_by_ns:
                for member in self._members:
                    if not member.is_over:
                        member.process.kill()

    def _end_soon(self, drain_ns: int = 0) -> None:
        end_by_ns = self.now_ns() + drain_ns + GRACE_NS
        self._end_by_ns = min(self._end_by_ns, end_by_ns)

    def _fail(self, error: BaseException) -> None:
        """End the run at once; the first error is raised in the end."""
        if self._error is None:
            self._error = error
        self.abort()
        self._all_ready.set()

    # ------------------------------------------------------------ from the shards

    def _take(self, member: Member, message: ToParent) -> None:
        match message:
            case Ready():
                self._saw(member, message.glance)
                member.is_ready = True
                if all(each.is_ready for each in self._members):
                    self._all_ready.set()
            case Glance():
                self._saw(member, message)
                self._finish_when_settled()
            case Tick():
                self._ticked(member, message)
                self._second()
            case Ended():
                self._saw(member, message.glance)
                self._ticked(member, message.tick)
                member.ended = message
                self._one_is_over()
            case Failed():
                member.has_failed = True
                self._fail(
                    RecordingError(message.where, message.what)
                    if message.where
                    else RuntimeError(f"{member.name}: {message.what}")
                )
                self._one_is_over()
            case Answer():
                raise TypeError("an answer is for the member that asked")
            case _:
                assert_never(message)

    def _saw(self, member: Member, glance: Glance) -> None:
        member.saw(glance)
        self._learn(glance.reported)

    def _ticked(self, member: Member, tick: Tick) -> None:
        member.ticked(tick)
        for phase, seen in tick.intervals.items():
            self._intervals.setdefault(phase, Histogram()).merge(seen)

    def _gone(self, member: Member, how: str) -> None:
        """The process of a shard has ended."""
        if member.is_over:
            return
        member.lost = LostDevices(
            at_ns=self.now_ns(),
            reason=how,
            cohorts={
                device.device_id: self._plan.cohorts[device.cohort].name
                for device in member.devices
            },
        )
        if not self._is_begun:
            self._fail(GeneratorError(member.name, f"could not be started: {how}"))
        elif self._error is None:
            try:
                self._on_lost(member.name, member.lost)
            except RecordingError as error:
                self._fail(error)
        self._one_is_over()
        self._finish_when_settled()

    def _one_is_over(self) -> None:
        if all(member.is_over for member in self._members):
            self._all_over.set()

    def _finish_when_settled(self) -> None:
        """Nobody ends before all have drained."""
        left = [member for member in self._members if not member.is_over]
        if left and not self._is_finishing and all(m.is_settled for m in left):
            self._is_finishing = True
            self._order(Order.FINISH)

    def _second(self) -> None:
        """Once a second: write latencies, tell who watches."""
        now_ns = self.now_ns()
        living = [member for member in self._members if not member.is_over]
        is_late = now_ns - self._logged_ns >= TICK_AT_LEAST_NS
        if not living or not (is_late or all(member.is_fresh for member in living)):
            return
        for member in living:
            member.is_fresh = False
        self._write_log()
        self._on_tick(self.progress)

    def _write_log(self) -> None:
        now_ns = self.now_ns()
        intervals, self._intervals = self._intervals, {}
        try:
            self._log.append(self._logged_ns, now_ns, intervals)
        except RecordingError as error:
            self._fail(error)
        self._logged_ns = now_ns

    # ------------------------------------------------------------ to the shards

    def interrupt(self) -> None:
        """First call: end the load and drain. Second call: stop at once."""
        self._end_soon(0 if self._is_interrupted else self._plan.drain_ns)
        self._is_interrupted = True
        self._order(Order.INTERRUPT)

    def abort(self) -> None:
        """End at once, but as a completed run: its verdict is known."""
        self._end_soon()
        self._order(Order.ABORT)

    def _order(self, order: Order) -> None:
        for member in self._members:
            member.process.send(order)

    # ------------------------------------------------------------ questions

    @property
    def resolver(self) -> SharedNames:
        """What names mean to the devices.

        Raises:
            RuntimeError: The run has not begun.
        """
        if self._names is None:
            raise RuntimeError("the run has not begun")
        return self._names

    @property
    def lost(self) -> tuple[LostDevices, ...]:
        """What died, shard by shard."""
        return tuple(m.lost for m in self._members if m.lost is not None)

    def figures(self) -> dict[str, float]:
        """Live figures, by the names that conditions of a scenario use."""
        tally = add_up([member.tally for member in self._members])
        return tally.figures() | {"elapsed_s": self.now_ns() / NS_PER_S}

    def states(self) -> Mapping[str, Mapping[str, int]]:
        """Devices by contact state, of every cohort."""
        return add_up([member.tally.cohorts for member in self._members])

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        return merge_progress(
            [member.progress for member in self._members],
            now_ns=self.now_ns(),
            health=self.health() if self._sharding.is_surveyed else None,
        )

    def snapshot(self) -> Snapshot:
        """Running totals of all shards.

        Raises:
            ValueError: No shard has told any yet.
        """
        return add_up([m.tick.snapshot for m in self._members if m.tick is not None])

    def health(self) -> GeneratorHealth:
        """Whether the generator kept up, and what each of its processes took."""
        seconds = max(self.now_ns() / NS_PER_S, 1e-9)
        cpu_ratio = (time.process_time() - self._cpu_mark_s) / seconds
        parent = ProcessHealth(
            name="parent",
            devices=0,
            cpu_ratio=round(cpu_ratio, 3),
            rss_bytes=peak_rss_bytes(),
        )
        return merge_health(
            [m.tick.health for m in self._members if m.tick is not None],
            [*(member.process_health for member in self._members), parent],
        )

    def outcomes(self) -> list[DeviceOutcome]:
        """How every device ended that did, in the order of the plan's power-on."""
        found = {
            outcome.device: outcome
            for member in self._members
            if member.ended is not None
            for outcome in member.ended.outcomes
        }
        order = sorted(self._plan.devices, key=_power_on)
        return [found[each.device_id] for each in order if each.device_id in found]


def _power_on(device: DevicePlan) -> tuple[int, int]:
    return device.start_ns, device.index
