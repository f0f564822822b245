"""Lane: one direction of a faulty path. Bytes wait in it until every fault lets them go.

Theory of operation. A lane is a row of stages, one per fault, and a sink. A stage holds
its arrivals in order; the flow of its fault cuts them into pieces with due times. What
leaves the last stage is delivered, unless the receiver asked for a pause. The end of the
stream (EOF) travels through the stages like a byte, so it never overtakes one. A fault
that is over is lifted: its stage lets go of everything and then passes all on at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fleetsim.lab.faults.flow import NEVER, End, Flow, Piece


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneEvents:
    """What a lane tells its path.

    Attributes:
        deliver: Bytes have arrived at the far end.
        deliver_eof: The end of the stream has.
        end: A fault ends the connection.
        moved: Fewer bytes wait than before.
    """

    deliver: Callable[[bytes], None]
    deliver_eof: Callable[[], None]
    end: Callable[[End], None]
    moved: Callable[[], None]


class Lane:
    """One direction of one connection.

    Args:
        loop: Event loop, for its clock and timers.
        flows: Kind of each fault and its flow, nearest to the sender first.
        events: Who is told.

    Attributes:
        queued_bytes: Bytes on their way.
    """

    __slots__ = (
        "_events",
        "_is_eof_due",
        "_is_open",
        "_is_stopped",
        "_ready",
        "_stages",
        "queued_bytes",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        flows: Sequence[tuple[str, Flow]],
        events: LaneEvents,
    ) -> None:
        self.queued_bytes = 0
        self._events = events
        self._ready: deque[bytes] = deque()
        self._is_eof_due = False
        self._is_stopped = False
        self._is_open = True
        stages: list[_Stage] = []
        take, take_eof = self._take, self._take_eof
        for kind, flow in reversed(flows):
            stage = _Stage(
                loop, kind, flow, pass_on=take, pass_eof=take_eof, on_end=self._end
            )
            stages.append(stage)
            take, take_eof = stage.push, stage.push_eof
        self._stages = tuple(reversed(stages))

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits, neither bytes nor the end of the stream."""
        return (
            not self.queued_bytes
            and not self._is_eof_due
            and not any(stage.is_waiting for stage in self._stages)
        )

    def push(self, data: bytes) -> None:
        """Send bytes off; a lane that was closed drops them."""
        if self._is_open and data:
            self.queued_bytes += len(data)
            (self._stages[0].push if self._stages else self._take)(data)

    def push_eof(self) -> None:
        """Send the end of the stream off, behind all bytes."""
        if self._is_open:
            (self._stages[0].push_eof if self._stages else self._take_eof)()

    def stop(self) -> None:
        """Deliver nothing for now: the receiver asked for a pause."""
        self._is_stopped = True

    def go(self) -> None:
        """Deliver again."""
        self._is_stopped = False
        self._deliver()

    def lift(self, kind: str) -> None:
        """Let go of everything that waits for a fault of this kind."""
        for stage in self._stages:
            if stage.kind == kind:
                stage.lift()

    def close(self) -> None:
        """Drop everything, now and from now on."""
        self._is_open = False
        self._is_eof_due = False
        self._ready.clear()
        self.queued_bytes = 0
        for stage in self._stages:
            stage.close()

    # --------------------------------------------------------------------- inside

    def _take(self, data: bytes) -> None:
        if self._is_open:
            self._ready.append(data)
            self._deliver()

    def _take_eof(self) -> None:
        if self._is_open:
            self._is_eof_due = True
            self._deliver()

    def _end(self, end: End) -> None:
        if self._is_open:
            self._events.end(end)

    def _deliver(self) -> None:
        ready = self._ready
        while ready and not self._is_stopped:
            data = ready.popleft()
            self.queued_bytes -= len(data)
            self._events.deliver(data)
        if self._is_eof_due and not ready and not self._is_stopped:
            self._is_eof_due = False
            self._events.deliver_eof()
        self._events.moved()


class _Stage:
    """What waits for one fault."""

    __slots__ = (
        "_arrivals",
        "_flow",
        "_head",
        "_is_pumping",
        "_loop",
        "_on_end",
        "_pass",
        "_pass_eof",
        "_timer",
        "kind",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        kind: str,
        flow: Flow,
        *,
        pass_on: Callable[[bytes], None],
        pass_eof: Callable[[], None],
        on_end: Callable[[End], None],
    ) -> None:
        self.kind = kind
        self._loop = loop
        self._flow: Flow | None = flow
        self._pass = pass_on
        self._pass_eof = pass_eof
        self._on_end = on_end
        self._arrivals: deque[_Arrival] = deque()
        self._head: Piece | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_pumping = False

    @property
    def is_waiting(self) -> bool:
        return bool(self._arrivals)

    def push(self, data: bytes) -> None:
        if self._flow is None and not self._arrivals:
            self._pass(data)
            return
        self._arrive(data)

    def push_eof(self) -> None:
        if self._flow is None and not self._arrivals:
            self._pass_eof()
            return
        self._arrive(b"")

    def lift(self) -> None:
        self._flow = None
        self._pump()

    def close(self) -> None:
        self._arrivals.clear()
        self._head = None
        self._cancel()

    def _arrive(self, data: bytes) -> None:
        flow = self._flow
        pieces = flow.pieces(len(data), self._loop.time()) if flow else iter(())
        self._arrivals.append(_Arrival(data, pieces))
        if self._timer is None:
            self._pump()

    def _pump(self) -> None:
        """Let go of what is due; wake up again when the next piece is."""
        # Passing on may lift this very stage, or close it.
        if self._is_pumping:
            return
        self._is_pumping = True
        self._cancel()
        try:
            while self._arrivals and self._step():
                pass
        finally:
            self._is_pumping = False

    def _step(self) -> bool:
        """Let go of one piece; returns whether there may be another."""
        arrival = self._arrivals[0]
        if self._flow is None:
            self._arrivals.popleft()
            self._head = None
            self._let_go(arrival, arrival.left)
            return True
        piece = self._head or next(arrival.pieces, None)
        if piece is None:
            self._arrivals.popleft()
            return True
        if piece.due_s > self._loop.time():
            self._head = piece
            if piece.due_s != NEVER:
                self._timer = self._loop.call_at(piece.due_s, self._on_due)
            return False
        self._head = None
        if arrival.is_eof or piece.size == arrival.left:
            # Before it is passed on: what that leads to must not find it again.
            self._arrivals.popleft()
        self._let_go(arrival, piece.size)
        if piece.end is not None:
            self._on_end(piece.end)
        return True

    def _let_go(self, arrival: "_Arrival", size: int) -> None:
        if size:
            self._pass(arrival.take(size))
        elif arrival.is_eof:
            self._pass_eof()

    def _on_due(self) -> None:
        self._timer = None
        self._pump()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Arrival:
    """Bytes that arrived together, or the end of the stream (no bytes)."""

    __slots__ = ("_at", "_data", "pieces")

    def __init__(self, data: bytes, pieces: Iterator[Piece]) -> None:
        self._data = data
        self._at = 0
        self.pieces = pieces

    @property
    def is_eof(self) -> bool:
        return not self._data

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        start, self._at = self._at, self._at + size
        return self._data[start : self._at]
