"""Judging: every metric of one run against that of the first, with a verdict each.

A difference is *worse* (or *better*) when the whole interval of it lies beyond what does
not matter: the relative tolerance and, for times, the resolution as well; for a share of
failures a tenth of a percent; for a count of devices or files one. Everything else is *no
evidence*, which is not the same as *equal*: the reason says what is missing.

*Control.* The lag between the moment an attempt was due and the moment it began is made
by the generator and its machine; no target has a part in it. Where this lag itself
differs between the runs, one of them was disturbed (another program, a noisy neighbour),
and that disturbed the times as well. Then a difference of times counts only beyond what
such a disturbance explains: :data:`TURNS` times the larger lag at the same percentile,
because an attempt waits for about as many turns of the two event loops: start, connect,
handshake twice, answer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

import numpy as np

from fleetsim.report.compare.blocks import Blocks
from fleetsim.report.compare.bootstrap import (
    BEYOND,
    FEWEST_BLOCKS,
    Interval,
    Numbers,
    Rule,
    interval,
    pairs,
)
from fleetsim.report.compare.devices import DeviceFigures
from fleetsim.report.compare.metrics import Measured, Metric, Unit, controls, metrics

MOST_DEVICES: Final = 20_000
"""More devices than that are not resampled: the matrix would not fit into memory."""

TURNS: Final = 5
"""Turns of event loops that an attempt waits for, about."""

EXPLAINED: Final = "the lag explains it"
"""Reason of a difference that a disturbed machine accounts for."""

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
class Handicap:
    """What keeps figures of a pair of runs from being judged.

    Attributes:
        saturated: Letters of runs whose generator was saturated: no times.
        lost: Letters of runs that lost devices with a process: nothing at all.
    """

    saturated: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """All metrics of one run against the first.

    Attributes:
        changes: Every metric that either run has.
        controls: The lag of the generator, which no target has a part in.
    """

    changes: tuple[Change, ...]
    controls: tuple[Change, ...]

    @property
    def is_disturbed(self) -> bool:
        """Whether the machine of one run was otherwise busier than that of the other."""
        return is_disturbed(self.controls)


def is_disturbed(controls: Sequence[Change]) -> bool:
    """Whether the lag of the generators differs."""
    return any(each.judgement is not Judgement.NO_EVIDENCE for each in controls)


_Pair = tuple[Metric, Measured, Measured]


def judge(
    first: tuple[Blocks, DeviceFigures],
    second: tuple[Blocks, DeviceFigures],
    *,
    rule: Rule,
    paired: bool,
    handicap: Handicap,
) -> Judged:
    """Compare two runs, metric by metric.

    Args:
        first: What was read of the first run.
        second: What was read of the other.
        rule: When a difference is evidence.
        paired: Whether blocks and devices are drawn together.
        handicap: What keeps figures from being judged.
    """
    pairs_of = {
        name: tuple(
            (each, each.measure(*first), each.measure(*second)) for each in found
        )
        for name, found in (("controls", controls()), ("metrics", metrics()))
    }
    measured = [each for found in pairs_of.values() for each in found]
    drawn: dict[str, _Drawn] = {}
    for of in ("blocks", "devices"):
        judged = [
            each
            for each in measured
            if each[0].of == of and each[1].enough and each[2].enough
        ]
        # drawing once serves all of a kind
        if judged and (of == "blocks" or judged[0][1].units <= MOST_DEVICES):
            drawn |= _resample(judged, paired=paired)
    control = tuple(
        _change(each, drawn, rule=rule, handicap=handicap, floors={})
        for each in pairs_of["controls"]
        if not _is_absent(each)
    )
    floors = _floors(pairs_of["controls"]) if is_disturbed(control) else {}
    return Judged(
        changes=tuple(
            _change(each, drawn, rule=rule, handicap=handicap, floors=floors)
            for each in pairs_of["metrics"]
            if not _is_absent(each)
        ),
        controls=control,
    )


def _floors(found: Sequence[_Pair]) -> dict[str, float]:
    """Statistic to the difference of times that the disturbance explains, seconds."""
    return {
        _statistic(metric): TURNS * float(np.nanmax([first.value, second.value, 0.0]))
        for metric, first, second in found
    }


def _statistic(metric: Metric) -> str:
    return "p" + metric.name.rpartition(".p")[2]


def _is_absent(pair: _Pair) -> bool:
    """Whether neither run has it: that is no row."""
    return all(np.isnan(measured.value) for measured in pair[1:])


def _resample(judged: Sequence[_Pair], *, paired: bool) -> dict[str, _Drawn]:
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
    pair: _Pair,
    drawn_by_name: Mapping[str, _Drawn],
    *,
    rule: Rule,
    handicap: Handicap,
    floors: Mapping[str, float],
) -> Change:
    metric, first, second = pair
    drawn = drawn_by_name.get(metric.name)
    one, other = (_figure(each.value) for each in (first, second))
    change = None if one is None or other is None else other - one
    found = None if drawn is None else interval(drawn[1] - drawn[0], rule.confidence)
    relative = _relative(metric, one, other, drawn, rule)
    judgement, reason = Judgement.NO_EVIDENCE, ""
    is_time = metric.unit is Unit.SECONDS and metric.of == "blocks"
    if handicap.lost:
        letters = " and ".join(handicap.lost)
        reason = f"{letters} lost devices with a process of its generator"
    elif handicap.saturated and is_time:
        reason = f"the generator of {' and '.join(handicap.saturated)} was saturated"
    elif one is None or other is None:
        reason = "one of the runs has no such figure"
    elif found is None:
        reason = _too_few(metric, first, second)
    else:
        floor = floors.get(_statistic(metric), 0.0) if is_time else 0.0
        judgement = _judge(metric, found, relative, rule, floor)
        if judgement is Judgement.NO_EVIDENCE:
            reason = _why_not(found)
            if floor and _judge(metric, found, relative, rule, 0.0) is not judgement:
                reason = EXPLAINED
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
    metric: Metric,
    found: Interval,
    relative: Relative | None,
    rule: Rule,
    floor: float,
) -> Judgement:
    least = max(floor, _least(metric, rule))
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
