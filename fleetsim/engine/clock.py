"""Clock: run time (ns since the start of the run) and the timers of a whole fleet.

One heap and one loop timer serve every device: arming and firing cost O(log n), a
waiting device costs one heap entry and no task.
"""

import asyncio
import heapq
import time
from collections.abc import Callable
from typing import Final

_NEVER_NS: Final = 1 << 62
MAX_FIRED_AT_ONCE: Final = 256
"""Timers fired before the loop gets to serve the sockets again."""


class MonotonicClock:
    """Run time from the system's monotonic clock.

    Attributes:
        origin_ns: Monotonic time of run time 0.
    """

    __slots__ = ("origin_ns",)

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Let run time 0 be now."""
        self.origin_ns = time.monotonic_ns()

    def now_ns(self) -> int:
        """Run time now."""
        return time.monotonic_ns() - self.origin_ns


class Alarm:
    """One armed timer.

    Attributes:
        due_ns: Run time at which it is due.
        callback: Called when it is due; ``None`` once fired or disarmed.
    """

    __slots__ = ("callback", "due_ns")

    def __init__(self, due_ns: int, callback: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self.callback: Callable[[], None] | None = callback

    def __lt__(self, other: "Alarm") -> bool:
        return self.due_ns < other.due_ns

    def disarm(self) -> None:
        """Make sure it never fires."""
        self.callback = None


class Alarms:
    """The timers of a fleet.

    Args:
        loop: Event loop that provides the one real timer.
        now_ns: Clock.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, now_ns: Callable[[], int]
    ) -> None:
        self._loop = loop
        self._now_ns = now_ns
        self._heap: list[Alarm] = []
        self._handle: asyncio.Handle | None = None
        self._armed_ns = _NEVER_NS

    def __len__(self) -> int:
        return len(self._heap)

    def arm(self, due_ns: int, callback: Callable[[], None]) -> Alarm:
        """Call back once run time has reached ``due_ns``."""
        alarm = Alarm(due_ns, callback)
        heapq.heappush(self._heap, alarm)
        if due_ns < self._armed_ns:
            self._set(due_ns)
        return alarm

    def cancel_all(self) -> None:
        """Forget every timer."""
        self._heap.clear()
        self._unset()

    def _set(self, due_ns: int) -> None:
        self._unset()
        self._armed_ns = due_ns
        # Whole milliseconds, rounded up: libuv counts in them, and a timer that fires
        # early would be set again and again until its time has come.
        delay_s = max(0, -((self._now_ns() - due_ns) // 1_000_000)) / 1e3
        self._handle = self._loop.call_later(delay_s, self._fire)

    def _unset(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._armed_ns = _NEVER_NS

    def _fire(self) -> None:
        self._handle = None
        # Kept below every due time, so that callbacks that arm do not set the timer.
        self._armed_ns = -1
        heap = self._heap
        for _ in range(MAX_FIRED_AT_ONCE):
            if not heap or heap[0].due_ns > self._now_ns():
                break
            alarm = heapq.heappop(heap)
            callback, alarm.callback = alarm.callback, None
            if callback is not None:
                callback()
        while heap and heap[0].callback is None:
            heapq.heappop(heap)
        self._armed_ns = _NEVER_NS
        if heap:
            self._set(heap[0].due_ns)
