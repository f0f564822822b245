"""``fleetsim report``: make the summary of a run again, from its folder alone."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from fleetsim.cli.options import Results
from fleetsim.recording.run_folder import latest_run
from fleetsim.report.summary import exit_code, write_summary
from fleetsim.report.terminal import make_console, print_summary

LATEST = "latest"


def report_command(
    run: Annotated[
        str,
        typer.Argument(help="Run folder, its name below --results, or 'latest'."),
    ] = LATEST,
    *,
    results: Results = Path("results"),
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print summary.json instead of text.", envvar="FLEETSIM_JSON"
        ),
    ] = False,
) -> None:
    """Summarise a run again: finished, interrupted or killed.

    Exit code 99 when the run did not end as its scenario expects, 2 when there is no
    such run, otherwise 0: an interrupted run is reported, not judged.

    Examples:
      fleetsim report
      fleetsim report 20261123T101500Z-quickstart-1a2b3c --json
    """
    folder = find_run(run, results)
    summary = write_summary(folder)
    if as_json:
        json.dump(summary, sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        console = make_console(sys.stdout)
        print_summary(summary, console)
        console.print(f"Folder: {folder}", soft_wrap=True)
    code = exit_code(summary)
    if code and summary["verdict"] != "interrupted":
        raise typer.Exit(code)


def find_run(run: str, results: Path) -> Path:
    """Find a run folder by path, by name or as the latest.

    Raises:
        InputError: If ``latest`` is asked for and there is no run.
    """
    if run == LATEST:
        return latest_run(results)
    path = Path(run)
    return path if path.is_dir() or not (results / run).is_dir() else results / run
