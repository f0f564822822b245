"""TLS front: one listening address of the lab, with TLS or without.

``swap`` replaces the TLS context for new handshakes. A connection keeps the context it
began with; session tickets of the old context cannot be resumed under the new one, so a
client revoked by the swap cannot slip past the new CRL with an old session.

``refuse`` makes the front look like a server that is down, ``accept`` ends that. The
faults of ``faults`` stand between the socket and the TLS of new connections.
"""

import asyncio
from collections.abc import Callable

from fleetsim.lab.faults.switch import FaultSwitch
from fleetsim.lab.front_connection import (
    FrontConnection,
    FrontCounters,
    FrontLimits,
    PlainConnection,
    TlsConnection,
)
from fleetsim.lab.handshake_log import HandshakeLog
from fleetsim.lab.listener import Listener
from fleetsim.transport.tls_server import ServerContext, ServerTls


class TlsFront:
    """One listening address of the lab.

    Args:
        server_tls: TLS settings, ``None`` for plain HTTP.
        make_handler: Called once for each usable connection; an
            :class:`aiohttp.web.Server` is such a factory.
        clock: Wall clock, seconds since 1970.
        limits: Deadlines and sizes.
        is_judging_by_clock: Verify client certificates and revocation lists at the
            time of ``clock`` instead of the machine's own.

    Attributes:
        counters: What it has seen.
        handshakes: What became of its handshakes.
        faults: Trouble on the way to it.

    Raises:
        InputError: The TLS settings cannot be used.
    """

    def __init__(
        self,
        server_tls: ServerTls | None,
        make_handler: Callable[[], asyncio.Protocol],
        *,
        clock: Callable[[], float],
        limits: FrontLimits | None = None,
        is_judging_by_clock: bool = False,
    ) -> None:
        self.limits = limits or FrontLimits()
        self.clock = clock
        self.make_handler = make_handler
        self.counters = FrontCounters()
        self.handshakes = HandshakeLog(self.limits.handshake_log_entries)
        self.faults = FaultSwitch()
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self._context = None if server_tls is None else ServerContext(server_tls)
        self._connections: set[FrontConnection] = set()
        self._is_judging_by_clock = is_judging_by_clock
        self._listener = Listener(self.loop, self._accept, self.limits.backlog)
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._on_empty: asyncio.Future[None] | None = None
        self._is_stopping = False

    @property
    def is_tls(self) -> bool:
        """Whether the front speaks TLS."""
        return self._context is not None

    @property
    def live(self) -> int:
        """Connections open now, handshaking and lingering ones included."""
        return len(self._connections)

    async def start(self, host: str, port: int) -> int:
        """Listen.

        Args:
            host: Address or name to bind.
            port: 0..65535; 0 lets the kernel choose.

        Returns:
            The port that is bound.

        Raises:
            OSError: The address cannot be bound.
        """
        bound = await self._listener.start(host, port)
        self._schedule_sweep()
        return bound

    @property
    def is_accepting(self) -> bool:
        """Whether the front listens: not before its start, nor in an outage."""
        return self._listener.is_accepting

    def refuse(self) -> int:
        """Refuse connections and reset the open ones; returns how many those were."""
        self._listener.refuse()
        return self.close_connections()

    async def accept(self) -> None:
        """Accept connections again, on the same port."""
        await self._listener.accept()

    def swap(self, server_tls: ServerTls) -> None:
        """Use other TLS settings for new handshakes; live connections go on.

        Raises:
            InputError: The settings cannot be used; the old ones stay.
            ValueError: The front is plain HTTP.
        """
        if self._context is None:
            raise ValueError("a plain HTTP front has no TLS settings to swap")
        self._context = ServerContext(server_tls)

    def close_connections(self) -> int:
        """Reset every connection (RST), in the handshake or not; returns how many."""
        connections = tuple(self._connections)
        for connection in connections:
            connection.reset()
        return len(connections)

    def close_listener(self) -> None:
        """Accept nothing more; open connections go on. Harmless when repeated."""
        self._is_stopping = True
        self._listener.close()

    async def stop(self, grace_s: float) -> None:
        """Stop listening, let open connections end for a while, reset the rest.

        Args:
            grace_s: Longest wait for connections to end by themselves, seconds.
        """
        self.close_listener()
        await self._wait_empty(grace_s)
        self.close_connections()
        await self._wait_empty(1.0)
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
            self._sweep_timer = None

    def sweep(self) -> None:
        """Drop the connections on which nothing moved since the last sweep."""
        for connection in tuple(self._connections):
            if connection.is_active:
                connection.is_active = False
            else:
                self.counters.idle_closed += 1
                connection.reset()

    # ------------------------------------------------------- called by connections

    def admit(self, connection: FrontConnection) -> bool:
        """Register a new connection; ``False`` when there are too many."""
        if self._is_stopping or len(self._connections) >= self.limits.max_connections:
            self.counters.refused += 1
            return False
        self.counters.accepted += 1
        self._connections.add(connection)
        return True

    def dismiss(self, connection: FrontConnection) -> None:
        """Forget a connection that is gone."""
        self._connections.discard(connection)
        if not self._connections and self._on_empty is not None:
            if not self._on_empty.done():
                self._on_empty.set_result(None)
            self._on_empty = None

    # --------------------------------------------------------------------- inside

    def _accept(self) -> asyncio.Protocol:
        context = self._context
        if context is None:
            return self.faults.wrap(self.loop, PlainConnection(self))
        verify_unix_s = int(self.clock()) if self._is_judging_by_clock else None
        connection = TlsConnection(self, context.connection(verify_unix_s))
        return self.faults.wrap(self.loop, connection)

    def _schedule_sweep(self) -> None:
        self._sweep_timer = self.loop.call_later(
            self.limits.idle_timeout_s, self._on_sweep
        )

    def _on_sweep(self) -> None:
        self.sweep()
        self._schedule_sweep()

    async def _wait_empty(self, timeout_s: float) -> None:
        if not self._connections:
            return
        self._on_empty = self.loop.create_future()
        await asyncio.wait((self._on_empty,), timeout=timeout_s)
