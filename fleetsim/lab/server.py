"""Lab server: store, S3 endpoint and fronts in one event loop.

Used in the foreground by ``fleetsim lab`` and, behind :mod:`fleetsim.lab.control`, as the
lab's own process.
"""

import asyncio
import errno
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

from aiohttp import web

from fleetsim.core.settings import Credentials
from fleetsim.exceptions import InputError, Problem
from fleetsim.lab.folder_store import FolderStore
from fleetsim.lab.handshake_log import HandshakeEntry
from fleetsim.lab.lab_clock import LabClock
from fleetsim.lab.loop_lag import LoopLag
from fleetsim.lab.object_store import MemoryStore, ObjectStore
from fleetsim.lab.request_counts import RequestCounts
from fleetsim.lab.s3_app import (
    MAX_SKEW_S,
    SERVER_OPTIONS,
    S3Service,
    S3Settings,
)
from fleetsim.lab.served_front import ServedFront, open_front
from fleetsim.lab.settings import (
    ClockSettings,
    FrontSettings,
    LabAddress,
    LabSettings,
    StoreSettings,
    TlsSettings,
)
from fleetsim.lab.slowness import Slowness
from fleetsim.lab.tls_files import load_tls
from fleetsim.lab.troubles import Place, Troubles
from fleetsim.transport.tls_server import ServerContext, ServerTls

_TRANSIT_S: Final = 5.0
"""Longest a signed request may be on its way, real time, before its skew is judged."""

_Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class LabServer:
    """A lab inside the running event loop.

    Args:
        settings: What to serve.
        clock: Wall clock, seconds since 1970: request times are judged by it, unless
            the settings have a calendar.

    Attributes:
        troubles: What can be done to its clients.

    Raises:
        InputError: Buckets, region, credentials or the store cannot be used.
    """

    def __init__(self, settings: LabSettings, *, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._wall_clock = clock
        self._calendar = None if settings.clock is None else _calendar(settings.clock)
        self._clock = clock if self._calendar is None else self._calendar
        self._places: dict[str, Place] = {}
        self.troubles = Troubles(
            self._places, now_ns=time.monotonic_ns, clock=self._clock
        )
        self._fronts: dict[str, ServedFront] = {}
        self._store = _store(settings.store)
        self._service = S3Service(
            s3_settings(settings),
            self._store,
            self._clock,
        )
        self._lag = LoopLag(asyncio.get_running_loop())
        self._started_s = time.monotonic()
        self._cpu_at_start_s = time.process_time()

    async def start(self) -> LabAddress:
        """Read every file, then bind every front; all or nothing.

        Raises:
            InputError: With every unusable file, setting and address.
        """
        tls = _load_all(
            (front.name, front.tls)
            for front in self._settings.fronts
            if front.tls is not None
        )
        problems: list[Problem] = []
        address = LabAddress({})
        for settings in self._settings.fronts:
            slowness = Slowness()
            requests = RequestCounts()
            http = web.Server(
                self._handler(settings, slowness, requests),
                keepalive_timeout=settings.idle_timeout_s,
                tcp_keepalive=False,  # the front's own sweep finds dead connections
                **SERVER_OPTIONS,
            )
            try:
                each = await open_front(
                    settings,
                    self._settings,
                    http=http,
                    requests=requests,
                    tls=tls.get(settings.name),
                    clock=self._clock,
                )
                self._fronts[settings.name] = each
                port = await each.front.start(settings.host, settings.port)
            except InputError as exc:
                problems.extend(exc.problems)
            except OSError as exc:
                problems.append(_bind_problem(settings, exc))
            else:
                self._places[settings.name] = Place(
                    front=each.front, slowness=slowness, is_control=settings.is_control
                )
                address.fronts[settings.name] = (settings.host, port)
        if problems:
            await self.stop(0.0)
            raise InputError(problems)
        self._lag.start()
        return address

    async def stop(self, grace_s: float) -> None:
        """Stop listening, finish requests under way, then close everything.

        Args:
            grace_s: Longest wait for requests under way, seconds.
        """
        self._lag.stop()
        fronts = tuple(self._fronts.values())
        for each in fronts:
            each.front.close_listener()
        self.troubles.end_slowness()
        for each in fronts:
            each.http.pre_shutdown()
        async with asyncio.TaskGroup() as tasks:
            for each in fronts:
                tasks.create_task(each.stop(grace_s))

    async def swap_front(self, name: str, tls: TlsSettings) -> None:
        """Use other TLS settings on one front, for new handshakes only.

        When it returns, every handshake that begins meets them, whoever ends TLS there.

        Raises:
            InputError: For an unknown or plain front or unusable settings; nothing has
                changed then.
        """
        each = self._find(name)
        if each.settings.tls is None:
            raise InputError(Problem(f"front {name}", "is plain HTTP: there is no TLS"))
        await each.swap(_load_all([(name, tls)])[name])
        each.settings = each.settings.model_copy(update={"tls": tls})

    async def reload(self, name: str | None = None) -> tuple[str, ...]:
        """Read the files of one front, or of all, again; returns the names reloaded.

        Raises:
            InputError: With every problem; nothing has changed then.
        """
        chosen = [self._find(name)] if name is not None else [*self._fronts.values()]
        loaded = _load_all(
            (each.settings.name, each.settings.tls)
            for each in chosen
            if each.settings.tls is not None
        )
        for front_name, tls in loaded.items():
            await self._fronts[front_name].swap(tls)
        return tuple(loaded)

    def close_connections(self, name: str | None = None) -> int:
        """Reset the connections of one front, or of all; returns how many."""
        chosen = [self._find(name)] if name is not None else [*self._fronts.values()]
        return sum(each.front.close_connections() for each in chosen)

    def handshakes(
        self, name: str, after: int, limit: int
    ) -> tuple[tuple[HandshakeEntry, ...], int]:
        """Return remembered handshakes of one front, and how many there were in all.

        Args:
            name: The front.
            after: Number of the last entry already seen, 0 = none.
            limit: Most entries, oldest first.

        Raises:
            InputError: There is no such front.
        """
        log = self._find(name).handshakes
        return log.after(after, limit), log.total

    def refused(self) -> tuple[tuple[str, str, int], ...]:
        """Return who was refused a handshake, at any front.

        Returns:
            Subject of the client certificate, failure kind and count.
        """
        total: Counter[tuple[str, str]] = Counter()
        for each in self._fronts.values():
            for subject, result, count in each.handshakes.refused:
                total[subject, result] += count
        return tuple((*who, count) for who, count in sorted(total.items()))

    def add_credentials(self, credentials: Credentials) -> None:
        """Accept credentials from now on; replaces those of the same access key."""
        self._service.credentials.add(credentials)

    def remove_credentials(self, access_key: str) -> None:
        """Accept credentials no longer.

        Raises:
            InputError: They were not accepted before either.
        """
        if not self._service.credentials.remove(access_key):
            raise InputError(Problem(f"access key {access_key}", "is not known here"))

    def start_clock(self, origin_monotonic_ns: int) -> None:
        """Let the calendar, which has stood still so far, run from an origin.

        Raises:
            InputError: There is no calendar, or it runs already.
        """
        if self._calendar is None:
            raise InputError(Problem("clock", "this lab has no calendar"))
        if self._calendar.origin_monotonic_ns is not None:
            raise InputError(Problem("clock", "the calendar runs already"))
        self._calendar.origin_monotonic_ns = origin_monotonic_ns

    def stats(self) -> dict[str, Any]:
        """Return what the lab has done so far, as JSON values.

        ``cpu_s`` is CPU time of the whole process since the lab was made, ``uptime_s``
        the time that passed; their ratio is the share of one core.
        """
        return {
            "uptime_s": round(time.monotonic() - self._started_s, 6),
            "cpu_s": round(time.process_time() - self._cpu_at_start_s, 6),
            "loop_lag": self._lag.figures(),
            "requests": RequestCounts.sum_of(
                each.requests for each in self._fronts.values()
            ).figures(),
            "store": {
                "objects": sum(len(b.objects) for b in self._store.buckets.values()),
                "bytes": self._store.used_bytes,
            },
            "fronts": {name: each.figures() for name, each in self._fronts.items()},
        }

    def _handler(
        self, settings: FrontSettings, slowness: Slowness, requests: RequestCounts
    ) -> _Handler:
        handle = self._service.handle
        signing_clock = self._wall_clock if settings.is_control else None

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            response = await handle(request, signing_clock, requests.note)
            if slowness.delay_s:
                await slowness.hold()
            return response

        return answer

    def _find(self, name: str) -> ServedFront:
        each = self._fronts.get(name)
        if each is None:
            known = ", ".join(self._fronts) or "none"
            raise InputError(Problem(f"front {name}", f"there is none; known: {known}"))
        return each


def s3_settings(settings: LabSettings) -> S3Settings:
    """Return the S3 side of the settings.

    A calendar that runs fast also ages a request on its way: what a few real seconds
    are on it comes on top of the 15 minutes that S3 allows.

    Raises:
        InputError: With every unusable bucket name, region and access key.
    """
    scale = 1.0 if settings.clock is None else settings.clock.scale
    return S3Settings(
        max_skew_s=MAX_SKEW_S + _TRANSIT_S * max(0.0, scale - 1.0),
        credentials=tuple(each.credentials() for each in settings.credentials),
        buckets=settings.buckets,
        region=settings.region,
        base_hosts=settings.virtual_hosts,
    )


def _calendar(settings: ClockSettings) -> LabClock:
    return LabClock(
        epoch_unix_s=settings.epoch_unix_s,
        scale=settings.scale,
        origin_monotonic_ns=settings.origin_monotonic_ns,
        now_ns=time.monotonic_ns,
    )


def _store(settings: StoreSettings) -> ObjectStore:
    if settings.folder is not None:
        return FolderStore(settings.folder, settings.limit_bytes)
    return MemoryStore(settings.limit_bytes, keep_bodies=settings.keep_bodies)


def _load_all(
    settings: Iterable[tuple[str, TlsSettings]],
) -> dict[str, ServerTls]:
    """Read the files of several fronts; every problem names its front."""
    loaded: dict[str, ServerTls] = {}
    problems: list[Problem] = []
    for name, tls in settings:
        try:
            loaded[name] = load_tls(tls)
            # Unknown suites and the like only show when a context is built.
            ServerContext(loaded[name])
        except InputError as exc:
            problems.extend(
                Problem(f"front {name}: {problem.where}", problem.what)
                for problem in exc.problems
            )
    if problems:
        raise InputError(problems)
    return loaded


def _bind_problem(settings: FrontSettings, exc: OSError) -> Problem:
    where = f"front {settings.name}: {settings.host}:{settings.port}"
    if isinstance(exc, socket.gaierror):
        return Problem(where, f"no such host: {exc.strerror}")
    match exc.errno:
        case errno.EADDRINUSE:
            what = "the port is in use by another program; choose another port"
        case errno.EACCES:
            what = "not allowed to bind this port; ports below 1024 need a privilege"
        case errno.EADDRNOTAVAIL:
            what = "this machine has no such address"
        case _:
            what = f"cannot listen there: {exc.strerror or exc}"
    return Problem(where, what)
