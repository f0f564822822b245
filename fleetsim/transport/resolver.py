"""Resolver: name resolution with a bounded cache shared by the fleet.

Real devices ask a resolver that caches; thousands of virtual ones on one machine would
otherwise measure the thread pool behind ``getaddrinfo`` and not the network. Only
look-ups that were really made appear in the ``dns`` latency.

A rehearsal may change what a name means (:meth:`Resolver.override`): from then on new
connections go elsewhere, or find nothing, while open ones live on, as with a real DNS
change once caches have run out. An address can be led elsewhere too, as by a router.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fleetsim.exceptions import InputError, Problem


def is_ip_literal(host: str) -> bool:
    """Tell whether a host is an IPv4 or IPv6 address and needs no look-up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Override:
    addresses: tuple[str, ...]
    to_port: int | None


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
        self._overrides: dict[tuple[str, int | None], _Override] = {}

    def override(
        self,
        host: str,
        addresses: Iterable[str] | None,
        *,
        port: int | None = None,
        to_port: int | None = None,
    ) -> None:
        """Let a name mean something else; an earlier override of it is replaced.

        Args:
            host: The name, or an address that shall be reached by another way.
            addresses: IP addresses it resolves to; ``None`` = the name is gone, look-ups
                end as ``dns.not_found``.
            port: Only for connections to this port. The fronts of a lab share one name
                and one address: there a front is told from another by its port.
            to_port: Port that is dialled instead; ``None`` = the one asked for.

        Raises:
            InputError: An address is none.
        """
        chosen = () if addresses is None else tuple(addresses)
        problems = [
            Problem(f"address {address!r}", "is no IP address")
            for address in chosen
            if not is_ip_literal(address)
        ]
        if addresses is not None and not chosen:
            problems.append(Problem("addresses", "none given; None = the name is gone"))
        if problems:
            raise InputError(problems)
        self._answers.pop(host, None)
        self._overrides[_name(host), port] = _Override(chosen, to_port)

    def restore(self, host: str, *, port: int | None = None) -> None:
        """Take an override back; harmless when there is none.

        Args:
            host: The name.
            port: As given to :meth:`override`.
        """
        self._answers.pop(host, None)
        self._overrides.pop((_name(host), port), None)

    def dialled_port(self, host: str, port: int) -> int:
        """Port to dial for a host and the port asked for."""
        override = self._override_of(host, port) if self._overrides else None
        if override is None or override.to_port is None:
            return port
        return override.to_port

    def cached(self, host: str, port: int | None = None) -> tuple[str, ...]:
        """Addresses known without asking anybody; empty = ask with :meth:`resolve`.

        Args:
            host: Name or address.
            port: Port that will be asked for; it matters to an override for one port.
        """
        if self._overrides:
            override = self._override_of(host, port)
            if override is not None:
                return override.addresses
        answer = self._answers.get(host)
        if answer is not None and self._now_ns() < answer[0]:
            return answer[1]
        if is_ip_literal(host):
            self._answers[host] = (1 << 62, (host,))
            return (host,)
        return ()

    async def resolve(self, host: str, port: int | None = None) -> tuple[str, ...]:
        """Ask the system resolver.

        Args:
            host: Name.
            port: As with :meth:`cached`.

        Returns:
            Addresses without duplicates, IPv4 first (the reference device is IPv4).

        Raises:
            OSError: The look-up failed (``socket.gaierror``).
        """
        override = self._override_of(host, port)
        if override is not None:
            if not override.addresses:
                raise socket.gaierror(socket.EAI_NONAME, "the name is gone")
            return override.addresses
        found = await self._loop.getaddrinfo(
            host, None, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM
        )
        found.sort(key=lambda entry: entry[0] != socket.AF_INET)
        addresses = tuple(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        self._answers[host] = (self._now_ns() + self._ttl_ns, addresses)
        return addresses

    def _override_of(self, host: str, port: int | None) -> _Override | None:
        name = _name(host)
        for_port = self._overrides.get((name, port))
        return for_port or self._overrides.get((name, None))


def _name(host: str) -> str:
    """A name as DNS compares it (RFC 4343): without case or the root's dot."""
    return host.removesuffix(".").lower()
