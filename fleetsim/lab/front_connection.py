"""Front connections: one accepted socket each, with TLS or without.

Theory of operation. :class:`TlsConnection` pumps TLS (sans-IO) between the socket and a
:class:`~fleetsim.lab.facade_transport.FacadeTransport`, which the HTTP handler takes for
its transport. States: *handshaking* → *open* → *lingering* → gone.
:class:`PlainConnection` passes bytes on as they are (``http``).

An alert must reach the client. Closing a socket whose receive buffer holds unread bytes
makes the kernel send RST (RFC 2525 2.17), and RST makes the peer's kernel throw away what
it has not delivered yet: the alert. So the end of every TLS connection is a *lingering*
close: write everything, shut down the writing half, read and discard until the client
closes too or ``linger_s`` is over.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

from OpenSSL import SSL

from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.lab.facade_transport import FacadeTransport
from fleetsim.lab.handshake_log import HandshakeEntry, HandshakeLog, alert_sent
from fleetsim.lab.tcp_reset import reset
from fleetsim.transport.errors import alert_name
from fleetsim.transport.tls_pump import TlsPump


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontLimits:
    """Deadlines and sizes of one front.

    Attributes:
        handshake_timeout_s: From accept to a complete TLS handshake.
        idle_timeout_s: A connection on which nothing moves for this long is dropped;
            it may take up to twice as long to be noticed.
        linger_s: Longest wait for the client to close after we did.
        max_connections: More are closed as soon as they are accepted.
        backlog: Connections the kernel queues for accept (capped by ``somaxconn``).
        handshake_log_entries: Handshakes remembered in detail.
    """

    handshake_timeout_s: float = 10.0
    idle_timeout_s: float = 75.0
    linger_s: float = 2.0
    max_connections: int = 20_000
    backlog: int = 4096
    handshake_log_entries: int = 10_000


@dataclass(slots=True)
class FrontCounters:
    """What a front has seen since it started.

    Attributes:
        accepted: Connections accepted.
        refused: Connections closed at once because of ``max_connections``.
        idle_closed: Connections dropped because nothing moved.
        handshake_timeouts: Connections dropped in the handshake by the deadline.
        resumed: Completed handshakes that resumed a session.
        bytes_received: Bytes read from TLS connections that have ended.
        bytes_sent: Bytes written to TLS connections that have ended.
    """

    accepted: int = 0
    refused: int = 0
    idle_closed: int = 0
    handshake_timeouts: int = 0
    resumed: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0


class FrontSide(Protocol):
    """What a connection needs of the front that accepted it."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop both run in."""
        ...

    @property
    def limits(self) -> FrontLimits:
        """Deadlines and sizes."""
        ...

    @property
    def clock(self) -> Callable[[], float]:
        """Wall clock, seconds since 1970."""
        ...

    @property
    def make_handler(self) -> Callable[[], asyncio.Protocol]:
        """Factory of HTTP handlers."""
        ...

    @property
    def counters(self) -> FrontCounters:
        """What the front has seen."""
        ...

    @property
    def handshakes(self) -> HandshakeLog:
        """Where handshakes are logged."""
        ...

    def admit(self, connection: "FrontConnection") -> bool:
        """Register a new connection; ``False`` when there are too many."""
        ...

    def dismiss(self, connection: "FrontConnection") -> None:
        """Forget a connection that is gone."""
        ...


class PlainConnection(asyncio.Protocol):
    """One connection without TLS: passes everything on to the HTTP handler."""

    __slots__ = ("_front", "_handler", "_tcp", "is_active")

    def __init__(self, front: FrontSide) -> None:
        self._front = front
        self._handler = front.make_handler()
        self._tcp: asyncio.Transport | None = None
        self.is_active = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register with the front and start the handler."""
        tcp = cast("asyncio.Transport", transport)
        self._tcp = tcp
        if self._front.admit(self):
            self._handler.connection_made(tcp)
        else:
            self._tcp = None
            tcp.abort()

    def data_received(self, data: bytes) -> None:
        """Pass bytes on."""
        self.is_active = True
        self._handler.data_received(data)

    def eof_received(self) -> bool | None:
        """Pass the end of the stream on."""
        return self._handler.eof_received()

    def pause_writing(self) -> None:
        """Pass flow control on."""
        self._handler.pause_writing()

    def resume_writing(self) -> None:
        """Pass flow control on."""
        self.is_active = True
        self._handler.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the end on and leave the front."""
        if self._tcp is not None:
            self._tcp = None
            self._front.dismiss(self)
            self._handler.connection_lost(exc)

    def reset(self) -> None:
        """Drop the connection with RST."""
        if self._tcp is not None:
            reset(self._tcp)


class TlsConnection(asyncio.Protocol):
    """One connection with TLS; see the theory of operation above."""

    __slots__ = (
        "_connection",
        "_facade",
        "_front",
        "_handler",
        "_is_lingering",
        "_pump",
        "_started_s",
        "_tcp",
        "_timer",
        "is_active",
    )

    def __init__(self, front: FrontSide, connection: SSL.Connection) -> None:
        self._front = front
        self._connection = connection
        self._pump = TlsPump(connection)
        self._tcp: asyncio.Transport | None = None
        self._facade: FacadeTransport | None = None
        self._handler: asyncio.Protocol | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._started_s = 0.0
        self._is_lingering = False
        self.is_active = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register with the front and start the handshake's deadline."""
        tcp = cast("asyncio.Transport", transport)
        front = self._front
        self._tcp = tcp
        if not front.admit(self):
            self._tcp = None
            tcp.abort()
            return
        self._started_s = time.monotonic()
        self._timer = front.loop.call_later(
            front.limits.handshake_timeout_s, self._on_handshake_deadline
        )

    def data_received(self, data: bytes) -> None:
        """Feed ciphertext to the pump, plaintext to the handler."""
        self.is_active = True
        tcp = self._tcp
        if self._is_lingering or tcp is None:
            return
        pump = self._pump
        plaintext = pump.receive(data)
        ciphertext = pump.take()
        if ciphertext:
            tcp.write(ciphertext)
        if self._facade is None:
            if pump.failure is not None:
                self._log(pump.failure, ciphertext)
                self._linger()
                return
            if not pump.is_open:
                return
            self._open(tcp)
        if plaintext and self._handler is not None:
            self._handler.data_received(plaintext)
        if pump.failure is not None:
            self._abandon(ConnectionAbortedError(pump.failure.kind))
        elif pump.is_closed and self._facade is not None:
            self._facade.close()

    def eof_received(self) -> bool:
        """The client sent FIN: without close_notify that is the end all the same."""
        if self._is_lingering:
            return False
        self._pump.eof()
        if self._facade is None:
            self._log(self._pump.failure or Failure(Kind.TLS_RESET, Phase.TLS), b"")
            return False
        self._facade.close()
        return not self._is_lingering

    def pause_writing(self) -> None:
        """TCP takes no more for now."""
        if self._facade is not None:
            self._facade.block()

    def resume_writing(self) -> None:
        """TCP takes more."""
        self.is_active = True
        if self._facade is not None:
            self._facade.unblock()

    def connection_lost(self, exc: Exception | None) -> None:
        """TCP is gone."""
        if self._tcp is None:
            return
        self._tcp = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._facade is None and not self._is_lingering:
            self._pump.eof()
            self._log(self._pump.failure or Failure(Kind.TLS_RESET, Phase.TLS), b"")
        counters = self._front.counters
        counters.bytes_received += self._pump.bytes_in
        counters.bytes_sent += self._pump.bytes_out
        self._front.dismiss(self)
        self._end_handler(exc)

    def reset(self) -> None:
        """Drop the connection with RST."""
        if self._tcp is not None:
            reset(self._tcp)

    # --------------------------------------------------------------------- inside

    def _open(self, tcp: asyncio.Transport) -> None:
        """The handshake is complete: start the HTTP handler."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._log(None, b"")
        handler = self._front.make_handler()
        self._handler = handler
        self._facade = FacadeTransport(tcp, self._pump, handler, self._linger)
        handler.connection_made(self._facade)

    def _on_handshake_deadline(self) -> None:
        self._timer = None
        if self._tcp is None or self._facade is not None or self._is_lingering:
            return
        self._front.counters.handshake_timeouts += 1
        self._log(Failure(Kind.TLS_TIMEOUT, Phase.TLS, "handshake deadline"), b"")
        self._linger()

    def _linger(self) -> None:
        """Shut down our half, then wait, bounded, for the client's."""
        tcp = self._tcp
        if tcp is None or self._is_lingering:
            return
        self._is_lingering = True
        if self._timer is not None:
            self._timer.cancel()
        front = self._front
        self._timer = front.loop.call_later(front.limits.linger_s, self._on_linger_over)
        if self._handler is not None:
            # Asyncio transports tell their protocol in a later turn of the loop.
            front.loop.call_soon(self._end_handler, None)
        if not tcp.is_closing():
            tcp.write_eof()
            tcp.resume_reading()

    def _on_linger_over(self) -> None:
        self._timer = None
        tcp = self._tcp
        if tcp is None:
            return
        if tcp.get_write_buffer_size():
            # The client still reads our last bytes; the idle sweep bounds this.
            front = self._front
            self._timer = front.loop.call_later(
                front.limits.linger_s, self._on_linger_over
            )
            return
        tcp.close()

    def _abandon(self, exc: Exception) -> None:
        """Give up an open connection whose TLS broke; an alert may be on its way."""
        if self._facade is not None:
            self._facade.detach()
        self._linger()
        self._end_handler(exc)

    def _end_handler(self, exc: Exception | None) -> None:
        handler, self._handler = self._handler, None
        if self._facade is not None:
            self._facade.detach()
        if handler is not None:
            handler.connection_lost(exc)

    def _log(self, failure: Failure | None, last_flight: bytes) -> None:
        front = self._front
        connection = self._connection
        peer = self._tcp.get_extra_info("peername") if self._tcp else None
        name = connection.get_servername()
        info = self._pump.handshake_info() if failure is None else None
        if info is not None and info.resumed:
            front.counters.resumed += 1
        certificate = self._pump.peer_certificate()
        front.handshakes.add(
            HandshakeEntry(
                number=front.handshakes.next_number,
                unix_s=front.clock(),
                duration_s=time.monotonic() - self._started_s,
                peer=_address_text(peer),
                result="ok" if failure is None else failure.kind,
                detail="" if failure is None else failure.detail,
                alert_sent="" if failure is None else alert_sent(failure, last_flight),
                alert_received="" if failure is None else alert_name(failure),
                version="" if info is None else info.version,
                suite="" if info is None else info.suite,
                resumed=info is not None and info.resumed,
                server_name="" if name is None else name.decode("ascii", "replace"),
                client_subject=(
                    "" if certificate is None else certificate.subject.rfc4514_string()
                ),
                client_serial=(
                    "" if certificate is None else f"{certificate.serial_number:x}"
                ),
            )
        )


FrontConnection = PlainConnection | TlsConnection


def _address_text(address: Any) -> str:
    if not isinstance(address, tuple):
        return ""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
