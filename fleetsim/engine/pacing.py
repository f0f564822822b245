"""Pacing: how many attempts may be under way at once.

The open model starts attempts by the plan; this bound only protects the machine that
generates the load (descriptors, memory). Whoever has to wait here starts late, and
that is counted against the generator, never hidden.
"""

from collections import OrderedDict
from typing import Protocol


class Admitted(Protocol):
    """Somebody who waits for a slot."""

    def on_admitted(self) -> None:
        """A slot was handed over."""


class Limiter:
    """Counts slots and hands freed ones over in the order of arrival.

    Args:
        limit: Slots, >= 1.

    Attributes:
        peak: Most slots ever taken at once.
        queued: How many had to wait.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        # Ordered, and cheap to leave: a run that stops empties a queue of thousands.
        self._waiting: OrderedDict[Admitted, None] = OrderedDict()
        self.peak = 0
        self.queued = 0

    @property
    def taken(self) -> int:
        """Slots now taken."""
        return self._taken

    def take(self, applicant: Admitted) -> bool:
        """Take a slot, or queue for one (then ``on_admitted`` follows later)."""
        if self._taken < self._limit:
            self._taken += 1
            self.peak = max(self.peak, self._taken)
            return True
        self._waiting[applicant] = None
        self.queued += 1
        return False

    def forget(self, applicant: Admitted) -> None:
        """Take a waiting applicant out of the queue."""
        self._waiting.pop(applicant, None)

    def give_back(self) -> None:
        """Return a slot; the longest waiting applicant gets it."""
        if self._waiting:
            self._waiting.popitem(last=False)[0].on_admitted()
        else:
            self._taken -= 1
