"""Served front: one front of a lab server and everything behind it.

What ends TLS is the built-in front, a real program (:mod:`fleetsim.lab.terminators`), or,
where bytes are only passed on (:mod:`fleetsim.lab.faults.relay`), the server they go to.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from aiohttp import web

from fleetsim.lab.faults.relay import Relay
from fleetsim.lab.front_connection import FrontLimits
from fleetsim.lab.handshake_log import HandshakeLog
from fleetsim.lab.request_counts import RequestCounts
from fleetsim.lab.settings import FrontSettings, LabSettings
from fleetsim.lab.terminators.choice import make_terminator
from fleetsim.lab.terminators.terminator import Terminator
from fleetsim.lab.tls_front import TlsFront
from fleetsim.transport.tls_server import ServerTls


@dataclass(slots=True)
class ServedFront:
    """One front.

    Attributes:
        settings: What was asked for.
        http: S3 endpoint of its connections.
        requests: How its requests ended.
        front: Who listens.
        terminator: Program that ends TLS; ``None`` = the front itself.
        relay: Where bytes are passed on to; ``None`` = they are served here.
    """

    settings: FrontSettings
    http: web.Server
    requests: RequestCounts
    front: TlsFront
    terminator: Terminator | None = None
    relay: Relay | None = None

    @property
    def handshakes(self) -> HandshakeLog:
        """What whoever ends TLS here knows of handshakes."""
        return (self.terminator or self.front).handshakes

    async def swap(self, tls: ServerTls) -> None:
        """Use other TLS settings for new handshakes; returns once they do."""
        if self.terminator is None:
            self.front.swap(tls)
        else:
            await self.terminator.swap(tls)

    async def stop(self, grace_s: float) -> None:
        """Finish requests under way, for a while, then end everything."""
        # To aiohttp a timeout of 0 means to wait for ever.
        await self.http.shutdown(max(grace_s, 0.001))
        await self.front.stop(min(grace_s, self.front.limits.linger_s))
        if self.terminator is not None:
            await self.terminator.stop()
        if self.relay is not None:
            self.relay.close()

    def figures(self) -> dict[str, Any]:
        """Return what it has done so far, as JSON values."""
        handshakes = self.handshakes
        found = {
            "live": self.front.live,
            **asdict(self.front.counters),
            "handshakes": handshakes.by_result(),
            "handshakes_resumed": handshakes.resumed,
            "requests": self.requests.figures(),
        }
        if self.relay is not None:
            found["upstream_failed"] = self.relay.upstream_failed
        return found


async def open_front(
    settings: FrontSettings,
    lab: LabSettings,
    *,
    http: web.Server,
    requests: RequestCounts,
    tls: ServerTls | None,
    clock: Callable[[], float],
) -> ServedFront:
    """Make a front; it does not listen yet, but a real program runs already.

    Args:
        settings: The front's.
        lab: The lab's.
        http: S3 endpoint of its connections.
        requests: How its requests ended.
        tls: TLS settings with their files read; ``None`` = no TLS here.
        clock: The lab's time of day, seconds since 1970.

    Raises:
        InputError: The program is not there or refuses the settings.
    """
    limits = FrontLimits(
        handshake_timeout_s=settings.handshake_timeout_s,
        idle_timeout_s=settings.idle_timeout_s,
        linger_s=settings.linger_s,
        max_connections=settings.max_connections,
    )

    def listener(
        tls: ServerTls | None, make_handler: Callable[[], asyncio.Protocol]
    ) -> TlsFront:
        return TlsFront(
            tls,
            make_handler,
            clock=clock,
            limits=limits,
            is_judging_by_clock=lab.clock is not None,
        )

    if settings.upstream is not None:
        relay = Relay((settings.upstream.host, settings.upstream.port))
        front = listener(None, relay.connection)
        return ServedFront(settings, http, requests, front, relay=relay)
    if tls is not None:
        terminator = make_terminator(
            lab.front_program, lab.front_folder, settings, http
        )
        if terminator is not None:
            await terminator.start(tls)
            front = listener(None, terminator.connection)
            return ServedFront(settings, http, requests, front, terminator)
    return ServedFront(settings, http, requests, listener(tls, http))
