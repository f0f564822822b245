"""Overriding: ``--set cohorts.0.count=50`` applied to the data of a scenario.

A path is keys and positions: ``duration``, ``cohorts.0.count``, ``cohorts[0].count``,
``cohorts[name].workload.period`` or ``cohorts.name.workload.period`` (list entries by
their ``name``), ``cohorts[*].count`` (all of them). The value is YAML: a number, a text,
``{uniform: [1s, 2s]}``; nothing or ``null`` removes the key, so that its default applies.
"""

import copy
import re
from collections.abc import Sequence
from typing import Any, Final

from fleetsim.exceptions import InputError, Problem
from fleetsim.scenario.quantities import shown
from fleetsim.scenario.suggest import did_you_mean
from fleetsim.scenario.yaml_document import MAX_DEPTH, Loc, read_yaml

_STEP = re.compile(r"(?:^|\.)([A-Za-z0-9_-]+)|\[\s*([A-Za-z0-9_*-]+)\s*\]")
MAX_OVERRIDES: Final = 1000


def apply_overrides(
    data: Any, overrides: Sequence[str]
) -> tuple[Any, dict[Loc, str], tuple[Problem, ...]]:
    """Apply overrides in order to a copy of the data.

    Args:
        data: Plain data of the scenario.
        overrides: ``path=value`` texts.

    Returns:
        The new data; for each place that was set, the option that set it; problems.
    """
    changed = copy.deepcopy(data)
    origins: dict[Loc, str] = {}
    problems: list[Problem] = []
    for override in overrides[:MAX_OVERRIDES]:
        # The value may be a secret given by mistake: only the path is ever repeated.
        option = f"--set {override.partition('=')[0].strip()[:100]}"
        try:
            steps, text = _parts(override)
            value = read_yaml(text, option).data
            for loc in _set(changed, steps, (), value):
                origins[loc] = option
        except _UnusableError as exc:
            problems.append(Problem(option, str(exc)))
        except InputError as exc:
            problems += [Problem(option, problem.what) for problem in exc.problems]
    if len(overrides) > MAX_OVERRIDES:
        problems.append(Problem("--set", f"more than {MAX_OVERRIDES} overrides"))
    return changed, origins, tuple(problems)


class _UnusableError(Exception):
    """One override cannot be applied."""


def _parts(override: str) -> tuple[list[str], str]:
    path, separator, text = override.partition("=")
    if not separator:
        raise _UnusableError("expected path=value, such as cohorts.0.count=50")
    return _steps(path.strip()), text


def _steps(path: str) -> list[str]:
    steps: list[str] = []
    position = 0
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None or (position == 0 and step[2]):
            break
        steps.append(step[1] or step[2])
        position = step.end()
    if not steps or position < len(path):
        raise _UnusableError(
            f"{shown(path)} is no path: expected keys and positions such as "
            "cohorts.0.count or cohorts[modern].workload.period"
        )
    if len(steps) > MAX_DEPTH:
        raise _UnusableError(f"a path has at most {MAX_DEPTH} steps")
    return steps


def _set(container: Any, steps: list[str], at: Loc, value: Any) -> list[Loc]:
    step, rest = steps[0], steps[1:]
    if isinstance(container, list):
        return [
            loc
            for index in _positions(container, step, at, is_last=not rest)
            for loc in _set_item(container, index, rest, at, value)
        ]
    if not isinstance(container, dict):
        raise _UnusableError(f"{_name(at)} is a single value and has no {step!r}")
    loc = (*at, step)
    if not rest:
        if value is None:
            container.pop(step, None)
        else:
            container[step] = copy.deepcopy(value)
        return [loc]
    if container.get(step) is None:
        container[step] = {}
    return _set(container[step], rest, loc, value)


def _set_item(
    items: list[Any], index: int, rest: list[str], at: Loc, value: Any
) -> list[Loc]:
    loc = (*at, index)
    if rest:
        return _set(items[index], rest, loc, value)
    if index == len(items):
        items.append(None)
    items[index] = copy.deepcopy(value)
    return [loc]


def _positions(items: list[Any], step: str, at: Loc, *, is_last: bool) -> list[int]:
    if step == "*":
        return list(range(len(items)))
    names = [item.get("name") if isinstance(item, dict) else None for item in items]
    if step in names:
        return [index for index, name in enumerate(names) if name == step]
    end = len(items) + is_last  # one past the end appends
    if step.isascii() and step.isdigit():
        if len(step) <= 9 and int(step) < end:
            return [int(step)]
        raise _UnusableError(f"{_name(at)} has {len(items)} entries, no {step}")
    known = [name for name in names if isinstance(name, str)]
    raise _UnusableError(
        f"{_name(at)} has no entry named {step!r}{did_you_mean(step, known)}"
    )


def _name(at: Loc) -> str:
    return dotted(at) or "the scenario"


def dotted(loc: Loc) -> str:
    """A place as people write it: ``cohorts[0].workload.period``."""
    text = ""
    for step in loc:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")
