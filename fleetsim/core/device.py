"""Device: one data logger as a pure step function, ``handle(event, now_ns) -> command``.

Theory of operation
-------------------
A device has one outstanding command at any time: it waits, connects, has a request on
the wire, or has stopped. Everything it does follows from looking at three places, in
this order, whenever nothing is on the wire (:meth:`Device._look`):

1. the *agenda* (:mod:`fleetsim.core.agenda`): operations that became due;
2. the *card*: the oldest closed file whose upload delay is over;
3. the *clock*: otherwise it waits for whatever comes first.

Files close by the plan, whether or not the network works: that is what makes the load
open. A file's closing time, size and upload delay are pure functions of the device's
seed (:mod:`fleetsim.core.file_schedule`).

The module is long because a state machine is read in one piece; what is not transition
lives beside it (agenda, file schedule, ladder, card, requests).

Failures. A failed *connection attempt* keeps the operation and moves along the cipher
ladder (:mod:`fleetsim.core.cipher_groups`); when the ladder has nowhere to go the
device holds off (:class:`~fleetsim.core.settings.RetryPolicy`). An *unanswered or
refused request* is repeated for log files only; heartbeat, schema and over-the-air
checks wait for their next turn, so that a refused heartbeat cannot starve the uploads
(inferred: no public source describes the real retry behaviour).

Transition table (state x event), everything else is a bug in the caller:

=============  =================  ==========================================
state          event              next
=============  =================  ==========================================
OFF            PowerOn            boot, then look
WAITING        WaitOver           look
WAITING        ConnectionLost     forget the connection, wait on
CONNECTING     Connected          send
CONNECTING     ConnectFailed      next group, or hold off
REQUESTING     ResponseReceived   judge, then look
REQUESTING     RequestFailed      hold off (stale connection: reconnect)
any            PowerCycle         boot, then look; OFF: stays off
any            PowerOff           OFF
any            Drain              WAITING: look; else the command stands
=============  =================  ==========================================

Power. While a device is off no file closes and no timer runs; its card, the trust it
loaded, what it knows of the bucket and its clock survive (``device.md`` section 5: the
clock goes on). Power on after that is a power cycle: a new session, the boot agenda,
the group memory of the profile. What was being logged when power went is not uploaded
as a shorter file; a real device does that at its next start.

Clock. It is the true (calendar) time plus ``clock_skew_s``, which others may change
while the device runs (:meth:`Device.set_clock`). With ``ClockSync.WHEN_CONNECTED`` the
device sets it before it opens a connection, provided that it has a network and is off
by more than the tolerance: the documented devices ask time servers, which need no TLS.
The profiles leave this off, so that a wrong clock that a scenario asks for stays wrong;
without such a fault the clock is true either way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any, ClassVar, Final

from fleetsim.core import cipher_groups, over_the_air
from fleetsim.core.agenda import Agenda
from fleetsim.core.backoff import delay_s
from fleetsim.core.commands import (
    Command,
    Connect,
    Operation,
    Send,
    Stop,
    Task,
    Wait,
)
from fleetsim.core.device_file import device_json
from fleetsim.core.device_settings import NS_PER_S, DeviceSettings
from fleetsim.core.draws import Draws, derive_seed
from fleetsim.core.events import (
    Connected,
    ConnectFailed,
    ConnectionLost,
    Drain,
    Event,
    PowerCycle,
    PowerOff,
    PowerOn,
    RequestFailed,
    Response,
    ResponseReceived,
    WaitOver,
)
from fleetsim.core.failure import Failure, Kind
from fleetsim.core.file_schedule import NEVER_NS, FileSchedule
from fleetsim.core.object_key import device_file_key, log_key, schema_key
from fleetsim.core.over_the_air import OverTheAir
from fleetsim.core.payload import content_key
from fleetsim.core.requests import put_document, put_file
from fleetsim.core.s3_error import failure_of
from fleetsim.core.sd_card import LogFile, SdCard
from fleetsim.core.settings import ClockSync, ConnectionUse
from fleetsim.core.trust_bundle import TrustBundle

_RETRY_STREAM: Final = 1000
"""Stream of random numbers for retries, apart from those of the file schedule."""

SCHEMA_BODY: Final = b'{"type":"object","title":"rule schema"}'


@unique
class State(StrEnum):
    """What a device is doing."""

    OFF = "off"
    WAITING = "waiting"
    CONNECTING = "connecting"
    REQUESTING = "requesting"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Reported:
    """What the last device.json that the server stored says of a device.

    Attributes:
        bundle: Trust anchors whose hashes it lists.
        config_crc32: CRC-32 of the configuration in use.
        fw_ver: Firmware version.
    """

    bundle: TrustBundle
    config_crc32: str
    fw_ver: str


# A class attribute of an enumeration costs ten times what a name of the module does.
_WAITING: Final = State.WAITING
_REQUESTING: Final = State.REQUESTING
_UPLOAD: Final = Operation.UPLOAD
_KEEP_ALIVE: Final = ConnectionUse.KEEP_ALIVE


class UnexpectedEventError(RuntimeError):
    """An event that cannot happen in the device's state: a bug in the caller."""


class Device:
    """One virtual data logger.

    Args:
        settings: Shared settings of its cohort.
        device_id: 8 upper-case hex digits.
        seed: 64-bit seed of everything random in its life.
        phase_ns: Where in the period its files close, 0 <= phase < period.
        clock_skew_s: Its clock minus the true time.
        bundle: Trust anchors on its card at the start.

    Attributes:
        verdict: Why the attempt that the last event ended has failed, ``None`` = it
            succeeded. Only the device can tell: a 404 of an over-the-air check is a
            success.
        position: Current rung of the cipher ladder, 0-based.
        group_in_use: Rung with which the last connection was opened, 0-based.
        is_climbing: Whether the attempt that the last event ended failed, and the next
            rung of the ladder follows as part of the same try.
        card: Its SD card, with the counts of files closed, confirmed and lost.
        power_cycles: Restarts since the first power-on.
        failures_in_a_row: Failed tries since the last success.
        files_acknowledged: Uploads the server confirmed, duplicates included.
        last_success_ns: Run time of the last successful request, -1 = none yet.
        has_network: Whether there is a network. Set by whoever runs the device; it
            matters to the clock only, connections fail by themselves.
        reported: What its last stored device.json says, ``None`` = there is none yet.
    """

    __slots__ = (
        "_agenda",
        "_draining",
        "_file",
        "_hold_until_ns",
        "_is_open",
        "_outstanding",
        "_put_index",
        "_reporting",
        "_retry_draws",
        "_reused",
        "_schedule",
        "_seed",
        "_task",
        "_upload_attempts",
        "card",
        "clock_skew_s",
        "device_id",
        "failures_in_a_row",
        "files_acknowledged",
        "group_in_use",
        "has_network",
        "is_climbing",
        "last_success_ns",
        "ota",
        "position",
        "power_cycles",
        "reported",
        "settings",
        "state",
        "verdict",
    )

    def __init__(
        self,
        settings: DeviceSettings,
        *,
        device_id: str,
        seed: int,
        phase_ns: int,
        clock_skew_s: float,
        bundle: TrustBundle,
    ) -> None:
        self.settings = settings
        self.device_id = device_id
        self.clock_skew_s = clock_skew_s
        self.card = SdCard(settings.profile.card)
        self.ota = OverTheAir(bundle, settings.profile.identity.fw_ver)
        self.state = State.OFF
        self.verdict: Failure | None = None
        self.position = 0
        self.group_in_use = 0
        self.is_climbing = False
        self.has_network = True
        self.reported: Reported | None = None
        self.power_cycles = 0
        self.failures_in_a_row = 0
        self.last_success_ns = -1
        self.files_acknowledged = 0
        self._seed = seed
        self._schedule = FileSchedule(seed, phase_ns)
        self._retry_draws = Draws(derive_seed(seed, _RETRY_STREAM))
        self._agenda = Agenda()
        self._outstanding: Command = Stop()
        self._task: Task | None = None
        self._file: LogFile | None = None
        self._upload_attempts = 0
        self._put_index = 0
        self._reporting: Reported | None = None
        self._is_open = False
        self._reused = False
        self._draining = False
        self._hold_until_ns = 0

    @property
    def bundle(self) -> TrustBundle:
        """Trust anchors now in use."""
        return self.ota.bundle

    @property
    def group_name(self) -> str:
        """Name of the cipher group the device is on, empty on plain HTTP."""
        if not self.settings.endpoint.is_tls:
            return ""
        return self.settings.cipher_table.groups[self.position].name

    def unix_s(self, now_ns: int) -> int:
        """The device's own wall clock, whole seconds."""
        return self.settings.clock.unix_s(now_ns, self.clock_skew_s)

    def set_clock(self, unix_s: int, now_ns: int) -> None:
        """Let the device believe that it is now ``unix_s``; its clock goes on there."""
        self.clock_skew_s = float(unix_s - self.settings.clock.unix_s(now_ns))

    def handle(self, event: Event, now_ns: int) -> Command:
        """Take one step.

        Args:
            event: What happened.
            now_ns: Run time, never before that of the previous event.

        Returns:
            The command that is now outstanding. The identical object as before means
            that it simply stands.

        Raises:
            UnexpectedEventError: The event cannot happen in this state.
        """
        step = self._TRANSITIONS.get((self.state, type(event)))
        if step is None:
            step = self._ANY_STATE.get(type(event))
        if step is None:
            raise UnexpectedEventError(self.state, event)
        self._outstanding = step(self, event, now_ns)
        return self._outstanding

    # ------------------------------------------------------------ power

    def _power_on(self, _event: PowerOn, now_ns: int) -> Command:
        if self.card.session:
            self._next_session()
        else:
            self.card.power_cycle()
        if not self._draining:
            self._schedule.start(
                self.settings.workload, now_ns, self.settings.load_end_ns
            )
        self._boot(now_ns)
        return self._look(now_ns)

    def _power_off(self, _event: PowerOff, now_ns: int) -> Command:
        self._close_files(now_ns)
        self._schedule.stop()
        self._agenda.stop(keep_first=False)
        self._is_open = False
        self._task = None
        self.state = State.OFF
        return Wait(NEVER_NS)

    def _power_cycle(self, _event: PowerCycle, now_ns: int) -> Command:
        if self.state is State.OFF:
            return self._outstanding
        self._restart(now_ns)
        return self._look(now_ns)

    def _restart(self, now_ns: int) -> None:
        self._close_files(now_ns)
        self._next_session()
        self._boot(now_ns)

    def _next_session(self) -> None:
        self.card.power_cycle()
        self.power_cycles += 1
        policy = self.settings.profile.fallback
        self.position = cipher_groups.after_power_cycle(self.position, policy)

    def _boot(self, now_ns: int) -> None:
        self._is_open = False
        self._task = None
        self._hold_until_ns = 0
        self.failures_in_a_row = 0
        settings = self.settings
        self._agenda.boot(
            settings.workload,
            now_ns,
            with_schema=settings.profile.boot_uploads_schema,
        )
        if self._draining:
            self._agenda.stop(keep_first=False)

    def _drain(self, _event: Drain, now_ns: int) -> Command:
        self._close_files(now_ns)
        self._draining = True
        self._schedule.stop()
        is_waiting = self.state is State.WAITING
        self._agenda.stop(keep_first=not is_waiting)
        return self._look(now_ns) if is_waiting else self._outstanding

    # ------------------------------------------------------------ what next

    def _look(self, now_ns: int) -> Command:
        self._close_files(now_ns)
        work = self.settings.workload
        self._agenda.queue_due(work, now_ns, self.settings.load_end_ns)
        if now_ns < self._hold_until_ns:
            return self._wait(self._hold_until_ns)
        if self._agenda.first is not None:
            return self._begin(self._small_task(*self._agenda.first), now_ns)
        file = self.card.oldest()
        if file is not None:
            planned_ns = self._schedule.upload_ns(work, file.closed_ns)
            if planned_ns <= now_ns:
                return self._begin(self._upload_task(file, planned_ns, now_ns), now_ns)
            return self._wait(min(planned_ns, self._agenda.next_timer_ns))
        wake_ns = min(self._agenda.next_timer_ns, self._schedule.next_upload_ns(work))
        if wake_ns == NEVER_NS and self._draining:
            self.state = State.STOPPED
            return Stop()
        return self._wait(wake_ns)

    def _wait(self, until_ns: int) -> Command:
        self.state = _WAITING
        return Wait(until_ns)

    def _wait_over(self, _event: WaitOver, now_ns: int) -> Command:
        return self._look(now_ns)

    def _lost(self, _event: ConnectionLost, _now_ns: int) -> Command:
        self._is_open = False
        return self._outstanding

    def _close_files(self, now_ns: int) -> None:
        if self._schedule.next_ns <= now_ns:
            self._schedule.close_due(
                self.card, self.settings.workload, now_ns, self.settings.load_end_ns
            )

    # ------------------------------------------------------------ attempts

    def _small_task(self, operation: Operation, planned_ns: int) -> Task:
        task = self._task
        if (
            task is not None
            and task.operation is operation
            and task.planned_ns == planned_ns
        ):
            task.attempt += 1
            return task
        if operation is Operation.SCHEMA:
            key = schema_key(self.device_id, self.ota.fw_ver)
        elif operation is Operation.HEARTBEAT:
            key = device_file_key(self.device_id)
        else:
            key = over_the_air.object_key(operation, self.device_id, self.ota.fw_ver)
        return Task(operation=operation, key=key, planned_ns=planned_ns)

    def _upload_task(self, file: LogFile, planned_ns: int, now_ns: int) -> Task:
        if file is not self._file:
            self._file = file
            self._upload_attempts = 0
        self._upload_attempts += 1
        return Task(
            operation=_UPLOAD,
            key=log_key(
                self.device_id,
                file.session,
                file.split,
                self.unix_s(now_ns),
                self.settings.profile.extension,
            ),
            planned_ns=planned_ns,
            attempt=self._upload_attempts,
            body_bytes=file.size_bytes,
            content=content_key(self._seed, file.session, file.split),
        )

    def _begin(self, task: Task, now_ns: int) -> Command:
        self._task = task
        if self._is_open:
            task.device_unix_s = self.unix_s(now_ns)
            self._reused = True
            return self._request()
        policy = self.settings.profile.fallback
        self.position = cipher_groups.start_of_connection(self.position, policy)
        return self._connect(now_ns)

    def _connect(self, now_ns: int) -> Command:
        settings = self.settings
        task = self._current_task()
        self._sync_clock()
        task.device_unix_s = self.unix_s(now_ns)
        is_tls = settings.endpoint.is_tls
        self._reused = False
        self.state = State.CONNECTING
        return Connect(
            task=task,
            endpoint=settings.endpoint,
            group=settings.cipher_table.groups[self.position] if is_tls else None,
            bundle=self.bundle if is_tls else None,
            verify_unix_s=task.device_unix_s,
            resume=settings.profile.tls.resumption,
        )

    def _sync_clock(self) -> None:
        rules = self.settings.profile.clock
        if (
            rules.sync is ClockSync.WHEN_CONNECTED
            and self.has_network
            and abs(self.clock_skew_s) > rules.tolerance_s
        ):
            self.clock_skew_s = 0.0

    def _connected(self, _event: Connected, _now_ns: int) -> Command:
        self._is_open = True
        self.is_climbing = False
        self.group_in_use = self.position
        policy = self.settings.profile.fallback
        self.position = cipher_groups.after_success(self.position, policy)
        return self._request()

    def _connect_failed(self, event: ConnectFailed, now_ns: int) -> Command:
        failure = event.failure
        self.verdict = failure
        policy = self.settings.profile.fallback
        count = len(self.settings.cipher_table.groups)
        position = self.position
        if self.settings.endpoint.is_tls:
            position = cipher_groups.next_group(position, count, failure, policy)
        self.is_climbing = position != self.position
        if not self.is_climbing:
            return self._hold_off(now_ns)
        self.position = position
        if policy.delay_s:
            self._hold_until_ns = now_ns + int(policy.delay_s * NS_PER_S)
            return self._look(now_ns)
        task = self._current_task()
        if task.operation is _UPLOAD:
            self._upload_attempts += 1
        task.attempt += 1
        return self._connect(now_ns)

    def _hold_off(self, now_ns: int) -> Command:
        self.failures_in_a_row += 1
        wait_s = delay_s(
            self.settings.profile.retry, self.failures_in_a_row, self._retry_draws
        )
        self._hold_until_ns = now_ns + max(1, int(wait_s * NS_PER_S))
        return self._look(now_ns)

    # ------------------------------------------------------------ requests

    def _request(self) -> Command:
        task = self._current_task()
        settings = self.settings
        keep_alive = settings.workload.connection is _KEEP_ALIVE
        self.state = _REQUESTING
        if task.operation is _UPLOAD:
            return self._put_file(task, keep_open=keep_alive)
        if task.operation is Operation.SCHEMA:
            return put_document(
                settings,
                task,
                SCHEMA_BODY,
                content_type="application/json",
                keep_open=keep_alive,
            )
        if task.operation is Operation.HEARTBEAT:
            return put_document(
                settings,
                task,
                self._device_file(),
                content_type="application/json",
                keep_open=keep_alive,
            )
        keep_open = keep_alive or self._agenda.check_goes_on
        return self.ota.request(settings, task, keep_open=keep_open)

    def _put_file(self, task: Task, *, keep_open: bool) -> Send:
        closed_ns = self._file.closed_ns if self._file else task.planned_ns
        return put_file(
            self.settings,
            task,
            fw_ver=self.ota.fw_ver,
            closed_unix_s=self.unix_s(closed_ns),
            put_index=self._put_index,
            keep_open=keep_open,
        )

    def _device_file(self) -> bytes:
        self._reporting = Reported(self.bundle, self.ota.config_crc32, self.ota.fw_ver)
        return device_json(
            self.settings.profile.identity,
            device_id=self.device_id,
            fw_ver=self.ota.fw_ver,
            config_crc32=self.ota.config_crc32,
            digests=self.bundle.digests,
            used_bytes=self.card.used_bytes,
            size_bytes=self.settings.profile.card.size_bytes,
        )

    def _answered(self, event: ResponseReceived, now_ns: int) -> Command:
        task = self._current_task()
        response = event.response
        self._is_open = event.is_open
        if task.operation is _UPLOAD:
            return self._upload_answered(response, now_ns)
        if task.operation in over_the_air.CHECKS:
            return self._check_answered(task.operation, response, now_ns)
        self.verdict = failure_of(response)
        if self.verdict is None:
            self._succeeded(now_ns)
            if task.operation is Operation.HEARTBEAT:
                self.reported = self._reporting
            elif task.operation is Operation.CONFIG:
                self.ota.uploaded_config(response)
        self._agenda.done()
        return self._look(now_ns)

    def _upload_answered(self, response: Response, now_ns: int) -> Command:
        self.verdict = failure_of(response)
        if self.verdict is not None:
            return self._hold_off(now_ns)
        self._succeeded(now_ns)
        self._put_index += 1
        self.files_acknowledged += 1
        ratio = self.settings.workload.duplicate_ratio
        if ratio and self._retry_draws.uniform() < ratio:
            return self._hold_off(now_ns)  # the confirmation got lost on the device
        if self._file is not None:
            self.card.confirm(self._file)
        self._file = None
        self._task = None
        return self._look(now_ns)

    def _check_answered(
        self, operation: Operation, response: Response, now_ns: int
    ) -> Command:
        change = self.ota.answered(self.settings, operation, response)
        self.verdict = change.failure
        if change.failure is None:
            self._succeeded(now_ns)
        if change.fetch:
            return self._begin(
                Task(
                    operation=operation,
                    key=self._current_task().key,
                    planned_ns=self._current_task().planned_ns,
                ),
                now_ns,
            )
        self._agenda.done()
        if change.settings is not None:
            self.settings = change.settings
        if change.restart:
            self._restart(now_ns)
        elif change.upload_config:
            self._agenda.insert(Operation.CONFIG, now_ns)
        return self._look(now_ns)

    def _unanswered(self, event: RequestFailed, now_ns: int) -> Command:
        self.verdict = event.failure
        self._is_open = False
        is_stale = self._reused and event.failure.kind == Kind.HTTP_RESET
        if is_stale:
            return self._look(now_ns)
        if self._current_task().operation is not Operation.UPLOAD:
            self._agenda.done()
        return self._hold_off(now_ns)

    def _succeeded(self, now_ns: int) -> None:
        self.failures_in_a_row = 0
        self.last_success_ns = now_ns

    def _current_task(self) -> Task:
        if self._task is None:
            raise UnexpectedEventError(self.state, "no task")
        return self._task

    _TRANSITIONS: ClassVar[
        dict[tuple[State, type], Callable[["Device", Any, int], Command]]
    ] = {
        (State.OFF, PowerOn): _power_on,
        (State.WAITING, WaitOver): _wait_over,
        (State.WAITING, ConnectionLost): _lost,
        (State.CONNECTING, Connected): _connected,
        (State.CONNECTING, ConnectFailed): _connect_failed,
        (State.REQUESTING, ResponseReceived): _answered,
        (State.REQUESTING, RequestFailed): _unanswered,
    }
    _ANY_STATE: ClassVar[dict[type, Callable[["Device", Any, int], Command]]] = {
        PowerCycle: _power_cycle,
        PowerOff: _power_off,
        Drain: _drain,
    }
