"""Troubles: what a lab does to its clients on command, and how each of it ends.

``outage`` and ``slow`` are the server's, ``fault`` is the way's. A duration is kept by
the lab itself (:mod:`fleetsim.lab.timetable`): whoever runs it calls :meth:`end_due` when
:meth:`next_end_s` says so. Commands for all fronts leave the control plane's out.

Every command answers with the same shape::

    {"monotonic_ns": 81…, "unix_s": 18…, "fronts": {"tls": {…what was done there…}}}

``monotonic_ns`` is ``CLOCK_MONOTONIC``, one clock for all processes of the machine;
``unix_s`` is the lab's time of day, its calendar's when it has one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fleetsim.exceptions import InputError, Problem
from fleetsim.lab.faults.flow import Fault
from fleetsim.lab.slowness import Slowness
from fleetsim.lab.timetable import Timetable, Trouble
from fleetsim.lab.tls_front import TlsFront

OUTAGE: Final = "outage"
SLOW: Final = "slow"
FAULT: Final = "fault."
"""Prefix of the trouble kinds that are faults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where trouble can be made.

    Attributes:
        front: The listening front.
        slowness: What holds its answers back.
        is_control: It belongs to the control plane.
    """

    front: TlsFront
    slowness: Slowness
    is_control: bool


class Troubles:
    """The troubles of a lab.

    Args:
        places: Fronts by name; may grow later.
        now_ns: Monotonic clock, nanoseconds.
        clock: The lab's time of day, seconds since 1970.

    Every method with a front name raises :class:`~fleetsim.exceptions.InputError` when
    there is no such front; ``None`` = all but the control plane's.
    """

    def __init__(
        self,
        places: Mapping[str, Place],
        *,
        now_ns: Callable[[], int],
        clock: Callable[[], float],
    ) -> None:
        self._places = places
        self._now_ns = now_ns
        self._clock = clock
        self._timetable = Timetable(now_ns)

    def outage(self, name: str | None, duration_s: float | None) -> dict[str, Any]:
        """Refuse connections and reset the open ones.

        Args:
            name: The front.
            duration_s: Seconds until it ends; ``None`` = by :meth:`restore`.
        """
        chosen = self._chosen(name)
        done = {each: {"connections_reset": p.front.refuse()} for each, p in chosen}
        return self._begun(done, OUTAGE, duration_s)

    def slow(
        self, name: str | None, delay_s: float, duration_s: float | None
    ) -> dict[str, Any]:
        """Hold every answer back, those that requests are waiting for too.

        Args:
            name: The front.
            delay_s: Seconds from the moment an answer is ready.
            duration_s: Seconds until it ends; ``None`` = by :meth:`restore`.
        """
        chosen = self._chosen(name)
        for _, place in chosen:
            place.slowness.begin(delay_s)
        done = {each: {"delay_s": delay_s} for each, _ in chosen}
        return self._begun(done, SLOW, duration_s)

    async def restore(self, name: str | None) -> dict[str, Any]:
        """End outage and slowness."""
        done = {}
        for each, _ in self._chosen(name):
            ended = [kind for kind in (OUTAGE, SLOW) if self._timetable.end(each, kind)]
            for kind in ended:
                await self._end(each, kind)
            done[each] = {"ended": ended}
        return self._answer(done)

    def reset(self, name: str | None) -> dict[str, Any]:
        """Reset every open connection, once."""
        return self._answer(
            {
                each: {"connections_reset": place.front.close_connections()}
                for each, place in self._chosen(name)
            }
        )

    def fault(
        self, name: str | None, fault: Fault, share: float, duration_s: float | None
    ) -> dict[str, Any]:
        """Let a fault hit new connections; one of the same kind is over then.

        Args:
            name: The front.
            fault: What happens to them.
            share: Share of them, in turn, 0..1.
            duration_s: Seconds until it is lifted; ``None`` = by :meth:`clear`.
        """
        chosen = self._chosen(name)
        for _, place in chosen:
            place.front.faults.begin(fault, share)
        done = {each: {"kind": fault.kind, "share": share} for each, _ in chosen}
        return self._begun(done, FAULT + fault.kind, duration_s)

    def clear(self, name: str | None, kind: str | None) -> dict[str, Any]:
        """Lift the faults of one kind, or all of them."""
        done = {}
        for each, place in self._chosen(name):
            ended = place.front.faults.end(kind)
            for one in ended:
                self._timetable.end(each, FAULT + one)
            done[each] = {"ended": [FAULT + one for one in ended]}
        return self._answer(done)

    def status(self) -> dict[str, Any]:
        """What is on, on every front, the control plane's included."""
        now_ns = self._now_ns()
        return self._answer(
            {
                name: {
                    "is_accepting": place.front.is_accepting,
                    "live": place.front.live,
                    "answers_held": place.slowness.held,
                    "connections_hit": place.front.faults.hits,
                    "troubles": [
                        _described(each, now_ns)
                        for each in self._timetable.active(name)
                    ],
                }
                for name, place in self._places.items()
            }
        )

    def next_end_s(self) -> float | None:
        """Seconds until :meth:`end_due` has something to do; ``None`` = nothing."""
        return self._timetable.next_end_s()

    async def end_due(self) -> None:
        """End what is over by now.

        Raises:
            OSError: A port could not be listened on again after an outage.
        """
        for each in self._timetable.take_due():
            await self._end(each.front, each.kind)

    def end_slowness(self) -> None:
        """Let every answer go: the lab is about to stop."""
        for place in self._places.values():
            place.slowness.end()

    # --------------------------------------------------------------------- inside

    async def _end(self, name: str, kind: str) -> None:
        place = self._places[name]
        if kind == OUTAGE:
            await place.front.accept()
        elif kind == SLOW:
            place.slowness.end()
        else:
            place.front.faults.end(kind.removeprefix(FAULT))

    def _chosen(self, name: str | None) -> list[tuple[str, Place]]:
        if name is None:
            return [
                (each, place)
                for each, place in self._places.items()
                if not place.is_control
            ]
        place = self._places.get(name)
        if place is None:
            known = ", ".join(self._places) or "none"
            raise InputError(Problem(f"front {name}", f"there is none; known: {known}"))
        return [(name, place)]

    def _begun(
        self, done: dict[str, dict[str, Any]], kind: str, duration_s: float | None
    ) -> dict[str, Any]:
        for name, what in done.items():
            self._timetable.begin(name, kind, duration_s)
            what["ends_in_s"] = duration_s
        return self._answer(done)

    def _answer(self, fronts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        return {
            "monotonic_ns": self._now_ns(),
            "unix_s": round(self._clock(), 6),
            "fronts": fronts,
        }


def _described(trouble: Trouble, now_ns: int) -> dict[str, Any]:
    ends_ns = trouble.ends_ns
    return {
        "kind": trouble.kind,
        "began_monotonic_ns": trouble.began_ns,
        "ends_in_s": None if ends_ns is None else max(0.0, (ends_ns - now_ns) / 1e9),
    }
