"""Driver: carries out the commands of one device and records every attempt.

The driver is the only place where a device meets a network and a clock. It feeds
events, carries out the one outstanding command, and writes one
:class:`~fleetsim.recording.record.Record` per attempt. An attempt is one request and,
when there was no open connection, the dial and handshake before it.

Long because every command and event of a device is carried out and recorded here.
"""

from typing import Protocol, assert_never

from fleetsim.core.commands import Command, Connect, Operation, Send, Stop, Task, Wait
from fleetsim.core.contact import Contact
from fleetsim.core.device import Device
from fleetsim.core.events import (
    Connected,
    ConnectFailed,
    ConnectionLost,
    Drain,
    Event,
    Handshake,
    PowerCycle,
    PowerOff,
    PowerOn,
    RequestFailed,
    Response,
    ResponseReceived,
    WaitOver,
)
from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.engine.clock import Alarm
from fleetsim.recording.record import Record
from fleetsim.transport.base import Channel, Measures

_NEVER_NS = 1 << 62
_UPLOAD = Operation.UPLOAD
_NO_NETWORK = "the device has no network"
_UNREACHABLE = Failure(Kind.TCP_UNREACHABLE, Phase.TCP, _NO_NETWORK)


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

    def concluded(
        self, driver: "Driver", failure: Failure | None, upload_planned_ns: int
    ) -> None:
        """An attempt is over, the device has taken note.

        Args:
            driver: Of the device.
            failure: Why it failed, ``None`` = it did not.
            upload_planned_ns: When it was due, -1 = it was not for a log file.
        """

    def powered(self, driver: "Driver", *, is_on: bool) -> None:
        """The device was switched on or off (a power cycle is neither)."""

    def stopped(self, driver: "Driver") -> None:
        """The device has nothing more to do."""


class Driver:
    """Runs one device.

    Args:
        device: The device.
        services: The fleet.

    Attributes:
        channel: Its network side; set once, before :meth:`start_due`.
        contact: Its contact state; kept by the fleet.
        backlog: Files on its card, as the fleet counted them last.
        files_lost: Files it lost, as the fleet counted them last.
        handshakes: Completed TLS handshakes.
        last_group: Cipher group of the last completed handshake.
        has_failed: Whether its last attempt failed.
        is_due: Whether its time to start has come.
        is_over: Whether it has nothing more to do.
        is_asleep: Whether it is switched off, or will stay so when its time comes.
    """

    __slots__ = (
        "_alarm",
        "_due_ns",
        "_has_slot",
        "_is_queued",
        "_outstanding",
        "_record",
        "_services",
        "backlog",
        "channel",
        "contact",
        "device",
        "files_lost",
        "handshakes",
        "has_failed",
        "is_asleep",
        "is_due",
        "is_over",
        "last_group",
    )

    channel: Channel

    def __init__(self, device: Device, services: Services) -> None:
        self.device = device
        self.handshakes = 0
        self.last_group = ""
        self.has_failed = False
        self.is_over = False
        self.is_asleep = False
        self.contact = Contact()
        self.backlog = 0
        self.files_lost = 0
        self._services = services
        self._alarm: Alarm | None = None
        self._outstanding: Command = Stop()
        self._record: Record | None = None
        self._due_ns = -1
        self._has_slot = False
        self._is_queued = False
        self.is_due = False

    @property
    def is_in_flight(self) -> bool:
        """Whether an attempt is under way."""
        return self._record is not None

    # ------------------------------------------------------------ from outside

    def start_due(self, due_ns: int) -> None:
        """Power the device on, unless it is to sleep; it was due at ``due_ns``."""
        self.is_due = True
        if not self.is_asleep:
            self._power_on(due_ns)

    def _power_on(self, due_ns: int) -> None:
        self._services.powered(self, is_on=True)
        self._due_ns = due_ns
        # The device wakes when the plan says so, however late the loop gets here: what
        # it plans at power-on must not hide that.
        self._carry_out(self.device.handle(PowerOn(), due_ns))
        self._due_ns = -1

    @property
    def is_on(self) -> bool:
        """Whether the device is switched on and has something to do."""
        return self.is_due and not self.is_asleep and not self.is_over

    def power_cycle(self) -> bool:
        """Cut the power and restore it; an attempt under way is lost.

        Returns:
            Whether there was power to cut: a device that is off stays off.
        """
        if not self.is_on:
            return False
        self._cut_power()
        self._step(PowerCycle())
        return True

    def power_off(self) -> bool:
        """Switch the device off until :meth:`power_on`; an attempt under way is lost.

        A device whose time to start has not come yet will not start then.

        Returns:
            Whether it changed anything: a device that is off or done stays so.
        """
        if self.is_asleep or self.is_over:
            return False
        if self.is_due:
            self._cut_power()
            self._step(PowerOff())
        self.is_asleep = True
        self._services.powered(self, is_on=False)
        return True

    def power_on(self) -> bool:
        """Switch a device on again that was switched off.

        Returns:
            Whether it changed anything.
        """
        if not self.is_asleep or self.is_over:
            return False
        self.is_asleep = False
        if self.is_due:
            self._power_on(self._services.now_ns())
        else:
            self._services.powered(self, is_on=True)
        return True

    def _cut_power(self) -> None:
        self._break_off(Failure(Kind.DEVICE_POWER_CYCLE, Phase.DEVICE))
        self.channel.forget_sessions()

    def set_network(self, *, is_up: bool) -> bool:
        """Take the network away or give it back.

        Without a network a connection attempt fails at once as ``tcp.unreachable``. An
        open connection breaks; what is under way on it ends as ``http.reset``.

        Returns:
            Whether it changed anything.
        """
        if self.device.has_network == is_up:
            return False
        self.device.has_network = is_up
        if not is_up and not self.is_over:
            self._lose_network()
        return True

    def _lose_network(self) -> None:
        if self._is_queued:
            self._services.forget(self)
            self._is_queued = False
        self.channel.abort(silent=True)
        match self._outstanding:
            case Connect():
                self.on_connect_failed(_UNREACHABLE)
            case Send():
                self.on_request_failed(
                    Failure(Kind.HTTP_RESET, Phase.SEND, _NO_NETWORK)
                )
            case _:
                if self.is_on:
                    self._step(ConnectionLost())

    def drain(self) -> None:
        """Tell the device that the load is over; one that is off stays off."""
        if not self.is_over:
            self._step(Drain())

    def stop(self) -> None:
        """End now; an attempt under way is recorded as ``run.stopped``."""
        if not self.is_over:
            self._break_off(Failure(Kind.RUN_STOPPED, Phase.RUN, "the run ended"))
            self.is_over = True

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
                if not self.device.has_network:
                    # Takes no slot, or a queue of such devices would fail recursively.
                    self._connect(command)
                elif self._services.take_slot(self):
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
                self.is_over = True
                self.channel.abort(silent=True)
                self._services.stopped(self)
            case _:
                assert_never(command)

    def _begin(self, task: Task) -> Record:
        """Open the record of an attempt. Its task may be reused by the device later."""
        now_ns = self._services.now_ns()
        due_ns, self._due_ns = self._due_ns, -1
        settings = self.device.settings
        record = self._record = Record(
            device=self.device.device_id,
            cohort=settings.cohort,
            operation=task.operation,
            key=task.key,
            attempt=task.attempt,
            planned_ns=task.planned_ns,
            # A loop that is late may find something planned after what the timer was
            # set for.
            due_ns=max(due_ns, task.planned_ns) if due_ns >= 0 else now_ns,
            started_ns=now_ns,
            ended_ns=now_ns,
            endpoint=settings.authority,
            body_bytes=task.body_bytes,
            content=task.content,
            device_unix_s=task.device_unix_s,
        )
        return record

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
        if self.device.has_network:
            self.channel.connect(command)
        else:
            self.on_connect_failed(_UNREACHABLE)

    def _send_reused(self, command: Send) -> None:
        record = self._begin(command.task)
        record.reused = True
        if self._services.take_slot(self):
            self._has_slot = True
            # It begins now: the clock was read for the record.
            self._services.started(record.started_ns - record.due_ns)
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
        # Without a slot nothing was sent: the channel still holds the last attempt's.
        measures = self.channel.measures if self._has_slot else Measures()
        record.ended_ns = now_ns
        record.dns_ns = measures.dns_ns
        record.tcp_ns = measures.tcp_ns
        record.tls_ns = measures.tls_ns
        record.send_ns = measures.send_ns
        record.wait_ns = measures.wait_ns
        record.bytes_sent = measures.bytes_sent
        record.bytes_received = measures.bytes_received
        if failure is not None:
            record.kind = failure.kind
            record.phase = failure.phase.value
            record.detail = failure.detail[:200]
            if failure.kind.startswith("tls.alert."):
                record.alert = failure.kind.removeprefix("tls.alert.")
        self._services.record(record)
        is_upload = record.operation == _UPLOAD
        self._services.concluded(self, failure, record.planned_ns if is_upload else -1)
        self.has_failed = failure is not None
        if self._has_slot:
            self._has_slot = False
            self._services.give_slot()

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.disarm()
            self._alarm = None
