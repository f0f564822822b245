"""Terminal, both sides: what devices say beside what servers say, and every gap."""

from collections.abc import Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleetsim.report.plain import number, plain_table

_MOST_ROWS: Final = 12


def print_both_sides(summary: Mapping[str, Any], console: Console) -> None:
    """Print both sides of the wire.

    Args:
        summary: As :func:`fleetsim.report.summary.build_summary` makes it; one without
            ``observed`` prints nothing.
        console: Where to.
    """
    observed = summary.get("observed")
    if not observed or not observed["sources"]:
        return
    console.print()
    console.print("Both sides of the wire", style="bold")
    if observed["rows"]:
        console.print(_rows(observed["rows"]))
    if observed["refusals"]:
        console.print()
        console.print("Refused, in the words of both sides", style="bold")
        console.print(_refusals(observed["refusals"]))
        hidden = len(observed["refusals"]) - _MOST_ROWS
        if hidden > 0:
            console.print(f"{hidden} more in summary.json", style="dim")
    for line in _remarks(observed):
        console.print(line)


def _rows(rows: list[dict[str, Any]]) -> Table:
    has = {
        side: any(row[side] is not None for row in rows) for side in ("front", "store")
    }
    columns = ["devices"]
    columns += [name for side in has if has[side] for name in (side, "gap")]
    table = plain_table("", *columns)
    for row in rows:
        cells: list[Text | str] = [f"{row['devices']:,}"]
        for side, gap in (("front", "gap"), ("store", "store_gap")):
            if has[side]:
                value = row[side]
                cells += ["" if value is None else f"{value:,}", _gap(row[gap])]
        table.add_row(row["what"], *cells)
    return table


def _gap(gap: int | None) -> Text:
    if gap is None:
        return Text("")
    return Text(f"{gap:+,}", style="yellow") if gap else Text("0")


def _refusals(refusals: list[dict[str, Any]]) -> Table:
    table = plain_table(
        "device says", "front says", "devices", "attempts", "at front", "gap"
    )
    for each in refusals[:_MOST_ROWS]:
        table.add_row(
            each["device_says"] or "nothing",
            each["front_says"],
            f"{each['devices']:,}",
            f"{each['attempts']:,}",
            f"{each['at_front']:,}",
            _gap(each["gap"]),
        )
    return table


def _remarks(observed: Mapping[str, Any]) -> list[Text]:
    """What a reader must know; only where something does not agree."""
    found: list[Text] = []
    has_gap = any(row["gap"] or row["store_gap"] for row in observed["rows"])
    if not observed["is_complete"]:
        found.append(Text("The servers' side is incomplete.", style="yellow"))
    if has_gap and observed["cut_off"]:
        cut = number(observed["cut_off"], "attempt")
        found.append(Text(f"The end of the run cut off {cut}.", style="dim"))
    if has_gap:
        found += [Text(note, style="dim") for note in observed["notes"]]
    for source in observed["sources"]:
        if has_gap or not source["is_complete"]:
            found += [
                Text(f"{source['name']}: {note}", style="dim")
                for note in source["notes"]
            ]
        if source["others"]:
            others = number(source["others"], "line")
            found.append(
                Text(f"{source['name']}: left out {others} of others", style="dim")
            )
    return found
