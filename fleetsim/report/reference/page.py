"""Page: headings, paragraphs and tables, and the same as Markdown."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a page.

    Attributes:
        title: Heading; empty = it follows the title of the page.
        text: Paragraphs.
        header: Titles of the columns; empty = no table.
        rows: Cells, as many as there are columns.
    """

    title: str = ""
    text: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of the reference.

    Attributes:
        name: As ``fleetsim help`` takes it.
        title: Heading.
        sections: Its parts.
    """

    name: str
    title: str
    sections: tuple[Section, ...]


def markdown(page: Page) -> str:
    """Write a page as Markdown (GitHub's tables)."""
    return "\n\n".join(_blocks(page)) + "\n"


def _blocks(page: Page) -> Iterator[str]:
    yield f"# {page.title}"
    for section in page.sections:
        if section.title:
            yield f"## {section.title}"
        yield from section.text
        if section.header:
            rule = ["---"] * len(section.header)
            lines = (section.header, rule, *section.rows)
            yield "\n".join(_line(cells) for cells in lines)


def _line(cells: Sequence[str]) -> str:
    shown = (" ".join(cell.split()).replace("|", r"\|") for cell in cells)
    return f"| {' | '.join(shown)} |"
