"""Relay: passes the bytes of a front's connections on to any server.

Theory of operation. A front of scheme ``tcp`` (:mod:`fleetsim.lab.tls_front`) hands every
accepted connection to a :class:`_Downstream`, which dials the server and then passes
bytes both ways; faults stand before it in the shape of a
:class:`~fleetsim.lab.faults.path.Path`. TLS goes through unread, so clients see the
server's own certificate and the server sees theirs; only the address the server sees is
the relay's.

Each side feels the other: a side that does not take its bytes stops the reading of the
other, FIN is passed on as FIN (half-closed connections stay half open), RST as RST. A
client whose upstream connection cannot be made was already accepted, so it gets RST, as
from any balancer at this level.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from fleetsim.lab.tcp_reset import reset


class Relay:
    """Makes the handlers of connections that lead to one server.

    Args:
        upstream: Host and port of the server.
        connect_timeout_s: Longest time to reach it, seconds.

    Attributes:
        upstream_failed: Connections reset because it could not be reached.
    """

    def __init__(
        self, upstream: tuple[str, int], *, connect_timeout_s: float = 10.0
    ) -> None:
        self.upstream_failed = 0
        self._upstream = upstream
        self._connect_timeout_s = connect_timeout_s
        self._loop = asyncio.get_running_loop()
        # A dial has no group to belong to: connections come and go with the clients.
        self._dials: set[asyncio.Task[None]] = set()

    def connection(self) -> asyncio.Protocol:
        """Make the handler of one connection of the front."""
        return _Downstream(self._dial)

    def close(self) -> None:
        """Dial nobody any more; the front ends the connections."""
        for task in tuple(self._dials):
            task.cancel()

    def _dial(self, connection: "_Downstream") -> asyncio.Task[None]:
        task = self._loop.create_task(self._dialled(connection))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)
        return task

    async def _dialled(self, connection: "_Downstream") -> None:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await self._loop.create_connection(
                    lambda: connection.upstream, *self._upstream
                )
        except OSError:  # TimeoutError is one
            self.upstream_failed += 1
            connection.reset()


class _Side(asyncio.Protocol):
    """One side of a relayed connection; passes what it hears to the other."""

    def __init__(self) -> None:
        self.tcp: asyncio.Transport | None = None
        self.other: _Side | None = None
        self.is_lost = False
        self.is_eof_seen = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.tcp = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        other = self._open_other()
        if other is not None:
            other.write(data)

    def eof_received(self) -> bool:
        self.is_eof_seen = True
        other = self._open_other()
        if other is None:
            return False
        other.write_eof()
        # Both have said all they had to say: the transports close by themselves.
        return self.other is not None and not self.other.is_eof_seen

    def pause_writing(self) -> None:
        other = self._open_other()
        if other is not None:
            other.pause_reading()

    def resume_writing(self) -> None:
        other = self._open_other()
        if other is not None:
            other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        other = self._open_other()
        if other is not None:
            if exc is None:
                other.close()
            else:
                reset(other)

    def _open_other(self) -> asyncio.Transport | None:
        """Transport of the other side, unless there is none or it is closing."""
        tcp = None if self.other is None else self.other.tcp
        return None if tcp is None or tcp.is_closing() else tcp


class _Downstream(_Side):
    """The client's side; what it sends before the server is reached is kept."""

    def __init__(self, dial: Callable[["_Downstream"], asyncio.Task[None]]) -> None:
        super().__init__()
        self.upstream = _Upstream(self)
        self.other = self.upstream
        self._dial = dial
        self._task: asyncio.Task[None] | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._task = self._dial(self)

    def data_received(self, data: bytes) -> None:
        if self.upstream.tcp is None and self.tcp is not None:
            # uvloop ignores a pause from within connection_made: one read comes.
            self._early.append(data)
            self.tcp.pause_reading()
        else:
            super().data_received(data)

    def eof_received(self) -> bool:
        if self.upstream.tcp is None:
            self.is_eof_seen = True
            return True
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._task is not None:
            self._task.cancel()

    def reached(self, upstream: asyncio.Transport) -> None:
        """The server is reached: it gets what has come so far."""
        if self.tcp is None or self.tcp.is_closing():
            upstream.abort()
            return
        for data in self._early:
            upstream.write(data)
        self._early.clear()
        if self.is_eof_seen:
            upstream.write_eof()
        else:
            self.tcp.resume_reading()

    def reset(self) -> None:
        """Drop the connection, on both sides, with RST."""
        for side in (self, self.upstream):
            if side.tcp is not None and not side.is_lost:
                reset(side.tcp)


class _Upstream(_Side):
    """The server's side."""

    def __init__(self, downstream: _Downstream) -> None:
        super().__init__()
        self.other = downstream
        self._downstream = downstream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._downstream.reached(cast("asyncio.Transport", transport))
