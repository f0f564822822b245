"""Reset: a connection torn down, as by a crashed server or a full NAT table."""

from dataclasses import dataclass
from typing import ClassVar

from fleetsim.core.draws import Draws
from fleetsim.lab.faults.cut import CutFlow, cut_flow
from fleetsim.lab.faults.flow import Direction, End


@dataclass(frozen=True, slots=True)
class Reset:
    """RST (RFC 9293 3.5.2) to both sides after some bytes.

    A device sees ``tls.reset`` in the handshake and ``http.reset`` after it.
    """

    kind: ClassVar[str] = "reset"

    after_bytes: int = 0
    """Bytes the client gets first; 0 = none, at the first byte it sends."""

    def flow(self, direction: Direction, draws: Draws) -> CutFlow | None:
        """Only one direction counts."""
        del draws
        return cut_flow(direction, self.after_bytes, End.RESET)
