"""Texts: a comparison for the terminal and as Markdown."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from fleetsim.report.compare.comparison import Against, Comparison
from fleetsim.report.compare.judging import Change, Judgement
from fleetsim.report.compare.wording import (
    change_table,
    difference_table,
    method_told,
    sentence,
    verdict,
)
from fleetsim.report.html.table import Table
from fleetsim.report.markdown import code_span, escape, markdown_table
from fleetsim.report.plain import plain_table

_STYLES = {
    "worse": "bold red",
    "better": "bold green",
    "worse and better": "bold yellow",
}


def print_comparison(
    comparison: Comparison, console: Console, *, everything: bool = False
) -> None:
    """Print a comparison.

    Args:
        comparison: What to print.
        console: Where to; see :func:`fleetsim.report.console.make_console`.
        everything: Also the metrics without evidence of a difference that are not the
            response time of uploads.
    """
    for against in comparison.others:
        style = _STYLES.get(verdict(against), "bold")
        console.print(
            Text.assemble(
                (verdict(against).upper(), style), f" {sentence(comparison, against)}"
            )
        )
    console.print()
    for side in comparison.sides:
        console.print(
            f"{side.letter}  {side.name}  {side.summary['verdict']}", soft_wrap=True
        )
    for against in comparison.others:
        _print_against(comparison, against, console, everything=everything)


def _print_against(
    comparison: Comparison, against: Against, console: Console, *, everything: bool
) -> None:
    if against.differences:
        _print_table(
            "What differs between the scenarios",
            difference_table(comparison, against),
            console,
        )
    shown = [each for each in against.changes if everything or is_notable(each)]
    title = f"{against.side.letter} against {comparison.baseline.letter}"
    _print_table(title, change_table(comparison, against, shown), console)
    hidden = len(against.changes) - len(shown)
    if hidden:
        console.print(
            f"{hidden} more metrics without evidence of a difference: --all",
            style="dim",
        )
    for remark in against.remarks:
        console.print(Text(f"Note: {remark}", style="yellow"))
    console.print(method_told(comparison, against), style="dim")


def is_notable(change: Change) -> bool:
    """Whether a change is shown even where only the notable ones are."""
    return (
        change.judgement is not Judgement.NO_EVIDENCE
        or change.metric.name.startswith("upload.response_time")
        or change.metric.name in {"upload.failed_ratio", "uploads_per_s", "stranded"}
    )


def _print_table(title: str, found: Table, console: Console) -> None:
    console.print()
    console.print(title, style="bold")
    shown = plain_table()
    for position, head in enumerate(found.head):
        shown.add_column(
            head.text,
            justify="right" if head.is_number else "left",
            overflow="fold",
            no_wrap=head.is_number or position == 0,
        )
    styles = {"good": "green", "bad": "red", "warn": "yellow", "soft": "dim"}
    for row in found.rows:
        shown.add_row(*(Text(cell.text, styles.get(cell.tone, "")) for cell in row))
    console.print(shown)


def render_markdown(comparison: Comparison) -> str:
    """Make a comparison as Markdown."""
    return "\n".join(_lines(comparison)) + "\n"


def _lines(comparison: Comparison) -> Iterator[str]:
    names = " and ".join(side.letter for side in comparison.sides[1:])
    yield f"# {escape(names)} against {comparison.baseline.letter}"
    yield ""
    for against in comparison.others:
        yield f"**{escape(verdict(against))}**: {escape(sentence(comparison, against))}"
        yield ""
    for side in comparison.sides:
        yield f"- {side.letter}: {code_span(side.name)}, {side.summary['verdict']}"
    yield ""
    for against in comparison.others:
        yield f"## {against.side.letter} against {comparison.baseline.letter}"
        yield ""
        if against.differences:
            yield from markdown_table(difference_table(comparison, against))
            yield ""
        yield from markdown_table(change_table(comparison, against, against.changes))
        yield ""
        for remark in against.remarks:
            yield f"- {escape(remark)}"
        yield ""
        yield escape(method_told(comparison, against))
        yield ""
