"""The command line: puts the commands together and turns errors into exit codes.

Exit codes: 0 passed · 1 internal error · 2 bad usage or bad input · 3 target not
usable · 99 a threshold failed · 130 interrupted (partial results kept).
"""

from typing import Annotated

import typer

from fleetsim import __version__
from fleetsim.cli import pki
from fleetsim.cli.check import check_command
from fleetsim.cli.errors import Commands, flush_output
from fleetsim.cli.forecast import forecast_command
from fleetsim.cli.init import init_command
from fleetsim.cli.lab import lab_command
from fleetsim.cli.list import list_command
from fleetsim.cli.profiles import profiles_command
from fleetsim.cli.report import report_command
from fleetsim.cli.run import run_command
from fleetsim.cli.schema import schema_command

app = typer.Typer(
    name="fleetsim",
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
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


app.command("run")(run_command)
app.command("check")(check_command)
app.command("forecast")(forecast_command)
app.command("report")(report_command)
app.command("lab")(lab_command)
app.add_typer(pki.app, name="pki")
app.command("profiles")(profiles_command)
app.command("list")(list_command)
app.command("init")(init_command)
app.command("schema")(schema_command)


def main() -> None:
    """Entry point of the ``fleetsim`` program."""
    try:
        app()
    finally:
        flush_output()
