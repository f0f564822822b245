"""Comparison: every run against the first, metric by metric, with a verdict each.

A difference is *worse* (or *better*) when the whole interval of it lies beyond what does
not matter: the relative tolerance and, for times, the resolution as well; for a share of
failures a tenth of a percent; for a count of devices or files one. Everything else is *no evidence*, which is not the
same as *equal*: the reason says what is missing.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from pathlib import Path
from typing import Any, Final

import numpy as np

from fleetsim.exceptions import InputError, Problem
from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.compare.blocks import Blocks, cut, read_blocks
from fleetsim.report.compare.bootstrap import (
    BEYOND,
    FEWEST_BLOCKS,
    Interval,
    Numbers,
    Rule,
    interval,
    pairs,
)
from fleetsim.report.compare.devices import DeviceFigures, device_figures
from fleetsim.report.compare.metrics import Measured, Metric, Unit, metrics
from fleetsim.report.compare.plans import Difference, differences, refusals
from fleetsim.report.load import Run, load_run
from fleetsim.report.summary import summarise
from fleetsim.scenario.suggest import did_you_mean

MOST_DEVICES: Final = 20_000
"""More devices than that are not resampled: the matrix would not fit into memory."""

LEAST_RATIO: Final = 0.001
"""Difference of shares that does not matter: a tenth of a percent of all."""

LEAST_COUNT: Final = 0.5
"""Difference of devices or files that does not matter: less than one."""

_Drawn = tuple[Numbers, Numbers]  # figures of the first run and of the other


@unique
class Judgement(StrEnum):
    """What a difference is evidence of."""

    BETTER = "better"
    WORSE = "worse"
    NO_EVIDENCE = "no evidence"


@dataclass(frozen=True, slots=True)
class Relative:
    """A relative change.

    Attributes:
        change: Second / first - 1.
        interval: Its interval, ``None`` when it could not be made.
    """

    change: float
    interval: Interval | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A metric of one run against that of the first.

    Attributes:
        metric: What is compared.
        first: Figure of the first run, ``None`` = it has none.
        second: Figure of the other.
        change: Second minus first, ``None`` when either is missing.
        interval: Interval of the change; ``None`` when it could not be made.
        relative: The change relative to the first run's figure, with its interval
            (resampled as a ratio, so never below -1); ``None`` where that is 0 and
            for counts and shares.
        judgement: What it is evidence of.
        reason: Why there is no evidence; empty otherwise.
    """

    metric: Metric
    first: float | None
    second: float | None
    change: float | None
    interval: Interval | None
    relative: Relative | None
    judgement: Judgement
    reason: str = ""


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
        remarks: What else to know before believing them.
    """

    side: Side
    differences: tuple[Difference, ...]
    paired: bool
    blocks: int
    block_s: float
    changes: tuple[Change, ...]
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
    return Against(
        side=second,
        differences=found,
        paired=paired,
        blocks=min(each.cut.count for each in blocks),
        block_s=blocks[0].cut.seconds,
        changes=tuple(_changes(first, second, blocks, devices, rule, paired=paired)),
        remarks=tuple(_remarks(first, second)),
    )


def _end_ns(run: Run) -> int:
    """Until when all that was planned had its chance to be attempted."""
    if run.outcome is RunOutcome.COMPLETED:
        return run.duration_ns
    return min(run.duration_ns, run.records.last_ns)


def _changes(
    first: Side,
    second: Side,
    blocks: list[Blocks],
    devices: list[DeviceFigures],
    rule: Rule,
    *,
    paired: bool,
) -> list[Change]:
    saturated = [side.letter for side in (first, second) if _is_saturated(side)]
    lost = [side.letter for side in (first, second) if _has_lost(side)]
    measured = [
        (
            metric,
            metric.measure(blocks[0], devices[0]),
            metric.measure(blocks[1], devices[1]),
        )
        for metric in metrics()
    ]
    # a metric that neither run has is no row; drawing once serves all of a kind
    measured = [each for each in measured if not _is_absent(each[1], each[2])]
    drawn: dict[str, _Drawn] = {}
    for of in ("blocks", "devices"):
        mine = [each for each in measured if each[0].of == of]
        judged = [each for each in mine if each[1].enough and each[2].enough]
        if judged and (of == "blocks" or judged[0][1].units <= MOST_DEVICES):
            drawn |= _resample(judged, paired=paired)
    return [
        _change(
            metric,
            one,
            other,
            drawn.get(metric.name),
            rule=rule,
            saturated=saturated,
            lost=lost,
        )
        for metric, one, other in measured
    ]


def _is_saturated(side: Side) -> bool:
    health = side.run.generator
    return health is not None and health.saturated


def _has_lost(side: Side) -> bool:
    health = side.run.generator
    return health is not None and health.devices_lost > 0


def _is_absent(first: Measured, second: Measured) -> bool:
    return bool(np.isnan(first.value)) and bool(np.isnan(second.value))


def _resample(
    judged: Sequence[tuple[Metric, Measured, Measured]], *, paired: bool
) -> dict[str, _Drawn]:
    parts: dict[str, list[_Drawn]] = {metric.name: [] for metric, _, _ in judged}
    units = (judged[0][1].units, judged[0][2].units)
    for mine, theirs in pairs(units, paired=paired):
        for metric, first, second in judged:
            parts[metric.name].append((first.resampled(mine), second.resampled(theirs)))
    return {
        name: (
            np.concatenate([one for one, _ in chunks]),
            np.concatenate([other for _, other in chunks]),
        )
        for name, chunks in parts.items()
    }


def _change(
    metric: Metric,
    first: Measured,
    second: Measured,
    drawn: _Drawn | None,
    *,
    rule: Rule,
    saturated: list[str],
    lost: list[str],
) -> Change:
    one, other = (_figure(each.value) for each in (first, second))
    change = None if one is None or other is None else other - one
    found = None if drawn is None else interval(drawn[1] - drawn[0], rule.confidence)
    relative = _relative(metric, one, other, drawn, rule)
    judgement, reason = Judgement.NO_EVIDENCE, ""
    if lost:
        reason = f"{' and '.join(lost)} lost devices with a process of its generator"
    elif saturated and metric.unit is Unit.SECONDS and metric.of == "blocks":
        reason = f"the generator of {' and '.join(saturated)} was saturated"
    elif one is None or other is None:
        reason = "one of the runs has no such figure"
    elif found is None:
        reason = _too_few(metric, first, second)
    else:
        judgement = _judge(metric, found, relative, rule)
        if judgement is Judgement.NO_EVIDENCE:
            reason = _why_not(found)
    return Change(
        metric=metric,
        first=one,
        second=other,
        change=change,
        interval=found,
        relative=relative,
        judgement=judgement,
        reason=reason,
    )


def _figure(value: float) -> float | None:
    return None if np.isnan(value) else value


def _too_few(metric: Metric, first: Measured, second: Measured) -> str:
    units = min(first.units, second.units)
    if units < FEWEST_BLOCKS:
        return f"only {units} {metric.of} in common, {FEWEST_BLOCKS} are needed"
    if units > MOST_DEVICES:
        return f"more than {MOST_DEVICES:,} devices are not resampled"
    return f"fewer than {BEYOND} values beyond it"


def _relative(
    metric: Metric,
    first: float | None,
    second: float | None,
    drawn: _Drawn | None,
    rule: Rule,
) -> Relative | None:
    if not first or second is None or _is_absolute(metric):
        return None
    found = None
    if drawn is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            found = interval(drawn[1] / drawn[0] - 1, rule.confidence)
    return Relative(second / first - 1, found)


def _is_absolute(metric: Metric) -> bool:
    """Shares, and counts of devices and files, are compared by difference alone."""
    is_count = metric.unit is Unit.COUNT and metric.of == "devices"
    return metric.unit is Unit.RATIO or is_count


def _least(metric: Metric, rule: Rule) -> float:
    """The difference that does not matter, however large relative to the first."""
    match metric.unit:
        case Unit.SECONDS:
            return rule.resolution_s
        case Unit.RATIO:
            return LEAST_RATIO
        case Unit.COUNT if metric.of == "devices":
            return LEAST_COUNT
        case _:
            return 0.0


def _judge(
    metric: Metric, found: Interval, relative: Relative | None, rule: Rule
) -> Judgement:
    least = _least(metric, rule)
    is_more, is_less = found.low > least, found.high < -least
    if relative is not None and relative.interval is not None:
        is_more = is_more and relative.interval.low > rule.tolerance
        is_less = is_less and relative.interval.high < -rule.tolerance
    if not is_more and not is_less:
        return Judgement.NO_EVIDENCE
    is_worse = is_more if metric.better == "lower" else is_less
    return Judgement.WORSE if is_worse else Judgement.BETTER


def _why_not(found: Interval) -> str:
    if found.low == found.high == 0:
        return "the same in every resample"
    if found.low <= 0 <= found.high:
        return "the interval holds 0"
    return "within the tolerance"


def _remarks(first: Side, second: Side) -> list[str]:
    found = [
        f"{side.letter}: {_told(side)}"
        for side in (first, second)
        if side.summary["verdict"] != "passed"
    ]
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


# ---------------------------------------------------------------- as a gate


def parse_fail_on(demands: Sequence[str]) -> tuple[tuple[Judgement, str], ...]:
    """Read demands such as ``worse:upload.response_time.p99``; ``worse`` = any metric.

    Raises:
        InputError: With every demand that is none.
    """
    names = [metric.name for metric in metrics()]
    words = {each.value: each for each in (Judgement.WORSE, Judgement.BETTER)}
    found: list[tuple[Judgement, str]] = []
    problems: list[Problem] = []
    for demand in demands:
        word, _, name = demand.partition(":")
        where = f"--fail-on {demand[:100]}"
        if word not in words:
            problems.append(
                Problem(where, "write worse:METRIC or better:METRIC, or worse for any")
            )
        elif name and name not in names:
            told = did_you_mean(name, names)
            problems.append(Problem(where, f"there is no metric {name!r}{told}"))
        else:
            found.append((words[word], name))
    if problems:
        raise InputError(problems)
    return tuple(found)


def broken(
    comparison: Comparison, demands: Sequence[tuple[Judgement, str]]
) -> tuple[tuple[Against, Change], ...]:
    """Changes that a demand does not allow.

    Raises:
        InputError: If a metric is demanded that no run has: a gate that can never
            close is a mistake.
    """
    has = {
        each.metric.name for against in comparison.others for each in against.changes
    }
    problems = [
        Problem(f"--fail-on {judgement.value}:{name}", "no run has this figure")
        for judgement, name in demands
        if name and name not in has
    ]
    if problems:
        raise InputError(problems)
    return tuple(
        (against, change)
        for against in comparison.others
        for change in against.changes
        if any(
            change.judgement is judgement and name in {"", change.metric.name}
            for judgement, name in demands
        )
    )


def tally(against: Against) -> Counter[Judgement]:
    """Metrics by judgement."""
    return Counter(each.judgement for each in against.changes)
