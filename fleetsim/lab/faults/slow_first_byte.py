"""Slow first byte: a server, or a balancer before it, that takes its time to begin."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from fleetsim.core.draws import Draws
from fleetsim.lab.faults.flow import Direction, Piece


@dataclass(frozen=True, slots=True)
class SlowFirstByte:
    """The first byte to the client of each connection is late, the rest is not.

    With TLS that byte is the ServerHello's: a device sees a long ``tls`` phase, and
    ``tls.timeout`` beyond its deadline.
    """

    kind: ClassVar[str] = "slow_first_byte"

    delay_s: float
    """From the moment it was sent, seconds."""

    def flow(self, direction: Direction, draws: Draws) -> "_FirstByteFlow | None":
        """Only the client waits."""
        del draws
        return (
            _FirstByteFlow(self.delay_s) if direction is Direction.TO_CLIENT else None
        )


class _FirstByteFlow:
    __slots__ = ("_delay_s", "_open_s")

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._open_s: float | None = None

    def pieces(self, size: int, now_s: float) -> Iterator[Piece]:
        if self._open_s is None:
            self._open_s = now_s + self._delay_s
        yield Piece(size, max(now_s, self._open_s))
