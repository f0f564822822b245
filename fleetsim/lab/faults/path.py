"""Path: one accepted connection with faults on its way to the protocol that serves it.

Theory of operation. A :class:`Path` takes the place of a connection's protocol and keeps
that protocol, *inner*, behind two lanes::

    TCP transport ──► lane to the server ──► inner.data_received
    TCP transport ◄── lane to the client ◄── PathTransport.write

Inner sees an ordinary transport. Back-pressure goes through: while more than
:data:`WINDOW_BYTES` are on their way to the server the socket is not read, and while as
many are on their way to the client, or the socket takes no more, inner is told to pause.
A delay therefore also limits the rate to one window per delay, as TCP's own window does.

Ends: RST comes from ``SO_LINGER`` 0. FIN to a client that still sends must not become an
RST (RFC 2525 2.17), so after a truncation what it sends is read and dropped until it
closes too, or :data:`LINGER_S` is over.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto, unique
from typing import Any, Final, assert_never, cast

from fleetsim.lab.faults.flow import End, Flow
from fleetsim.lab.faults.lane import Lane, LaneEvents
from fleetsim.lab.tcp_reset import reset

WINDOW_BYTES: Final = 256 * 1024
"""Bytes on their way in one direction before the sender is held up."""
LINGER_S: Final = 2.0
"""Longest wait for the client to close after a truncation."""

_RESUME_BYTES: Final = WINDOW_BYTES // 4


@unique
class _State(Enum):
    OPEN = auto()
    CUT = auto()  # a fault ended it; the socket may live on for a while
    GONE = auto()


class Path(asyncio.Protocol):
    """One connection under faults.

    Args:
        loop: Event loop.
        inner: Protocol that serves the connection.
        to_server: Fault kinds and flows of that direction.
        to_client: Likewise.
        on_gone: Called when the connection is over.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        inner: asyncio.Protocol,
        *,
        to_server: Sequence[tuple[str, Flow]],
        to_client: Sequence[tuple[str, Flow]],
        on_gone: Callable[["Path"], None],
    ) -> None:
        self.inner = inner
        self.to_server = Lane(
            loop,
            to_server,
            LaneEvents(
                deliver=self._deliver_to_server,
                deliver_eof=self._deliver_eof_to_server,
                end=self._cut,
                moved=self._balance,
            ),
        )
        self.to_client = Lane(
            loop,
            to_client,
            LaneEvents(
                deliver=self._deliver_to_client,
                deliver_eof=self._deliver_eof_to_client,
                end=self._cut,
                moved=self._balance,
            ),
        )
        self._loop = loop
        self._on_gone = on_gone
        self._state = _State.OPEN
        self._tcp: asyncio.Transport | None = None
        self._transport: PathTransport | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._lost: Exception | None = None
        self._is_tcp_blocked = False
        self._is_tcp_paused = False
        self._is_inner_paused = False
        self._is_eof_sent = False
        self._is_eof_seen = False

    def lift(self, kind: str) -> None:
        """A fault is over: what waited for it goes on now."""
        self.to_server.lift(kind)
        self.to_client.lift(kind)

    # ------------------------------------------------------- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Give inner its transport."""
        # uvloop's transports do not derive from asyncio's classes.
        self._tcp = cast("asyncio.Transport", transport)
        self._transport = PathTransport(self, self._tcp)
        self.inner.connection_made(self._transport)

    def data_received(self, data: bytes) -> None:
        """Send the client's bytes on their way."""
        if self._state is _State.OPEN and not self.is_closing:
            self.to_server.push(data)
            self._balance()

    def eof_received(self) -> bool:
        """Send the client's FIN on its way."""
        self._is_eof_seen = True
        if self._state is _State.OPEN and not self.is_closing:
            self.to_server.push_eof()
            return True
        # Both sides are through with each other.
        return False

    def pause_writing(self) -> None:
        """The socket takes no more."""
        self._is_tcp_blocked = True
        self._balance()

    def resume_writing(self) -> None:
        """The socket takes more."""
        self._is_tcp_blocked = False
        self._balance()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        if self._state is _State.GONE:
            return
        self._state = _State.GONE
        self.to_server.close()
        self.to_client.close()
        if self._linger is not None:
            self._linger.cancel()
        self._on_gone(self)
        self.inner.connection_lost(exc or self._lost)

    # ----------------------------------------------------------- called by the transport

    @property
    def is_closing(self) -> bool:
        """Whether inner has closed its transport."""
        return self._transport is not None and self._transport.is_closed

    def send(self, data: bytes) -> None:
        """Send the server's bytes on their way."""
        self.to_client.push(data)
        self._balance()

    def finish(self) -> None:
        """Inner is through: close when everything on its way has arrived."""
        if self._tcp is not None and self.to_client.is_empty:
            self.to_server.close()
            if self._state is _State.OPEN:
                self._tcp.close()

    def drop(self) -> None:
        """Inner drops the connection and everything on its way."""
        self.to_server.close()
        self.to_client.close()
        if self._tcp is not None:
            self._tcp.abort()

    # --------------------------------------------------------------------- inside

    def _deliver_to_server(self, data: bytes) -> None:
        if self._state is _State.OPEN:
            self.inner.data_received(data)

    def _deliver_eof_to_server(self) -> None:
        if self._state is not _State.OPEN or self._transport is None:
            return
        if not self.inner.eof_received():
            self._transport.close()

    def _deliver_to_client(self, data: bytes) -> None:
        tcp = self._tcp
        if tcp is not None and not self._is_eof_sent and not tcp.is_closing():
            tcp.write(data)

    def _deliver_eof_to_client(self) -> None:
        tcp = self._tcp
        if tcp is not None and not self._is_eof_sent and not tcp.is_closing():
            self._is_eof_sent = True
            tcp.write_eof()

    def _cut(self, end: End) -> None:
        tcp = self._tcp
        if self._state is not _State.OPEN or tcp is None:
            return
        match end:
            case End.HALF_CLOSE:
                self._deliver_eof_to_client()
            case End.CLOSE:
                self._deliver_eof_to_client()
                self._state = _State.CUT
                self.to_client.close()
                self.to_server.close()
                self._linger = self._loop.call_later(LINGER_S, tcp.abort)
                # From a callback of its own: inner may be in the middle of a write.
                self._loop.call_soon(self._tell_inner_the_end)
            case End.RESET:
                self._state = _State.CUT
                self._lost = ConnectionResetError("reset on the way")
                self.to_client.close()
                self.to_server.close()
                reset(tcp)
            case _:
                assert_never(end)

    def _tell_inner_the_end(self) -> None:
        if self._state is _State.CUT:
            self.inner.eof_received()

    def _balance(self) -> None:
        """Let both senders feel how much is on its way, and finish what is over."""
        tcp, transport = self._tcp, self._transport
        if tcp is None or transport is None or self._state is not _State.OPEN:
            return
        if tcp.is_closing():
            return
        queued = self.to_server.queued_bytes
        if not self._is_tcp_paused and queued > WINDOW_BYTES:
            self._is_tcp_paused = True
            tcp.pause_reading()
        elif self._is_tcp_paused and queued <= _RESUME_BYTES:
            self._is_tcp_paused = False
            tcp.resume_reading()
        queued = self.to_client.queued_bytes
        if not self._is_inner_paused and (
            self._is_tcp_blocked or queued > WINDOW_BYTES
        ):
            self._is_inner_paused = True
            self.inner.pause_writing()
        elif (
            self._is_inner_paused
            and not self._is_tcp_blocked
            and queued <= _RESUME_BYTES
        ):
            self._is_inner_paused = False
            self.inner.resume_writing()
        if transport.is_closed:
            self.finish()


class PathTransport(asyncio.Transport):
    """What inner writes to.

    Args:
        path: The path it belongs to.
        tcp: The socket's transport.
    """

    __slots__ = ("_is_eof_written", "_is_reading", "_path", "_tcp", "is_closed")

    def __init__(self, path: Path, tcp: asyncio.Transport) -> None:
        super().__init__()
        self._path = path
        self._tcp = tcp
        self._is_reading = True
        self._is_eof_written = False
        self.is_closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return facts about the socket."""
        return self._tcp.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Tell whether the connection is closed or closing."""
        return self.is_closed or self._tcp.is_closing()

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return inner."""
        return self._path.inner

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Replace inner."""
        self._path.inner = cast("asyncio.Protocol", protocol)

    def is_reading(self) -> bool:
        """Tell whether inner is being fed."""
        return self._is_reading and not self.is_closing()

    def pause_reading(self) -> None:
        """Stop feeding inner."""
        self._is_reading = False
        self._path.to_server.stop()

    def resume_reading(self) -> None:
        """Feed inner again."""
        self._is_reading = True
        self._path.to_server.go()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes on their way."""
        if not self.is_closing() and not self._is_eof_written:
            self._path.send(data if type(data) is bytes else bytes(data))

    def writelines(
        self, list_of_data: Iterable[bytes | bytearray | memoryview]
    ) -> None:
        """Send several pieces on their way."""
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        """TCP can close one half."""
        return True

    def write_eof(self) -> None:
        """Close our half when everything before it has arrived."""
        if not self.is_closing() and not self._is_eof_written:
            self._is_eof_written = True
            self._path.to_client.push_eof()

    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None:
        """Set the water marks of the socket's buffer, bytes."""
        self._tcp.set_write_buffer_limits(high, low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the water marks (low, high), bytes."""
        return self._tcp.get_write_buffer_limits()

    def get_write_buffer_size(self) -> int:
        """Return how much has not left this machine, bytes."""
        return self._path.to_client.queued_bytes + self._tcp.get_write_buffer_size()

    def close(self) -> None:
        """Close when everything on its way has arrived."""
        if not self.is_closed:
            self.is_closed = True
            self._path.finish()

    def abort(self) -> None:
        """Drop the connection and everything on its way, at once."""
        self.is_closed = True
        self._path.drop()
