"""``fleetsim check``: say what a scenario will do and need, or everything wrong with it."""

import json
import resource
import sys
from typing import Annotated

import typer

from fleetsim.cli.plan_text import plan_data, print_plan
from fleetsim.cli.scenario_files import find_scenario, read_scenario
from fleetsim.core.settings import DeviceProfile
from fleetsim.exceptions import InputError
from fleetsim.profiles import catalog
from fleetsim.report.terminal import make_console
from fleetsim.scenario.parse import parse_scenario
from fleetsim.scenario.plan import Plan, make_plan


def check_command(
    scenario: Annotated[
        str, typer.Argument(help="Scenario file, or the name of a library scenario.")
    ],
    *,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Replace one value, e.g. --set 'cohorts[ordinary].count=50'. "
            "May be given several times.",
            envvar="FLEETSIM_SET",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Replace the scenario's seed.", envvar="FLEETSIM_SEED"),
    ] = None,
    time_scale: Annotated[
        float | None,
        typer.Option(
            metavar="N",
            help="Divide every time of the scenario by N: the same rehearsal, sooner "
            "over. Short for --set shorten_by=N.",
            envvar="FLEETSIM_TIME_SCALE",
        ),
    ] = None,
    allow_commands: Annotated[
        bool,
        typer.Option(
            "--allow-commands",
            help="The timeline may run programs of this machine.",
            envvar="FLEETSIM_ALLOW_COMMANDS",
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="Print one JSON object: the plan, or the problems.",
            envvar="FLEETSIM_JSON",
        ),
    ] = False,
) -> None:
    """Check a scenario and print the plan: nothing is started, nothing is sent.

    Exit code 0 when the scenario can be run, 2 with every problem and its line when it
    cannot.

    Examples:
      fleetsim check quickstart
      fleetsim check my.yaml --set duration=2m --json
    """
    try:
        overrides = [*(settings or []), *shortening(time_scale)]
        plan = _plan(scenario, overrides, seed, allow_commands=allow_commands)
    except InputError as exc:
        if not as_json:
            raise
        problems = [{"where": p.where, "what": p.what} for p in exc.problems]
        typer.echo(json.dumps({"problems": problems}, indent=2, ensure_ascii=False))
        raise typer.Exit(exc.exit_code) from exc
    notes = machine_notes(plan, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    if as_json:
        typer.echo(json.dumps(plan_data(plan, notes), indent=2, ensure_ascii=False))
    else:
        print_plan(plan, notes, make_console(sys.stdout))


def shortening(time_scale: float | None) -> list[str]:
    """Overrides for ``--time-scale``."""
    return [] if time_scale is None else [f"shorten_by={time_scale!r}"]


def _plan(
    scenario: str, settings: list[str], seed: int | None, *, allow_commands: bool
) -> Plan:
    path = find_scenario(scenario)

    def load_profile(name: str) -> DeviceProfile:
        return catalog.load(name, path.parent).profile

    parsed = parse_scenario(
        read_scenario(path),
        str(path),
        load_profile,
        settings,
        allow_commands=allow_commands,
    )
    return make_plan(parsed, load_profile, seed)


def machine_notes(plan: Plan, hard_limit: int) -> tuple[str, ...]:
    """What of the plan's needs this machine does not have.

    Args:
        plan: The plan.
        hard_limit: Hard limit of open files; ``RLIM_INFINITY`` = none.
    """
    needed = plan.needs.file_descriptors
    if hard_limit == resource.RLIM_INFINITY or needed <= hard_limit:
        return ()
    note = (
        f"The run may open {needed:,} files at the same time, this machine allows "
        f"{hard_limit:,}: raise the hard limit (ulimit -Hn) or lower limits.in_flight."
    )
    return (note,)
