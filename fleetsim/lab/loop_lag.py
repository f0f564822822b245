"""Loop lag: how late the event loop runs its timers, a measure of its saturation."""

import asyncio
from collections import deque
from typing import Final

PERIOD_S: Final = 0.05
_KEPT: Final = 1200  # one minute at PERIOD_S


class LoopLag:
    """Asks the loop to be called every 50 ms and notes how late it was.

    Figures cover the last minute.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lags_s: deque[float] = deque(maxlen=_KEPT)
        self._handle: asyncio.TimerHandle | None = None
        self._due_s = 0.0

    def start(self) -> None:
        """Begin measuring."""
        self._due_s = self._loop.time() + PERIOD_S
        self._handle = self._loop.call_at(self._due_s, self._tick)

    def stop(self) -> None:
        """End measuring; figures stay."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def note(self, lag_s: float) -> None:
        """Take one measured lag, seconds."""
        self._lags_s.append(max(0.0, lag_s))

    def figures(self) -> dict[str, float]:
        """Return ``mean_ms``, ``p99_ms`` and ``max_ms``; zeros before the first tick."""
        lags = sorted(self._lags_s)
        if not lags:
            return {"mean_ms": 0.0, "p99_ms": 0.0, "max_ms": 0.0}
        p99 = lags[min(len(lags) - 1, (len(lags) * 99) // 100)]
        return {
            "mean_ms": round(1000 * sum(lags) / len(lags), 3),
            "p99_ms": round(1000 * p99, 3),
            "max_ms": round(1000 * lags[-1], 3),
        }

    def _tick(self) -> None:
        now_s = self._loop.time()
        self.note(now_s - self._due_s)
        self._due_s = now_s + PERIOD_S
        self._handle = self._loop.call_at(self._due_s, self._tick)
