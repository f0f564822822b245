"""A stage for timelines: entries on a loop whose time is free, and what was written."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from fleetsim.runner.timeline import Execution, Facts, Timeline
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.timeline import TimelinePlan
from tests.engine.virtual_loop import VirtualLoop
from tests.runner.plans import plan_of

S = 1_000_000_000


class Inline(ThreadPoolExecutor):
    """An executor without threads: free time waits for nobody."""

    def submit(
        self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        """Do it now."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - it belongs to who waits for it
            future.set_exception(error)
        return future


@dataclass
class Line:
    """One line of the journal."""

    entry: TimelinePlan
    step: str
    planned_ns: int
    actual_ns: int
    facts: Facts


@dataclass
class Stage:
    """Carries timelines out in virtual time.

    Attributes:
        figures: Live figures; tests change them.
        lines: The journal.
        carry_out: What an action does; nothing by default.
    """

    figures: dict[str, float] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    carry_out: Callable[[Execution], Awaitable[Facts]] | None = None
    loop: VirtualLoop = field(default_factory=VirtualLoop)

    def __post_init__(self) -> None:
        self.loop.set_default_executor(Inline(1))

    def now_ns(self) -> int:
        """Virtual run time."""
        return self.loop.monotonic_ns()

    async def sleep_until(self, due_ns: int) -> None:
        """Wait in virtual time."""
        if due_ns > self.now_ns():
            await asyncio.sleep((due_ns - self.now_ns()) / S)

    def journal(
        self,
        entry: TimelinePlan,
        step: str,
        planned_ns: int,
        actual_ns: int,
        facts: Facts,
    ) -> None:
        """Keep a line."""
        self.lines.append(Line(entry, step, planned_ns, actual_ns, facts))

    def execution(self, entry: TimelinePlan) -> Execution:
        """An execution of one entry, due now."""
        return Execution(
            entry=entry,
            planned_ns=self.now_ns(),
            clock=self,
            figures=lambda: self.figures,
            journal=self.journal,
        )

    def complete(self, work: Awaitable[Any]) -> Any:
        """Run something to its end in virtual time; once for each stage."""

        async def run() -> Any:
            return await work

        try:
            return self.loop.run_until_complete(run())
        finally:
            self.loop.close()

    def play(self, *entries: Mapping[str, Any], until_s: float = 60.0) -> Timeline:
        """Carry a timeline out; the run ends after ``until_s``."""

        async def nothing(_execution: Execution) -> Facts:
            return {}

        async def run() -> Timeline:
            timeline = Timeline(
                timeline_of(*entries),
                carry_out=self.carry_out or nothing,
                figures=lambda: self.figures,
                clock=self,
                journal=self.journal,
            )
            try:
                async with asyncio.timeout(until_s):
                    await timeline.run()
            except TimeoutError:
                pass
            timeline.close()
            return timeline

        made: Timeline = self.complete(run())
        return made

    def at(self, step: str, name: str) -> float:
        """Run time of the first line of a step of an entry, whole milliseconds."""
        line = next(x for x in self.lines if x.step == step and x.entry.name == name)
        return round(line.actual_ns / S, 3)

    def end(self, name: str) -> Line:
        """The last line of an entry."""
        return next(x for x in self.lines if x.step == "end" and x.entry.name == name)


def timeline_of(*entries: Mapping[str, Any], **top: Any) -> tuple[TimelinePlan, ...]:
    """Plan a timeline; an entry without an action waits for nothing."""
    return staged_plan({}, *entries, **top).timeline


def staged_plan(
    cohort: Mapping[str, Any], *entries: Mapping[str, Any], **top: Any
) -> Plan:
    """Plan a timeline for one cohort."""
    done = {"assert": {"condition": "elapsed_s >= 0s"}}
    made = [
        each
        if set(each) - {"name", "at", "after", "when", "delay"}
        else {**each, **done}
        for each in entries
    ]
    return plan_of(dict(cohort), timeline=made, duration="60s", **top)


def only(timeline: Sequence[TimelinePlan]) -> TimelinePlan:
    """The one entry of a timeline."""
    (entry,) = timeline
    return entry
