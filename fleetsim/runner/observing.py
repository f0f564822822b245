"""Observing: asks the servers of a run what they have seen of it.

The lab is asked over its control pipe. Of a real target the scenario names the logs and
counters (``target.observe``): they are looked at before the first device starts, so that
a path that is wrong shows at once, and read when the last one has stopped.
"""

import asyncio
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

from fleetsim.core.observed import (
    Handshakes,
    Layer,
    Observed,
    Refusal,
    Requests,
    Source,
)
from fleetsim.core.settings import Endpoint
from fleetsim.exceptions import InputError, Problem, TargetError
from fleetsim.lab.process import LabProcess
from fleetsim.lab.settings import FrontProgram
from fleetsim.lab.terminators.evidence import WORDS
from fleetsim.runner.lab_setup import CONTROL_FRONT
from fleetsim.runner.sites import Target
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.target_schema import ObserveSpec
from fleetsim.target.observer.haproxy_log import HaproxyReader
from fleetsim.target.observer.log_file import LogFile
from fleetsim.target.observer.nginx_log import NginxReader
from fleetsim.target.observer.rgw import read_counters, source_of
from fleetsim.target.observer.seen import Seen
from fleetsim.target.observer.tally import Own, Tallied, tally

SETTLED_S: Final = 0.2
"""A log in which nothing moved for this long is complete, for all that can be known."""
LONGEST_S: Final = 3.0
"""Longest wait for servers to write what they have seen."""


class Observer(Protocol):
    """Asks servers."""

    async def finish(self, window: "Window") -> Observed:
        """Ask them at the end of the run; one that is gone has no figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When a run was, by this machine's clock.

    Attributes:
        started: Its start, aware.
        ended: Its end, aware.
    """

    started: datetime
    ended: datetime


async def start_observing(
    plan: Plan,
    target: Target,
    *,
    base_folder: Path,
    front_program: FrontProgram,
    source_addresses: Sequence[str] = (),
) -> Observer | None:
    """Get ready to ask; nothing of the run has happened yet.

    Args:
        plan: The plan.
        target: Its target, up.
        base_folder: Folder that relative paths of the scenario refer to.
        front_program: What ends TLS at the fronts of the lab.
        source_addresses: Local addresses the fleet dials from; empty = any.

    Returns:
        ``None`` = there is nobody to ask.

    Raises:
        InputError: With every log and socket that cannot be read.
    """
    if target.lab is not None:
        return LabObserver(target.lab, front_program)
    if plan.target is None or plan.target.observe.is_empty:
        return None
    endpoints = [site.endpoint for site in target.sites]
    addresses = frozenset(source_addresses) or await _own_addresses(endpoints)
    observer = TargetObserver(
        plan.target.observe,
        base_folder,
        bucket=plan.target.bucket,
        devices=frozenset(device.device_id for device in plan.devices),
        addresses=addresses,
        clock_skew_s=target.control.clock_skew_s,
    )
    await observer.start()
    return observer


class LabObserver:
    """Asks the lab.

    Args:
        lab: Its process.
        front_program: What ends TLS at its fronts.
    """

    def __init__(self, lab: LabProcess, front_program: FrontProgram) -> None:
        self._lab = lab
        self._pid = lab.pid
        self._program = front_program

    async def finish(self, window: Window) -> Observed:
        """See :class:`Observer`."""
        del window
        is_whole = self._lab.pid == self._pid
        try:
            stats = await self._settled()
            refused = (await self._lab.request("refused"))["refused"]
        except TargetError as error:
            # What the devices recorded is worth its summary all the same.
            return Observed(sources=(_silent_lab(str(error)),))
        sources = [
            self._source(name, front)
            for name, front in stats["fronts"].items()
            if name != CONTROL_FRONT
        ]
        by_device = [
            Refusal(device=device, kind=kind, count=count)
            for subject, kind, count in refused
            if (device := Seen(unix_s=0.0, subject=subject).device)
        ]
        found = [each for several in sources for each in several]
        if not is_whole:
            found = [
                replace(each, is_complete=False, notes=(*each.notes, _AGAIN))
                for each in found
            ]
        return Observed(sources=tuple(found), refusals=tuple(by_device))

    async def _settled(self) -> dict[str, Any]:
        """Counts that no longer change: a server may hear of an end a little later."""
        stats = await self._lab.request("stats")
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + LONGEST_S
        while loop.time() < deadline_s:
            await asyncio.sleep(SETTLED_S / 4)
            newer = await self._lab.request("stats")
            if newer["fronts"] == stats["fronts"]:
                return newer
            stats = newer
        return stats

    def _source(self, name: str, front: dict[str, Any]) -> list[Source]:
        requests = front["requests"]
        statuses = {
            status: count
            for status, count in requests["by_status"].items()
            if status != "0"
        }
        found = [
            Source(
                name=name,
                kind="lab",
                layer=Layer.STORE,
                requests=Requests(
                    answered=sum(statuses.values()),
                    stored=requests["stored"],
                    failed=sum(n for key, n in statuses.items() if int(key) >= 400),
                    by_status=statuses,
                ),
                notes=() if self._program is FrontProgram.BUILTIN else (_AT_FRONT,),
            )
        ]
        results = dict(front["handshakes"])
        if results:
            completed = results.pop("ok", 0)
            notes = () if self._program is FrontProgram.BUILTIN else (_NO_REQUEST,)
            found.append(
                Source(
                    name=f"{name} ({self._program})",
                    kind="lab",
                    layer=Layer.FRONT,
                    handshakes=Handshakes(
                        completed=completed,
                        resumed=front["handshakes_resumed"],
                        refused=results,
                    ),
                    notes=notes,
                )
            )
        return found


def _silent_lab(why: str) -> Source:
    return Source(
        name="lab", kind="lab", layer=Layer.STORE, is_complete=False, notes=(why,)
    )


_NO_REQUEST: Final = (
    "logs a completed handshake with its first request: connections without one are "
    "missing"
)
_AT_FRONT: Final = "requests that the front answers by itself do not come here"
_AGAIN: Final = "the lab was started again: what it counted before is missing"
_LOCAL_TIME: Final = (
    "its error log gives no port and local time: failed handshakes are the fleet's by "
    "address and time"
)


class TargetObserver:
    """Reads logs and counters of a real target.

    Args:
        spec: What to read.
        base_folder: Folder that relative paths refer to.
        bucket: The fleet's bucket.
        devices: Ids of its devices.
        addresses: Addresses it dials from, as far as they are known.
        clock_skew_s: The target's clock minus ours, seconds.

    Raises:
        InputError: With every log that cannot be read.
    """

    def __init__(
        self,
        spec: ObserveSpec,
        base_folder: Path,
        *,
        bucket: str,
        devices: frozenset[str],
        addresses: frozenset[str],
        clock_skew_s: float = 0.0,
    ) -> None:
        problems: list[Problem] = []
        self._logs: dict[str, list[LogFile]] = {}
        for kind, paths in (
            ("nginx_log", spec.nginx_log),
            ("haproxy_log", spec.haproxy_log),
        ):
            for path in paths:
                try:
                    log = LogFile(base_folder / path)
                except InputError as error:
                    problems.extend(error.problems)
                else:
                    self._logs.setdefault(kind, []).append(log)
        self._problems = problems
        self._sockets = [base_folder / path for path in spec.rgw_admin_socket]
        self._before: dict[Path, dict[str, int]] = {}
        self._bucket = bucket
        self._devices = devices
        self._addresses = addresses
        self._clock_skew_s = clock_skew_s

    async def start(self) -> None:
        """Read the counters as they are before the run.

        Raises:
            InputError: With every log and socket that cannot be read.
        """
        problems = list(self._problems)
        for path in self._sockets:
            try:
                self._before[path] = await read_counters(path)
            except InputError as error:
                problems.extend(error.problems)
        if problems:
            raise InputError(problems)

    async def finish(self, window: Window) -> Observed:
        """See :class:`Observer`."""
        own = Own(
            bucket=self._bucket,
            devices=self._devices,
            addresses=self._addresses,
            begin_unix_s=window.started.timestamp() + min(0.0, self._clock_skew_s),
            end_unix_s=window.ended.timestamp() + max(0.0, self._clock_skew_s),
        )
        sources: list[Source] = []
        refusals: list[Refusal] = []
        await self._settle()
        for kind, logs in self._logs.items():
            # Off the loop: a log of a long run takes a while.
            found, refused = await asyncio.to_thread(_read_logs, kind, logs, own)
            sources.append(found)
            refusals.extend(refused)
        for path, before in self._before.items():
            sources.append(await self._counted(path, before))
        return Observed(sources=tuple(sources), refusals=tuple(refusals))

    async def _counted(self, path: Path, before: dict[str, int]) -> Source:
        try:
            return source_of(path, before, await read_counters(path))
        except InputError as error:
            # The gateway may be gone for good; that is no reason to lose the run.
            return Source(
                name=str(path),
                kind="rgw",
                layer=Layer.STORE,
                is_complete=False,
                notes=tuple(problem.what for problem in error.problems),
            )

    async def _settle(self) -> None:
        """Wait until no log grows any more."""
        logs = [log for several in self._logs.values() for log in several]
        if not logs:
            return
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + LONGEST_S
        sizes = [-1]
        while loop.time() < deadline_s:
            newer = [log.size_bytes() for log in logs]
            if newer == sizes:
                return
            sizes = newer
            await asyncio.sleep(SETTLED_S)


def _read_logs(
    kind: str, logs: list[LogFile], own: Own
) -> tuple[Source, tuple[Refusal, ...]]:
    """Count what the logs of one kind say; several fronts add up."""
    is_nginx = kind == "nginx_log"
    reader = NginxReader(WORDS) if is_nginx else HaproxyReader(WORDS)
    name = ", ".join(str(log.path) for log in logs)
    try:
        counted = tally(_all_lines(logs), reader.read, own)
    except InputError as error:
        notes = tuple(f"{each.where}: {each.what}" for each in error.problems)
        return Source(
            name=name, kind=kind, layer=Layer.FRONT, is_complete=False, notes=notes
        ), ()
    source = Source(
        name=name,
        kind=kind,
        layer=Layer.FRONT,
        handshakes=counted.handshakes,
        requests=counted.requests,
        others=counted.others,
        unreadable=counted.unreadable,
        notes=(_NO_REQUEST, *((_LOCAL_TIME,) if is_nginx else ())),
    )
    lost = [sentence for log in logs for sentence in log.lost]
    lost.extend(_doubts(counted, is_nginx=is_nginx))
    if lost:
        source = replace(source, is_complete=False, notes=(*source.notes, *lost))
    return source, counted.refusals


def _doubts(counted: Tallied, *, is_nginx: bool) -> Iterable[str]:
    """What else may keep figures from being whole."""
    if counted.unreadable:
        yield f"{counted.unreadable} lines could not be read"
    is_silent = not counted.requests.answered and not counted.others
    if is_silent and counted.foreign:
        program = "nginx" if is_nginx else "haproxy"
        yield (
            f"{counted.foreign} lines and none in the format that can be read: see "
            f"fleetsim log-format {program}"
        )


def _all_lines(logs: list[LogFile]) -> Iterable[str]:
    for log in logs:
        yield from log.lines()


async def _own_addresses(endpoints: Iterable[Endpoint]) -> frozenset[str]:
    """Addresses that this machine dials the endpoints from; routers may change them."""
    loop = asyncio.get_running_loop()
    found: set[str] = set()
    for host, port in {(each.host, each.port) for each in endpoints}:
        try:
            known = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        except OSError:
            continue  # requests of the fleet tell where it comes from
        for family, kind, protocol, _, address in known:
            try:
                # Connecting a UDP socket sends nothing: it only asks for the route.
                with socket.socket(family, kind, protocol) as probe:
                    probe.connect(address)
                    found.add(str(probe.getsockname()[0]))
            except OSError:
                continue  # no route in this family
    return frozenset(found)
