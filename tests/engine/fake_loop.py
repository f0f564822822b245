"""A loop that only knows timers, on a clock the test moves."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count
from typing import cast


class FakeHandle:
    """What ``call_later`` gives back."""

    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        """Make sure it is not called."""
        self.is_cancelled = True


class FakeLoop:
    """Stands in for an event loop in the one method the timers of a fleet use."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.timers_set = 0
        self._heap: list[tuple[int, int, FakeHandle, Callable[[], None]]] = []
        self._order = count()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> FakeHandle:
        """Call back after a delay."""
        assert delay_s >= 0
        self.timers_set += 1
        handle = FakeHandle()
        due_ns = self.now_ns + round(delay_s * 1e9)
        heapq.heappush(self._heap, (due_ns, next(self._order), handle, callback))
        return handle

    @property
    def pending(self) -> int:
        """Timers that will still fire."""
        return sum(not handle.is_cancelled for _, _, handle, _ in self._heap)

    def run_until(self, until_ns: int, *, late_ns: int = 0) -> None:
        """Let time pass; every timer fires this much late."""
        while self._heap and self._heap[0][0] <= until_ns:
            due_ns, _, handle, callback = heapq.heappop(self._heap)
            if not handle.is_cancelled:
                self.now_ns = max(self.now_ns, due_ns + late_ns)
                callback()
        self.now_ns = max(self.now_ns, until_ns)

    def as_loop(self) -> asyncio.AbstractEventLoop:
        """The fake, for those who ask for the real thing."""
        return cast("asyncio.AbstractEventLoop", self)
