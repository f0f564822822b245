"""``fleetsim check``: say what a scenario will do and need, or everything wrong with it."""

import json
import resource
import sys
from typing import Annotated

import typer

from fleetsim.cli.options import (
    AllowCommands,
    ScenarioName,
    Seed,
    Settings,
    TimeScale,
    load_scenario,
    shortening,
)
from fleetsim.cli.plan_text import plan_data, print_plan
from fleetsim.exceptions import InputError
from fleetsim.report.console import make_console
from fleetsim.scenario.plan import Plan, make_plan


def check_command(
    ctx: typer.Context,
    scenario: ScenarioName,
    *,
    settings: Settings = None,
    seed: Seed = None,
    time_scale: TimeScale = None,
    allow_commands: AllowCommands = False,
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
        _, parsed, load_profile = load_scenario(
            ctx, scenario, overrides, allow_commands=allow_commands
        )
        plan = make_plan(parsed, load_profile, seed)
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
