"""EntryOrder: what in a timeline is certain to come before what, and who makes what.

When an entry is due is known for chains of ``at``, ``date``, ``after`` and ``delay``;
behind a condition only ``after`` makes an order certain. Entries with the same due time
begin in the order of the scenario.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from fleetsim.scenario.schema import Scenario
from fleetsim.scenario.timeline import run_time_s
from fleetsim.scenario.timeline_schema import (
    ACTIONS,
    CalendarSpec,
    CrossSign,
    IssueCa,
    IssueServerCertificate,
    TimelineEntry,
)
from fleetsim.scenario.yaml_document import Loc


@unique
class Product(Enum):
    """Kind of certificate a name stands for."""

    CA = "a certificate authority"
    CROSS = "a cross-signed certificate"
    SERVER = "a server certificate"


_PRODUCTS: Final[Mapping[type, Product]] = {
    IssueCa: Product.CA,
    CrossSign: Product.CROSS,
    IssueServerCertificate: Product.SERVER,
}
TRIGGERS: Final = ("at", "date", "after", "when")
"""Keys that say when an entry is due."""
BUILT_IN_CAS: Final = ("root", "intermediate", "devices")
"""Authorities of the lab: its root, who issues the servers, who issues the devices."""


@dataclass(frozen=True, slots=True)
class Made:
    """Something certificates are called by.

    Attributes:
        product: Kind of certificate.
        index: Entry that makes it; ``None`` = it is there from the start.
    """

    product: Product
    index: int | None = None


def actions_of(entry: TimelineEntry) -> tuple[str, ...]:
    """Keys of the actions an entry has; a valid one has exactly one."""
    return tuple(key for key in ACTIONS if entry.content(key) is not None)


class EntryOrder:
    """Order of a timeline's entries.

    Attributes:
        entries: The entries.
        by_name: First entry of each name.
        made: What each name of a certificate stands for.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.entries: Sequence[TimelineEntry] = scenario.timeline
        self._calendar: CalendarSpec | None = scenario.calendar
        self.by_name: dict[str, int] = {}
        self.made: dict[str, Made] = _built_in(scenario)
        for index, entry in enumerate(self.entries):
            if entry.name is None or entry.name in self.by_name:
                continue
            self.by_name[entry.name] = index
            for key in actions_of(entry):
                product = _PRODUCTS.get(type(entry.content(key)))
                if product is not None and entry.name not in self.made:
                    self.made[entry.name] = Made(product, index)

    def previous(self, index: int) -> tuple[int, ...]:
        """Entries an entry waits for by ``after``, nearest first.

        In a cycle the entry itself is the last one.
        """
        chain: dict[int, None] = {}  # in order, and quick to look into
        current: int | None = index
        while current is not None:
            after = self.entries[current].after
            current = None if after is None else self.by_name.get(after)
            if current is None or current in chain:
                break
            chain[current] = None
        return tuple(chain)

    @property
    def name_places(self) -> tuple[Loc, ...]:
        """Places of all names: what is unknown may be meant by one that is unreadable."""
        return tuple(("timeline", n, "name") for n in range(len(self.entries)))

    def time_places(self, index: int) -> tuple[Loc, ...]:
        """Places that decide when an entry is due."""
        return tuple(
            ("timeline", number, key)
            for number in (index, *self.previous(index))
            for key in (*TRIGGERS, "delay")
        )

    def due_s(self, index: int) -> float | None:
        """Earliest run time an entry is due, seconds; ``None`` = depends on others."""
        chain = (index, *self.previous(index))
        if len(set(chain)) < len(chain):
            return None
        first = self.entries[chain[-1]]
        if first.date is not None and self._calendar is not None:
            start_s: float | None = run_time_s(first.date, self._calendar)
        else:
            start_s = first.at
        if start_s is None:
            return None
        return start_s + sum(self.entries[number].delay for number in chain[:-1])

    def is_before(self, first: int, second: int) -> bool:
        """Whether an entry certainly begins before another; nothing does in a cycle."""
        waits, is_awaited = (
            first in self.previous(second),
            second in self.previous(first),
        )
        if waits or is_awaited or first == second:
            return waits and not is_awaited
        first_s, second_s = self.due_s(first), self.due_s(second)
        if first_s is None:
            return False
        return second_s is None or (first_s, first) < (second_s, second)


def _built_in(scenario: Scenario) -> dict[str, Made]:
    if scenario.lab is None:
        has_pki = any(
            c.client_certificates and c.client_certificates.pki
            for c in scenario.cohorts
        )
        return {"devices": Made(Product.CA)} if has_pki else {}
    made = {
        front.name: Made(Product.SERVER)
        for front in scenario.lab.fronts
        if front.effective_tls is not None
    }
    made.update({name: Made(Product.CA) for name in BUILT_IN_CAS})
    return made
