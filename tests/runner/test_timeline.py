"""Timeline: every entry once, at its time, after what it waits for; the end settles all."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.exceptions import InputError, Problem, RecordingError, TargetError
from fleetsim.runner.timeline import (
    NEVER_DUE,
    ActionFailedError,
    EntryOutcome,
    Execution,
    Facts,
    Timeline,
)
from fleetsim.scenario.condition import parse_condition
from tests.runner.plans import TARGET
from tests.runner.stage import S, Stage, staged_plan, timeline_of


async def lasts_two_seconds(execution: Execution) -> Facts:
    """An action that takes its time."""
    await execution.clock.sleep_until(execution.clock.now_ns() + 2 * S)
    return {"did": "it"}


def test_entries_begin_at_their_time() -> None:
    """Run time, whatever the order in the file; every line has both times."""
    stage = Stage()
    stage.play({"name": "late", "at": "7s"}, {"name": "early", "at": "2s"})
    assert (stage.at("start", "late"), stage.at("start", "early")) == (7.0, 2.0)
    assert [line.planned_ns for line in stage.lines] == [2 * S, 2 * S, 7 * S, 7 * S]


def test_after_waits_until_done() -> None:
    """A follower begins when the one before it is done, plus the delay."""
    stage = Stage(carry_out=lasts_two_seconds)
    stage.play({"name": "a", "at": "1s"}, {"name": "b", "after": "a", "delay": "500ms"})
    assert (stage.at("end", "a"), stage.at("start", "b")) == (3.0, 3.5)
    assert stage.end("b").facts == {"outcome": "done", "did": "it"}


def test_independent_entries_do_not_wait_for_each_other() -> None:
    """One that lasts keeps nobody up."""
    stage = Stage(carry_out=lasts_two_seconds)
    stage.play({"name": "a", "at": "1s"}, {"name": "b", "at": "2s"})
    assert stage.at("start", "b") < stage.at("end", "a")


@given(st.permutations(["1s", "1s", "1s", "2s", "2s", "1s"]))
def test_same_time_begins_in_the_order_of_the_scenario(times: list[str]) -> None:
    """Entries that are due together begin as they stand in the file."""
    stage = Stage()
    stage.play(*({"at": at} for at in times))
    starts = [line.entry for line in stage.lines if line.step == "start"]
    for first, second in pairwise(starts):
        assert (first.at_ns, first.index) < (second.at_ns, second.index)


def test_when_looks_once_a_second() -> None:
    """The trigger comes with the first look at which the condition holds."""
    stage = Stage(figures={"stranded": 0.0})
    stage.loop.call_later(3.4, lambda: stage.figures.update(stranded=2.0))
    stage.play({"name": "w", "when": "stranded > 0", "delay": "250ms"})
    assert stage.at("start", "w") == 4.25


def test_a_condition_that_never_holds() -> None:
    """The entry is skipped with the reason, and so is what waits for it."""
    stage = Stage(figures={"stranded": 0.0})
    timeline = stage.play(
        {"name": "w", "when": "stranded > 0"}, {"name": "x", "after": "w"}, until_s=5
    )
    assert {e.outcome for e in timeline.settled.values()} == {EntryOutcome.SKIPPED}
    assert stage.end("w").facts["reason"] == "the run ended before 'stranded > 0' held"
    assert stage.end("w").planned_ns == NEVER_DUE
    assert "the entry it comes after" in stage.end("x").facts["reason"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(ActionFailedError("no", {"half": 1}), "no", id="action"),
        pytest.param(
            InputError(Problem("front x", "is none")), "front x: is none", id="input"
        ),
        pytest.param(TargetError("lab", "is gone"), "lab: is gone", id="target"),
    ],
)
def test_failure_is_written_and_only_followers_are_skipped(
    error: Exception, reason: str
) -> None:
    """The rest of the timeline goes on; what depends on it does not."""

    async def fails_first(execution: Execution) -> Facts:
        if execution.entry.name == "bad":
            raise error
        return {}

    stage = Stage(carry_out=fails_first)
    timeline = stage.play(
        {"name": "bad", "at": "1s"},
        {"name": "next", "after": "bad"},
        {"name": "last", "after": "next"},
        {"name": "other", "at": "2s"},
    )
    assert [timeline.settled[n].outcome.value for n in range(4)] == [
        "failed",
        "skipped",
        "skipped",
        "done",
    ]
    assert stage.end("bad").facts["reason"] == reason
    assert stage.end("next").facts["reason"] == "assert bad was not done"
    if isinstance(error, ActionFailedError):
        assert stage.end("bad").facts["half"] == 1


@pytest.mark.parametrize("effective", [True, False])
def test_the_end_of_the_run_in_the_middle_of_an_action(*, effective: bool) -> None:
    """What took effect and only had to last is done; anything else failed."""

    async def endless(execution: Execution) -> Facts:
        if effective:
            await execution.last(1000)
        else:
            await execution.clock.sleep_until(1000 * S)
        return {}

    stage = Stage(carry_out=endless)
    timeline = stage.play({"name": "a", "at": "1s"}, until_s=3)
    assert timeline.settled[0].outcome is (
        EntryOutcome.DONE if effective else EntryOutcome.FAILED
    )
    facts = stage.end("a").facts
    if effective:
        assert facts["until"] == "the end of the run"
    else:
        assert facts["reason"] == "the run ended before it was done"


def test_an_entry_after_the_end() -> None:
    """It was planned for a time that never came."""
    stage = Stage()
    stage.play({"name": "a", "at": "50s"}, until_s=5)
    assert stage.end("a").facts["reason"] == "the run ended before it was due"
    assert stage.end("a").planned_ns == 50 * S


def test_a_bug_in_an_action_is_not_swallowed() -> None:
    """It ends the timeline and surfaces."""

    async def buggy(_execution: Execution) -> Facts:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as caught:
        Stage(carry_out=buggy).play({"at": "1s"})
    assert caught.group_contains(ZeroDivisionError)


def test_a_journal_that_cannot_be_written_ends_the_run() -> None:
    """A disk that is full is no matter of one entry."""

    class Full(Stage):
        def journal(self, *_: object) -> None:
            raise RecordingError("timeline.jsonl", "No space left on device")

    with pytest.raises(ExceptionGroup) as caught:
        Full().play({"at": "1s"})
    assert caught.group_contains(RecordingError)


def test_stand_ins_are_never_due() -> None:
    """A command that replaces an action is run when that action is due, not by itself."""
    entries = staged_plan(
        {"trust": "empty"},
        {"name": "rev", "at": "1s", "revoke_devices": {"to": {}}},
        {"run_command": {"argv": ["true"], "replaces": "revoke_devices"}},
        target=TARGET,
    ).timeline
    assert entries[1].is_stand_in
    stage = Stage()

    async def nothing(_execution: Execution) -> Facts:
        return {}

    async def run() -> Timeline:
        timeline = Timeline(
            entries,
            carry_out=nothing,
            figures=dict,
            clock=stage,
            journal=stage.journal,
        )
        await timeline.run()
        return timeline

    assert set(stage.complete(run()).settled) == {0}


@pytest.mark.parametrize(
    ("look_every_ns", "started_s"), [(S, 3.0), (S // 4, 2.25)], ids=["whole", "quarter"]
)
def test_conditions_are_looked_at_as_often_as_asked(
    look_every_ns: int, started_s: float
) -> None:
    """A shortened run sees sooner that a condition holds, here from 2.2 s on."""
    stage = Stage(figures={"backlog": 3.0})
    entries = timeline_of({"name": "a", "when": "backlog == 0"})

    async def nothing(_execution: Execution) -> Facts:
        assert _execution.look_every_ns == look_every_ns
        return {}

    async def run() -> None:
        timeline = Timeline(
            entries,
            carry_out=nothing,
            figures=lambda: {"backlog": 3.0 if stage.now_ns() < 2.2 * S else 0.0},
            clock=stage,
            journal=stage.journal,
            look_every_ns=look_every_ns,
        )
        await timeline.run()

    stage.complete(run())
    assert stage.at("start", "a") == started_s


_TREES = st.lists(
    st.tuples(st.integers(0, 20), st.integers(-1, 5), st.booleans()), max_size=12
)


@given(_TREES)
def test_every_entry_starts_at_most_once_and_ends_exactly_once(
    shape: list[tuple[int, int, bool]],
) -> None:
    """Whatever fails, whatever waits for what, whenever the run ends."""
    entries = []
    for index, (time_s, parent, _) in enumerate(shape):
        after = parent if 0 <= parent < index else None
        entries.append(
            {"name": f"e{index}", "at": f"{time_s}s"}
            if after is None
            else {"name": f"e{index}", "after": f"e{after}", "delay": f"{time_s}s"}
        )

    async def some_fail(execution: Execution) -> Facts:
        await asyncio.sleep(1)
        if shape[execution.entry.index][2]:
            raise ActionFailedError("on purpose")
        return {}

    stage = Stage(carry_out=some_fail)
    timeline = stage.play(*entries, until_s=30)
    for index in range(len(shape)):
        lines = [line for line in stage.lines if line.entry.index == index]
        assert [line.step for line in lines] in (["end"], ["start", "end"])
        settled = timeline.settled[index]
        assert bool(settled.reason) is (settled.outcome is not EntryOutcome.DONE)
        assert all(
            line.planned_ns <= line.actual_ns for line in lines[:1] if len(lines) > 1
        )


def test_notes_on_the_way_and_looks() -> None:
    """An action may report steps, and ask the figures no oftener than once a second."""
    stage = Stage(figures={"backlog": 3.0})
    (entry,) = timeline_of({"name": "a", "at": "1s"})

    async def run() -> None:
        execution = stage.execution(entry)
        execution.note("wave", wave=1)
        assert not execution.holds(parse_condition("backlog == 0"))
        await execution.look_again()
        assert round(stage.now_ns() / S, 3) == 1.0
        await execution.look_again(before_ns=stage.now_ns() + S // 4)
        assert round(stage.now_ns() / S, 3) == 1.25

    stage.complete(run())
    assert (stage.lines[0].step, stage.lines[0].facts) == ("wave", {"wave": 1})
