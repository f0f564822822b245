"""Process: starts the lab in its own process, talks to it, kills it and revives it.

The lab competes with nothing in the caller's event loop and can be pinned to its own CPU
core, so a load generator and its target do not disturb each other's figures. Commands
and answers are JSON lines over the child's standard input and output
(:mod:`fleetsim.lab.control`); secrets never appear in an argument list or environment.

A rehearsal may kill the lab and start it again (:meth:`LabProcess.kill`,
:meth:`LabProcess.restart`): on the same ports, with the TLS settings and credentials it
had last, and with the objects of a folder store. An object is acknowledged after its
files are renamed into place, so the kernel has them whatever becomes of the process
(only a power cut could lose them: nothing is fsynced). What a lab holds in memory alone
is lost, as it is with a real server: a memory store, multipart uploads under way,
counters, and troubles that were on.
"""

import asyncio
import json
import os
import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

import fleetsim
from fleetsim.exceptions import TargetError
from fleetsim.lab.control import encode, problems_of
from fleetsim.lab.last_settings import after_command, with_ports
from fleetsim.lab.settings import LabAddress, LabSettings

_STDERR_LINES: Final = 40
_STDERR_LINE_CHARACTERS: Final = 500
_MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
_WHERE: Final = "lab process"


class LabProcess:
    """One lab in its own process; started once, and again after it was killed.

    Every method raises :class:`~fleetsim.exceptions.TargetError` with the child's last
    words when the child has died.
    """

    def __init__(self) -> None:
        self._child: _Child | None = None
        self._transport: asyncio.SubprocessTransport | None = None
        self._settings: LabSettings | None = None
        self._cpu: int | None = None

    @property
    def pid(self) -> int:
        """Process id; 0 before the start."""
        return 0 if self._transport is None else self._transport.get_pid()

    @property
    def is_running(self) -> bool:
        """Whether the child has been started and has not ended."""
        return self._child is not None and not self._child.ended.done()

    @property
    def settings(self) -> LabSettings | None:
        """What is served now, ports and commands included; ``None`` before the start."""
        return self._settings

    async def start(
        self,
        settings: LabSettings,
        *,
        cpu: int | None = None,
        deadline_s: float = 30.0,
    ) -> LabAddress:
        """Start the child and wait until every front listens.

        Args:
            settings: What to serve.
            cpu: Core to pin the child to; ``None`` = any.
            deadline_s: Longest wait, seconds.

        Raises:
            InputError: With every problem the child found in the settings.
            TargetError: The child died or was not ready in time.
            RuntimeError: It was started before.
        """
        if self._child is not None:
            raise RuntimeError("a LabProcess is started once")
        self._cpu = cpu
        address = await self._launch(settings, deadline_s)
        self._settings = with_ports(settings, address)
        return address

    async def kill(self) -> None:
        """Kill the child (SIGKILL): no goodbye, nothing finished. Harmless when dead.

        Its ports are free then; clients are refused.
        """
        await self._kill()

    async def restart(self, *, deadline_s: float = 30.0) -> LabAddress:
        """Start a lab again that was killed or died, on the ports it had.

        Args:
            deadline_s: Longest wait, seconds.

        Raises:
            InputError: Files or ports cannot be used any more.
            TargetError: The child died or was not ready in time.
            RuntimeError: It was never started, or is running.
        """
        if self._settings is None or self.is_running:
            raise RuntimeError("only a lab that has run and is dead can be restarted")
        await self._kill()
        return await self._launch(self._settings, deadline_s)

    async def _launch(self, settings: LabSettings, deadline_s: float) -> LabAddress:
        loop = asyncio.get_running_loop()
        transport, child = await loop.subprocess_exec(
            lambda: _Child(loop),
            sys.executable,
            "-m",
            "fleetsim.lab.child",
            env=child_environment(),
            # Ctrl-C must reach the parent alone, which then ends the lab in order.
            start_new_session=True,
        )
        self._transport = transport
        self._child = child
        try:
            child.write(encode({"settings": settings.wire(), "cpu": self._cpu}))
            async with asyncio.timeout(deadline_s):
                first = await child.next_message()
        except TimeoutError:
            await self._kill()
            raise TargetError(
                _WHERE, f"not ready after {deadline_s:g} s{child.last_words()}"
            ) from None
        except BaseException:
            await self._kill()
            raise
        if "problems" in first:
            await self._kill()
            raise problems_of(first["problems"])
        return LabAddress(
            {
                name: (str(host), int(port))
                for name, (host, port) in first["ready"]["fronts"].items()
            }
        )

    async def request(
        self, command: str, *, deadline_s: float = 30.0, **arguments: Any
    ) -> dict[str, Any]:
        """Send one command and wait for its answer.

        Args:
            command: Name, see :mod:`fleetsim.lab.control`.
            deadline_s: Longest wait, seconds.
            arguments: JSON values.

        Raises:
            InputError: The lab refused, with its reasons.
            TargetError: The child is not running, died or did not answer in time.
        """
        child = self._child
        if child is None or child.ended.done():
            last_words = "" if child is None else child.last_words()
            raise TargetError(_WHERE, f"is not running{last_words}")
        try:
            async with asyncio.timeout(deadline_s):
                answer = await child.ask(command, arguments)
        except TimeoutError:
            raise TargetError(
                _WHERE, f"no answer to {command!r} within {deadline_s:g} s"
            ) from None
        if "problems" in answer:
            raise problems_of(answer["problems"])
        if self._settings is not None:
            self._settings = after_command(self._settings, command, arguments)
        result: dict[str, Any] = answer["result"]
        return result

    async def wait_ended(self) -> str:
        """Wait until the child ends; returns how it ended and its last words."""
        if self._child is None:
            raise RuntimeError("the lab was not started")
        await asyncio.shield(self._child.ended)
        return self._child.how_it_ended()

    async def stop(self, grace_s: float = 5.0) -> dict[str, Any]:
        """Stop the child, by force if need be. Harmless when it is not running.

        Args:
            grace_s: Longest wait for requests under way, seconds.

        Returns:
            The lab's last ``stats``; empty when it could not answer.
        """
        child = self._child
        if child is None or child.ended.done():
            return {}
        stats: dict[str, Any] = {}
        try:
            stats = await self.request("stop", grace_s=grace_s, deadline_s=grace_s + 5)
            async with asyncio.timeout(grace_s + 10):
                await asyncio.shield(child.ended)
        except (TargetError, TimeoutError):
            # It is to end; how it failed to answer no longer matters.
            pass
        finally:
            await self._kill()
        return stats

    async def _kill(self) -> None:
        child, transport = self._child, self._transport
        if child is None or transport is None:
            return
        if not child.ended.done():
            transport.kill()
            await asyncio.shield(child.ended)
        transport.close()


class _Child(asyncio.SubprocessProtocol):
    """Reads the child's pipes and knows which answer belongs to which question."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.ended: asyncio.Future[None] = loop.create_future()
        self._first: asyncio.Future[dict[str, Any]] = loop.create_future()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next_id = 1
        self._output = bytearray()
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._stderr_line = b""
        self._transport: asyncio.SubprocessTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the process."""
        self._transport = cast("asyncio.SubprocessTransport", transport)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take what the child wrote: answers on 1, words for people on 2."""
        if fd == 1:
            self._take_output(data)
        else:
            self._take_stderr(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The child has ended and both its pipes are read to the end."""
        del exc
        if self._stderr_line:
            self._take_stderr(b"\n")
        if not self.ended.done():
            self.ended.set_result(None)
        for future in (self._first, *self._waiting.values()):
            if not future.done():
                future.set_exception(TargetError(_WHERE, self.how_it_ended()))
        # Nobody may be waiting for the first message any more.
        if not self._first.cancelled():
            self._first.exception()
        self._waiting.clear()

    def write(self, line: bytes) -> None:
        """Send one line to the child."""
        pipe = self._transport and self._transport.get_pipe_transport(0)
        if pipe is not None and not pipe.is_closing():
            cast("asyncio.WriteTransport", pipe).write(line)

    async def next_message(self) -> dict[str, Any]:
        """Wait for the child's first message."""
        return await self._first

    async def ask(self, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        request_id = self._next_id
        self._next_id += 1
        future: asyncio.Future[dict[str, Any]] = self._loop.create_future()
        self._waiting[request_id] = future
        try:
            self.write(
                encode({"id": request_id, "command": command, "arguments": arguments})
            )
            return await future
        finally:
            self._waiting.pop(request_id, None)

    def how_it_ended(self) -> str:
        """Say how the child ended, with its last words."""
        code = None if self._transport is None else self._transport.get_returncode()
        if code is not None and code < 0:
            return f"was ended by signal {-code}{self.last_words()}"
        return f"ended with exit code {code}{self.last_words()}"

    def last_words(self) -> str:
        """Return the last lines the child wrote to standard error."""
        lines = [line for line in self._stderr if line.strip()]
        return ("; its last words:\n" + "\n".join(lines)) if lines else ""

    def _take_output(self, data: bytes) -> None:
        self._output += data
        *lines, rest = self._output.split(b"\n")
        self._output = rest
        for line in lines:
            self._take_message(bytes(line))
        if len(rest) > _MAX_ANSWER_BYTES and self._transport is not None:
            self._stderr.append("the lab's answer has no end")
            self._transport.kill()

    def _take_message(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            self._stderr.append(f"unreadable answer {line[:200]!r}")
            return
        if not self._first.done():
            self._first.set_result(message)
            return
        future = self._waiting.get(message.get("id", 0))
        if future is not None and not future.done():
            future.set_result(message)

    def _take_stderr(self, data: bytes) -> None:
        *lines, rest = (self._stderr_line + data).split(b"\n")
        self._stderr_line = rest[:_STDERR_LINE_CHARACTERS]
        for line in lines:
            self._stderr.append(
                line[:_STDERR_LINE_CHARACTERS].decode("utf-8", "replace")
            )


def child_environment() -> dict[str, str]:
    """Return this process's environment without anybody's S3 credentials.

    The folder of this very package goes first on the path, so that parent and child are
    the same version wherever the parent was started.
    """
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("AWS_")
    }
    package = str(Path(fleetsim.__file__).resolve().parent.parent)
    others = kept.get("PYTHONPATH")
    kept["PYTHONPATH"] = os.pathsep.join((package, others) if others else (package,))
    return kept
