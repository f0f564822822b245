"""Wording: a comparison as sentences, tables and data; every report says the same."""

from collections.abc import Sequence
from typing import Any, Final, assert_never

from fleetsim.report.compare.comparison import Against, Comparison
from fleetsim.report.compare.judging import EXPLAINED, Change, Judgement
from fleetsim.report.compare.metrics import Unit
from fleetsim.report.html.charts import data_size, plain
from fleetsim.report.html.table import Cell, Table, Tone, code, figure, table, text
from fleetsim.report.plain import number, shown_time

SCHEMA_VERSION: Final = 1

_TONES: Final[dict[Judgement, Tone]] = {
    Judgement.BETTER: "good",
    Judgement.WORSE: "bad",
    Judgement.NO_EVIDENCE: "soft",
}


def verdict(against: Against) -> str:
    """Give the verdict on one run in a word or two."""
    worse, better = (
        against.count(each) for each in (Judgement.WORSE, Judgement.BETTER)
    )
    if worse and better:
        return "worse and better"
    if worse:
        return Judgement.WORSE.value
    return Judgement.BETTER.value if better else Judgement.NO_EVIDENCE.value


def sentence(comparison: Comparison, against: Against) -> str:
    """Tell in one sentence how a run compares with the first."""
    first, letter = comparison.baseline.letter, against.side.letter
    judged = [each for each in against.changes if each.interval is not None]
    parts = [
        part
        for judgement in (Judgement.WORSE, Judgement.BETTER)
        if (part := _part(against, judgement))
    ]
    if parts:
        return f"{letter} against {first}: {'; '.join(parts)}."
    if not judged:
        return f"{letter} against {first}: too little was measured to judge anything."
    return (
        f"{letter} against {first}: no evidence of a difference in any of "
        f"{number(len(judged), 'metric')} that could be judged."
    )


def _part(against: Against, judgement: Judgement) -> str:
    found = [each for each in against.changes if each.judgement is judgement]
    if not found:
        return ""
    # the response time of uploads is what a fleet is for; else the gravest
    chief = max(
        found,
        key=lambda each: (
            each.metric.name.startswith("upload.response_time"),
            abs(each.relative.change) if each.relative else 0.0,
        ),
    )
    others = f" and {len(found) - 1} more" if len(found) > 1 else ""
    return (
        f"{judgement.value} in {chief.metric.name} ({value(chief, chief.first)} → "
        f"{value(chief, chief.second)}, {change_told(chief)}){others}"
    )


def value(change: Change, amount: float | None, *, signed: bool = False) -> str:
    """Write a figure of a metric, or a change of it, in its unit."""
    if amount is None:
        return "-"
    sign = ""
    if signed:
        sign = "+" if amount > 0 else "\N{MINUS SIGN}" if amount < 0 else ""
    size = abs(amount)
    unit = change.metric.unit
    match unit:
        case Unit.SECONDS:
            told = shown_time(size * 1000) if size else "0"
        case Unit.RATIO:
            told = f"{size * 100:.3g} %"
        case Unit.PER_S:
            told = f"{plain(size)}/s"
        case Unit.BYTES:
            told = data_size(size)
        case Unit.BYTES_PER_S:
            told = f"{data_size(size)}/s"
        case Unit.COUNT:
            told = plain(size)
        case _:
            assert_never(unit)
    return f"{sign}{told}"


def change_told(change: Change) -> str:
    """Write a change with its interval, relative where that means something."""
    told = difference_told(change)
    return f"{told} [{interval_told(change)}]" if change.interval else told


def difference_told(change: Change) -> str:
    """Write a change, relative where that means something."""
    if change.relative is None:
        return value(change, change.change, signed=True)
    return percent(change.relative.change)


def interval_told(change: Change) -> str:
    """Write an interval, relative where the change is."""
    if change.relative is not None and change.relative.interval is not None:
        ends = change.relative.interval
        low, high = percent(ends.low), percent(ends.high)
    elif change.interval is not None:
        low, high = (
            value(change, end, signed=True)
            for end in (change.interval.low, change.interval.high)
        )
    else:
        return "-"
    return low if low == high else f"{low} … {high}"


def percent(relative: float) -> str:
    """Write a relative change: ``+5.2 %``."""
    size = abs(relative) * 100
    told = (
        f"{size:.0f}" if size >= 100 else f"{size:.2g}" if size < 1 else f"{size:.1f}"
    )
    if float(told) == 0:
        return "0 %"
    return f"{'+' if relative > 0 else chr(0x2212)}{told} %"


def change_table(
    comparison: Comparison, against: Against, changes: Sequence[Change]
) -> Table:
    """Pair the figures of the first run with those of another."""
    confidence = f"{comparison.rule.confidence * 100:g} % interval"
    return table(
        f"{against.side.letter} against {comparison.baseline.letter}",
        {
            "metric": False,
            comparison.baseline.letter: True,
            against.side.letter: True,
            "difference": True,
            confidence: True,
            "verdict": False,
        },
        *(_row(each) for each in changes),
    )


def _row(change: Change) -> tuple[Cell, ...]:
    is_told = change.reason == EXPLAINED or (change.interval is None and change.reason)
    why = f": {change.reason}" if is_told else ""
    return (
        code(change.metric.name),
        figure(value(change, change.first)),
        figure(value(change, change.second)),
        figure(difference_told(change)),
        figure(interval_told(change)),
        text(f"{change.judgement.value}{why}", _TONES[change.judgement]),
    )


def difference_table(comparison: Comparison, against: Against) -> Table:
    """In what the scenarios differ."""
    return table(
        "What differs between the scenarios",
        {
            "where": False,
            comparison.baseline.letter: False,
            against.side.letter: False,
            "changes the load": False,
        },
        *(
            (
                code(each.path),
                code(each.first),
                code(each.second),
                text("yes" if each.is_load else "no", "warn" if each.is_load else ""),
            )
            for each in against.differences
        ),
    )


def method_told(comparison: Comparison, against: Against) -> str:
    """Say how the intervals were made, for people who want to know."""
    rule = comparison.rule
    how = (
        "the same blocks and devices drawn for both runs, because their fleets planned "
        "the same"
        if against.paired
        else "blocks and devices drawn apart, because the plans differ"
    )
    return (
        f"{number(against.blocks, 'block')} of {against.block_s:g} s by planned time; "
        f"{how}. A difference counts when its whole {rule.confidence * 100:g} % interval "
        f"lies beyond {rule.tolerance * 100:g} % of {comparison.baseline.letter} and, for "
        f"times, beyond {shown_time(rule.resolution_s * 1000)}. It tells about these "
        "runs: how much a third one would vary on the same machine, it cannot know."
    )


def as_data(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON; times in seconds, shares 0..1.

    ``schema`` counts up; fields are only ever added.
    """
    rule = comparison.rule
    return {
        "schema": SCHEMA_VERSION,
        "rule": {
            "confidence": rule.confidence,
            "tolerance": rule.tolerance,
            "resolution_s": rule.resolution_s,
        },
        "runs": [
            {
                "letter": side.letter,
                "run": side.name,
                "scenario": side.summary["scenario"],
                "seed": side.summary["seed"],
                "started": side.summary["started"],
                "verdict": side.summary["verdict"],
            }
            for side in comparison.sides
        ],
        "against_first": [_against(each) for each in comparison.others],
    }


def _against(against: Against) -> dict[str, Any]:
    return {
        "letter": against.side.letter,
        "run": against.side.name,
        "verdict": verdict(against),
        "paired": against.paired,
        "blocks": against.blocks,
        "block_s": against.block_s,
        "remarks": list(against.remarks),
        "differences": [
            {
                "path": each.path,
                "first": each.first,
                "second": each.second,
                "changes_load": each.is_load,
            }
            for each in against.differences
        ],
        "controls": {each.metric.name: _metric(each) for each in against.controls},
        "metrics": {each.metric.name: _metric(each) for each in against.changes},
    }


def _metric(change: Change) -> dict[str, Any]:
    ends, relative = change.interval, change.relative
    of = None if relative is None else relative.interval
    return {
        "unit": change.metric.unit.value,
        "better": change.metric.better,
        "first": change.first,
        "second": change.second,
        "change": change.change,
        "low": None if ends is None else ends.low,
        "high": None if ends is None else ends.high,
        "relative": None if relative is None else relative.change,
        "relative_low": None if of is None else of.low,
        "relative_high": None if of is None else of.high,
        "verdict": change.judgement.value,
        "reason": change.reason,
    }
