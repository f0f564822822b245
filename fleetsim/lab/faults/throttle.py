"""Throttle: a narrow way."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from fleetsim.core.draws import Draws
from fleetsim.lab.faults.flow import Direction, Piece

_STEP_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Throttle:
    """Bytes pass at a limited rate, each connection and direction on its own.

    A device sees long ``send`` and ``wait`` phases, and ``http.timeout`` when nothing
    moves for longer than its deadline.
    """

    kind: ClassVar[str] = "throttle"

    bytes_per_s: float
    """Rate, bytes per second of TCP payload (TLS records, not plaintext)."""

    def flow(self, direction: Direction, draws: Draws) -> "_ThrottleFlow":
        """Both directions are throttled."""
        del direction, draws
        return _ThrottleFlow(self.bytes_per_s)


class _ThrottleFlow:
    __slots__ = ("_bytes_per_s", "_free_s", "_step")

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._step = max(1, int(bytes_per_s * _STEP_S))
        self._free_s = 0.0

    def pieces(self, size: int, now_s: float) -> Iterator[Piece]:
        self._free_s = max(self._free_s, now_s)
        if not size:
            yield Piece(0, self._free_s)
        while size:
            step = min(size, self._step)
            self._free_s += step / self._bytes_per_s
            yield Piece(step, self._free_s)
            size -= step
