"""The command line: puts the commands together and turns errors into exit codes.

Exit codes: 0 passed · 1 internal error · 2 bad usage or bad input · 3 target not
usable · 99 a threshold failed · 130 interrupted (partial results kept).
"""

from typing import Annotated, Any, ClassVar

import typer
import typer.main

from fleetsim import __version__
from fleetsim.cli.errors import flush_output
from fleetsim.cli.lazy import HELP_NAMES, LazyCommand, LazyCommands

RUN = "Run"
LOOK = "Look at results"
PREPARE = "Prepare"
LEARN = "Learn"


class Program(LazyCommands):
    """All commands, in the order of the overview.

    The summary of a command is the first paragraph of its docstring; a test compares
    them. A module is imported when its command is used.
    """

    lazy: ClassVar[dict[str, LazyCommand]] = {
        "run": LazyCommand(
            target="fleetsim.cli.run:run_command",
            summary="Run a scenario: start its lab or use its target, upload, check, "
            "judge.",
            panel=RUN,
        ),
        "check": LazyCommand(
            target="fleetsim.cli.check:check_command",
            summary="Check a scenario and print the plan: nothing is started, nothing "
            "is sent.",
            panel=RUN,
        ),
        "forecast": LazyCommand(
            target="fleetsim.cli.forecast:forecast_command",
            summary="Forecast who trusts whom, when: bundles x chains x dates, by real "
            "handshakes.",
            panel=RUN,
        ),
        "lab": LazyCommand(
            target="fleetsim.cli.lab:lab_command",
            summary="Serve an S3 endpoint until Ctrl-C.",
            panel=RUN,
        ),
        "report": LazyCommand(
            target="fleetsim.cli.report:report_command",
            summary="Summarise a run again: finished, interrupted or killed.",
            panel=LOOK,
        ),
        "compare": LazyCommand(
            target="fleetsim.cli.compare:compare_command",
            summary="Compare runs with the first one: better, worse, or no evidence.",
            panel=LOOK,
        ),
        "query": LazyCommand(
            target="fleetsim.cli.query:query_command",
            summary="Query the tables of a run in SQL (DuckDB).",
            panel=LOOK,
        ),
        "ui": LazyCommand(
            target="fleetsim.cli.ui:ui_command",
            summary="Show a run in the browser: finished, interrupted or killed.",
            panel=LOOK,
        ),
        "clean": LazyCommand(
            target="fleetsim.cli.clean:clean_command",
            summary="Delete from the bucket what a run stored, and nothing else.",
            panel=LOOK,
        ),
        "push": LazyCommand(
            target="fleetsim.cli.push:push_command",
            summary="Put a trust bundle, configuration or firmware where devices fetch "
            "it.",
            panel=PREPARE,
        ),
        "list": LazyCommand(
            target="fleetsim.cli.list:list_command",
            summary="List the scenarios that come with the program.",
            panel=PREPARE,
        ),
        "init": LazyCommand(
            target="fleetsim.cli.init:init_command",
            summary="Write a scenario file to start from.",
            panel=PREPARE,
        ),
        "pki": LazyCommand(
            target="fleetsim.cli.pki:app",
            summary="Certificate authorities, server and device certificates, "
            "revocation lists.",
            panel=PREPARE,
        ),
        "metrics": LazyCommand(
            target="fleetsim.cli.metrics:app",
            summary="Metrics of a run: the list of them, and a Grafana dashboard.",
            panel=LEARN,
        ),
        "log-format": LazyCommand(
            target="fleetsim.cli.log_format:log_format_command",
            summary="Print what to put into a server's configuration so that a run can "
            "read its log.",
            panel=PREPARE,
        ),
        "help": LazyCommand(
            target="fleetsim.cli.help:help_command",
            summary="Explain a topic or a command.",
            panel=LEARN,
        ),
        "profiles": LazyCommand(
            target="fleetsim.cli.profiles:profiles_command",
            summary="List the device profiles, or show one with the source of every "
            "figure.",
            panel=LEARN,
        ),
        "schema": LazyCommand(
            target="fleetsim.cli.schema:schema_command",
            summary="Print the JSON Schema (2020-12) of scenarios, for editors and for "
            "CI.",
            panel=LEARN,
        ),
    }


app = typer.Typer(
    name="fleetsim",
    cls=Program,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": list(HELP_NAMES)},
    help="Simulate a fleet of data loggers that upload signed S3 objects over TLS.",
    epilog="Exit codes: 0 passed, 1 internal error, 2 bad input, 3 target not usable, "
    "99 threshold failed, 130 interrupted.",
)


def _version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"fleetsim {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def program() -> Any:
    """The whole command line as one command, for tests and generated references."""
    return typer.main.get_command(app)


def main() -> None:
    """Entry point of the ``fleetsim`` program."""
    try:
        app(prog_name="fleetsim")
    finally:
        flush_output()
