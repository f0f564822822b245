"""Timetable: what trouble is on in the lab, and when each ends by itself.

The lab keeps the time of its own troubles, so that a controller that dies in the middle
of an outage does not leave a lab behind that refuses everybody for ever. Nothing here
waits: whoever runs the lab asks when the next end is due.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One trouble that is on.

    Attributes:
        front: Name of the front it hits.
        kind: ``outage``, ``slow`` or ``fault.<kind>``.
        began_ns: When it began, monotonic.
        ends_ns: When it ends by itself, monotonic; ``None`` = only by command.
    """

    front: str
    kind: str
    began_ns: int
    ends_ns: int | None


class Timetable:
    """The troubles of a lab; one of a kind at a time on each front.

    Args:
        now_ns: Monotonic clock, nanoseconds.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._troubles: dict[tuple[str, str], Trouble] = {}

    def begin(self, front: str, kind: str, duration_s: float | None) -> Trouble:
        """Note a trouble; it replaces one of the same kind on the same front.

        Args:
            front: Name of the front.
            kind: See :class:`Trouble`.
            duration_s: Seconds from now to its end; ``None`` = until a command.
        """
        now_ns = self._now_ns()
        ends_ns = None if duration_s is None else now_ns + int(duration_s * 1e9)
        trouble = Trouble(front=front, kind=kind, began_ns=now_ns, ends_ns=ends_ns)
        self._troubles[front, kind] = trouble
        return trouble

    def end(self, front: str, kind: str) -> bool:
        """Forget a trouble; returns whether it was on."""
        return self._troubles.pop((front, kind), None) is not None

    def active(self, front: str | None = None) -> tuple[Trouble, ...]:
        """Troubles of one front, or of all, oldest first."""
        return tuple(
            each
            for each in self._troubles.values()
            if front is None or each.front == front
        )

    def take_due(self) -> tuple[Trouble, ...]:
        """Forget the troubles whose time is over and return them, first due first."""
        now_ns = self._now_ns()
        due = [
            (each.ends_ns, each)
            for each in self._troubles.values()
            if each.ends_ns is not None and each.ends_ns <= now_ns
        ]
        due.sort(key=lambda entry: entry[0])
        for _, each in due:
            del self._troubles[each.front, each.kind]
        return tuple(each for _, each in due)

    def next_end_s(self) -> float | None:
        """Seconds until the next end is due, at least 0; ``None`` = none is."""
        ends = [
            each.ends_ns for each in self._troubles.values() if each.ends_ns is not None
        ]
        return max(0.0, (min(ends) - self._now_ns()) / 1e9) if ends else None
