"""Console: where results are printed, a terminal or a file."""

from typing import Final, TextIO

from rich.console import Console

PLAIN_WIDTH: Final = 100
"""Columns where there is no terminal."""


def make_console(file: TextIO) -> Console:
    """Make a console that prints texts as they are, without markup."""
    return Console(
        file=file,
        markup=False,
        highlight=False,
        emoji=False,
        width=None if file.isatty() else PLAIN_WIDTH,
    )
