"""Gate: differences that a CI job does not let pass."""

from collections.abc import Sequence

from fleetsim.exceptions import InputError, Problem
from fleetsim.report.compare.comparison import Against, Comparison
from fleetsim.report.compare.judging import Change, Judgement
from fleetsim.report.compare.metrics import metrics
from fleetsim.scenario.suggest import did_you_mean


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
