"""Contacts: how many devices were in which state of contact, when.

One pass over ``states.parquet`` (see :mod:`fleetsim.recording.states`), for the fleet
and for each cohort at once.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fleetsim.core.contact import ContactState

_NS_PER_S: Final = 1_000_000_000
_OUT_OF_TOUCH: Final = (ContactState.FAILING.value, ContactState.STRANDED.value)
_STRANDED: Final = ContactState.STRANDED.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Stranding:
    """A device that is stranded at the end.

    Attributes:
        device: Device id.
        cohort: Cohort name.
        since_ns: Since when, run time.
        reason: The proof.
    """

    device: str
    cohort: str
    since_ns: int
    reason: str


@dataclass(slots=True)
class Contacts:
    """The histories of contact of a cohort, or of all.

    Attributes:
        series: Devices by state at each point in time.
        final: Devices by their last state.
        stranded: Devices that are stranded at the end, in the order they became so.
        stranded_ever: Devices that were stranded at any time.
        stranded_peak: Most devices stranded at the same time, and when (run time, ns).
        worst: Most devices failing or stranded at the same time, and when.
    """

    series: list[dict[str, int]] = field(default_factory=list)
    final: Counter[str] = field(default_factory=Counter)
    stranded: list[Stranding] = field(default_factory=list)
    stranded_ever: int = 0
    stranded_peak: tuple[int, int] = (0, 0)
    worst: tuple[int, int] = (0, 0)
    at_worst: dict[str, int] = field(default_factory=dict)


class _Counting:
    """Follows the states of a cohort from change to change."""

    def __init__(self) -> None:
        self.now: Counter[str] = Counter()
        self.contacts = Contacts()
        self._stranded: dict[str, Stranding] = {}
        self._ever: set[str] = set()

    def point(self) -> None:
        self.contacts.series.append(shown(self.now))

    def change(self, device: str, was: str, stranding: Stranding, state: str) -> None:
        if was:
            self.now[was] -= 1
        self.now[state] += 1
        if was == _STRANDED:
            self._stranded.pop(device, None)
        if state == _STRANDED:
            self._stranded[device] = stranding
            self._ever.add(device)

    def look(self, at_ns: int) -> None:
        """Compare with the worst so far; call when all changes of a time are in."""
        contacts = self.contacts
        if self.now[_STRANDED] > contacts.stranded_peak[0]:
            contacts.stranded_peak = (self.now[_STRANDED], at_ns)
        out = sum(self.now[state] for state in _OUT_OF_TOUCH)
        if out > contacts.worst[0]:
            contacts.worst = (out, at_ns)
            contacts.at_worst = shown(self.now)

    def end(self) -> Contacts:
        contacts = self.contacts
        contacts.final = Counter(shown(self.now))
        contacts.stranded = list(self._stranded.values())
        contacts.stranded_ever = len(self._ever)
        return contacts


def shown(counts: Mapping[str, int]) -> dict[str, int]:
    """Counts in the order of the states, without those that are 0."""
    return {
        state.value: counts[state.value]
        for state in ContactState
        if counts.get(state.value)
    }


def follow(states: Any, step_s: int, end_ns: int) -> dict[str | None, Contacts]:
    """Follow all histories at once.

    Args:
        states: Table of :func:`fleetsim.recording.states.read_states`, in any order of
            devices: several processes may have written it.
        step_s: Seconds between two points of a series, >= 1.
        end_ns: End of the series, run time.

    Returns:
        By cohort, and under ``None`` all together.
    """
    names = ("at_ns", "device", "cohort", "was", "state", "reason")
    rows = states.sort_by([("at_ns", "ascending")])
    counting: defaultdict[str | None, _Counting] = defaultdict(_Counting)
    for cohort in (None, *sorted(set(states["cohort"].to_pylist()))):
        counting[cohort] = _Counting()
    next_ns, step_ns, before_ns = 0, step_s * _NS_PER_S, -1
    for at_ns, device, cohort, was, state, reason in zip(
        *(rows[name].to_pylist() for name in names), strict=True
    ):
        if at_ns != before_ns:
            for each in counting.values():
                each.look(before_ns)
            before_ns = at_ns
        while next_ns < at_ns:
            for each in counting.values():
                each.point()
            next_ns += step_ns
        stranding = Stranding(
            device=device, cohort=cohort, since_ns=at_ns, reason=reason
        )
        for key in (None, cohort):
            counting[key].change(device, was, stranding, state)
    for each in counting.values():
        each.look(before_ns)
    while next_ns <= end_ns:
        for each in counting.values():
            each.point()
        next_ns += step_ns
    return {cohort: each.end() for cohort, each in counting.items()}
