"""Timeline: carries the entries of a scenario out, each once, beside the fleet.

Theory of operation
-------------------
Every entry has a task of its own, so entries that do not name each other run at the same
time. A task waits for its trigger, carries its action out and settles::

    waiting ──trigger──► running ──► done
       │                    ├──► failed    the action could not be carried out
       └──► skipped         └──► failed    the run ended in the middle of it

An entry is *done* when everything it does has happened: an outage when it is over, a push
when its last wave went out, a rotation with an overlap when the old is no longer valid.
What waits for an entry (``after``) is skipped when that one did not get done. A trigger
that never came is ``skipped`` too, with the reason. Entries that are due at the same run
time begin in the order of the scenario.

The timeline is part of the verdict: a run in which an entry was not carried out has not
rehearsed what the scenario describes, whatever its thresholds say. An action that lasts
to the end of the run (an outage without end) counts as done if it took effect.

Every step is one line of ``timeline.jsonl``: ``start``, what the action reports on its
way (``wave`` …) and exactly one ``end`` per entry, with its outcome and reason.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any, Final, Protocol

from fleetsim.core.device_settings import NS_PER_S
from fleetsim.exceptions import InputError, TargetError
from fleetsim.scenario.condition import Condition
from fleetsim.scenario.timeline import TimelinePlan

LOOK_EVERY_NS: Final = NS_PER_S
"""How often a condition on the live figures is looked at, unless a run is shortened."""

NEVER_DUE: Final = -1
"""``planned_ns`` of an entry whose trigger never came."""

Facts = dict[str, Any]
"""What an action did, JSON-able; never a secret."""


@unique
class EntryOutcome(StrEnum):
    """How an entry ended. Values are written to results: never rename one."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


class ActionFailedError(Exception):
    """An action could not be carried out, or an assertion does not hold.

    Attributes:
        reason: Why, one sentence.
        facts: What it did until then.
    """

    def __init__(self, reason: str, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(reason, dict(facts or {}))
        self.reason = reason
        self.facts = dict(facts or {})


class Clock(Protocol):
    """Run time."""

    def now_ns(self) -> int:
        """Run time now."""

    async def sleep_until(self, due_ns: int) -> None:
        """Return at ``due_ns``; at once when that is past."""


Journal = Callable[[TimelinePlan, str, int, int, Facts], None]
"""Writes one line: entry, step, planned and actual run time, facts."""

Figures = Callable[[], Mapping[str, float]]


@dataclass(slots=True, kw_only=True)
class Execution:
    """One entry while it is carried out; what its action may use.

    Attributes:
        entry: The entry.
        planned_ns: When it was due.
        clock: Run time.
        figures: Live figures.
        journal: Where steps are written.
        is_effective: Set once its effect is complete but for its end: then the end of
            the run does not make it fail.
        look_every_ns: How often the figures are looked at.
    """

    entry: TimelinePlan
    planned_ns: int
    clock: Clock
    figures: Figures
    journal: Journal
    is_effective: bool = False
    look_every_ns: int = LOOK_EVERY_NS

    def note(self, step: str, *, planned_ns: int | None = None, **facts: Any) -> None:
        """Write a line about a step on the way."""
        planned = self.planned_ns if planned_ns is None else planned_ns
        self.journal(self.entry, step, planned, self.clock.now_ns(), facts)

    def holds(self, condition: Condition) -> bool:
        """Whether a condition holds now."""
        return condition.holds(self.figures())

    async def look_again(self, before_ns: int | None = None) -> None:
        """Wait for the next look at the figures, not beyond ``before_ns``."""
        next_ns = self.clock.now_ns() + self.look_every_ns
        if before_ns is not None:
            next_ns = min(next_ns, before_ns)
        await self.clock.sleep_until(next_ns)

    async def last(self, duration_s: float) -> None:
        """Let an effect that is now complete last; the run may end meanwhile."""
        self.is_effective = True
        await self.clock.sleep_until(self.clock.now_ns() + round(duration_s * NS_PER_S))


CarryOut = Callable[[Execution], Awaitable[Facts]]
"""Carries the action of an entry out; returns what it did.

Raises:
    ActionFailedError, InputError, TargetError: It could not be done.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """How an entry ended.

    Attributes:
        outcome: How.
        reason: Why it was not done; empty when it was.
        ended_ns: Run time.
    """

    outcome: EntryOutcome
    reason: str
    ended_ns: int


class Timeline:
    """Carries entries out.

    Args:
        entries: Timeline of the plan.
        carry_out: Carries one out.
        figures: Live figures; asked only while something waits for them.
        clock: Run time.
        journal: Where every step is written.
        look_every_ns: How often conditions are looked at, > 0.
    """

    def __init__(
        self,
        entries: Sequence[TimelinePlan],
        *,
        carry_out: CarryOut,
        figures: Figures,
        clock: Clock,
        journal: Journal,
        look_every_ns: int = LOOK_EVERY_NS,
    ) -> None:
        self._look_every_ns = look_every_ns
        self._entries = tuple(each for each in entries if not each.is_stand_in)
        self._carry_out = carry_out
        self._figures = figures
        self._clock = clock
        self._journal = journal
        self._running: dict[int, Execution] = {}
        self._settled: dict[int, Settled] = {}
        self._events = {each.index: asyncio.Event() for each in self._entries}
        self._begun = {each.index: asyncio.Event() for each in self._entries}
        self._before = _before(self._entries)

    @property
    def settled(self) -> Mapping[int, Settled]:
        """How the entries ended that did, by index."""
        return self._settled

    async def run(self) -> None:
        """Carry everything out; call :meth:`close` when it is over or cancelled.

        Raises:
            ExceptionGroup: The journal could not be written, or a bug in an action.
        """
        async with asyncio.TaskGroup() as group:
            for entry in self._entries:
                group.create_task(self._live(entry))

    def close(self) -> None:
        """Settle what the end of the run left open.

        Raises:
            RecordingError: The journal could not be written.
        """
        for entry in self._entries:
            if entry.index in self._settled:
                continue
            execution = self._running.get(entry.index)
            if execution is None:
                self._settle(
                    entry,
                    NEVER_DUE if entry.at_ns is None else entry.at_ns,
                    EntryOutcome.SKIPPED,
                    f"the run ended before {_trigger(entry)}",
                )
            elif execution.is_effective:
                self._settle(
                    entry,
                    execution.planned_ns,
                    EntryOutcome.DONE,
                    facts={"until": "the end of the run"},
                )
            else:
                self._settle(
                    entry,
                    execution.planned_ns,
                    EntryOutcome.FAILED,
                    "the run ended before it was done",
                )

    async def _live(self, entry: TimelinePlan) -> None:
        planned_ns = await self._due(entry)
        if planned_ns is None:
            return
        await self._clock.sleep_until(planned_ns)
        before = self._before.get(entry.index)
        if before is not None:
            await self._begun[before].wait()
        execution = Execution(
            entry=entry,
            planned_ns=planned_ns,
            clock=self._clock,
            figures=self._figures,
            journal=self._journal,
            look_every_ns=self._look_every_ns,
        )
        self._running[entry.index] = execution
        execution.note("start")
        self._begun[entry.index].set()
        try:
            facts = await self._carry_out(execution)
        except ActionFailedError as error:
            self._settle(
                entry, planned_ns, EntryOutcome.FAILED, error.reason, error.facts
            )
        except (InputError, TargetError) as error:
            self._settle(entry, planned_ns, EntryOutcome.FAILED, str(error))
        else:
            self._settle(entry, planned_ns, EntryOutcome.DONE, facts=facts)

    async def _due(self, entry: TimelinePlan) -> int | None:
        """Wait for the trigger; ``None`` = it can no longer come."""
        if entry.at_ns is not None:
            return entry.at_ns
        if entry.after is not None:
            await self._events[entry.after].wait()
            before = self._settled[entry.after]
            if before.outcome is not EntryOutcome.DONE:
                self._settle(
                    entry,
                    NEVER_DUE,
                    EntryOutcome.SKIPPED,
                    f"{self._label(entry.after)} was not done",
                )
                return None
            return before.ended_ns + entry.delay_ns
        if entry.when is None:
            raise ValueError(f"timeline entry {entry.index} has no trigger")
        while not entry.when.holds(self._figures()):
            await self._clock.sleep_until(self._clock.now_ns() + self._look_every_ns)
        return self._clock.now_ns() + entry.delay_ns

    def _label(self, index: int) -> str:
        return next(each.label for each in self._entries if each.index == index)

    def _settle(
        self,
        entry: TimelinePlan,
        planned_ns: int,
        outcome: EntryOutcome,
        reason: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        now_ns = self._clock.now_ns()
        self._settled[entry.index] = Settled(
            outcome=outcome, reason=reason, ended_ns=now_ns
        )
        self._running.pop(entry.index, None)
        line: Facts = {"outcome": outcome.value} | dict(facts or {})
        if reason:
            line["reason"] = reason
        self._journal(entry, "end", planned_ns, now_ns, line)
        self._events[entry.index].set()


def _before(entries: Sequence[TimelinePlan]) -> dict[int, int]:
    """By index: the entry before it that is due at the same run time."""
    found: dict[int, int] = {}
    latest: dict[int, int] = {}
    for entry in sorted(entries, key=lambda each: each.index):
        if entry.at_ns is not None:
            if entry.at_ns in latest:
                found[entry.index] = latest[entry.at_ns]
            latest[entry.at_ns] = entry.index
    return found


def _trigger(entry: TimelinePlan) -> str:
    if entry.when is not None:
        return f"'{entry.when}' held"
    if entry.after is not None:
        return "the entry it comes after was done"
    return "it was due"
