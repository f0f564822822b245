"""Switch: which connections are hit by which faults, in turn."""

import asyncio
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from fleetsim.core.draws import Draws, derive_seed
from fleetsim.lab.faults.flow import Direction, Fault, Flow
from fleetsim.lab.faults.path import Path

_SHARE_STEPS: Final = 1_000_000


class Turns:
    """Chooses a share of a sequence, evenly and the first one first.

    After n of them ``ceil(n * share)`` have been chosen, whatever n is.

    Args:
        share: 0..1, kept to six digits.
    """

    def __init__(self, share: float) -> None:
        self._share = Fraction(share).limit_denominator(_SHARE_STEPS)
        self._seen = 0

    def is_next_chosen(self) -> bool:
        """Take the next of the sequence."""
        before = -(-self._seen * self._share.numerator // self._share.denominator)
        self._seen += 1
        after = -(-self._seen * self._share.numerator // self._share.denominator)
        return after > before


@dataclass(slots=True)
class _Active:
    fault: Fault
    turns: Turns
    hit: int = 0


@dataclass(slots=True)
class FaultSwitch:
    """The faults of one listening address.

    New connections are hit in the order they are accepted; those that were open before
    a fault began are left alone.

    Attributes:
        seed: Of what faults draw: same seed, same draws for the n-th connection.
        live: Connections under a fault, or once under one, that are open.
    """

    seed: int = 0
    live: set[Path] = field(default_factory=set)
    _active: dict[str, _Active] = field(default_factory=dict)
    _accepted: int = 0

    @property
    def hits(self) -> dict[str, int]:
        """Connections hit so far, by kind of the faults that are on."""
        return {kind: each.hit for kind, each in self._active.items()}

    def begin(self, fault: Fault, share: float = 1.0) -> None:
        """Let a fault hit new connections; one of the same kind is over then.

        Args:
            fault: What happens to them.
            share: Share of them, 0..1.
        """
        self.end(fault.kind)
        self._active[fault.kind] = _Active(fault, Turns(share))

    def end(self, kind: str | None = None) -> tuple[str, ...]:
        """Lift faults of one kind, or all; returns the kinds that were on."""
        kinds = tuple(self._active) if kind is None else (kind,)
        ended = tuple(each for each in kinds if self._active.pop(each, None))
        for each in ended:
            for path in tuple(self.live):
                path.lift(each)
        return ended

    def wrap(
        self, loop: asyncio.AbstractEventLoop, inner: asyncio.Protocol
    ) -> asyncio.Protocol:
        """Put the faults that hit the next connection before its protocol."""
        self._accepted += 1
        if not self._active:
            return inner
        to_server: list[tuple[str, Flow]] = []
        to_client: list[tuple[str, Flow]] = []
        is_hit = False
        for number, (kind, active) in enumerate(self._active.items()):
            if not active.turns.is_next_chosen():
                continue
            is_hit = True
            active.hit += 1
            for direction, flows in (
                (Direction.TO_SERVER, to_server),
                (Direction.TO_CLIENT, to_client),
            ):
                draws = Draws(
                    derive_seed(self.seed, self._accepted, number, direction.value)
                )
                flow = active.fault.flow(direction, draws)
                if flow is not None:
                    flows.append((kind, flow))
        if not is_hit:
            return inner
        path = Path(
            loop,
            inner,
            to_server=to_server,
            to_client=to_client,
            on_gone=self.live.discard,
        )
        self.live.add(path)
        return path
