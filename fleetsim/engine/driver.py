"""Driver: carries out the commands of one device and records every attempt.

The driver is the only place where a device meets a network and a clock. It feeds
events, carries out the one outstanding command, and writes one
:class:`~fleetsim.recording.record.Record` per attempt. An attempt is one request and,
when there was no open connection, the dial and handshake before it.
"""

from typing import Protocol, assert_never

from fleetsim.core.commands import Command, Connect, Send, Stop, Task, Wait
from fleetsim.core.device import Device
from fleetsim.core.events import (
    Connected,
    ConnectFailed,
    ConnectionLost,
    Drain,
    Event,
    Handshake,
    PowerCycle,
    PowerOn,
    RequestFailed,
    Response,
    ResponseReceived,
    WaitOver,
)
from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.engine.clock import Alarm
from fleetsim.recording.record import Record
from fleetsim.transport.base import Channel

_NEVER_NS = 1 << 62


class Services(Protocol):
    """What a driver needs from the fleet it belongs to."""

    def now_ns(self) -> int:
        """Run time."""

    def arm(self, due_ns: int, driver: "Driver") -> Alarm:
        """Call ``driver.on_alarm`` at ``due_ns``."""

    def take_slot(self, driver: "Driver") -> bool:
        """Ask for an in-flight slot; ``False`` = ``on_admitted`` follows later."""

    def give_slot(self) -> None:
        """Give the in-flight slot back."""

    def forget(self, driver: "Driver") -> None:
        """Leave the queue for a slot."""

    def started(self, lag_ns: int) -> None:
        """An attempt started so long after it was due."""

    def record(self, record: Record) -> None:
        """Take a finished attempt."""

    def stopped(self, driver: "Driver") -> None:
        """The device has nothing more to do."""


class Driver:
    """Runs one device.

    Args:
        device: The device.
        services: The fleet.

    Attributes:
        channel: Its network side; set once, before :meth:`start_due`.
        handshakes: Completed TLS handshakes.
        last_group: Cipher group of the last completed handshake.
        has_failed: Whether its last attempt failed.
    """

    __slots__ = (
        "_alarm",
        "_due_ns",
        "_has_slot",
        "_is_over",
        "_is_queued",
        "_outstanding",
        "_record",
        "_services",
        "channel",
        "device",
        "handshakes",
        "has_failed",
        "last_group",
    )

    channel: Channel

    def __init__(self, device: Device, services: Services) -> None:
        self.device = device
        self.handshakes = 0
        self.last_group = ""
        self.has_failed = False
        self._services = services
        self._alarm: Alarm | None = None
        self._outstanding: Command = Stop()
        self._record: Record | None = None
        self._due_ns = -1
        self._has_slot = False
        self._is_queued = False
        self._is_over = False

    @property
    def is_in_flight(self) -> bool:
        """Whether an attempt is under way."""
        return self._record is not None

    # ------------------------------------------------------------ from outside

    def start_due(self, due_ns: int) -> None:
        """Power the device on; it was due at ``due_ns``."""
        self._due_ns = due_ns
        self._step(PowerOn())
        self._due_ns = -1

    def power_cycle(self) -> None:
        """Cut the power and restore it; an attempt under way is lost."""
        if not self._is_over:
            self._break_off(Failure(Kind.DEVICE_POWER_CYCLE, Phase.DEVICE))
            self._step(PowerCycle())

    def drain(self) -> None:
        """Tell the device that the load is over."""
        if not self._is_over:
            self._step(Drain())

    def stop(self) -> None:
        """End now; an attempt under way is recorded as ``run.stopped``."""
        if not self._is_over:
            self._break_off(Failure(Kind.RUN_STOPPED, Phase.RUN, "the run ended"))
            self._is_over = True

    def _break_off(self, failure: Failure) -> None:
        self._disarm()
        if self._is_queued:
            self._services.forget(self)
            self._is_queued = False
        self.channel.abort(silent=True)
        if self._record is not None:
            self._finish(failure, self._services.now_ns())

    # ------------------------------------------------------------ commands

    def _step(self, event: Event) -> None:
        before = self._outstanding
        command = self.device.handle(event, self._services.now_ns())
        if command is not before:
            self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        self._outstanding = command
        self._disarm()
        match command:
            case Wait():
                if command.until_ns < _NEVER_NS:
                    self._alarm = self._services.arm(command.until_ns, self)
            case Connect():
                self._begin(command.task)
                if self._services.take_slot(self):
                    self._has_slot = True
                    self._connect(command)
                else:
                    self._is_queued = True
            case Send():
                if self._record is None:
                    self._send_reused(command)
                else:
                    self._send(command)
            case Stop():
                self._is_over = True
                self.channel.abort(silent=True)
                self._services.stopped(self)
            case _:
                assert_never(command)

    def _begin(self, task: Task) -> None:
        """Open the record of an attempt. Its task may be reused by the device later."""
        now_ns = self._services.now_ns()
        due_ns, self._due_ns = self._due_ns, -1
        settings = self.device.settings
        endpoint = settings.endpoint
        self._record = Record(
            device=self.device.device_id,
            cohort=settings.cohort,
            operation=task.operation.value,
            key=task.key,
            attempt=task.attempt,
            planned_ns=task.planned_ns,
            due_ns=due_ns if due_ns >= 0 else now_ns,
            started_ns=now_ns,
            ended_ns=now_ns,
            endpoint=f"{endpoint.host}:{endpoint.port}",
            body_bytes=task.body_bytes,
            content=task.content,
            device_unix_s=task.device_unix_s,
        )

    def on_admitted(self) -> None:
        """An in-flight slot was handed over."""
        self._is_queued = False
        self._has_slot = True
        command = self._outstanding
        if isinstance(command, Connect):
            self._connect(command)
        elif isinstance(command, Send):
            self._started()
            self._send(command)
        else:
            raise TypeError("a slot for a device that wants none")

    def _connect(self, command: Connect) -> None:
        record = self._started()
        if command.group is not None:
            record.group = command.group.name
            record.suites_offered = command.group.offered
        self.channel.connect(command)

    def _send_reused(self, command: Send) -> None:
        self._begin(command.task)
        if self._record is not None:
            self._record.reused = True
        if self._services.take_slot(self):
            self._has_slot = True
            self._started()
            self._send(command)
        else:
            self._is_queued = True

    def _send(self, command: Send) -> None:
        record = self._record
        if record is not None:
            record.body_bytes = command.task.body_bytes
        self.channel.send(command)

    def _started(self) -> Record:
        record = self._record
        if record is None:
            raise RuntimeError("an attempt without a record")
        record.started_ns = self._services.now_ns()
        self._services.started(record.started_ns - record.due_ns)
        return record

    # ------------------------------------------------------------ events

    def on_alarm(self) -> None:
        """The time of the last ``Wait`` has come."""
        alarm, self._alarm = self._alarm, None
        if alarm is not None:
            self._due_ns = alarm.due_ns
        self._step(WaitOver())
        self._due_ns = -1

    def on_connected(self, handshake: Handshake | None) -> None:
        """The connection is open."""
        record = self._record
        if handshake is not None and record is not None:
            self.handshakes += 1
            self.last_group = record.group
            record.tls_version = handshake.version
            record.suite = handshake.suite
            record.resumed = handshake.resumed
        self._step(Connected(handshake))

    def on_connect_failed(self, failure: Failure) -> None:
        """There is no connection."""
        now_ns = self._services.now_ns()
        command = self.device.handle(ConnectFailed(failure), now_ns)
        self._finish(failure, now_ns)
        self._carry_out(command)

    def on_response(self, response: Response, *, is_open: bool) -> None:
        """A response is complete."""
        now_ns = self._services.now_ns()
        record = self._record
        if record is not None:
            record.status = response.status
            record.etag = response.headers.get("etag", "").strip('"')
        command = self.device.handle(ResponseReceived(response, is_open), now_ns)
        self._finish(self.device.verdict, now_ns)
        self._carry_out(command)

    def on_request_failed(self, failure: Failure) -> None:
        """There was no complete response."""
        now_ns = self._services.now_ns()
        command = self.device.handle(RequestFailed(failure), now_ns)
        self._finish(failure, now_ns)
        self._carry_out(command)

    def on_lost(self) -> None:
        """The peer closed the idle connection."""
        if self._is_queued:
            # The request was still waiting for a slot: it went down with it.
            self._services.forget(self)
            self._is_queued = False
            self.on_request_failed(
                Failure(Kind.HTTP_RESET, Phase.SEND, "closed before the request")
            )
        else:
            self._step(ConnectionLost())

    # ------------------------------------------------------------ records

    def _finish(self, failure: Failure | None, now_ns: int) -> None:
        record, self._record = self._record, None
        if record is None:
            raise RuntimeError("an attempt ended that never began")
        measures = self.channel.measures
        record.ended_ns = now_ns
        record.dns_ns = measures.dns_ns
        record.tcp_ns = measures.tcp_ns
        record.tls_ns = measures.tls_ns
        record.send_ns = measures.send_ns
        record.wait_ns = measures.wait_ns
        record.bytes_sent = measures.bytes_sent
        record.bytes_received = measures.bytes_received
        self.has_failed = failure is not None
        if failure is not None:
            record.kind = failure.kind
            record.phase = failure.phase.value
            record.detail = failure.detail[:200]
            if failure.kind.startswith("tls.alert."):
                record.alert = failure.kind.removeprefix("tls.alert.")
        self._services.record(record)
        if self._has_slot:
            self._has_slot = False
            self._services.give_slot()

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.disarm()
            self._alarm = None
