"""Fleet: the devices of one shard from power-on to the last drained file.

Life of a run::

    start ─► load (until duration) ─► drain (until backlog empty or deadline) ─► over
                 │ first signal: drain now        │ second signal: stop at once

Everything runs on one event loop. A device costs its own state and one heap entry;
tasks exist only while a connection is being dialled.

Long because it is the one place that wires loop, drivers, contact book and timers
together.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum, unique
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Protocol

from fleetsim.core.device import Device
from fleetsim.core.device_settings import NS_PER_S, DeviceSettings, RunClock
from fleetsim.core.failure import Failure
from fleetsim.core.outcomes import DeviceOutcome, GeneratorHealth
from fleetsim.core.progress import Progress, Stage, Survey
from fleetsim.core.sdk_settings import SdkSettings
from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.engine.actions import DeviceActions
from fleetsim.engine.clock import Alarm, Alarms, MonotonicClock
from fleetsim.engine.collecting import settled
from fleetsim.engine.contacts import ContactBook, Prove, StateSink
from fleetsim.engine.driver import Driver
from fleetsim.engine.health import HealthMonitor, HealthReport
from fleetsim.engine.pacing import Limiter
from fleetsim.engine.survey import Surveyor, every_s
from fleetsim.exceptions import RecordingError
from fleetsim.recording.record import Record
from fleetsim.scenario.plan import DevicePlan
from fleetsim.transport.base import ClientIdentity
from fleetsim.transport.network import Network, NetworkChannel
from fleetsim.transport.resolver import Resolver

if TYPE_CHECKING:
    from fleetsim.engine.sdk_driver import SdkDevices

LAG_PROBE_S: Final = 0.05
BATCH: Final = 200
"""Devices told something at once before the loop serves the sockets again."""


@unique
class Ending(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    INTERRUPTED = "interrupted"


class RecordSink(Protocol):
    """Where records go; see ``fleetsim.recording.recorder``."""

    def add(self, record: Record) -> None:
        """Take one record; must be cheap."""

    def flush(self) -> None:
        """Write out what was taken; called once a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortBinding:
    """A cohort of the plan, resolved: everything its devices need.

    Attributes:
        settings: Shared device settings.
        bundle: Trust anchors on the cards at the start.
        identity: Client certificate of a device, ``None`` without mutual TLS.
        sdk: Settings of the SDK its devices upload through, ``None`` = without one.
    """

    settings: DeviceSettings
    bundle: TrustBundle
    identity: Callable[[DevicePlan], ClientIdentity | None]
    sdk: SdkSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Times of a run, run time ns.

    Attributes:
        duration_ns: End of the load.
        drain_ns: Longest drain after it.
        look_every_ns: How often devices in trouble are examined.
    """

    duration_ns: int
    drain_ns: int
    look_every_ns: int = NS_PER_S


class Fleet(DeviceActions):
    """Runs the devices of a shard.

    Args:
        devices: Their plans.
        bindings: One per cohort, by cohort index.
        timing: Times of the run.
        in_flight: Most attempts at once.
        sink: Where records go.
        source_addresses: Local addresses to dial from; empty = any.
        on_tick: Called once a second with the progress.
        states: Where the contact histories go; ``None`` = nowhere.
        wall_clock: Gives the devices' wall clock, once the run begins, for the
            monotonic time (ns) of run time 0; ``None`` = the one of the bindings.
        origin: Gives the monotonic time (ns) of run time 0, once every device is built;
            ``None`` = then.
        surveyed_shards: Number of shards of the plan: progress then has a survey of the
            devices and the generator's health; ``None`` = nobody wants to see them.
    """

    def __init__(
        self,
        devices: Sequence[DevicePlan],
        bindings: Sequence[CohortBinding],
        *,
        timing: Timing,
        in_flight: int,
        sink: RecordSink,
        source_addresses: Sequence[str] = (),
        on_tick: Callable[[Progress], None] | None = None,
        states: StateSink | None = None,
        wall_clock: Callable[[int], RunClock] | None = None,
        origin: Callable[[], Awaitable[int]] | None = None,
        surveyed_shards: int | None = None,
    ) -> None:
        self._clock = MonotonicClock()
        self.now_ns = self._clock.now_ns
        super().__init__(self.now_ns)
        self._plans = devices
        self._bindings = bindings
        self._timing = timing
        self._sink = sink
        self._sources = source_addresses
        self._on_tick = on_tick
        self._states = states
        self._wall_clock = wall_clock
        self._origin = origin
        self._surveyed_shards = surveyed_shards
        self._surveyor: Surveyor | None = None
        self._survey: Survey | None = None
        self._book = ContactBook(self.now_ns, states)
        self._prove: Prove | None = None
        self._sdk: SdkDevices | None = None
        limiter = self._limiter = Limiter(in_flight)
        # What drivers ask for at every attempt goes where it is done.
        self.take_slot = limiter.take
        self.give_slot = limiter.give_back
        self.forget = limiter.forget
        self._health = HealthMonitor()
        self.started = self._health.started
        self._drivers: list[Driver] = []
        self._stage = Stage.LOAD
        self._ending = Ending.COMPLETED
        self._running = 0
        self._powered = 0
        self._load_over = asyncio.Event()
        self._all_stopped = asyncio.Event()
        self._stop_now = asyncio.Event()
        self._first_error: BaseException | None = None

    # ------------------------------------------------------------ control

    @property
    def resolver(self) -> Resolver:
        """Name resolution of the devices; there once the run has begun."""
        return self._network.resolver

    def abort(self) -> None:
        """End at once, but as a completed run: its verdict is known."""
        self._load_over.set()
        self._stop_now.set()

    def interrupt(self) -> None:
        """First call: end the load and drain. Second call: stop at once."""
        self._ending = Ending.INTERRUPTED
        if self._load_over.is_set():
            self._stop_now.set()
        self._load_over.set()

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        return Progress(
            stage=self._stage,
            now_ns=self.now_ns(),
            devices=len(self._plans),
            powered=self._powered,
            failing=self._book.failing_now,
            in_flight=self._limiter.taken,
            backlog=self._book.backlog,
            states=self._book.total(),
            cohorts=self._book.by_cohort(),
            survey=self._survey,
            health=None if self._surveyor is None else self.health(),
            cpu_now_ratio=self._health.cpu_now_ratio,
        )

    def set_stranding(self, prove: Prove | None) -> None:
        """Let devices be declared stranded when this proves it.

        Asked about once a second (:attr:`Timing.look_every_ns`) for every device in
        trouble, and once more at the end; it gives the reason, or ``None`` when it
        cannot prove it. It should remember its answers.
        """
        self._prove = prove

    def figures(self) -> dict[str, float]:
        """Live figures, by the names that conditions of a scenario use."""
        return self._book.figures() | {"elapsed_s": self.now_ns() / NS_PER_S}

    def states(self) -> Mapping[str, Mapping[str, int]]:
        """Devices by contact state, of every cohort."""
        return self._book.by_cohort()

    # ------------------------------------------------------------ services

    def arm(self, due_ns: int, driver: Driver) -> Alarm:
        """Arm a device's timer."""
        return self._alarms.arm(due_ns, driver.on_alarm)

    def record(self, record: Record) -> None:
        """Take a finished attempt; a disk that refuses it ends the run."""
        try:
            self._sink.add(record)
        except RecordingError as error:
            self._fail(error)

    def concluded(
        self, driver: Driver, failure: Failure | None, upload_planned_ns: int
    ) -> None:
        """Judge the contact of a device after an attempt."""
        try:
            self._book.concluded(driver, failure, upload_planned_ns)
        except RecordingError as error:
            self._fail(error)

    def powered(self, driver: Driver, *, is_on: bool) -> None:
        """A device was switched on or off."""
        try:
            self._book.powered(driver, is_on=is_on)
        except RecordingError as error:
            self._fail(error)
        if driver.is_due:
            self._running += 1 if is_on else -1
            self._settle()

    def stopped(self, driver: Driver) -> None:  # noqa: ARG002 - the protocol names who
        """A device has nothing more to do."""
        self._running -= 1
        self._settle()

    def _settle(self) -> None:
        """The drain waits for nobody once every device is done or asleep."""
        if self._stage is Stage.DRAIN and self._running == 0:
            self._all_stopped.set()

    # ------------------------------------------------------------ run

    async def run(self) -> Ending:
        """Run to the end.

        Returns:
            How it ended. Outcomes and health are valid afterwards.

        Raises:
            RecordingError: The run folder could not be written.
            Exception: A bug in a callback; nothing is swallowed.
        """
        loop = asyncio.get_running_loop()
        previous_handler = loop.get_exception_handler()
        loop.set_exception_handler(self._on_loop_error)
        try:
            async with asyncio.TaskGroup() as group:
                self._build(loop, group)
                if self._sdk is not None:
                    await self._sdk.prepare()
                with settled():
                    await self._begin()
                    ticker = group.create_task(self._tick())
                    prober = group.create_task(self._probe_lag())
                    looker = group.create_task(self._look_often())
                    await self._live(group)
                    ticker.cancel()
                    prober.cancel()
                    looker.cancel()
        except ExceptionGroup as errors:
            self._fail(errors.exceptions[0])
        finally:
            loop.set_exception_handler(previous_handler)
            if self._sdk is not None:
                await self._sdk.aclose()
        if self._first_error is not None:
            raise self._first_error
        self._flush()
        return self._ending

    def _flush(self) -> None:
        self._sink.flush()
        if self._states is not None:
            self._states.flush()

    def _build(self, loop: asyncio.AbstractEventLoop, group: asyncio.TaskGroup) -> None:
        """Make every device before the clock starts."""

        def spawn(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            return group.create_task(coroutine)

        network = self._network = Network(
            loop=loop,
            spawn=spawn,
            now_ns=self.now_ns,
            source_addresses=self._sources,
        )
        self._alarms = Alarms(loop, self.now_ns)
        for plan in self._plans:
            binding = self._bindings[plan.cohort]
            settings = binding.settings
            device = Device(
                settings,
                device_id=plan.device_id,
                seed=plan.seed,
                phase_ns=plan.phase_ns,
                clock_skew_s=plan.clock_skew_s,
                bundle=binding.bundle,
            )
            identity = binding.identity(plan)
            if binding.sdk is None:
                driver = Driver(device, self)
                driver.channel = NetworkChannel(
                    network,
                    driver,
                    tls=settings.profile.tls,
                    deadlines=settings.profile.deadlines,
                    identity=identity,
                )
            else:
                driver = self._sdk_devices().add(device, self, binding.sdk, identity)
            self._drivers.append(driver)
            self._by_index[plan.index] = driver
            self._book.add(driver)
        order = sorted(range(len(self._plans)), key=lambda i: self._plans[i].start_ns)
        self._drivers = [self._drivers[i] for i in order]
        self._starts = [self._plans[i].start_ns for i in order]
        if self._surveyed_shards is not None:
            indexes = sorted(self._by_index)
            self._surveyor = Surveyor(
                [self._by_index[index] for index in indexes],
                first=indexes[0],
                stride=self._surveyed_shards,
            )

    def _sdk_devices(self) -> "SdkDevices":
        if self._sdk is None:
            # Only fleets that upload through the SDK pay for its import (0.4 s).
            from fleetsim.engine.sdk_driver import SdkDevices  # noqa: PLC0415

            self._sdk = SdkDevices(self._network)
        return self._sdk

    async def _begin(self) -> None:
        """Start the clock."""
        if self._origin is None:
            self._clock.restart()
        else:
            self._clock.origin_ns = await self._origin()
        self._health = HealthMonitor()
        self.started = self._health.started
        self._set_wall_clock()
        self._alarms.arm(self._starts[0], self._power_on_due)

    def _set_wall_clock(self) -> None:
        """Run time 0 is now: tell the devices what time that is."""
        if self._wall_clock is None:
            return
        clock = self._wall_clock(self._clock.origin_ns)
        settings = {
            id(binding.settings): replace(binding.settings, clock=clock)
            for binding in self._bindings
        }
        for driver in self._drivers:
            driver.device.settings = settings[id(driver.device.settings)]

    def _power_on_due(self) -> None:
        """Power on everybody whose time has come, a batch at a time."""
        now_ns = self.now_ns()
        for _ in range(BATCH):
            if self._powered == len(self._drivers) or self._stage is not Stage.LOAD:
                return
            start_ns = self._starts[self._powered]
            if start_ns > now_ns:
                break
            driver = self._drivers[self._powered]
            self._powered += 1
            driver.start_due(start_ns)
        if self._powered < len(self._drivers):
            self._alarms.arm(self._starts[self._powered], self._power_on_due)

    async def _live(self, group: asyncio.TaskGroup) -> None:
        stopper = group.create_task(self._stop_now.wait())
        stopped = group.create_task(self._all_stopped.wait())
        await self._wait_for(self._load_over, self._timing.duration_ns)
        self._load_over.set()
        self._stage = Stage.DRAIN
        deadline_ns = self.now_ns() + self._timing.drain_ns
        await self._drain_all()
        while not (stopper.done() or stopped.done()):
            left_ns = deadline_ns - self.now_ns()
            if left_ns <= 0:
                break
            await asyncio.wait(
                {stopper, stopped},
                timeout=left_ns / NS_PER_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
        stopper.cancel()
        stopped.cancel()
        await self._sweep()
        self._stage = Stage.OVER
        self._alarms.cancel_all()
        for driver in self._drivers:
            driver.stop()

    async def _wait_for(self, event: asyncio.Event, until_ns: int) -> None:
        try:
            async with asyncio.timeout(max(0, until_ns - self.now_ns()) / NS_PER_S):
                await event.wait()
        except TimeoutError:
            return

    async def _drain_all(self) -> None:
        """Tell every device that the load is over, without stalling the sockets."""
        for index, driver in enumerate(self._drivers[: self._powered]):
            driver.drain()
            if index % BATCH == BATCH - 1:
                await asyncio.sleep(0)
        self._settle()

    async def _sweep(self) -> None:
        """Look at the devices in trouble, without stalling the sockets."""
        for _ in self._book.sweep(self._prove):
            await asyncio.sleep(0)

    async def _tick(self) -> None:
        """Once a second: write records, sample the CPU, tell who watches."""
        for second in count():
            await asyncio.sleep(1.0)
            try:
                await self._sweep()
                self._flush()
            except RecordingError as error:
                self._fail(error)
                return
            if self._stage is Stage.LOAD:
                self._health.sample_cpu()
            if self._surveyor is not None and not second % every_s(len(self._plans)):
                self._survey = await self._surveyor.look()
            if self._on_tick is not None:
                self._on_tick(self.progress)

    async def _look_often(self) -> None:
        """Examine the devices in trouble between the ticks of a shortened run too."""
        every_ns = self._timing.look_every_ns
        while every_ns < NS_PER_S:
            await asyncio.sleep(every_ns / NS_PER_S)
            try:
                await self._sweep()
            except RecordingError as error:
                self._fail(error)
                return

    async def _probe_lag(self) -> None:
        """Measure how late the loop gets round to a timer."""
        while True:
            due_ns = self.now_ns() + int(LAG_PROBE_S * NS_PER_S)
            await asyncio.sleep(LAG_PROBE_S)
            self._health.sample(self.now_ns() - due_ns)

    def _on_loop_error(
        self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]
    ) -> None:
        """A callback raised: a bug. End the run and let it surface."""
        error = context.get("exception")
        if self._sdk is not None and self._sdk.is_echo(error):
            return
        self._fail(
            error
            if isinstance(error, BaseException)
            else RuntimeError(str(context.get("message")))
        )

    def _fail(self, error: BaseException) -> None:
        """End the run at once; the first error is raised in the end."""
        if self._first_error is None:
            self._first_error = error
        self._load_over.set()
        self._stop_now.set()

    # ------------------------------------------------------------ results

    def health(self) -> GeneratorHealth:
        """Whether the generator kept up."""
        self._health.limited = self._limiter.queued
        return self._health.verdict()

    def health_report(self, name: str) -> HealthReport:
        """The same in full, of a process of this name."""
        self._health.limited = self._limiter.queued
        return self._health.report(name)

    def outcomes(self) -> list[DeviceOutcome]:
        """How every device ended, in the order of the plan's power-on."""
        return [_outcome(driver) for driver in self._drivers]


def _outcome(driver: Driver) -> DeviceOutcome:
    device = driver.device
    return DeviceOutcome(
        device=device.device_id,
        cohort=device.settings.cohort,
        state=driver.contact.state.value,
        cipher_group=driver.last_group,
        files_closed=device.card.files_closed,
        files_acknowledged=device.files_acknowledged,
        files_backlog=device.card.backlog,
        files_lost=device.card.files_lost,
        handshakes=driver.handshakes,
        power_cycles=device.power_cycles,
        last_success_ns=device.last_success_ns,
    )
