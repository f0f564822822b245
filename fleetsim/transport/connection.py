"""Connection: one TCP connection of one device, plain or TLS, driven by callbacks.

The life of a connection, each step with a deadline of its own::

    dial (dns, tcp) ─► handshake (tls) ─► idle ⇄ request (send, wait) ─► gone

Nothing here awaits on the hot path. A dial is one short task; from ``connection_made``
on everything runs in protocol callbacks. A connection reports to its
:class:`Owner` (the channel) and falls silent once it has reported its end.

Long because the steps of one connection are read together, like a state machine.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from enum import Enum, auto, unique
from typing import Final, Protocol, cast

from OpenSSL import SSL

from fleetsim.core.commands import Send
from fleetsim.core.events import Handshake, Response
from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.core.http1 import ResponseParser
from fleetsim.core.settings import Deadlines
from fleetsim.exceptions import InputError
from fleetsim.transport import errors
from fleetsim.transport.base import Measures
from fleetsim.transport.tls_pump import TlsPump

SLICE_BYTES = 256 * 1024
"""Largest part of a body handed over at once; bounds what one connection buffers."""


class Owner(Protocol):
    """Who a connection reports to."""

    def opened(self, handshake: Handshake | None) -> None:
        """Dial and handshake are done."""

    def dial_failed(self, failure: Failure) -> None:
        """Dial or handshake failed; the connection is gone."""

    def answered(self, response: Response, *, is_open: bool) -> None:
        """A response is complete; unless ``is_open`` the connection is gone."""

    def request_failed(self, failure: Failure) -> None:
        """No complete response; the connection is gone."""

    def idle_lost(self) -> None:
        """The peer closed the idle connection."""


@unique
class Step(Enum):
    """Where a connection is in its life."""

    DIALLING = auto()
    HANDSHAKING = auto()
    IDLE = auto()
    SENDING = auto()
    AWAITING = auto()
    GONE = auto()


# A class attribute of an enumeration costs ten times what a name of the module does.
_DIALLING: Final = Step.DIALLING
_HANDSHAKING: Final = Step.HANDSHAKING
_IDLE: Final = Step.IDLE
_SENDING: Final = Step.SENDING
_AWAITING: Final = Step.AWAITING
_GONE: Final = Step.GONE
_SEND: Final = Phase.SEND
_WAIT: Final = Phase.WAIT


class Connection(asyncio.Protocol):
    """One connection.

    Args:
        owner: Who is told.
        loop: Event loop for the deadlines.
        now_ns: Clock of the measurements.
        measures: Where durations and byte counts of the current attempt are written.
        deadlines: Longest time in each phase.
        open_tls: Makes the TLS connection once TCP is up; ``None`` = plain HTTP.
    """

    __slots__ = (
        "_command",
        "_deadline_ns",
        "_deadlines",
        "_dial_task",
        "_is_paused",
        "_loop",
        "_now_ns",
        "_open_tls",
        "_owner",
        "_parser",
        "_phase",
        "_pump",
        "_rest",
        "_since_ns",
        "_step",
        "_timer",
        "_timer_ns",
        "_transport",
        "measures",
    )

    def __init__(
        self,
        owner: Owner,
        *,
        loop: asyncio.AbstractEventLoop,
        now_ns: Callable[[], int],
        measures: Measures,
        deadlines: Deadlines,
        open_tls: Callable[[], SSL.Connection] | None,
    ) -> None:
        self.measures = measures
        self._owner = owner
        self._loop = loop
        self._now_ns = now_ns
        self._deadlines = deadlines
        self._open_tls = open_tls
        self._pump: TlsPump | None = None
        self._transport: asyncio.Transport | None = None
        self._dial_task: asyncio.Task[None] | None = None
        self._parser: ResponseParser | None = None
        self._command: Send | None = None
        self._rest: Iterator[bytes | memoryview] | None = None
        self._is_paused = False
        self._step = _DIALLING
        self._phase = Phase.DNS
        self._since_ns = now_ns()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = 0
        self._deadline_ns = 0

    # ------------------------------------------------------------ dial

    @property
    def is_gone(self) -> bool:
        """Whether the connection has ended."""
        return self._step is _GONE

    def dialling(self, task: asyncio.Task[None]) -> None:
        """Remember the task that dials, so that a deadline can cancel it."""
        self._dial_task = task

    def resolving(self) -> None:
        """The name is being looked up."""
        self._enter(Phase.DNS, self._deadlines.dns_s)

    def resolved(self) -> None:
        """The name was looked up."""
        now_ns = self._now_ns()
        self.measures.dns_ns = now_ns - self._since_ns

    def connecting(self) -> None:
        """TCP connect begins."""
        self._enter(Phase.TCP, self._deadlines.connect_s)

    def dial_failed(self, failure: Failure) -> None:
        """Name resolution or TCP connect failed."""
        if self._step is _DIALLING:
            self._end()
            self._owner.dial_failed(failure)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP is up."""
        # uvloop's transports do not derive from asyncio's classes.
        tcp = cast("asyncio.Transport", transport)
        if self._step is _GONE:
            tcp.abort()
            return
        self._transport = tcp
        now_ns = self._now_ns()
        self.measures.tcp_ns = now_ns - self._since_ns
        if self._open_tls is None:
            self._become_open(None)
            return
        self._step = _HANDSHAKING
        self._enter(Phase.TLS, self._deadlines.handshake_s)
        try:
            self._pump = TlsPump(self._open_tls())
        except InputError as error:
            self._handshake_failed(errors.from_own_certificate(error))
            return
        self._pump.handshake()
        self._flush(self._pump, tcp)
        if self._pump.failure is not None:
            self._handshake_failed(self._pump.failure)

    def _become_open(self, handshake: Handshake | None) -> None:
        self._deadline_ns = 0
        self._step = _IDLE
        self._owner.opened(handshake)

    def _handshake_failed(self, failure: Failure) -> None:
        self.measures.tls_ns = self._now_ns() - self._since_ns
        self._end(abort=False)
        self._owner.dial_failed(failure)

    # ------------------------------------------------------------ bytes in

    def data_received(self, data: bytes) -> None:
        """Ciphertext or plain bytes arrived."""
        if self._step is _GONE:
            return
        self.measures.bytes_received += len(data)
        pump = self._pump
        if pump is None:
            self._plain(data)
            return
        plain = pump.receive(data)
        transport = self._transport
        if transport is not None:
            self._flush(pump, transport)
        if self._step is _HANDSHAKING:
            if pump.failure is not None:
                self._handshake_failed(pump.failure)
                return
            if not pump.is_open:
                return
            self.measures.tls_ns = self._now_ns() - self._since_ns
            self._become_open(pump.handshake_info())
        if plain:
            self._plain(plain)
        if pump.failure is not None:
            self._broken(pump.failure)
        elif pump.is_closed:
            self._peer_closed(None)

    def _plain(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:
            # Bytes nobody asked for: the stream is out of step.
            self._broken(Failure(Kind.HTTP_MALFORMED, Phase.WAIT, "unasked bytes"))
            return
        response = parser.feed(data)
        if response is not None:
            self._answered(response)
        elif parser.failure is not None:
            self._request_failed(parser.failure)

    def eof_received(self) -> bool:
        """The peer closed its side."""
        pump = self._pump
        if pump is not None and self._step is _HANDSHAKING:
            pump.eof()
        self._peer_closed(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """TCP is gone."""
        self._peer_closed(exc)

    def _peer_closed(self, exc: Exception | None) -> None:
        match self._step:
            case Step.GONE:
                return
            case Step.DIALLING | Step.HANDSHAKING:
                pump = self._pump
                if pump is not None and pump.failure is not None:
                    self._handshake_failed(pump.failure)
                else:
                    self._handshake_failed(
                        errors.from_connection_lost(exc, self._phase)
                    )
            case Step.IDLE:
                self._end()
                self._owner.idle_lost()
            case Step.SENDING | Step.AWAITING:
                response = self._parser.end() if self._parser and exc is None else None
                if response is not None:
                    self._answered(response)
                    return
                failure = self._parser.failure if self._parser and exc is None else None
                self._request_failed(
                    failure or errors.from_connection_lost(exc, self._phase)
                )

    def _broken(self, failure: Failure) -> None:
        """The stream cannot be used any more."""
        match self._step:
            case Step.IDLE:
                self._end()
                self._owner.idle_lost()
            case Step.SENDING | Step.AWAITING:
                self._request_failed(failure)
            case _:
                return

    # ------------------------------------------------------------ request

    def send(self, command: Send) -> None:
        """Send a request; the connection must be idle."""
        transport = self._transport
        if transport is None or self._step is not _IDLE:
            raise RuntimeError("a request on a connection that is not idle")
        self._command = command
        self._parser = ResponseParser(
            max_body_bytes=command.max_response_bytes,
            is_head_request=command.is_head_request,
        )
        self._step = _SENDING
        self._since_ns = self._now_ns()
        self._phase = _SEND
        if command.task.body_bytes <= SLICE_BYTES:
            self._write(transport, (command.head, *command.body))
            self._sent()
            return
        self._write(transport, (command.head,))
        self._rest = _slices(command.body)
        self._enter(Phase.SEND, self._deadlines.send_s, keep_start=True)
        self._send_rest(transport)

    def _send_rest(self, transport: asyncio.Transport) -> None:
        rest = self._rest
        while rest is not None and not self._is_paused:
            piece = next(rest, None)
            if piece is None:
                self._rest = None
                self._sent()
                return
            self._write(transport, (piece,))

    def _sent(self) -> None:
        now_ns = self._now_ns()
        self.measures.send_ns = now_ns - self._since_ns
        self._step = _AWAITING
        self._enter(_WAIT, self._deadlines.response_s, now_ns=now_ns)

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """The transport's buffer has room again: bytes left, the deadline restarts."""
        self._is_paused = False
        if self._step is _SENDING and self._transport is not None:
            self._enter(Phase.SEND, self._deadlines.send_s, keep_start=True)
            self._send_rest(self._transport)

    def _answered(self, response: Response) -> None:
        now_ns = self._now_ns()
        was_sent = self._step is _AWAITING
        if was_sent:
            self.measures.wait_ns = now_ns - self._since_ns
        else:
            # The server answered before it had read the request: it will not read on.
            self.measures.send_ns = now_ns - self._since_ns
            self.measures.wait_ns = 0
        keep = self._command is not None and self._command.keep_open
        self._parser = None
        self._command = None
        self._rest = None
        is_closing = self._pump is not None and self._pump.is_closed
        is_open = was_sent and keep and response.keep_alive and not is_closing
        if is_open:
            self._deadline_ns = 0
            self._step = _IDLE
        else:
            self._end(abort=not was_sent)
        self._owner.answered(response, is_open=is_open)

    def _request_failed(self, failure: Failure) -> None:
        elapsed_ns = self._now_ns() - self._since_ns
        if self._step is _AWAITING:
            self.measures.wait_ns = elapsed_ns
        else:
            self.measures.send_ns = elapsed_ns
        self._end()
        self._owner.request_failed(failure)

    # ------------------------------------------------------------ end

    def session(self) -> SSL.Session | None:
        """The TLS session, for resumption on a later connection."""
        return self._pump.session() if self._pump is not None else None

    def close(self) -> None:
        """Drop the connection without telling anybody."""
        if self._step is not _GONE:
            self._end()

    def _end(self, *, abort: bool = True) -> None:
        """Fall silent and let go of the transport.

        Args:
            abort: Reset instead of flushing what is still queued. An answered request
                or a failed handshake is closed politely: our own alert must leave.
        """
        self._cancel_timer()
        was_dialling = self._step is _DIALLING
        self._step = _GONE
        self._parser = None
        self._command = None
        self._rest = None
        if was_dialling and self._dial_task is not None:
            self._dial_task.cancel()
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if abort:
            transport.abort()
            return
        pump = self._pump
        if pump is not None:
            if pump.failure is None:
                pump.close()
            self._flush(pump, transport)
        transport.close()

    def _enter(
        self,
        phase: Phase,
        deadline_s: float,
        *,
        now_ns: int = 0,
        keep_start: bool = False,
    ) -> None:
        self._phase = phase
        now_ns = now_ns or self._now_ns()
        if not keep_start:
            self._since_ns = now_ns
        due_ns = self._deadline_ns = now_ns + int(deadline_s * 1e9)
        # A timer that is early enough stays: it looks at the deadline when it fires.
        # So a connection that is used ten thousand times sets one timer, not as many.
        if self._timer is None or due_ns < self._timer_ns:
            self._set_timer(due_ns, deadline_s)

    def _set_timer(self, due_ns: int, delay_s: float) -> None:
        self._cancel_timer()
        self._timer_ns = due_ns
        self._timer = self._loop.call_later(delay_s, self._look_at_deadline)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_at_deadline(self) -> None:
        self._timer = None
        due_ns = self._deadline_ns
        if not due_ns:
            return
        left_ns = due_ns - self._now_ns()
        if left_ns > 0:
            self._set_timer(due_ns, left_ns / 1e9)
        else:
            self._deadline_passed()

    def _deadline_passed(self) -> None:
        failure = errors.from_timeout(self._phase)
        match self._step:
            case Step.DIALLING:
                self._end()
                self._owner.dial_failed(failure)
            case Step.HANDSHAKING:
                self._handshake_failed(failure)
            case Step.SENDING | Step.AWAITING:
                self._request_failed(failure)
            case Step.IDLE | Step.GONE:
                return

    # ------------------------------------------------------------ bytes out

    def _write(
        self, transport: asyncio.Transport, pieces: Sequence[bytes | memoryview]
    ) -> None:
        pump = self._pump
        if pump is None:
            self.measures.bytes_sent += sum(map(len, pieces))
            transport.writelines(pieces)
            return
        pump.send(pieces)
        self._flush(pump, transport)

    def _flush(self, pump: TlsPump, transport: asyncio.Transport) -> None:
        data = pump.take()
        if data:
            self.measures.bytes_sent += len(data)
            transport.write(data)


def _slices(body: Sequence[bytes | memoryview]) -> Iterator[memoryview]:
    for piece in body:
        view = memoryview(piece)
        for start in range(0, len(view), SLICE_BYTES):
            yield view[start : start + SLICE_BYTES]
