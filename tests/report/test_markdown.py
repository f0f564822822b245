"""Markdown: the tables survive a real parser, and nothing breaks out of its cell."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from fleetsim.recording.record import Record
from fleetsim.report.html.page import gather
from fleetsim.report.html.table import Cell, Table, code, text
from fleetsim.report.load import load_run
from fleetsim.report.markdown import escape, markdown_table, render_markdown
from tests.recording.records import DEVICE, record
from tests.report.runs import change, make_run

PARSER = MarkdownIt("gfm-like", {"linkify": False})
WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Zs", "Zl", "Zp")),
    min_size=1,
    max_size=20,
)


def cells_of(markdown: str) -> list[list[str]]:
    """Rows of the tables in a document, as a parser sees them."""
    rows: list[list[str]] = []
    is_inside = False
    for token in PARSER.parse(markdown):
        if token.type in {"table_open", "table_close"}:
            is_inside = token.type == "table_open"
        elif token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and is_inside:
            children = token.children or []
            assert all(child.type in {"text", "code_inline"} for child in children)
            rows[-1].append("".join(child.content for child in children))
    return rows


@given(WORDS, WORDS)
def test_any_text_stays_in_its_cell(one: str, other: str) -> None:
    """A parser reads back exactly what was written, as text and as code."""
    table = Table(
        caption="c",
        head=(Cell("a"), Cell("b", is_number=True)),
        rows=((text(one), code(other)),),
    )
    _, (first, second) = cells_of("\n".join(markdown_table(table)))
    assert (first, second) == (one, other)


@given(WORDS)
def test_escaped_text_is_text(word: str) -> None:
    """No emphasis, no link, no HTML, no entity."""
    (_, inline, _) = PARSER.parse(f"x{escape(word)}")
    assert all(child.type == "text" for child in inline.children or [])
    assert "".join(child.content for child in inline.children or []) == f"x{word}"


def test_lines_become_one() -> None:
    """A line end would end the row."""
    assert escape("a\r\nb\u2028c") == "a b c"


def test_the_document_has_every_section(tmp_path: Path) -> None:
    """Verdict, tables, proof, honesty and facts."""
    folder = make_run(
        tmp_path,
        [record(), record(3, kind="tcp.refused", phase="tcp")],
        thresholds=("failures == 0",),
        histories=[
            (DEVICE, "ordinary", change(0, "", "connected")),
            (DEVICE, "ordinary", change(5, "connected", "stranded", "a *proof*")),
        ],
    )
    found = render_markdown(gather(load_run(folder)))
    heads = [line for line in found.splitlines() if line.startswith("#")]
    assert heads == [
        "# quickstart: Failed",
        "## Thresholds",
        "## Latency",
        "## Operations",
        "## Failures",
        "## Who refused",
        "## TLS",
        "## Contact",
        "## Cohorts",
        "## Honesty",
        "## Run it again",
    ]
    assert r"- **1 stranded**: a \*proof\* (`0000002A`)" in found
    assert ["\N{HEAVY BALLOT X} broken", "failures == 0", "1"] in cells_of(found)


@pytest.mark.parametrize("rows", [[], [record()]], ids=["nothing", "an upload"])
def test_any_run_can_be_told(tmp_path: Path, rows: list[Record]) -> None:
    """Also one in which nothing was attempted."""
    folder = make_run(tmp_path, rows)
    assert render_markdown(gather(load_run(folder))).startswith("# quickstart: Passed")
