"""Parse: scenario text to a checked :class:`Scenario`, or every problem at once.

What is unreadable is cut out and the rest is judged without it, so that one run of
``fleetsim check`` shows everything: fields that are wrong by themselves and fields that
do not fit together.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from fleetsim.core.settings import DeviceProfile
from fleetsim.exceptions import InputError, Problem
from fleetsim.scenario.checks import check
from fleetsim.scenario.field_errors import Field, field_errors
from fleetsim.scenario.finding import Finding
from fleetsim.scenario.overriding import apply_overrides, dotted
from fleetsim.scenario.schema import Scenario
from fleetsim.scenario.yaml_document import Loc, read_yaml


def _idle(name: object) -> dict[str, Any]:
    """An entry of a timeline that does nothing."""
    return {"name": name, "at": 0, "assert": {"condition": "elapsed_s >= 0s"}}


_HARMLESS: Final[Mapping[tuple[str, ...], Callable[[int], object]]] = {
    ("name",): lambda _: "unreadable",
    ("cohorts",): lambda _: [{"name": "unreadable", "count": 1}],
    ("cohorts", "[]"): lambda number: {"name": f"unreadable-{number}", "count": 1},
    ("cohorts", "[]", "name"): lambda number: f"unreadable-{number}",
    ("cohorts", "[]", "count"): lambda _: 1,
    ("lab", "fronts", "[]"): lambda number: {"name": f"unreadable-{number}"},
    ("target", "bucket"): lambda _: "unreadable",
    ("thresholds", "[]"): lambda _: "unaccounted == 0",
    ("timeline", "[]"): lambda number: _idle(f"unreadable-{number}"),
}
"""What stands in for an unreadable value that cannot just be left out."""


def parse_scenario(
    text: str,
    where: str,
    load_profile: Callable[[str], DeviceProfile],
    overrides: Sequence[str] = (),
    *,
    allow_commands: bool = True,
) -> Scenario:
    """Read a scenario.

    Args:
        text: YAML.
        where: Name of the file, for messages.
        load_profile: Gives the device profile of a name, or raises ``InputError``.
        overrides: ``path=value``, applied in order (see
            :mod:`fleetsim.scenario.overriding`).
        allow_commands: Whether the operator lets the timeline run programs; otherwise
            each of them is a problem.

    Raises:
        InputError: All problems, in the order of the file; each with its line, or with
            the override that caused it. Of a text that is not YAML, the first one.
    """
    document = read_yaml(text, where)
    data, origins, problems = apply_overrides(document.data, overrides)
    places = _Places(where, document.lines, origins)
    if not isinstance(data, dict):
        raise InputError(
            (
                Problem(f"{where}:1", "expected a mapping with name, lab and cohorts"),
                *problems,
            )
        )
    # Keys of the root that start with x- are the author's own, for YAML anchors.
    data = {key: value for key, value in data.items() if not key.startswith("x-")}
    errors, scenario = _judged(data)
    found = [(error.at, error.what) for error in errors]
    if scenario is not None:
        broken = {error.at for error in errors}
        findings = _findings(scenario, load_profile, allow_commands=allow_commands)
        found += [
            (finding.at, finding.what)
            for finding in findings
            if not finding.follows_from(broken)
        ]
    if found or problems:
        raise InputError((*problems, *places.problems(found)))
    if scenario is None:
        raise AssertionError("a scenario without errors has a value")
    return scenario


def _judged(data: dict[str, Any]) -> tuple[list[Field], Scenario | None]:
    """Errors of single fields, and the scenario without those fields if that is one."""
    try:
        return [], Scenario.model_validate(data)
    except ValidationError as exc:
        errors = field_errors(exc, data)
    rest = copy.deepcopy(data)
    for error in errors:
        _cut(rest, error.at)
    try:
        return errors, Scenario.model_validate(rest)
    except ValidationError as exc:
        left = field_errors(exc, rest)
    # An action without what it requires: others may still refer to the entry by name.
    for error in left:
        match error.at:
            case ("timeline", int(number), _, *_):
                rest["timeline"][number] = _idle(rest["timeline"][number].get("name"))
            case _:
                return errors, None
    try:
        return errors, Scenario.model_validate(rest)
    except ValidationError:
        return errors, None


def _cut(data: Any, loc: Loc) -> None:
    """Remove what is unreadable, or replace it where something is required.

    List entries are replaced, so that those behind them keep their place; of lists
    without a harmless entry, the whole list goes.
    """
    keys = tuple("[]" if isinstance(step, int) else step for step in loc)
    if keys[-1:] == ("[]",) and keys not in _HARMLESS:
        loc = loc[:-1]
    for step in loc[:-1]:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return  # an earlier cut took it along
    number = next((step for step in reversed(loc) if isinstance(step, int)), 0)
    if keys in _HARMLESS:
        data[loc[-1]] = _HARMLESS[keys](number)
    elif isinstance(data, dict):
        data.pop(loc[-1], None)


def _findings(
    scenario: Scenario,
    load_profile: Callable[[str], DeviceProfile],
    *,
    allow_commands: bool,
) -> Iterator[Finding]:
    profiles: dict[str, DeviceProfile] = {}
    refused: dict[str, tuple[str, ...]] = {}
    for index, cohort in enumerate(scenario.cohorts):
        name = cohort.profile
        if name not in profiles and name not in refused:
            try:
                profiles[name] = load_profile(name)
            except InputError as exc:
                refused[name] = tuple(_reason(problem) for problem in exc.problems)
        for reason in refused.get(name, ()):
            yield Finding(("cohorts", index, "profile"), reason)
    yield from check(scenario, profiles, allow_commands=allow_commands)


def _reason(problem: Problem) -> str:
    return problem.what if problem.where == "profile" else str(problem)


@dataclass(frozen=True, slots=True)
class _Places:
    """Where a person finds a value.

    Attributes:
        file: Name of the file.
        lines: Line of each value of the file.
        origins: Option that set a value instead.
    """

    file: str
    lines: Mapping[Loc, int]
    origins: Mapping[Loc, str]

    def problems(self, found: Sequence[tuple[Loc, str]]) -> list[Problem]:
        """Problems in the order of the file, those of options last; no repetition."""
        located = {
            (*self._order(loc), position): Problem(self._where(loc), what)
            for position, (loc, what) in enumerate(found)
        }
        return list(dict.fromkeys(located[key] for key in sorted(located)))

    def _order(self, loc: Loc) -> tuple[bool, int]:
        return self._origin(loc) is not None, self._line(loc)

    def _where(self, loc: Loc) -> str:
        origin = self._origin(loc)
        place = origin or f"{self.file}:{self._line(loc)}"
        name = dotted(loc)
        return f"{place}: {name}" if name else place

    def _origin(self, loc: Loc) -> str | None:
        ends = range(len(loc), 0, -1)
        return next(
            (self.origins[loc[:n]] for n in ends if loc[:n] in self.origins), None
        )

    def _line(self, loc: Loc) -> int:
        ends = range(len(loc), -1, -1)
        return next((self.lines[loc[:n]] for n in ends if loc[:n] in self.lines), 1)
