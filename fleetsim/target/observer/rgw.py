"""Ceph RGW: performance counters over the gateway's admin socket.

The protocol of every Ceph daemon: one JSON command ended by a zero byte, answered by the
length of the answer (four bytes, big endian) and the answer (Ceph source,
``common/admin_socket.cc``). Counters count every client, and from the daemon's start.
"""

import asyncio
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fleetsim.core.observed import Layer, Requests, Source
from fleetsim.exceptions import InputError, Problem

_COMMAND: Final = json.dumps({"prefix": "perf dump", "format": "json"}).encode() + b"\0"
_LENGTH: Final = struct.Struct("!I")
_MOST_BYTES: Final = 16 * 1024 * 1024
_WANTED: Final = ("req", "failed_req", "put", "put_b", "get")
_TIMEOUT_S: Final = 5.0


def settings() -> str:
    """What belongs into ``ceph.conf``; the scenario names the socket."""
    return (
        "[client.rgw.a]\n"
        "  # the default; name it: target: {observe: {rgw_admin_socket: PATH}}\n"
        "  admin_socket = /var/run/ceph/$cluster-$name.$pid.asok\n"
    )


async def read_counters(socket: Path) -> dict[str, int]:
    """Read the counters ``req``, ``failed_req``, ``put``, ``put_b`` and ``get``.

    Args:
        socket: Admin socket of a radosgw.

    Raises:
        InputError: It is none, or does not answer.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            reader, writer = await asyncio.open_unix_connection(str(socket))
            try:
                writer.write(_COMMAND)
                await writer.drain()
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                if length > _MOST_BYTES:
                    raise InputError(Problem(str(socket), "answers without an end"))
                answer = await reader.readexactly(length)
            finally:
                writer.close()
    except TimeoutError:
        what = f"did not answer within {_TIMEOUT_S:g} s"
        raise InputError(Problem(str(socket), what)) from None
    except (OSError, EOFError) as exc:
        what = getattr(exc, "strerror", None) or "is no admin socket of a Ceph daemon"
        raise InputError(Problem(str(socket), what)) from exc
    return parse_counters(answer, str(socket))


def parse_counters(answer: bytes, where: str) -> dict[str, int]:
    """Read the answer to ``perf dump``.

    Args:
        answer: JSON.
        where: Named in problems.

    Raises:
        InputError: It is not that of a radosgw.
    """
    try:
        dump: Any = json.loads(answer)
    except (ValueError, RecursionError):
        dump = None
    section = dump.get("rgw") if isinstance(dump, dict) else None
    found = {
        name: value
        for name in _WANTED
        if isinstance(section, dict)
        and isinstance(value := section.get(name), int)
        and not isinstance(value, bool)
        and value >= 0
    }
    if len(found) < len(_WANTED):
        what = "does not answer as a radosgw does: no counters of requests"
        raise InputError(Problem(where, what))
    return found


def source_of(
    socket: Path, before: Mapping[str, int], after: Mapping[str, int]
) -> Source:
    """Make a source of two readings.

    Args:
        socket: The admin socket.
        before: Counters at the start of the run.
        after: Counters at its end.
    """
    restarted = any(after[name] < before[name] for name in _WANTED)
    gained = {
        name: after[name] - (0 if restarted else before[name]) for name in _WANTED
    }
    notes = [
        "counts every client of the gateway, the run's own control plane too",
        "its counter put includes uploads that it refused for a quota or lost later",
    ]
    if restarted:
        notes.append("the gateway was started again: what it counted before is missing")
    return Source(
        name=str(socket),
        kind="rgw",
        layer=Layer.STORE,
        requests=Requests(
            answered=gained["req"], stored=gained["put"], failed=gained["failed_req"]
        ),
        is_complete=not restarted,
        notes=tuple(notes),
    )
