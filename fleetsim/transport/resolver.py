"""Resolver: name resolution with a bounded cache shared by the fleet.

Real devices ask a resolver that caches; thousands of virtual ones on one machine would
otherwise measure the thread pool behind ``getaddrinfo`` and not the network. Only
look-ups that were really made appear in the ``dns`` latency.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable


def is_ip_literal(host: str) -> bool:
    """Tell whether a host is an IPv4 or IPv6 address and needs no look-up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class Resolver:
    """Resolves host names.

    Args:
        loop: Event loop whose resolver is asked.
        now_ns: Clock.
        ttl_s: How long an answer is kept, seconds; 0 = ask every time.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        now_ns: Callable[[], int],
        ttl_s: float = 30.0,
    ) -> None:
        self._loop = loop
        self._now_ns = now_ns
        self._ttl_ns = int(ttl_s * 1e9)
        self._answers: dict[str, tuple[int, tuple[str, ...]]] = {}

    def cached(self, host: str) -> tuple[str, ...]:
        """Addresses known without asking anybody; empty = ask with :meth:`resolve`."""
        answer = self._answers.get(host)
        if answer is not None and self._now_ns() < answer[0]:
            return answer[1]
        if is_ip_literal(host):
            self._answers[host] = (1 << 62, (host,))
            return (host,)
        return ()

    async def resolve(self, host: str) -> tuple[str, ...]:
        """Ask the system resolver.

        Returns:
            Addresses without duplicates, IPv4 first (the reference device is IPv4).

        Raises:
            OSError: The look-up failed (``socket.gaierror``).
        """
        found = await self._loop.getaddrinfo(
            host, None, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM
        )
        found.sort(key=lambda entry: entry[0] != socket.AF_INET)
        addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        self._answers[host] = (self._now_ns() + self._ttl_ns, addresses)
        return addresses
