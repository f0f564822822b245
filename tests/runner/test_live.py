"""Live: views see the same frames, and the run folder keeps them."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from fleetsim.core.trust_bundle import Refusal
from fleetsim.engine.fleet import Ending
from fleetsim.exceptions import InputError, Problem
from fleetsim.recording.progress_log import read_progress
from fleetsim.recording.shards import LostDevices
from fleetsim.report.live.frame import EntryFrame, LiveFrame, RunFacts
from fleetsim.report.live.view import LiveView
from fleetsim.runner import live as module
from fleetsim.runner.bindings import RefusedBundle
from fleetsim.runner.live import Live, run_live
from fleetsim.runner.run import RunOptions, Watcher
from fleetsim.scenario.plan import Plan
from tests.report.live.seconds import PLAN, S, progress, snapshot


@dataclass
class Seen(LiveView):
    """Keeps what it is told."""

    told: list[Any] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        """Note it."""
        self.told.append("enter")
        return self

    async def __aexit__(self, *error: object) -> None:
        """Note it, with the error."""
        self.told.append(("exit", error[0]))

    def say(self, text: str) -> None:
        """Keep it."""
        self.told.append(text)

    def begin(self, facts: RunFacts, stop: Any) -> None:
        """Keep it."""
        self.told.append((facts.target, stop()))

    def show(self, frame: LiveFrame) -> None:
        """Keep it."""
        self.told.append(frame)

    def note(self, entry: EntryFrame, text: str) -> None:
        """Keep it."""
        self.told.append((entry.label, text))

    def end(self, ending: str) -> None:
        """Keep it."""
        self.told.append(ending)

    def finish(self, summary: Any) -> None:
        """Keep it."""
        self.told.append(summary)


def test_all_views_see_the_same(tmp_path: Path) -> None:
    """Facts, frames, notes and messages, in the order in which they happen."""
    one, two = Seen(), Seen()
    live = Live(PLAN, [one, two])
    live.bundle_refused(
        RefusedBundle(
            cohort="old", refusals=(Refusal(certificate="x", rule="r", detail="d"),)
        )
    )
    live.started(tmp_path, "lab")
    live.prepared(tmp_path, lambda: "stopped")  # type: ignore[arg-type]  # told apart by its answer
    live.ticked(progress(1), lambda: snapshot(uploads=3))
    live.acted(PLAN.timeline[0], "start", {"actual_ns": S})
    live.shard_lost(
        "shard 1", LostDevices(at_ns=0, reason="killed", cohorts={"A": "c"})
    )
    live.ended(Ending.COMPLETED)
    assert one.told == two.told
    refused, begun, frame, note, lost, ended = one.told
    assert refused == "cohort old: x refused by rule r: d"
    assert begun == ("lab", "stopped")
    assert isinstance(frame, LiveFrame)
    assert frame.uploads == 3
    assert note == ("issue_ca root", "start")
    assert lost == "shard 1 died with its 1 devices: killed"
    assert ended == "completed"
    (line,) = read_progress(tmp_path)
    assert line["at_s"] == 1


@pytest.mark.parametrize(
    ("step", "facts", "words"),
    [
        ("start", {}, "start"),
        ("wave", {"wave": 2, "of": 4, "devices": 5}, "wave 2 of 4, 5 devices"),
        ("end", {"outcome": "done"}, "done"),
        ("end", {"outcome": "failed", "reason": "no"}, "failed: no"),
    ],
    ids=["start", "wave", "done", "failed"],
)
def test_steps_in_words(step: str, facts: dict[str, Any], words: str) -> None:
    """What the timeline did, for people."""
    seen = Seen()
    Live(PLAN, [seen]).acted(PLAN.timeline[0], step, {**facts, "actual_ns": S})
    assert seen.told == [("issue_ca root", words)]


OPTIONS = RunOptions(results=Path(), base_folder=Path(), scenario={})


def test_views_live_as_long_as_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are entered before anything is made and see the summary."""

    async def runs(
        _plan: Plan, _options: RunOptions, watcher: Watcher
    ) -> tuple[Path, dict[str, Any]]:
        assert watcher.wants_survey
        assert seen.told == ["enter"]
        return Path("x"), {"verdict": "passed"}

    monkeypatch.setattr(module, "run_plan", runs)
    seen = Seen()
    folder, summary = asyncio.run(run_live(PLAN, OPTIONS, [seen]))
    assert (folder, summary) == (Path("x"), {"verdict": "passed"})
    assert seen.told == ["enter", {"verdict": "passed"}, ("exit", None)]


def test_views_are_left_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """And are told which."""

    async def fails(*_: Any) -> tuple[Path, dict[str, Any]]:
        raise InputError(Problem("x", "no"))

    monkeypatch.setattr(module, "run_plan", fails)
    seen = Seen()
    with pytest.raises(InputError):
        asyncio.run(run_live(PLAN, OPTIONS, [seen]))
    assert seen.told == ["enter", ("exit", InputError)]
