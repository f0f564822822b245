"""Server processes: programs of others with a folder of their own, until a block ends.

Every program runs in the foreground as a child that dies with this process, says what it
has to say into a file of its folder, and is stopped by its handle.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from fleetsim.lab.terminators import launch

START_S: Final = 60.0
"""Longest wait for a server to be usable."""
_POLL_S: Final = 0.05
_LAST_BYTES: Final = 2000
_SYSTEM: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class MissingServerError(Exception):
    """A program is not installed; the text says which."""


class ServerFailedError(Exception):
    """A program ended or did not become usable; the text holds its last words."""


def executable(name: str) -> str:
    """Path of a program: beside this interpreter, on PATH or where the system has it.

    Raises:
        MissingServerError: It is nowhere.
    """
    beside = str(Path(sys.executable).parent)
    path = os.pathsep.join((beside, os.environ.get("PATH", ""), _SYSTEM))
    found = shutil.which(name, path=path)
    if found is None:
        raise MissingServerError(f"{name} is not installed")
    return found


@contextmanager
def running(
    arguments: Sequence[str | Path],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    stop_s: float = 3.0,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in the foreground until the block ends.

    Args:
        arguments: Program, found by :func:`executable`, and its arguments.
        log: File for what it prints; its folder is where it runs.
        environment: Its variables beside PATH and HOME, which is that folder.
        stop_s: It is killed when it has not ended after this.
    """
    name, *rest = map(str, arguments)
    command = (sys.executable, "-I", launch.__file__, str(os.getpid()))
    with (
        log.open("ab") as output,
        subprocess.Popen(
            [*command, executable(name), *rest],
            cwd=log.parent,
            env={"PATH": _SYSTEM, "HOME": str(log.parent), **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(stop_s)
            except subprocess.TimeoutExpired:
                # Its workers too: the group is its own.
                os.killpg(process.pid, signal.SIGKILL)


def wait_until(
    is_usable: Callable[[], bool],
    what: str,
    *processes: subprocess.Popen[bytes],
    log: Path,
    within_s: float = START_S,
) -> None:
    """Wait until a server is usable.

    Raises:
        ServerFailedError: One of its processes ended, or the time is over.
    """
    deadline = time.monotonic() + within_s
    while not is_usable():
        ended = [each.returncode for each in processes if each.poll() is not None]
        if ended or time.monotonic() > deadline:
            how = f"ended with {ended[0]}" if ended else f"not usable in {within_s:g} s"
            words = log.read_bytes()[-_LAST_BYTES:].decode("utf-8", "replace")
            raise ServerFailedError(f"{what}: {how}; {log} ends with:\n{words}")
        time.sleep(_POLL_S)


def answers(url: str, *statuses: int) -> bool:
    """Whether a GET is answered with one of these statuses (200 if none is named)."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310  # http only
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    except OSError:
        return False
    return status in (statuses or (200,))


def accepts(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def free_ports(count: int) -> tuple[int, ...]:
    """Ports that are free right now, all different, each with one 10,000 higher free.

    Below the range that connections are given theirs from: a port of a server that is
    still starting must not be taken by a client meanwhile.
    """
    found: list[int] = []
    start = 12_000 + os.getpid() % 5_000
    for port in range(start, 22_000):
        if len(found) == count:
            break
        if _is_free(port) and _is_free(port + 10_000):
            found.append(port)
    return tuple(found)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
