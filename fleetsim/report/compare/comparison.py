"""Comparison: several runs, each against the first."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetsim.exceptions import InputError, Problem
from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.compare.blocks import cut, read_blocks
from fleetsim.report.compare.bootstrap import Rule
from fleetsim.report.compare.devices import device_figures
from fleetsim.report.compare.judging import (
    Change,
    Handicap,
    Judged,
    Judgement,
    judge,
)
from fleetsim.report.compare.plans import Difference, differences, refusals
from fleetsim.report.load import Run, load_run
from fleetsim.report.plain import shown_time
from fleetsim.report.summary import summarise


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One run of a comparison.

    Attributes:
        letter: ``A`` for the first, and so on.
        run: The run.
        summary: Its summary.
    """

    letter: str
    run: Run
    summary: dict[str, Any]

    @property
    def name(self) -> str:
        """Name of its folder."""
        return str(self.summary["run"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Against:
    """One run compared with the first.

    Attributes:
        side: The run.
        differences: In what its scenario differs.
        paired: Whether blocks and devices were drawn in pairs.
        blocks: Blocks of time compared.
        block_s: Length of one in seconds.
        changes: Every metric.
        controls: The lag of the generator: what no target has a part in.
        remarks: What else to know before believing them.
    """

    side: Side
    differences: tuple[Difference, ...]
    paired: bool
    blocks: int
    block_s: float
    changes: tuple[Change, ...]
    controls: tuple[Change, ...]
    remarks: tuple[str, ...]

    def count(self, judgement: Judgement) -> int:
        """Metrics with this judgement."""
        return sum(each.judgement is judgement for each in self.changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Several runs, each against the first.

    Attributes:
        baseline: The first.
        others: The others, in their order.
        rule: When a difference was taken for evidence.
    """

    baseline: Side
    others: tuple[Against, ...]
    rule: Rule

    @property
    def sides(self) -> tuple[Side, ...]:
        """All runs."""
        return (self.baseline, *(each.side for each in self.others))


def compare(folders: Sequence[Path], rule: Rule, *, force: bool = False) -> Comparison:
    """Compare runs with the first of them.

    Args:
        folders: Run folders, at least two, at most 8.
        rule: When a difference is evidence.
        force: Compare runs of different plans.

    Raises:
        InputError: If a folder is none or damaged, or the plans differ.
    """
    if not 2 <= len(folders) <= 8:
        raise InputError(
            Problem("", "give two to eight runs, the first to compare with")
        )
    runs = [load_run(folder) for folder in folders]
    problems = [
        problem
        for other in runs[1:]
        for problem in refusals(runs[0].manifest, other.manifest)
    ]
    if problems and not force:
        raise InputError(problems)
    sides = [
        Side(letter=chr(ord("A") + number), run=run, summary=summarise(run))
        for number, run in enumerate(runs)
    ]
    return Comparison(
        baseline=sides[0],
        others=tuple(_against(sides[0], side, rule) for side in sides[1:]),
        rule=rule,
    )


def _against(first: Side, second: Side, rule: Rule) -> Against:
    found = differences(first.run.manifest, second.run.manifest)
    paired = not any(each.parts_pairs for each in found)
    ends = [_end_ns(side.run) for side in (first, second)]
    if paired:
        ends = [min(ends)] * 2
    blocks = [
        read_blocks(side.run.path, cut(side.run.warm_up_ns, end_ns))
        for side, end_ns in zip((first, second), ends, strict=True)
    ]
    devices = [device_figures(side.run) for side in (first, second)]
    if paired:
        both = tuple(sorted({*devices[0].ids} & {*devices[1].ids}))
        devices = [each.of(both) for each in devices]
    sides = (first, second)
    judged = judge(
        (blocks[0], devices[0]),
        (blocks[1], devices[1]),
        rule=rule,
        paired=paired,
        handicap=Handicap(
            saturated=tuple(each.letter for each in sides if _is_saturated(each)),
            lost=tuple(each.letter for each in sides if _has_lost(each)),
        ),
    )
    return Against(
        side=second,
        differences=found,
        paired=paired,
        blocks=min(each.cut.count for each in blocks),
        block_s=blocks[0].cut.seconds,
        changes=judged.changes,
        controls=judged.controls,
        remarks=tuple(_remarks(first, second, judged)),
    )


def _end_ns(run: Run) -> int:
    """Until when all that was planned had its chance to be attempted."""
    if run.outcome is RunOutcome.COMPLETED:
        return run.duration_ns
    return min(run.duration_ns, run.records.last_ns)


def _is_saturated(side: Side) -> bool:
    health = side.run.generator
    return health is not None and health.saturated


def _has_lost(side: Side) -> bool:
    health = side.run.generator
    return health is not None and health.devices_lost > 0


def _remarks(first: Side, second: Side, judged: Judged) -> list[str]:
    found = [
        f"{side.letter}: {_told(side)}"
        for side in (first, second)
        if side.summary["verdict"] != "passed"
    ]
    if judged.is_disturbed:
        p99 = next(
            each for each in judged.controls if each.metric.name.endswith(".p99")
        )
        lags = " and ".join(
            f"{shown_time(None if lag is None else lag * 1000)} ({side.letter})"
            for side, lag in ((first, p99.first), (second, p99.second))
        )
        found.append(
            "one of the machines was otherwise busier: 99 % of the attempts began at "
            f"most {lags} late. Differences of times that this explains do not count; "
            "repeat the runs on a quiet machine"
        )
    hosts = [side.run.manifest.get("host") for side in (first, second)]
    if hosts[0] != hosts[1]:
        found.append("the runs were made on different machines or systems")
    versions = [side.run.manifest.get("versions") or {} for side in (first, second)]
    changed = [
        f"{name} {versions[0].get(name, 'none')} and {versions[1].get(name, 'none')}"
        for name in sorted({*versions[0], *versions[1]})
        if versions[0].get(name) != versions[1].get(name)
    ]
    if changed:
        found.append(f"different versions: {', '.join(changed)}")
    return found


def _told(side: Side) -> str:
    if _is_saturated(side):
        return "its load generator was saturated; its times are not the target's"
    return f"its verdict is {side.summary['verdict']}"
