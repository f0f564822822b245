"""Listener: listening sockets that can refuse for a while without losing their port.

Theory of operation. A server that is down answers a SYN with RST (RFC 9293 3.5.2), so the
listening socket must really be gone. Its port must not: on a loaded machine the kernel
would soon lend it to somebody's outgoing connection. So :meth:`Listener.refuse` puts a
socket in its place that is bound and does not listen: the kernel answers for it with RST
and gives the port to nobody. :meth:`Listener.accept` lets that very socket listen.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Any


class Listener:
    """The listening sockets of one address.

    Args:
        loop: Event loop.
        make_protocol: Called for every accepted connection.
        backlog: Connections the kernel queues for accept (capped by ``somaxconn``).
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        make_protocol: Callable[[], asyncio.BaseProtocol],
        backlog: int,
    ) -> None:
        self._loop = loop
        self._make_protocol = make_protocol
        self._backlog = backlog
        self._servers: list[asyncio.Server] = []
        self._guards: list[socket.socket] = []

    @property
    def is_accepting(self) -> bool:
        """Whether connections are accepted now."""
        return bool(self._servers)

    async def start(self, host: str, port: int) -> int:
        """Listen on every address of a host; returns the port of the first.

        Args:
            host: Address or name to bind.
            port: 0..65535; 0 lets the kernel choose.

        Raises:
            OSError: The address cannot be bound.
        """
        server = await self._loop.create_server(
            self._make_protocol, host, port, backlog=self._backlog
        )
        self._servers = [server]
        bound: int = server.sockets[0].getsockname()[1]
        return bound

    def refuse(self) -> None:
        """Refuse connections from now on; those queued by the kernel are reset.

        Harmless when repeated, and after :meth:`close`.
        """
        places = [
            (each.family, each.getsockname())
            for server in self._servers
            for each in server.sockets
        ]
        for server in self._servers:
            server.close()
        self._servers = []
        self._guards += [_bound(family, address) for family, address in places]

    async def accept(self) -> None:
        """Accept connections again on the same ports. Harmless when it does."""
        guards, self._guards = self._guards, []
        for guard in guards:
            self._servers.append(
                await self._loop.create_server(
                    self._make_protocol, sock=guard, backlog=self._backlog
                )
            )

    def close(self) -> None:
        """Give the ports back."""
        for server in self._servers:
            server.close()
        for guard in self._guards:
            guard.close()
        self._servers = []
        self._guards = []


def _bound(family: int, address: Any) -> socket.socket:
    guard = socket.socket(family, socket.SOCK_STREAM)
    try:
        guard.setblocking(False)
        # Connections of the closed listener keep the address busy (TIME_WAIT).
        guard.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            guard.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        guard.bind(address)
    except OSError:
        guard.close()
        raise
    return guard
