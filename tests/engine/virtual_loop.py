"""A real event loop on virtual time: when nothing is ready, the clock jumps ahead."""

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any


class _Jumping(selectors.BaseSelector):
    """Instead of waiting, tells the loop that the time has passed."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop
        self._inner = selectors.DefaultSelector()

    def register(
        self, fileobj: Any, events: int, data: Any = None
    ) -> selectors.SelectorKey:
        """Watch a file."""
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Watch it no more."""
        return self._inner.unregister(fileobj)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        """What is watched."""
        return self._inner.get_map()

    def close(self) -> None:
        """Close it."""
        self._inner.close()

    def select(
        self, timeout: float | None = None
    ) -> list[tuple[selectors.SelectorKey, int]]:
        """Give what is ready now; jump to the next timer when nothing is."""
        ready = self._inner.select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("the loop would wait for ever")
            self._loop.jump(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An asyncio loop whose time is free."""

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Virtual time, seconds."""
        return self._now_s

    def jump(self, seconds: float) -> None:
        """Let time pass."""
        # A little more than asked for, so that rounding never asks again for nothing.
        self._now_s += max(0.0, seconds) + 1e-9

    # What a module of the engine reads of ``time``.

    def monotonic_ns(self) -> int:
        """Virtual time, nanoseconds."""
        return round(self._now_s * 1e9)

    def monotonic(self) -> float:
        """Virtual time, seconds."""
        return self._now_s

    def process_time(self) -> float:
        """CPU time: virtual life costs nothing."""
        return 0.0
