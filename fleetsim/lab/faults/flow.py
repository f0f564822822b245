"""Flow: the language in which a fault says what happens to the bytes of a connection."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto, unique
from typing import ClassVar, Final, Protocol

from fleetsim.core.draws import Draws

NEVER: Final = float("inf")
"""Due time of bytes that are held until the fault is over."""


@unique
class Direction(Enum):
    """Which way bytes go."""

    TO_SERVER = auto()
    TO_CLIENT = auto()


@unique
class End(Enum):
    """How a fault ends a connection."""

    RESET = auto()
    """RST to the client; the server sees a reset too."""
    CLOSE = auto()
    """FIN to the client, and the server is told that the connection is over."""
    HALF_CLOSE = auto()
    """FIN to the client, which hears nothing more; its own bytes still arrive."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of one arrival that go on together.

    Attributes:
        size: How many, from the front of what is left; 0 = none, for an end alone.
        due_s: When, by the loop's clock; :data:`NEVER` = when the fault is over.
        end: What happens to the connection after them.
    """

    size: int
    due_s: float
    end: End | None = None


class Flow(Protocol):
    """One direction of one connection under one fault."""

    def pieces(self, size: int, now_s: float) -> Iterator[Piece]:
        """Cut an arrival into pieces, lazily; their sizes add up to its own.

        The pieces of one arrival are all taken before those of the next are.

        Args:
            size: Bytes that arrived; 0 = the sender closed its side.
            now_s: Loop time of the arrival; never runs backwards.
        """
        ...


class Fault(Protocol):
    """What happens to every connection that is hit; frozen, shared by them."""

    kind: ClassVar[str]

    def flow(self, direction: Direction, draws: Draws) -> Flow | None:
        """Make the rule for one direction of a new connection.

        Args:
            direction: Which way.
            draws: Random source of this direction of this connection.

        Returns:
            ``None`` = bytes of this direction pass untouched.
        """
        ...
