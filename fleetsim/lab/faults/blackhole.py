"""Blackhole: a firewall that drops what belongs to a connection."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from fleetsim.core.draws import Draws
from fleetsim.lab.faults.flow import NEVER, Direction, Piece


@dataclass(frozen=True, slots=True)
class Blackhole:
    """Connections are accepted and then nothing moves, either way.

    A device sees ``tls.timeout``, or ``http.timeout`` without TLS. What was sent
    arrives when the fault is over, as TCP would send it again.
    """

    kind: ClassVar[str] = "blackhole"

    def flow(self, direction: Direction, draws: Draws) -> "_HeldFlow":
        """Both directions are dead."""
        del direction, draws
        return _HeldFlow()


class _HeldFlow:
    __slots__ = ()

    def pieces(self, size: int, now_s: float) -> Iterator[Piece]:
        del now_s
        yield Piece(size, NEVER)
