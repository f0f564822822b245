"""Agenda: what a device has to do besides uploading, and when it is due again.

After power-on, in order (``device.md`` section 6): rule schema, device.json, the
over-the-air check. Later device.json and the check by their timers. An operation whose
turn comes again while it is still queued is not queued twice: the real timers are soft
("may become longer if the device is busy").
"""

from fleetsim.core.commands import Operation
from fleetsim.core.device_settings import NS_PER_S
from fleetsim.core.file_schedule import NEVER_NS
from fleetsim.core.over_the_air import CHECKS
from fleetsim.core.settings import Workload

Entry = tuple[Operation, int]
"""An operation and the run time for which it was planned."""


class Agenda:
    """The queue and the timers of one device."""

    __slots__ = ("_next_heartbeat_ns", "_next_ota_ns", "_queue")

    def __init__(self) -> None:
        self._queue: tuple[Entry, ...] = ()
        self._next_heartbeat_ns = NEVER_NS
        self._next_ota_ns = NEVER_NS

    def boot(self, work: Workload, now_ns: int, *, with_schema: bool) -> None:
        """Start over: queue what a device does after power-on, arm the timers."""
        operations = [Operation.SCHEMA] if with_schema else []
        if work.heartbeat_s:
            operations.append(Operation.HEARTBEAT)
        if work.ota_s:
            operations.extend(CHECKS)
        self._queue = tuple((operation, now_ns) for operation in operations)
        self._next_heartbeat_ns = _after(now_ns, work.heartbeat_s)
        self._next_ota_ns = _after(now_ns, work.ota_s)

    def stop(self, *, keep_first: bool) -> None:
        """Let nothing new come up; ``keep_first`` spares the operation under way."""
        self._queue = self._queue[:1] if keep_first else ()
        self._next_heartbeat_ns = NEVER_NS
        self._next_ota_ns = NEVER_NS

    @property
    def first(self) -> Entry | None:
        """The operation whose turn it is."""
        return self._queue[0] if self._queue else None

    @property
    def check_goes_on(self) -> bool:
        """Whether another object of the same over-the-air check follows."""
        return len(self._queue) > 1 and self._queue[1][0] in CHECKS

    @property
    def next_timer_ns(self) -> int:
        """When the next timer is due; ``NEVER_NS`` = none is armed."""
        return min(self._next_heartbeat_ns, self._next_ota_ns)

    def done(self) -> None:
        """The first operation is over."""
        self._queue = self._queue[1:]

    def insert(self, operation: Operation, planned_ns: int) -> None:
        """Queue an operation before all others."""
        self._queue = ((operation, planned_ns), *self._queue)

    def queue_due(self, work: Workload, now_ns: int, end_ns: int) -> None:
        """Queue what has become due by now; timers at or after ``end_ns`` stop."""
        if self._next_heartbeat_ns <= now_ns:
            self._queue_once(Operation.HEARTBEAT, self._next_heartbeat_ns)
            self._next_heartbeat_ns = _following(
                self._next_heartbeat_ns, work.heartbeat_s, now_ns, end_ns
            )
        if self._next_ota_ns <= now_ns:
            for operation in CHECKS:
                self._queue_once(operation, self._next_ota_ns)
            self._next_ota_ns = _following(
                self._next_ota_ns, work.ota_s, now_ns, end_ns
            )

    def _queue_once(self, operation: Operation, planned_ns: int) -> None:
        if all(queued is not operation for queued, _ in self._queue):
            self._queue = (*self._queue, (operation, planned_ns))


def _after(now_ns: int, period_s: float) -> int:
    return now_ns + int(period_s * NS_PER_S) if period_s else NEVER_NS


def _following(due_ns: int, period_s: float, now_ns: int, end_ns: int) -> int:
    """The next time on the grid of a timer that lies after ``now_ns``."""
    period_ns = max(1, int(period_s * NS_PER_S))
    following_ns = due_ns + ((now_ns - due_ns) // period_ns + 1) * period_ns
    return following_ns if following_ns < end_ns else NEVER_NS
