"""``fleetsim report``: make the reports of a run again, from its folder alone."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from fleetsim.cli.formats import deliver, one_format
from fleetsim.cli.options import Results
from fleetsim.exceptions import InputError, Problem
from fleetsim.recording.names import REPORT
from fleetsim.recording.run_folder import latest_run
from fleetsim.report.console import make_console
from fleetsim.report.output import Format, make_report
from fleetsim.report.summary import exit_code, write_summary
from fleetsim.report.terminal import print_summary

LATEST = "latest"


def report_command(
    ctx: typer.Context,
    run: Annotated[
        str,
        typer.Argument(help="Run folder, its name below --results, or 'latest'."),
    ] = LATEST,
    *,
    results: Results = Path("results"),
    as_html: Annotated[
        bool,
        typer.Option(
            "--html",
            help="One page with charts that opens offline; without --output it is "
            "written to report.html in the run folder.",
        ),
    ] = False,
    as_md: Annotated[
        bool, typer.Option("--md", help="Markdown, for a ticket or a pull request.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print summary.json instead of text.", envvar="FLEETSIM_JSON"
        ),
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Every figure as a row, for a spreadsheet.")
    ] = False,
    as_junit: Annotated[
        bool, typer.Option("--junit", help="JUnit XML, for the test panel of a CI.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write there instead of to standard output."
        ),
    ] = None,
) -> None:
    """Summarise a run again: finished, interrupted or killed.

    Exit code 99 when the run did not end as its scenario expects, 2 when there is no
    such run, otherwise 0: an interrupted run is reported, not judged.

    Examples:
      fleetsim report
      fleetsim report 20261123T101500Z-quickstart-1a2b3c --json
      fleetsim report --html -o quickstart.html
      fleetsim report latest --junit -o fleetsim.xml
    """
    asked = one_format(
        ctx,
        {
            "html": as_html,
            "md": as_md,
            "json": as_json,
            "csv": as_csv,
            "junit": as_junit,
        },
    )
    form = Format(asked) if asked else None
    if form is None and output is not None:
        raise InputError(
            Problem("--output", "needs a format: --html, --md, --json, --csv, --junit")
        )
    folder = find_run(run, results)
    if form is None:
        summary = write_summary(folder)
        console = make_console(sys.stdout)
        print_summary(summary, console)
        console.print(f"Folder: {folder}", soft_wrap=True)
    else:
        text, summary = make_report(folder, form)
        if form is Format.HTML:
            output = output or folder / REPORT
        deliver(text, output)
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
