"""Process: starts the process of one shard, talks to it, and tells when it dies.

Parent and shard share a socket pair; the shard's end is inherited under a number, nothing
secret is in the argument list or the environment, and when either end closes the other one
knows.
"""

import asyncio
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from typing import Final, cast

from fleetsim.lab.process import child_environment
from fleetsim.runner.shards.messages import ToParent, ToShard
from fleetsim.runner.shards.wire import Decoder, encode

_MODULE: Final = "fleetsim.runner.shards.child"
_LAST_LINES: Final = 5
_LINE_CHARACTERS: Final = 500


class ShardProcess:
    """The process of one shard.

    Args:
        on_message: Told what the shard says.
        on_gone: Told once, when the process has ended, how.
    """

    def __init__(
        self, on_message: Callable[[ToParent], None], on_gone: Callable[[str], None]
    ) -> None:
        self._on_message = on_message
        self._on_gone = on_gone
        self._link: asyncio.WriteTransport | None = None
        self._process: asyncio.SubprocessTransport | None = None
        self._child: _Child | None = None
        self._decoder = Decoder()
        self._parts_left = 2

    @property
    def pid(self) -> int:
        """Process id; 0 before the start."""
        return 0 if self._process is None else self._process.get_pid()

    async def start(self) -> None:
        """Start the process."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with theirs:
            link, _ = await loop.create_unix_connection(
                lambda: _Link(self._received, self._part_gone), sock=ours
            )
            self._link = cast("asyncio.WriteTransport", link)
            self._process, self._child = await loop.subprocess_exec(
                lambda: _Child(loop, self._part_gone),
                sys.executable,
                "-m",
                _MODULE,
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                env=child_environment(),
                # Ctrl-C must reach the parent alone, which then ends all in order.
                start_new_session=True,
            )

    def send(self, message: ToShard) -> None:
        """Say something; harmless when the shard is gone."""
        if self._link is not None and not self._link.is_closing():
            self._link.write(encode(message))

    def kill(self) -> None:
        """End the process (SIGKILL); harmless when it has ended."""
        if self._process is not None and self._process.get_returncode() is None:
            self._process.kill()

    async def close(self) -> None:
        """End the process if it has not, and wait until it is gone."""
        self.kill()
        if self._child is not None:
            await asyncio.shield(self._child.ended)
        for transport in (self._link, self._process):
            if transport is not None:
                transport.close()

    def _received(self, data: bytes) -> None:
        for message in self._decoder.feed(data):
            self._on_message(message)

    def _part_gone(self) -> None:
        """The socket or the process has ended; what was said before is read by then."""
        self._parts_left -= 1
        if self._parts_left:
            # Without its process or without its socket a shard is of no use.
            self.kill()
            return
        process, child = self._process, self._child
        code = None if process is None else process.get_returncode()
        words = "its process ended" if child is None else child.last_words()
        self._on_gone(f"{_how(code)}{words}")


class _Link(asyncio.Protocol):
    """Reads what a shard says."""

    def __init__(
        self, received: Callable[[bytes], None], gone: Callable[[], None]
    ) -> None:
        self._received = received
        self._gone = gone

    def data_received(self, data: bytes) -> None:
        """The shard says something."""
        self._received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The shard has closed its end."""
        del exc
        self._gone()


class _Child(asyncio.SubprocessProtocol):
    """Waits for the end of a process and keeps the last it wrote to standard error."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, gone: Callable[[], None]
    ) -> None:
        self._gone = gone
        self._stderr: deque[str] = deque(maxlen=_LAST_LINES)
        self._line = b""
        self.ended: asyncio.Future[None] = loop.create_future()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Take what the process wrote to standard error."""
        del fd
        *lines, rest = (self._line + data).split(b"\n")
        self._line = rest[:_LINE_CHARACTERS]
        for line in lines:
            self._stderr.append(line[:_LINE_CHARACTERS].decode("utf-8", "replace"))

    def connection_lost(self, exc: Exception | None) -> None:
        """The process has ended and its pipes are read to the end."""
        del exc
        if not self.ended.done():
            self.ended.set_result(None)
        self._gone()

    def last_words(self) -> str:
        """The last lines it wrote to standard error."""
        lines = [line for line in self._stderr if line.strip()]
        return ("; its last words: " + " / ".join(lines)) if lines else ""


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"its process was ended by {name}"
    return f"its process ended with exit code {code}"
