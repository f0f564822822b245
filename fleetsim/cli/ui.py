"""``fleetsim ui``: show a run in the browser again."""

from pathlib import Path
from typing import Annotated

import typer
import uvloop

from fleetsim.cli.options import Results
from fleetsim.cli.report import LATEST, find_run
from fleetsim.report.live.address import parse_address
from fleetsim.report.live.serve import serve_run

OPTION = "--listen"


def ui_command(
    run: Annotated[
        str,
        typer.Argument(help="Run folder, its name below --results, or 'latest'."),
    ] = LATEST,
    *,
    results: Results = Path("results"),
    listen: Annotated[
        str,
        typer.Option(
            OPTION,
            metavar="[HOST:]PORT",
            help="Where to serve, on this machine only unless a host is given; 0 = any "
            "free port.",
        ),
    ] = "8089",
) -> None:
    """Show a run in the browser: finished, interrupted or killed.

    Serves until Ctrl-C. For a run that goes on: fleetsim run --ui.

    Examples:
      fleetsim ui
      fleetsim ui 20261123T000839Z-quickstart-f2d4b9 --listen 0
    """
    folder = find_run(run, results)
    address = parse_address(listen, OPTION)

    def announce(line: str) -> None:
        typer.echo(line, err=True)

    uvloop.run(serve_run(folder, address, OPTION, announce))
