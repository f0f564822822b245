"""Contacts: the contact states of a fleet, counted as they change.

Everything is told by events; a healthy device costs nothing between its attempts. Only
devices whose last try failed are looked at once a second (:meth:`ContactBook.sweep`),
because silence grows without an event and because a proof that a device is stranded
depends on the world around it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from fleetsim.core.contact import Change, ContactState, is_try
from fleetsim.core.device import Device
from fleetsim.core.failure import Failure
from fleetsim.engine.driver import Driver

Prove = Callable[[Device], str | None]
"""Proves that a device is stranded: the reason, or ``None`` when it is not proved."""

SWEPT_AT_ONCE: Final = 100
"""Devices examined before the loop serves the sockets again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What the contacts of a shard come to; those of several shards add up.

    Attributes:
        cohorts: Devices by cohort and contact state.
        backlog: Files on the cards, each card as of the end of its last attempt.
        uploads: Uploads acknowledged.
        failed_attempts: Attempts that failed.
        files_lost: Files the cards gave up.
    """

    cohorts: Mapping[str, Mapping[str, int]]
    backlog: int
    uploads: int
    failed_attempts: int
    files_lost: int

    def total(self) -> dict[str, int]:
        """Devices by state, in the order of the states."""
        return {
            state.value: sum(each.get(state.value, 0) for each in self.cohorts.values())
            for state in ContactState
        }

    def figures(self) -> dict[str, float]:
        """Live figures by the names that conditions of a scenario use."""
        counts = self.total()
        devices = max(1, sum(counts.values()))
        found: dict[str, float] = {}
        for state, count in counts.items():
            found[state] = float(count)
            found[f"{state}_share"] = count / devices
        found["backlog"] = float(self.backlog)
        found["uploads"] = float(self.uploads)
        found["failed_attempts"] = float(self.failed_attempts)
        found["files_lost"] = float(self.files_lost)
        return found


class StateSink(Protocol):
    """Where the histories go; see ``fleetsim.recording.states``."""

    def add(self, device: str, cohort: str, change: Change) -> None:
        """Take one change; must be cheap."""

    def flush(self) -> None:
        """Write out what was taken; called once a second."""


class ContactBook:
    """Keeps the contact states of the devices of a shard.

    Args:
        now_ns: Clock.
        sink: Where every change goes; ``None`` = nowhere.

    Attributes:
        backlog: Files on the cards, each card as of the end of its last attempt.
        files_lost: Files the cards gave up, likewise.
        uploads: Uploads acknowledged.
        failed_attempts: Attempts that failed, climbing the ladder included; not those
            that the simulation broke off.
        failing_now: Devices whose last attempt failed.
    """

    def __init__(
        self, now_ns: Callable[[], int], sink: StateSink | None = None
    ) -> None:
        self.backlog = 0
        self.files_lost = 0
        self.uploads = 0
        self.failed_attempts = 0
        self.failing_now = 0
        self._now_ns = now_ns
        self._sink = sink
        self._counts: dict[str, Counter[ContactState]] = {}
        # A dictionary keeps the order, so that a sweep is the same every time.
        self._suspects: dict[Driver, None] = {}

    # ------------------------------------------------------------ told by drivers

    def add(self, driver: Driver) -> None:
        """Open the history of a device."""
        self._note(
            driver,
            Change(
                at_ns=0, was=None, now=driver.contact.state, reason="not switched on"
            ),
        )

    def concluded(
        self, driver: Driver, failure: Failure | None, upload_planned_ns: int
    ) -> None:
        """An attempt is over; see :class:`fleetsim.engine.driver.Services`."""
        device, contact = driver.device, driver.contact
        self.failing_now += (failure is not None) - driver.has_failed
        card = device.card
        self.backlog += card.backlog - driver.backlog
        driver.backlog = card.backlog
        self.files_lost += card.files_lost - driver.files_lost
        driver.files_lost = card.files_lost
        if failure is not None and not is_try(failure):
            return
        rules, now_ns = device.settings.contact_rules, self._now_ns()
        if upload_planned_ns >= 0:
            contact.uploaded(rules, now_ns - upload_planned_ns)
        if failure is None:
            if upload_planned_ns >= 0:
                self.uploads += 1
            if contact.failed_tries:
                self._suspects.pop(driver, None)
            change = contact.succeeded(rules, now_ns, group=device.group_in_use)
        else:
            self.failed_attempts += 1
            if device.is_climbing:
                return
            self._suspects[driver] = None
            change = contact.failed(rules, now_ns, failure)
        if change is not None:
            self._note(driver, change)

    def powered(self, driver: Driver, *, is_on: bool) -> None:
        """A device was switched on or off."""
        contact, now_ns = driver.contact, self._now_ns()
        if is_on:
            change = contact.powered_on(now_ns)
            if contact.state in {ContactState.FAILING, ContactState.STRANDED}:
                self._suspects[driver] = None
        else:
            change = contact.powered_off(now_ns)
            self._suspects.pop(driver, None)
        if change is not None:
            self._note(driver, change)

    def _note(self, driver: Driver, change: Change) -> None:
        cohort = driver.device.settings.cohort
        counts = self._counts.setdefault(cohort, Counter())
        if change.was is not None:
            counts[change.was] -= 1
        counts[change.now] += 1
        if self._sink is not None:
            self._sink.add(driver.device.device_id, cohort, change)

    # ------------------------------------------------------------ once a second

    def sweep(self, prove: Prove | None) -> Iterator[None]:
        """Examine the devices whose last try failed.

        Args:
            prove: Proves that a device is stranded; ``None`` = nobody can.

        Yields:
            After every :data:`SWEPT_AT_ONCE` devices: let others work.
        """
        for count, driver in enumerate(tuple(self._suspects), start=1):
            if driver in self._suspects:
                self._examine(driver, prove)
            if count % SWEPT_AT_ONCE == 0:
                yield

    def _examine(self, driver: Driver, prove: Prove | None) -> None:
        contact, rules = driver.contact, driver.device.settings.contact_rules
        change = contact.examined(rules, self._now_ns())
        if change is not None:
            self._note(driver, change)
        if prove is None or not contact.is_in_trouble(rules, self._now_ns()):
            return
        change = contact.judged(prove(driver.device), self._now_ns())
        if change is not None:
            self._note(driver, change)

    # ------------------------------------------------------------ figures

    def by_cohort(self) -> Mapping[str, Mapping[str, int]]:
        """Devices by state, of every cohort, in the order of the states."""
        return {
            cohort: {state.value: counts[state] for state in ContactState}
            for cohort, counts in self._counts.items()
        }

    def total(self) -> dict[str, int]:
        """Devices by state, in the order of the states."""
        return {
            state.value: sum(counts[state] for counts in self._counts.values())
            for state in ContactState
        }

    def figures(self) -> dict[str, float]:
        """Live figures by the names that conditions of a scenario use."""
        return self.tally().figures()

    def tally(self) -> Tally:
        """Everything counted, to add up with what other shards counted."""
        return Tally(
            cohorts=self.by_cohort(),
            backlog=self.backlog,
            uploads=self.uploads,
            failed_attempts=self.failed_attempts,
            files_lost=self.files_lost,
        )
