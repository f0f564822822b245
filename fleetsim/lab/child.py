"""Child: the lab's own process, ``python -m fleetsim.lab.child``; started by its parent.

The first line on standard input holds the settings, every later line is a request (see
:mod:`fleetsim.lab.control`). Standard output carries one line ``{"ready": …}`` or
``{"problems": …}`` and then the answers, nothing else: whatever prints by accident is sent
to standard error. When standard input ends the parent is gone, however it died, and the
lab ends with it.
"""

import asyncio
import gc
import json
import os
import resource
import signal
import sys
import time
from typing import Any, Final

import uvloop

from fleetsim.exceptions import InputError, Problem
from fleetsim.lab.control import Control, encode, problem_values
from fleetsim.lab.server import LabServer
from fleetsim.lab.settings import LabSettings, parse_settings

_MAX_LINE_BYTES: Final = 64 * 1024 * 1024
_GRACE_WITHOUT_PARENT_S: Final = 0.5


def wall_clock_s() -> float:
    """Return the time of day, seconds since 1970."""
    return time.time_ns() / 1e9


def raise_file_limit() -> None:
    """Allow as many open sockets as the hard limit does."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pin_to_core(cpu: object) -> None:
    """Run on one CPU core only; ``None`` = leave the choice to the kernel.

    Raises:
        InputError: When this process may not run on that core.
    """
    if cpu is None:
        return
    # A parent pinned to another core passes its own mask on, so only the kernel knows.
    try:
        os.sched_setaffinity(0, {cpu})  # type: ignore[arg-type]  # came as JSON
    except (OSError, ValueError, TypeError, OverflowError) as exc:
        known = f"0 to {(os.cpu_count() or 1) - 1}"
        raise InputError(
            Problem("cpu", f"cannot run on core {cpu!r}; this machine has {known}")
        ) from exc


def calm_collector() -> None:
    """Let the garbage collector run rarely: what exists now lives until the end.

    Thousands of live connections make every full collection long; nearly all garbage
    of a request is freed by reference counting.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


class _Output(asyncio.BaseProtocol):
    """Write half of the pipe to the parent."""

    def __init__(self) -> None:
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_lost(self, exc: Exception | None) -> None:
        """Everything is written, or the parent is gone: both are the end."""
        del exc
        if not self.closed.done():
            self.closed.set_result(None)


async def _serve(output_fd: int) -> int:
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader(limit=_MAX_LINE_BYTES)
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin.buffer
    )
    output, protocol = await loop.connect_write_pipe(
        _Output, os.fdopen(output_fd, "wb", buffering=0)
    )
    loop.add_signal_handler(signal.SIGTERM, lines.feed_eof)
    try:
        exit_code = await _run(lines, output)
    except InputError as exc:
        output.write(encode({"problems": problem_values(exc)}))
        exit_code = exc.exit_code
    output.close()
    await protocol.closed
    return exit_code


async def _run(lines: asyncio.StreamReader, output: asyncio.WriteTransport) -> int:
    first = await lines.readline()
    if not first:
        return 0
    values = _first_values(first)
    pin_to_core(values.get("cpu"))
    server = LabServer(
        parse_settings(LabSettings, values["settings"]), clock=wall_clock_s
    )
    address = await server.start()
    calm_collector()
    output.write(encode({"ready": {"fronts": address.fronts, "pid": os.getpid()}}))
    control = Control(server)
    while control.stop_grace_s is None:
        try:
            # A line that has not arrived whole stays in the reader.
            async with asyncio.timeout(server.troubles.next_end_s()):
                line = await lines.readline()
        except TimeoutError:
            await server.troubles.end_due()
            continue
        if not line.endswith(b"\n"):
            control.stop_grace_s = _GRACE_WITHOUT_PARENT_S
        else:
            output.write(await control.answer(line))
    await server.stop(control.stop_grace_s)
    return 0


def _first_values(line: bytes) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except ValueError:
        values = None
    if not isinstance(values, dict) or not isinstance(values.get("settings"), dict):
        raise InputError(Problem("settings", "the first line must hold them as JSON"))
    return values


def main() -> int:
    """Run the lab until its parent is done with it; returns the exit code."""
    # Ctrl-C in a terminal reaches the whole process group; ending is the parent's call.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    output_fd = os.dup(1)
    os.dup2(2, 1)
    raise_file_limit()
    return uvloop.run(_serve(output_fd))


if __name__ == "__main__":
    sys.exit(main())
