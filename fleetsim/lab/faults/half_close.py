"""Half close: the client no longer hears the server, but the server hears the client."""

from dataclasses import dataclass
from typing import ClassVar

from fleetsim.core.draws import Draws
from fleetsim.lab.faults.cut import CutFlow, cut_flow
from fleetsim.lab.faults.flow import Direction, End


@dataclass(frozen=True, slots=True)
class HalfClose:
    """FIN to the client alone after some bytes; what it sends still arrives.

    A device that waits for the answer to an upload sees ``http.reset`` although the
    server has stored the file: it will send it again.
    """

    kind: ClassVar[str] = "half_close"

    after_bytes: int = 0
    """Bytes the client gets first; 0 = none, at the first byte it sends."""

    def flow(self, direction: Direction, draws: Draws) -> CutFlow | None:
        """Only one direction counts."""
        del draws
        return cut_flow(direction, self.after_bytes, End.HALF_CLOSE)
