"""``fleetsim run``: run a scenario and print its verdict."""

import json
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from fleetsim.cli.exporters import OtlpOption, PrometheusOption, exporters
from fleetsim.cli.options import (
    AllowCommands,
    Results,
    ScenarioName,
    Seed,
    Settings,
    TimeScale,
    load_scenario,
    shortening,
)
from fleetsim.cli.page import UiOption, pages
from fleetsim.lab.settings import FrontProgram
from fleetsim.report.console import make_console
from fleetsim.scenario.plan import make_plan


def run_command(
    ctx: typer.Context,
    scenario: ScenarioName,
    *,
    settings: Settings = None,
    seed: Seed = None,
    results: Results = Path("results"),
    create_bucket: Annotated[
        bool,
        typer.Option(
            "--create-bucket",
            help="Make the bucket of a real target when it is missing.",
            envvar="FLEETSIM_CREATE_BUCKET",
        ),
    ] = False,
    clean: Annotated[
        bool,
        typer.Option(
            "--clean",
            help="At the end, delete from the bucket what this run stored, and nothing "
            "else. Later: fleetsim clean.",
            envvar="FLEETSIM_CLEAN",
        ),
    ] = False,
    check_truth: Annotated[
        bool,
        typer.Option(
            "--truth-check/--no-truth-check",
            help="List the bucket at the end and compare it with what the devices "
            "were told.",
            envvar="FLEETSIM_TRUTH_CHECK",
        ),
    ] = True,
    source_address: Annotated[
        list[str] | None,
        typer.Option(
            help="Local address to dial from; several are used in turn.",
            envvar="FLEETSIM_SOURCE_ADDRESS",
        ),
    ] = None,
    processes: Annotated[
        str,
        typer.Option(
            metavar="N|auto",
            help="Processes that run the devices; auto = one for each core, less what "
            "the lab needs.",
            envvar="FLEETSIM_PROCESSES",
        ),
    ] = "1",
    pin: Annotated[
        bool,
        typer.Option(
            "--pin",
            help="Keep the lab on the last allowed core and the generator on the others.",
            envvar="FLEETSIM_PIN",
        ),
    ] = False,
    front: Annotated[
        FrontProgram,
        typer.Option(
            help="What ends TLS in front of the lab: the built-in front, or a real "
            "program that is installed here.",
            envvar="FLEETSIM_FRONT",
        ),
    ] = FrontProgram.BUILTIN,
    time_scale: TimeScale = None,
    allow_commands: AllowCommands = False,
    ui: UiOption = None,
    prometheus: PrometheusOption = None,
    otlp: OtlpOption = None,
    quiet: Annotated[
        bool,
        typer.Option(
            "--quiet", "-q", help="No progress on stderr.", envvar="FLEETSIM_QUIET"
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print summary.json on stdout.", envvar="FLEETSIM_JSON"
        ),
    ] = False,
) -> None:
    """Run a scenario: start its lab or use its target, upload, check, judge.

    The first Ctrl-C ends the load and drains, the second stops at once; both keep
    what was recorded and end with exit code 130.

    Examples:
      fleetsim run quickstart
      fleetsim run my.yaml --set duration=2m --json
      fleetsim run ca_rotation_done_right --time-scale 10 --front nginx
      fleetsim run quickstart --ui 8089 --prometheus 9464
    """
    # Who asks for help or completes a word waits for the options only.
    import uvloop  # noqa: PLC0415

    from fleetsim.report.live.terminal import progress_view  # noqa: PLC0415
    from fleetsim.report.summary import exit_code  # noqa: PLC0415
    from fleetsim.report.terminal import print_summary  # noqa: PLC0415
    from fleetsim.runner.limits import count_processes  # noqa: PLC0415
    from fleetsim.runner.live import run_live  # noqa: PLC0415
    from fleetsim.runner.run import RunOptions  # noqa: PLC0415

    # Whatever ends the program shall remove the private keys it made.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    path, parsed, load_profile = load_scenario(
        ctx,
        scenario,
        [*(settings or []), *shortening(time_scale)],
        allow_commands=allow_commands,
    )
    plan = make_plan(parsed, load_profile, seed)
    options = RunOptions(
        results=results,
        base_folder=path.parent,
        scenario=parsed.to_data(),
        create_bucket=create_bucket,
        check_truth=check_truth,
        source_addresses=tuple(source_address or ()),
        pin=pin,
        processes=count_processes(processes, plan, front),
        front_program=front,
        clean=clean,
    )
    views = [] if quiet else [progress_view(sys.stderr)]
    views += exporters(prometheus, otlp, views[0].say if views else _say)
    views += pages(ui, _say)
    folder, summary = uvloop.run(run_live(plan, options, views))
    if as_json:
        json.dump(summary, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        console = make_console(sys.stdout)
        print_summary(summary, console)
        console.print(f"Folder: {folder}", soft_wrap=True)
    code = exit_code(summary)
    if code:
        raise typer.Exit(code)


def _say(line: str) -> None:
    typer.echo(line, err=True)
