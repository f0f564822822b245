"""Errors at the edge: our own exceptions become words on standard error and an exit code.

The one place that does so. Every group of commands is a :class:`Commands`, so that a
command raises and never prints an error itself.
"""

import os
import signal
import sys
from typing import Any, Final

import typer
import typer.core

from fleetsim.exceptions import FleetsimError

BROKEN_PIPE: Final = 128 + signal.SIGPIPE
"""Exit code when nobody reads the output any more, as a shell reports it."""


class Commands(typer.core.TyperGroup):
    """A group that answers our own errors with their words and their exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command named by the arguments."""
        try:
            return super().invoke(ctx)
        except FleetsimError as error:
            # One ``file:line: what`` a line: what editors and CI can jump to.
            typer.echo(str(error), err=True)
            raise typer.Exit(error.exit_code) from error
        except BrokenPipeError as error:
            silence_output()
            raise typer.Exit(BROKEN_PIPE) from error


def silence_output() -> None:
    """Send what is still buffered for a reader who is gone to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def flush_output() -> None:
    """Write the rest of standard output, before the interpreter does it with a traceback.

    Raises:
        SystemExit: With :data:`BROKEN_PIPE` when its reader is gone.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        silence_output()
        raise SystemExit(BROKEN_PIPE) from None
