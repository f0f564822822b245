"""Progress of a run on standard error: one line that moves, or one every ten seconds."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TextIO

from fleetsim.cli.clean_text import clean_lines
from fleetsim.core.device_settings import NS_PER_S
from fleetsim.core.outcomes import CleanOutcome
from fleetsim.core.progress import Progress
from fleetsim.engine.fleet import Ending
from fleetsim.recording.recorder import Snapshot
from fleetsim.recording.shards import LostDevices
from fleetsim.runner.bindings import RefusedBundle
from fleetsim.runner.run import Watcher
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.timeline import TimelinePlan

PLAIN_EVERY_S: Final = 10


class Progressing(Watcher):
    """Writes the progress of a run.

    Args:
        plan: What is run.
        stream: Where to, usually standard error.
    """

    def __init__(self, plan: Plan, stream: TextIO) -> None:
        self._plan = plan
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._ticks = 0

    def started(self, folder: Path, target: str) -> None:
        """Say what is about to run."""
        self._say(
            f"{len(self._plan.devices)} devices → {target}, recording to {folder}"
        )

    def bundle_refused(self, refused: RefusedBundle) -> None:
        """Say what the devices refused to trust."""
        for refusal in refused.refusals:
            self._say(
                f"cohort {refused.cohort}: {refusal.certificate} refused by rule "
                f"{refusal.rule}: {refusal.detail}"
            )

    def ticked(self, progress: Progress, snapshot: Callable[[], Snapshot]) -> None:
        """Show where the run is."""
        self._ticks += 1
        if not self._is_terminal and self._ticks % PLAIN_EVERY_S:
            return
        totals = snapshot()
        line = (
            f"{progress.stage.value} {progress.now_ns // NS_PER_S} s of "
            f"{self._plan.duration_ns // NS_PER_S} s · {progress.powered}/"
            f"{progress.devices} devices on, {progress.failing} failing · "
            f"{totals.acknowledged} uploads · {sum(totals.failures.values())} failed "
            f"attempts · backlog {progress.backlog}"
        )
        if self._is_terminal:
            self._stream.write(f"\r\x1b[2K{line}")
            self._stream.flush()
        else:
            self._say(line)

    def acted(self, entry: TimelinePlan, step: str, facts: Mapping[str, Any]) -> None:
        """Say what the timeline does."""
        if self._is_terminal:
            self._stream.write("\r\x1b[2K")
        self._say(f"timeline: {entry.label}: {_words(step, facts)}")

    def shard_lost(self, name: str, lost: LostDevices) -> None:
        """Say that a process of the fleet died."""
        self._say(f"{name} died with its {len(lost.cohorts)} devices: {lost.reason}")

    def ended(self, ending: Ending) -> None:
        """Say that the fleet has ended."""
        if self._is_terminal:
            self._stream.write("\r\x1b[2K")
        self._say(f"{ending.value}; checking the bucket against the records")

    def cleaned(self, outcome: CleanOutcome) -> None:
        """Say what was deleted again."""
        for line in clean_lines(outcome):
            self._say(line)

    def _say(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


def _words(step: str, facts: Mapping[str, Any]) -> str:
    match step:
        case "end":
            reason = facts.get("reason")
            return f"{facts['outcome']}: {reason}" if reason else str(facts["outcome"])
        case "wave":
            return f"wave {facts['wave']} of {facts['of']}, {facts['devices']} devices"
        case _:
            return step
