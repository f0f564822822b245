"""Lab clock: the time of day of a rehearsal, in step with the load generator's.

A calendar maps run time onto dates: ``epoch_unix_s`` at a monotonic instant, ``scale``
calendar seconds per second from there on. ``CLOCK_MONOTONIC`` is one clock for all
processes of a machine (clock_gettime(2)), so generator and lab stay in step without a
word between them.

Until the origin is known (the load has not begun) the calendar stands still at its epoch.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class LabClock:
    """A calendar as a clock.

    Attributes:
        epoch_unix_s: Calendar time at the origin, seconds since 1970.
        scale: Calendar seconds per second, > 0.
        origin_monotonic_ns: Monotonic time of the origin; ``None`` = stands at the
            epoch until it is set, once.
        now_ns: Monotonic clock, nanoseconds.
    """

    epoch_unix_s: float
    scale: float
    origin_monotonic_ns: int | None
    now_ns: Callable[[], int]

    def __call__(self) -> float:
        """Calendar time now, seconds since 1970."""
        if self.origin_monotonic_ns is None:
            return self.epoch_unix_s
        elapsed_s = (self.now_ns() - self.origin_monotonic_ns) / 1e9
        return self.epoch_unix_s + elapsed_s * self.scale
