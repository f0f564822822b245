"""Fleet: the devices of one shard from power-on to the last drained file.

Life of a run::

    start ─► load (until duration) ─► drain (until backlog empty or deadline) ─► over
                 │ first signal: drain now        │ second signal: stop at once

Everything runs on one event loop. A device costs its own state and one heap entry;
tasks exist only while a connection is being dialled.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any, Final, Protocol

from fleetsim.core.device import Device
from fleetsim.core.device_settings import NS_PER_S, DeviceSettings
from fleetsim.core.outcomes import DeviceOutcome, GeneratorHealth
from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.engine.clock import Alarm, Alarms, MonotonicClock
from fleetsim.engine.driver import Driver
from fleetsim.engine.health import HealthMonitor
from fleetsim.engine.pacing import Limiter
from fleetsim.exceptions import RecordingError
from fleetsim.recording.record import Record
from fleetsim.scenario.plan import DevicePlan
from fleetsim.transport.base import ClientIdentity
from fleetsim.transport.network import Network, NetworkChannel

LAG_PROBE_S: Final = 0.05
BATCH: Final = 200
"""Devices told something at once before the loop serves the sockets again."""


@unique
class Ending(StrEnum):
    """How a run ended."""

    COMPLETED = "completed"
    INTERRUPTED = "interrupted"


@unique
class Stage(StrEnum):
    """Where a run is."""

    LOAD = "load"
    DRAIN = "drain"
    OVER = "over"


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
    """

    settings: DeviceSettings
    bundle: TrustBundle
    identity: Callable[[DevicePlan], ClientIdentity | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Times of a run, run time ns.

    Attributes:
        duration_ns: End of the load.
        drain_ns: Longest drain after it.
    """

    duration_ns: int
    drain_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A look at a running fleet.

    Attributes:
        stage: Where the run is.
        now_ns: Run time.
        devices: Devices in the shard.
        powered: Devices that were powered on.
        failing: Devices whose last attempt failed.
        in_flight: Attempts under way.
        backlog: Files waiting on the cards.
    """

    stage: Stage
    now_ns: int
    devices: int
    powered: int
    failing: int
    in_flight: int
    backlog: int


class Fleet:
    """Runs the devices of a shard.

    Args:
        devices: Their plans.
        bindings: One per cohort, by cohort index.
        timing: Times of the run.
        in_flight: Most attempts at once.
        sink: Where records go.
        source_addresses: Local addresses to dial from; empty = any.
        on_tick: Called once a second with the progress.
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
    ) -> None:
        self._plans = devices
        self._bindings = bindings
        self._timing = timing
        self._sink = sink
        self._sources = source_addresses
        self._on_tick = on_tick
        self._limiter = Limiter(in_flight)
        self._health = HealthMonitor()
        self._drivers: list[Driver] = []
        self._clock = MonotonicClock()
        self._stage = Stage.LOAD
        self._ending = Ending.COMPLETED
        self._running = 0
        self._powered = 0
        self._load_over = asyncio.Event()
        self._all_stopped = asyncio.Event()
        self._stop_now = asyncio.Event()
        self._first_error: BaseException | None = None

    # ------------------------------------------------------------ control

    def interrupt(self) -> None:
        """First call: end the load and drain. Second call: stop at once."""
        self._ending = Ending.INTERRUPTED
        if self._load_over.is_set():
            self._stop_now.set()
        self._load_over.set()

    @property
    def progress(self) -> Progress:
        """How far the run is."""
        powered = self._drivers[: self._powered]
        return Progress(
            stage=self._stage,
            now_ns=self.now_ns(),
            devices=len(self._plans),
            powered=self._powered,
            failing=sum(driver.has_failed for driver in powered),
            in_flight=self._limiter.taken,
            backlog=sum(driver.device.card.backlog for driver in powered),
        )

    # ------------------------------------------------------------ services

    def now_ns(self) -> int:
        """Run time."""
        return self._clock.now_ns()

    def arm(self, due_ns: int, driver: Driver) -> Alarm:
        """Arm a device's timer."""
        return self._alarms.arm(due_ns, driver.on_alarm)

    def take_slot(self, driver: Driver) -> bool:
        """Ask for an in-flight slot."""
        return self._limiter.take(driver)

    def give_slot(self) -> None:
        """Give an in-flight slot back."""
        self._limiter.give_back()

    def forget(self, driver: Driver) -> None:
        """Leave the queue for a slot."""
        self._limiter.forget(driver)

    def started(self, lag_ns: int) -> None:
        """Count a started attempt."""
        self._health.started(lag_ns)

    def record(self, record: Record) -> None:
        """Take a finished attempt; a disk that refuses it ends the run."""
        try:
            self._sink.add(record)
        except RecordingError as error:
            self._fail(error)

    def stopped(self, driver: Driver) -> None:  # noqa: ARG002 - the protocol names who
        """A device has nothing more to do."""
        self._running -= 1
        if self._running == 0:
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
                ticker = group.create_task(self._tick())
                prober = group.create_task(self._probe_lag())
                await self._live(group)
                ticker.cancel()
                prober.cancel()
        except ExceptionGroup as errors:
            self._fail(errors.exceptions[0])
        finally:
            loop.set_exception_handler(previous_handler)
        if self._first_error is not None:
            raise self._first_error
        self._sink.flush()
        return self._ending

    def _build(self, loop: asyncio.AbstractEventLoop, group: asyncio.TaskGroup) -> None:
        """Make every device before the clock starts."""

        def spawn(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
            return group.create_task(coroutine)

        network = Network(
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
            driver = Driver(device, self)
            driver.channel = NetworkChannel(
                network,
                driver,
                tls=settings.profile.tls,
                deadlines=settings.profile.deadlines,
                identity=binding.identity(plan),
            )
            self._drivers.append(driver)
        order = sorted(range(len(self._plans)), key=lambda i: self._plans[i].start_ns)
        self._drivers = [self._drivers[i] for i in order]
        self._starts = [self._plans[i].start_ns for i in order]
        self._running = len(self._drivers)
        self._clock = MonotonicClock()
        self._alarms.arm(self._starts[0], self._power_on_due)

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
        not_started = self._drivers[self._powered :]
        self._running -= len(not_started)
        if self._running <= 0:
            self._all_stopped.set()
        for index, driver in enumerate(self._drivers[: self._powered]):
            driver.drain()
            if index % BATCH == BATCH - 1:
                await asyncio.sleep(0)

    async def _tick(self) -> None:
        """Once a second: write records, sample the CPU, tell who watches."""
        while True:
            await asyncio.sleep(1.0)
            try:
                self._sink.flush()
            except RecordingError as error:
                self._fail(error)
                return
            if self._stage is Stage.LOAD:
                self._health.sample_cpu()
            if self._on_tick is not None:
                self._on_tick(self.progress)

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

    def outcomes(self) -> list[DeviceOutcome]:
        """How every device ended, in the order of the plan's power-on."""
        return [_outcome(driver) for driver in self._drivers]


def _outcome(driver: Driver) -> DeviceOutcome:
    device = driver.device
    if device.last_success_ns < 0:
        state = "unreached" if driver.has_failed else "unseen"
    else:
        state = "failing" if driver.has_failed else "connected"
    return DeviceOutcome(
        device=device.device_id,
        cohort=device.settings.cohort,
        state=state,
        cipher_group=driver.last_group,
        files_closed=device.card.files_closed,
        files_acknowledged=device.files_acknowledged,
        files_backlog=device.card.backlog,
        files_lost=device.card.files_lost,
        handshakes=driver.handshakes,
        power_cycles=device.power_cycles,
        last_success_ns=device.last_success_ns,
    )
