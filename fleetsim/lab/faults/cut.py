"""Cut: what the faults that end a connection after so many bytes have in common.

Bytes are counted on their way to the client, as TCP carries them: with TLS, records and
handshake included. Nothing may happen before the client has sent something: a
connection that ends during ``connect()`` would be another failure, and which of the two
it became would be left to chance.
"""

from collections.abc import Iterator

from fleetsim.lab.faults.flow import Direction, End, Piece


class CutFlow:
    """Ends the connection after some bytes; what still arrives is the path's to drop."""

    __slots__ = ("_end", "_is_cut", "_left")

    def __init__(self, after_bytes: int, end: End) -> None:
        self._left = after_bytes
        self._end = end
        self._is_cut = False

    def pieces(self, size: int, now_s: float) -> Iterator[Piece]:
        """See :class:`fleetsim.lab.faults.flow.Flow`."""
        if self._is_cut or not size or size < self._left:
            self._left -= size
            yield Piece(size, now_s)
            return
        self._is_cut = True
        yield Piece(self._left, now_s, self._end)
        if size > self._left:
            yield Piece(size - self._left, now_s)


def cut_flow(direction: Direction, after_bytes: int, end: End) -> CutFlow | None:
    """Make the flow of a fault that ends a connection.

    Args:
        direction: Which way the bytes of the flow go.
        after_bytes: Bytes that still reach the client; 0 = it ends at the first byte
            the client sends.
        end: How it ends.
    """
    counted = Direction.TO_CLIENT if after_bytes else Direction.TO_SERVER
    return CutFlow(after_bytes, end) if direction is counted else None
