"""Relay: a TCP relay with faults, in front of any server.

Theory of operation. Every accepted connection is served by a :class:`_Downstream`, which
dials the upstream server and then passes bytes both ways; faults stand before it in the
shape of a :class:`~fleetsim.lab.faults.path.Path`. TLS goes through unread, so clients
see the server's own certificate and the server sees theirs; only the address the server
sees is the relay's.

Each side feels the other: a side that does not take its bytes stops the reading of the
other, FIN is passed on as FIN (half-closed connections stay half open), RST as RST. A
client whose upstream connection cannot be made was already accepted, so it gets RST, as
from any balancer at this level.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, cast

from fleetsim.lab.faults.flow import Fault
from fleetsim.lab.faults.switch import FaultSwitch
from fleetsim.lab.listener import Listener
from fleetsim.lab.tcp_reset import reset

_BACKLOG: Final = 4096
_GOODBYE_S: Final = 1.0


@dataclass(slots=True)
class RelayCounters:
    """What a relay has seen.

    Attributes:
        accepted: Connections accepted.
        upstream_failed: Connections reset because the server could not be reached.
    """

    accepted: int = 0
    upstream_failed: int = 0


class Relay:
    """A relay; use it as an asynchronous context manager.

    Args:
        listen: Address to bind and port, 0 = any.
        upstream: Host and port of the server.
        connect_timeout_s: Longest time to reach it, seconds.
        seed: Of what faults draw.

    Attributes:
        counters: What it has seen.
    """

    def __init__(
        self,
        listen: tuple[str, int],
        upstream: tuple[str, int],
        *,
        connect_timeout_s: float = 10.0,
        seed: int = 0,
    ) -> None:
        self.counters = RelayCounters()
        self._listen = listen
        self._upstream = upstream
        self._connect_timeout_s = connect_timeout_s
        self._faults = FaultSwitch(seed)
        self._loop = asyncio.get_running_loop()
        self._tasks = asyncio.TaskGroup()
        self._live: set[_Downstream] = set()
        self._is_empty = asyncio.Event()
        self._port = 0
        self._listener = Listener(self._loop, self._accept, _BACKLOG)

    @property
    def address(self) -> tuple[str, int]:
        """Address and port it listens on; port 0 before it does."""
        return self._listen[0], self._port

    @property
    def live(self) -> int:
        """Connections open now."""
        return len(self._live)

    @property
    def hits(self) -> dict[str, int]:
        """Connections hit so far, by kind of the faults that are on."""
        return self._faults.hits

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: The address cannot be bound.
        """
        await self._tasks.__aenter__()
        try:
            self._port = await self._listener.start(*self._listen)
        except BaseException as exc:
            await self._tasks.__aexit__(type(exc), exc, exc.__traceback__)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop listening and reset what is open."""
        self._listener.close()
        self._is_empty.clear()
        if self.close_connections():
            # Transports tell of their end in a later turn of the loop.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_S):
                    await self._is_empty.wait()
        await self._tasks.__aexit__(kind, exc, traceback)

    def begin(self, fault: Fault, share: float = 1.0) -> None:
        """Let a fault hit new connections; one of the same kind is over then.

        Args:
            fault: What happens to them.
            share: Share of them, in turn, 0..1.
        """
        self._faults.begin(fault, share)

    def end(self, kind: str | None = None) -> tuple[str, ...]:
        """Lift faults of one kind, or all; returns the kinds that were on."""
        return self._faults.end(kind)

    def refuse(self) -> None:
        """Refuse connections from now on and reset the open ones."""
        self._listener.refuse()
        self.close_connections()

    async def accept(self) -> None:
        """Accept connections again, on the same port."""
        await self._listener.accept()

    def close_connections(self) -> int:
        """Reset every open connection; returns how many."""
        connections = tuple(self._live)
        for each in connections:
            each.reset()
        return len(connections)

    def _accept(self) -> asyncio.Protocol:
        self.counters.accepted += 1
        connection = _Downstream(self._dial, self._forget)
        self._live.add(connection)
        return self._faults.wrap(self._loop, connection)

    def _forget(self, connection: "_Downstream") -> None:
        self._live.discard(connection)
        if not self._live:
            self._is_empty.set()

    def _dial(self, connection: "_Downstream") -> asyncio.Task[None]:
        return self._tasks.create_task(self._dialled(connection))

    async def _dialled(self, connection: "_Downstream") -> None:
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                await self._loop.create_connection(
                    lambda: connection.upstream, *self._upstream
                )
        except OSError:  # TimeoutError is one
            self.counters.upstream_failed += 1
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

    def __init__(
        self,
        dial: Callable[["_Downstream"], asyncio.Task[None]],
        on_gone: Callable[["_Downstream"], None],
    ) -> None:
        super().__init__()
        self.upstream = _Upstream(self)
        self.other = self.upstream
        self._dial = dial
        self._on_gone = on_gone
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
        self._on_gone(self)

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
