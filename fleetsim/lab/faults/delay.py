"""Delay: a long way, or a shaky one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from fleetsim.core.draws import Draws
from fleetsim.lab.faults.flow import Direction, Piece


@dataclass(frozen=True, slots=True)
class Delay:
    """Every byte arrives later; order is kept, as TCP keeps it.

    A device sees longer phases, and ``tls.timeout`` or ``http.timeout`` when the delay
    is beyond its deadlines.
    """

    kind: ClassVar[str] = "delay"

    latency_s: float
    """Time added in each direction, seconds."""
    jitter_s: float = 0.0
    """Up to this much more, drawn uniformly per arrival, seconds."""

    def flow(self, direction: Direction, draws: Draws) -> "_DelayFlow":
        """Both directions are delayed."""
        del direction
        return _DelayFlow(self.latency_s, self.jitter_s, draws)


class _DelayFlow:
    __slots__ = ("_draws", "_jitter_s", "_last_s", "_latency_s")

    def __init__(self, latency_s: float, jitter_s: float, draws: Draws) -> None:
        self._latency_s = latency_s
        self._jitter_s = jitter_s
        self._draws = draws
        self._last_s = 0.0

    def pieces(self, size: int, now_s: float) -> Iterator[Piece]:
        due_s = now_s + self._latency_s + self._jitter_s * self._draws.uniform()
        self._last_s = max(self._last_s, due_s)
        yield Piece(size, self._last_s)
