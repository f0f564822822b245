"""Tables as values: what a template draws as a table, and Markdown as well."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Tone = Literal["", "good", "bad", "warn", "soft", "mono"]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell.

    Attributes:
        text: What it says.
        tone: How it is set off; ``mono`` = names and code.
        is_number: Aligned to the right.
    """

    text: str
    tone: Tone = ""
    is_number: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        caption: What it holds, for readers who meet it without its heading.
        head: Heads of the columns; the first column names its row.
        rows: Cells.
    """

    caption: str
    head: tuple[Cell, ...]
    rows: tuple[tuple[Cell, ...], ...]


def text(value: object, tone: Tone = "") -> Cell:
    """A cell of text."""
    return Cell(str(value), tone)


def code(value: object) -> Cell:
    """A cell of a name or of code."""
    return Cell(str(value), "mono")


def figure(value: float | str | None, tone: Tone = "") -> Cell:
    """A cell of a figure; ``None`` = there is none."""
    match value:
        case None:
            shown = "–"  # noqa: RUF001  # an en dash stands for a missing figure
        case str():
            shown = value
        case int():
            shown = f"{value:,}"
        case _:
            shown = f"{value:,.3g}"
    return Cell(shown, tone, is_number=True)


def table(caption: str, head: Mapping[str, bool], *rows: tuple[Cell, ...]) -> Table:
    """Put a table together.

    Args:
        caption: What it holds.
        head: Heads of the columns to whether they hold figures.
        rows: Its rows.
    """
    return Table(
        caption=caption,
        head=tuple(Cell(name, is_number=is_number) for name, is_number in head.items()),
        rows=rows,
    )
