"""Formats: which one of several ``--json``-like options was asked for, and where it goes."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import typer

from fleetsim.exceptions import InputError, Problem, RecordingError
from fleetsim.report.html.page import write_page

_TYPED: Final = "COMMANDLINE"  # what click calls an option that was typed


def one_format(ctx: typer.Context, asked: Mapping[str, bool]) -> str | None:
    """Give the one format asked for; the command line outdoes the environment.

    Args:
        ctx: Context of the command.
        asked: Format, ``json`` for the option ``--json`` in the parameter ``as_json``,
            to whether it is on.

    Raises:
        InputError: If several are asked for.
    """
    chosen = [name for name, is_asked in asked.items() if is_asked]
    sources = {name: ctx.get_parameter_source(f"as_{name}") for name in chosen}
    typed = [
        name for name, source in sources.items() if source and source.name == _TYPED
    ]
    chosen = typed or chosen
    if len(chosen) > 1:
        names = ", ".join(f"--{name}" for name in chosen)
        raise InputError(Problem(names, "give one format at a time"))
    return chosen[0] if chosen else None


def deliver(text: str, output: Path | None) -> None:
    """Write a report to a file and say where, or to standard output.

    Raises:
        InputError: If the file cannot be written.
    """
    if output is None:
        sys.stdout.write(text)
        return
    try:
        write_page(output, text)
    except RecordingError as error:
        raise InputError(Problem(f"--output {output}", error.what)) from error
    typer.echo(str(output))
