"""A bench for lanes and paths: time the test moves, and a socket's transport on paper."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count
from typing import Any, cast


class Timer:
    """What ``call_at`` gives back."""

    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        """Make sure it is not called."""
        self.is_cancelled = True


class BenchLoop:
    """Clock and timers of an event loop; nothing happens until the test says so."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._heap: list[tuple[float, int, Timer, Callable[[], None]]] = []
        self._order = count()

    def time(self) -> float:
        """Now, seconds."""
        return self.now_s

    def call_at(
        self, when_s: float, callback: Callable[..., None], *args: object
    ) -> Timer:
        """Call back at a time."""
        timer = Timer()
        entry = (when_s, next(self._order), timer, lambda: callback(*args))
        heapq.heappush(self._heap, entry)
        return timer

    def call_later(
        self, delay_s: float, callback: Callable[..., None], *args: object
    ) -> Timer:
        """Call back after a delay."""
        return self.call_at(self.now_s + delay_s, callback, *args)

    def call_soon(self, callback: Callable[..., None], *args: object) -> Timer:
        """Call back when time next moves."""
        return self.call_at(self.now_s, callback, *args)

    @property
    def pending(self) -> int:
        """Timers that will still fire."""
        return sum(not timer.is_cancelled for _, _, timer, _ in self._heap)

    def run_until(self, until_s: float) -> None:
        """Let time pass."""
        while self._heap and self._heap[0][0] <= until_s:
            when_s, _, timer, callback = heapq.heappop(self._heap)
            if not timer.is_cancelled:
                self.now_s = max(self.now_s, when_s)
                callback()
        self.now_s = max(self.now_s, until_s)

    def as_loop(self) -> asyncio.AbstractEventLoop:
        """The bench, for those who ask for a loop."""
        return cast("asyncio.AbstractEventLoop", self)


class BenchTransport(asyncio.Transport):
    """The transport of an accepted socket; keeps what was done to it.

    Attributes:
        sent: Bytes written.
        log: Calls in order.
    """

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 4711)})
        self.sent = bytearray()
        self.log: list[str] = []
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep bytes."""
        assert not self.closing, "a closed transport must not be written to"
        self.sent += data

    def write_eof(self) -> None:
        """Note FIN."""
        self.log.append("eof")

    def close(self) -> None:
        """Note the end."""
        self.closing = True
        self.log.append("close")

    def abort(self) -> None:
        """Note the abrupt end."""
        self.closing = True
        self.log.append("abort")

    def is_closing(self) -> bool:
        """Whether it is over."""
        return self.closing

    def pause_reading(self) -> None:
        """Note it."""
        self.log.append("pause")

    def resume_reading(self) -> None:
        """Note it."""
        self.log.append("resume")

    def get_write_buffer_size(self) -> int:
        """Bytes the kernel has not taken."""
        return 7

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Water marks."""
        return (1, 2)

    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None:
        """Note it."""
        self.log.append(f"limits {high} {low}")


class BenchServer(asyncio.Protocol):
    """The protocol behind a path; keeps what it was told.

    Attributes:
        received: Bytes that arrived.
        log: Everything else, in order.
        keeps_open: Answer to the end of the client's stream.
    """

    def __init__(self) -> None:
        self.received = bytearray()
        self.log: list[Any] = []
        self.keeps_open = True
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Keep bytes."""
        self.received += data

    def eof_received(self) -> bool:
        """Note it."""
        self.log.append("eof")
        return self.keeps_open

    def pause_writing(self) -> None:
        """Note it."""
        self.log.append("pause")

    def resume_writing(self) -> None:
        """Note it."""
        self.log.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        """Note it."""
        self.log.append(("lost", exc))
