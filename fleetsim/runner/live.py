"""Live: a run with views beside it.

::

    engine ─► Progress, Snapshot ─► Feed ─► LiveFrame ─► terminal, web page, metrics
                                       └──► progress.jsonl
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from fleetsim.core.outcomes import CleanOutcome
from fleetsim.core.progress import Progress
from fleetsim.engine.fleet import Ending
from fleetsim.recording.progress_log import ProgressLog
from fleetsim.recording.recorder import Snapshot
from fleetsim.recording.shards import LostDevices
from fleetsim.report.clean_text import clean_lines
from fleetsim.report.live.feed import Feed
from fleetsim.report.live.history import progress_line
from fleetsim.report.live.view import LiveView
from fleetsim.runner.bindings import RefusedBundle
from fleetsim.runner.run import RunOptions, Watcher, run_plan
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.timeline import TimelinePlan


class Live(Watcher):
    """Makes a frame a second, keeps it, and shows it to all views.

    Args:
        plan: The whole plan.
        views: Who looks on; may be empty.
    """

    wants_survey = True

    def __init__(self, plan: Plan, views: Sequence[LiveView]) -> None:
        self._feed = Feed(plan)
        self._views = tuple(views)
        self._target = ""
        self._log: ProgressLog | None = None

    def started(self, folder: Path, target: str) -> None:
        """Open the log and say what is about to run."""
        self._target = target
        self._log = ProgressLog(folder)

    def prepared(self, folder: Path, interrupt: Callable[[], None]) -> None:
        """Tell the views what they will see."""
        facts = self._feed.facts(folder, self._target)
        for view in self._views:
            view.begin(facts, interrupt)

    def bundle_refused(self, refused: RefusedBundle) -> None:
        """Say what the devices refused to trust."""
        for refusal in refused.refusals:
            self._say(
                f"cohort {refused.cohort}: {refusal.certificate} refused by rule "
                f"{refusal.rule}: {refusal.detail}"
            )

    def ticked(self, progress: Progress, snapshot: Callable[[], Snapshot]) -> None:
        """Show another second."""
        frame = self._feed.frame(progress, snapshot())
        if self._log is not None:
            self._log.add(progress_line(frame))
        for view in self._views:
            view.show(frame)

    def acted(self, entry: TimelinePlan, step: str, facts: Mapping[str, Any]) -> None:
        """Show what the timeline does."""
        seen = self._feed.acted(entry, step, facts)
        text = _words(step, facts)
        for view in self._views:
            view.note(seen, text)

    def shard_lost(self, name: str, lost: LostDevices) -> None:
        """Say that a process of the fleet died."""
        self._say(f"{name} died with its {len(lost.cohorts)} devices: {lost.reason}")

    def ended(self, ending: Ending) -> None:
        """Say that the fleet has ended."""
        self.close()
        for view in self._views:
            view.end(ending.value)

    def cleaned(self, outcome: CleanOutcome) -> None:
        """Say what was deleted again."""
        for line in clean_lines(outcome):
            self._say(line)

    def close(self) -> None:
        """Close the log; safe to call again."""
        if self._log is not None:
            self._log.close()

    def _say(self, text: str) -> None:
        for view in self._views:
            view.say(text)


async def run_live(
    plan: Plan, options: RunOptions, views: Sequence[LiveView]
) -> tuple[Path, dict[str, Any]]:
    """Run a plan and show it.

    Args:
        plan: What to run.
        options: How.
        views: Who looks on; may be empty.

    Returns:
        The run folder and the summary.

    Raises:
        InputError: Something named by the scenario or the options cannot be used.
        TargetError: The target cannot be used.
        RecordingError: The run folder cannot be written.
    """
    live = Live(plan, views)
    try:
        async with AsyncExitStack() as stack:
            for view in views:
                await stack.enter_async_context(view)
            folder, summary = await run_plan(plan, options, live)
            for view in views:
                view.finish(summary)
    finally:
        live.close()
    return folder, summary


def _words(step: str, facts: Mapping[str, Any]) -> str:
    match step:
        case "end":
            reason = facts.get("reason")
            return f"{facts['outcome']}: {reason}" if reason else str(facts["outcome"])
        case "wave":
            return f"wave {facts['wave']} of {facts['of']}, {facts['devices']} devices"
        case _:
            return step
