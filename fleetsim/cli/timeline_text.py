"""Timeline text: what a plan will do while the fleet uploads: when, what, to whom."""

import json
from collections.abc import Iterator
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table

from fleetsim.scenario.dates import format_date
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.quantities import format_duration
from fleetsim.scenario.selecting import count_of, selected_count, selects_cohort
from fleetsim.scenario.timeline import TimelinePlan, due_ns
from fleetsim.scenario.timeline_needs import (
    selector_of,
    spread_ns,
    wave_count,
    waves_of_entry,
)
from fleetsim.scenario.timeline_schema import RunCommand

NS_PER_S: Final = 1_000_000_000
_SHOWN_APART: Final = frozenset({"to", "waves"})


def calendar_data(plan: Plan) -> dict[str, Any] | None:
    """Dates of the run; ``None`` = it happens now."""
    if plan.calendar_epoch_unix_s is None:
        return None
    end_s = plan.calendar_epoch_unix_s + plan.duration_ns / NS_PER_S * plan.time_scale
    return {
        "start": format_date(plan.calendar_epoch_unix_s),
        "end_of_load": format_date(end_s),
        "time_scale": plan.time_scale,
    }


def calendar_text(plan: Plan) -> str:
    """Dates of the run in words; empty = it happens now."""
    found = calendar_data(plan)
    if found is None:
        return ""
    second = format_duration(plan.time_scale)
    return f"{found['start']} to {found['end_of_load']}, a second is {second}"


def timeline_data(plan: Plan) -> list[dict[str, Any]]:
    """The timeline as JSON data, in the order of the scenario."""
    return [_entry_data(plan, entry) for entry in plan.timeline]


def _entry_data(plan: Plan, entry: TimelinePlan) -> dict[str, Any]:
    due = due_ns(plan.timeline, entry.index)
    selector, waves = selector_of(entry), waves_of_entry(entry)
    devices = None
    if selector is not None:
        devices = selected_count(plan.cohorts, plan.devices, selector)
    return {
        "index": entry.index,
        "name": entry.name,
        "action": entry.key,
        "content": _content(entry),
        "at_s": None if entry.at_ns is None else entry.at_ns / NS_PER_S,
        "after": None if entry.after is None else plan.timeline[entry.after].name,
        "when": None if entry.when is None else str(entry.when),
        "delay_s": entry.delay_ns / NS_PER_S,
        "earliest_s": None if due is None else due / NS_PER_S,
        "devices": devices,
        "waves": None
        if waves is None or devices is None
        else {
            "count": wave_count(waves, devices),
            "devices": count_of(waves.share, devices),
            "every_s": waves.every,
        },
        "replaced_by": entry.replaced_by,
    }


def _content(entry: TimelinePlan) -> dict[str, Any]:
    """What the scenario says of the action, defaults left out."""
    found: dict[str, Any] = entry.action.model_dump(
        mode="json", by_alias=True, exclude_defaults=True
    )
    return found


def print_timeline(plan: Plan, console: Console) -> None:
    """Print the timeline for people; nothing when there is none.

    Args:
        plan: The plan.
        console: Where to.
    """
    if not plan.timeline:
        return
    table = Table(
        box=box.SIMPLE, pad_edge=False, title="Timeline", title_justify="left"
    )
    table.add_column("when", overflow="fold")
    table.add_column("what", no_wrap=True)
    for name in ("with", "to whom"):
        table.add_column(name, overflow="fold")
    for entry in plan.timeline:
        table.add_row(
            when_text(plan, entry),
            f"{entry.key}\n  as {entry.name}" if entry.name else entry.key,
            "\n".join(_lines(entry)),
            whom_text(plan, entry),
        )
    console.print(table)
    for line in _needs(plan):
        console.print(line, soft_wrap=True)
    console.print()


def when_text(plan: Plan, entry: TimelinePlan) -> str:
    """When an entry is due, in words."""
    delay = f" + {_time(entry.delay_ns)}" if entry.delay_ns else ""
    if entry.at_ns is not None:
        if plan.calendar_epoch_unix_s is None:
            return f"at {_time(entry.at_ns)}"
        passed_s = entry.at_ns / NS_PER_S * plan.time_scale
        date = format_date(plan.calendar_epoch_unix_s + passed_s)
        return f"at {_time(entry.at_ns)} ({date})"
    if entry.after is not None:
        before = plan.timeline[entry.after]
        due = due_ns(plan.timeline, entry.index)
        earliest = "" if due is None else f"\n  not before {_time(due)}"
        return f"after {before.name or before.label}{delay}{earliest}"
    if entry.when is not None:
        return f"when {entry.when}{delay}"
    return "in place of others"


def whom_text(plan: Plan, entry: TimelinePlan) -> str:
    """Whom an entry is for, in words; empty = it is not for devices."""
    selector, waves = selector_of(entry), waves_of_entry(entry)
    if selector is None:
        return ""
    count = selected_count(plan.cohorts, plan.devices, selector)
    names = [c.name for c in plan.cohorts if selects_cohort(selector, c.name)]
    of = "" if len(names) == len(plan.cohorts) else f" of {', '.join(names)}"
    text = f"{count:,} device{'' if count == 1 else 's'}{of}"
    if waves is None or not count:
        return text
    number, size = wave_count(waves, count), count_of(waves.share, count)
    return (
        f"{text}, {number} waves of {size:,} every {format_duration(waves.every)}, "
        f"the last after {_time(spread_ns(waves, count))}"
    )


def _lines(entry: TimelinePlan) -> Iterator[str]:
    if entry.replaced_by is not None:
        yield f"(done by the command of timeline[{entry.replaced_by}])"
    for key, value in _content(entry).items():
        if key not in _SHOWN_APART:
            text = value if isinstance(value, str) else json.dumps(value)
            yield f"{key}: {text}"


def _needs(plan: Plan) -> Iterator[str]:
    commands = [
        entry
        for entry in plan.timeline
        if isinstance(entry.action, RunCommand)
        and not (entry.is_stand_in and plan.target is None)
    ]
    if commands:
        programs = sorted(
            {e.action.argv[0] for e in commands if isinstance(e.action, RunCommand)}
        )
        yield f"Runs programs of this machine (--allow-commands): {', '.join(programs)}"
    puts = sum(
        selected_count(plan.cohorts, plan.devices, selector)
        for entry in plan.timeline
        if entry.key.startswith("push_")
        and (selector := selector_of(entry)) is not None
    )
    if puts:
        yield f"Objects put for the devices to fetch: {puts:,}"


def _time(ns: int) -> str:
    return format_duration(ns / NS_PER_S)
