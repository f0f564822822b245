"""Terminal, rehearsals: contact at start, worst and end; who is stranded; the timeline.

A load run in which every device kept its contact and nothing was scripted has nothing
to say here.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleetsim.core.contact import ContactState
from fleetsim.report.plain import number, plain_table, shown_time

_MOST_REASONS: Final = 5
_MOST_ENTRIES: Final = 40


def print_rehearsal(summary: Mapping[str, Any], console: Console) -> None:
    """Print what became of the fleet's contact.

    Args:
        summary: As :func:`fleetsim.report.summary.build_summary` makes it; an older one
            without ``rehearsal`` prints nothing.
        console: Where to.
    """
    rehearsal = summary.get("rehearsal")
    if not rehearsal:
        return
    states, timeline = rehearsal["states"], rehearsal["timeline"]
    is_eventful = timeline["planned"] or (
        states is not None and states["worst"]["out_of_touch"]
    )
    if timeline["aborted"]:
        console.print(Text(f"Ended early: {timeline['aborted']}", style="red"))
    if not is_eventful:
        return
    if timeline["planned"]:
        _section("Timeline", _timeline(timeline), console)
        hidden = len(timeline["entries"]) - _MOST_ENTRIES
        if hidden > 0:
            console.print(f"{hidden} more entries in summary.json", style="dim")
    if states is not None:
        _section("Contact", _contact(states), console)
        for line in _stranded(rehearsal["stranded"]):
            console.print(line)
    console.print(_times(rehearsal))


def _section(title: str, table: Table, console: Console) -> None:
    console.print()
    console.print(title, style="bold")
    console.print(table)


def _timeline(timeline: Mapping[str, Any]) -> Table:
    table = plain_table("entry", "planned", "started", "ended", "outcome")
    for entry in timeline["entries"][:_MOST_ENTRIES]:
        label = f"{entry['action']} {entry['name']}".rstrip()
        reason = f": {entry['reason']}" if entry["reason"] else ""
        is_done = entry["outcome"] == "done"
        table.add_row(
            Text(label),
            *(_moment(entry[key]) for key in ("planned_s", "started_s", "ended_s")),
            Text(f"{entry['outcome']}{reason}", style="" if is_done else "red"),
        )
    return table


def _contact(states: Mapping[str, Any]) -> Table:
    worst = states["worst"]
    rows = [("start", states["start"])]
    if worst["at_s"] is not None:
        rows.append((f"worst, at {_moment(worst['at_s'])}", worst["counts"]))
    rows.append(("end", states["end"]))
    used = [
        state.value
        for state in ContactState
        if any(counts.get(state.value) for _, counts in rows)
    ]
    table = plain_table("contact", *used)
    for label, counts in rows:
        table.add_row(label, *(f"{counts.get(state, 0):,}" for state in used))
    return table


def _stranded(stranded: Mapping[str, Any]) -> Iterable[Text]:
    reasons = stranded["reasons"]
    for each in reasons[:_MOST_REASONS]:
        since = _moment(each["first_s"])
        if each["last_s"] - each["first_s"] >= 1:
            since = f"{since} to {_moment(each['last_s'])}"
        yield Text(
            f"{number(each['devices'], 'device')} stranded ({', '.join(each['cohorts'])};"
            f" since {since}; {each['example']} for one): {each['reason']}",
            style="red",
        )
    if len(reasons) > _MOST_REASONS:
        yield Text(f"{len(reasons) - _MOST_REASONS} more reasons in summary.json")
    healed = stranded["ever"] - stranded["count"]
    if healed > 0:
        yield Text(f"{number(healed, 'device')} that had been stranded came back")


def _times(rehearsal: Mapping[str, Any]) -> Text:
    parts = [
        f"{what} p50 {_span(times['p50'])}, max {_span(times['max'])}"
        for what, times in (
            ("detected after", rehearsal["time_to_detect_s"]),
            ("recovered after", rehearsal["time_to_recover_s"]),
            ("newest file at the end: age", rehearsal["freshness_s"]),
        )
        if times["count"]
    ]
    lost = rehearsal["time_to_recover_s"]["not_recovered"]
    if lost:
        parts.append(f"{number(lost, 'device')} did not recover")
    files = rehearsal["files"]
    parts.append(
        "files: "
        + ", ".join(
            f"{files[key]:,} {words}"
            for key, words in (
                ("late", "late"),
                ("lost", "lost"),
                ("backlog", "left on cards"),
            )
            if files[key] is not None
        )
    )
    return Text("; ".join(parts))


def _moment(at_s: float | None) -> str:
    return "-" if at_s is None else f"{at_s:.1f} s"


def _span(seconds: float | None) -> str:
    return shown_time(None if seconds is None else seconds * 1000)
