"""Options that several commands share, and the ``run:`` table of a scenario.

A value is taken from the first place that has it: the command line, ``FLEETSIM_*``, the
``run:`` table of the scenario file, the default. The table uses the names of the options
of ``fleetsim run``, with ``_`` for ``-``::

    run:
      results: /var/lib/fleetsim
      time_scale: 10
      front: nginx

``check`` and ``forecast`` read it too: they speak of the run that would take place.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from fleetsim.cli.lazy import LazyCommands, long_name
from fleetsim.cli.scenario_files import find_scenario, library_names, read_scenario
from fleetsim.core.settings import DeviceProfile
from fleetsim.exceptions import InputError, Problem
from fleetsim.profiles import catalog
from fleetsim.scenario.parse import parse_scenario
from fleetsim.scenario.schema import RUN_TABLE, Scenario
from fleetsim.scenario.suggest import did_you_mean
from fleetsim.scenario.yaml_document import read_yaml

NOT_IN_A_FILE: Final[Mapping[str, str]] = {
    "allow_commands": "a file cannot allow itself to run programs of this machine: "
    "give --allow-commands or FLEETSIM_ALLOW_COMMANDS",
    "set": "a file has no need to override itself: change the value",
}
"""Options of ``run`` that the table cannot hold, and why."""

_PROBLEMS: Final = "fleetsim.run_table.problems"
_MAY_HAVE_TABLE: Final = re.compile(r"\brun\b[\"']?\s*:")


def use_run_table(ctx: typer.Context, value: str | None) -> str | None:
    """Let the ``run:`` table of the scenario be the defaults of this command's options.

    Called with the scenario's name before other values are looked up. What is wrong with
    the table is kept for :func:`load_scenario`, which reports it with everything else.

    Raises:
        InputError: There is no such scenario, or it is not readable as YAML.
    """
    if value is None or ctx.resilient_parsing:
        return value
    path = find_scenario(value)
    text = read_scenario(path)
    if not _MAY_HAVE_TABLE.search(text):
        return value
    document = read_yaml(text, str(path))
    table = document.data.get(RUN_TABLE) if isinstance(document.data, dict) else None
    if not isinstance(table, dict):
        return value  # the schema says so
    options = run_options(ctx)
    mine = {long_name(each): each for each in ctx.command.params}
    problems = []
    for name, given in table.items():
        where = f"{path}:{document.lines.get((RUN_TABLE, name), 1)}: {RUN_TABLE}.{name}"
        if name in NOT_IN_A_FILE:
            problems.append(Problem(where, NOT_IN_A_FILE[name]))
        elif name not in options:
            what = f"is no option of fleetsim run{did_you_mean(name, options)}"
            problems.append(Problem(where, what))
        else:
            wanted = _wrapped(options[name], given)
            what = _refusal(ctx, options[name], wanted)
            if what:
                problems.append(Problem(where, what))
            elif option := mine.get(name.replace("_", "-")):
                ctx.default_map = {**(ctx.default_map or {}), option.name: wanted}
    ctx.meta[_PROBLEMS] = tuple(problems)
    return value


def run_options(ctx: typer.Context) -> dict[str, Any]:
    """Options of ``fleetsim run`` by their names in the table.

    Args:
        ctx: Any context below the program's; other programs have no such options.
    """
    program = ctx.find_root().command
    if not isinstance(program, LazyCommands) or "run" not in program.lazy:
        return {}
    return table_options(program.load("run"))


def table_options(command: Any) -> dict[str, Any]:
    """Options of a command by their names in the table, those it cannot hold left out."""
    found = {
        long_name(each).replace("-", "_"): each
        for each in command.params
        if each.param_type_name == "option"
    }
    return {name: each for name, each in found.items() if name not in NOT_IN_A_FILE}


def table_schema(options: Mapping[str, Any]) -> dict[str, Any]:
    """JSON Schema of the ``run:`` table, for editors.

    Args:
        options: What :func:`run_options` gives.
    """
    return {
        "type": "object",
        "description": "Options of `fleetsim run`; the environment and the command line "
        "win over them.",
        "properties": {
            name: {
                "description": (each.help or "").replace(r"\[", "["),
                **_value_schema(each),
            }
            for name, each in options.items()
        },
        "additionalProperties": False,
    }


def _value_schema(option: Any) -> dict[str, Any]:
    if option.is_flag:
        return {"type": "boolean"}
    one = {"type": ["string", "number"]}
    return {"anyOf": [one, {"type": "array", "items": one}]} if option.multiple else one


def _wrapped(option: Any, given: Any) -> Any:
    """A single value of an option that takes several is a list of one."""
    return [given] if option.multiple and not isinstance(given, list) else given


def _refusal(ctx: typer.Context, option: Any, given: Any) -> str:
    """Why an option does not take a value, empty = it does."""
    if option.is_flag and not isinstance(given, bool):
        return "expected true or false"
    if isinstance(given, dict) or (isinstance(given, list) and not option.multiple):
        return "expected one value"
    try:
        option.process_value(ctx, given)
    except typer.BadParameter as error:
        return str(error.message).removeprefix("Value error, ").rstrip(".")
    return ""


def load_scenario(
    ctx: typer.Context,
    name: str,
    overrides: Sequence[str],
    *,
    allow_commands: bool = False,
) -> tuple[Path, Scenario, Callable[[str], DeviceProfile]]:
    """Read the scenario a command is about.

    Args:
        ctx: Context of the command.
        name: File or library scenario.
        overrides: ``path=value`` texts.
        allow_commands: Whether its timeline may run programs.

    Returns:
        Its file, the scenario, and how it finds device profiles.

    Raises:
        InputError: All problems, also those of its ``run:`` table.
    """
    path = find_scenario(name)
    problems: tuple[Problem, ...] = ctx.meta.get(_PROBLEMS, ())

    def load_profile(profile: str) -> DeviceProfile:
        return catalog.load(profile, path.parent).profile

    try:
        parsed = parse_scenario(
            read_scenario(path),
            str(path),
            load_profile,
            overrides,
            allow_commands=allow_commands,
        )
    except InputError as error:
        raise InputError((*error.problems, *problems)) from error
    if problems:
        raise InputError(problems)
    return path, parsed, load_profile


def shortening(time_scale: float | None) -> list[str]:
    """Overrides for ``--time-scale``."""
    return [] if time_scale is None else [f"shorten_by={time_scale!r}"]


def _outside_run_table(value: list[str] | None) -> list[str] | None:
    for each in value or ():
        if re.match(rf"\s*{RUN_TABLE}\s*[.\[=]", each):
            what = f"{RUN_TABLE}: has options of the program; give the option itself"
            raise typer.BadParameter(what)
    return value


def _complete_scenario(incomplete: str) -> list[str]:
    return [name for name in library_names() if name.startswith(incomplete)]


def complete_profile(incomplete: str) -> list[str]:
    """Names of built-in profiles that begin so, for shell completion."""
    return [name for name in catalog.names() if name.startswith(incomplete)]


ScenarioName = Annotated[
    str,
    typer.Argument(
        help="Scenario file, or the name of a library scenario.",
        metavar="SCENARIO",
        is_eager=True,
        callback=use_run_table,
        autocompletion=_complete_scenario,
    ),
]
OptionalScenarioName = Annotated[
    str | None,
    typer.Argument(
        help="Scenario file or library scenario: forecast its certificates.",
        metavar="SCENARIO",
        show_default=False,
        is_eager=True,
        callback=use_run_table,
        autocompletion=_complete_scenario,
    ),
]
LibraryScenario = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME",
        help="Library scenario to copy, for example quickstart.",
        autocompletion=_complete_scenario,
    ),
]
ProfileName = Annotated[
    str,
    typer.Option(
        help="Device profile, by name or file.", autocompletion=complete_profile
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Replace one value, e.g. --set 'cohorts[ordinary].count=50'. "
        "May be given several times.",
        envvar="FLEETSIM_SET",
        callback=_outside_run_table,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(help="Replace the scenario's seed.", envvar="FLEETSIM_SEED"),
]
TimeScale = Annotated[
    float | None,
    typer.Option(
        metavar="N",
        help="Divide every time of the scenario by N: the same rehearsal, sooner "
        "over. Short for --set shorten_by=N.",
        envvar="FLEETSIM_TIME_SCALE",
    ),
]
AllowCommands = Annotated[
    bool,
    typer.Option(
        "--allow-commands",
        help="The timeline may run programs of this machine.",
        envvar="FLEETSIM_ALLOW_COMMANDS",
    ),
]
Results = Annotated[
    Path, typer.Option(help="Folder of all runs.", envvar="FLEETSIM_RESULTS")
]
