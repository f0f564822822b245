"""Timeline checks: every entry has one time and one action, in an order that works."""

from collections.abc import Iterator
from typing import Final

from fleetsim.scenario.action_checks import ActionChecks
from fleetsim.scenario.entry_order import (
    BUILT_IN_CAS,
    TRIGGERS,
    EntryOrder,
    actions_of,
)
from fleetsim.scenario.finding import Finding
from fleetsim.scenario.quantities import format_duration, shown
from fleetsim.scenario.schema import Scenario
from fleetsim.scenario.suggest import did_you_mean
from fleetsim.scenario.timeline import (
    PATH_ACTIONS,
    SERVER_ACTIONS,
    needs_server,
    stand_in_of,
    stand_ins_of,
)
from fleetsim.scenario.timeline_schema import ACTIONS, TimelineEntry
from fleetsim.scenario.yaml_document import Loc

_TIMELINE: Final[Loc] = ("timeline",)


def check_timeline(scenario: Scenario, *, allow_commands: bool) -> Iterator[Finding]:
    """Find everything in the timeline that does not fit together.

    Args:
        scenario: A scenario whose fields are each right by themselves.
        allow_commands: Whether the operator lets the timeline run programs.
    """
    order = EntryOrder(scenario)
    if scenario.timeline and scenario.lab is not None:
        for number, front in enumerate(scenario.lab.fronts):
            if front.name in BUILT_IN_CAS:
                yield Finding(
                    ("lab", "fronts", number, "name"),
                    f"in a timeline {shown(front.name)} is an authority of the lab: "
                    "choose another name",
                    needs=(_TIMELINE,),
                )
    for index, entry in enumerate(scenario.timeline):
        at: Loc = (*_TIMELINE, index)
        keys = actions_of(entry)
        yield from _name(order, index, at)
        if len(keys) != 1:
            what = "write a second entry" if keys else f"one of {', '.join(ACTIONS)}"
            yield Finding((*at, *keys[1:2]), f"an entry does exactly one thing: {what}")
            continue
        is_stand_in = entry.run_command is not None and entry.run_command.replaces
        yield from _trigger(scenario, entry, at, is_stand_in=bool(is_stand_in))
        yield from _order(scenario, order, index, at)
        yield from _server(scenario, order, entry, at)
        yield from _command(scenario, order, entry, at, is_allowed=allow_commands)
        key, action = entry.action
        yield from ActionChecks(scenario, order, index, (*at, key)).check(action)


def _name(order: EntryOrder, index: int, at: Loc) -> Iterator[Finding]:
    name = order.entries[index].name
    if name is None:
        return
    if order.by_name[name] != index:
        yield Finding((*at, "name"), f"another entry is named {shown(name)} already")
    elif name in order.made and order.made[name].index is None:
        yield Finding(
            (*at, "name"),
            f"{shown(name)} is {order.made[name].product.value} that is there from the "
            "start: choose another name",
            (("lab",),),
        )


def _trigger(
    scenario: Scenario, entry: TimelineEntry, at: Loc, *, is_stand_in: bool
) -> Iterator[Finding]:
    given = [name for name in TRIGGERS if getattr(entry, name) is not None]
    if is_stand_in:
        if given:
            yield Finding(
                (*at, given[0]),
                "a command that replaces an action is run when that action is due: "
                "leave the time out",
            )
    elif len(given) != 1:
        yield Finding(
            (*at, given[1] if given else "at"),
            f"say when by exactly one of {', '.join(TRIGGERS)}",
            tuple((*at, name) for name in TRIGGERS),
        )
    if entry.delay and not {"after", "when"} & set(given):
        yield Finding(
            (*at, "delay"),
            "a delay is added to after or when",
            tuple((*at, name) for name in TRIGGERS),
        )
    if entry.date is not None and scenario.calendar is None:
        yield Finding(
            (*at, "date"),
            "the scenario has no calendar: write calendar: {start: …}, or a run time",
            needs=(("calendar",),),
        )


def _order(
    scenario: Scenario, order: EntryOrder, index: int, at: Loc
) -> Iterator[Finding]:
    entry = order.entries[index]
    if entry.after is not None:
        if entry.after not in order.by_name:
            yield Finding(
                (*at, "after"),
                f"no entry is named {shown(entry.after)}"
                f"{did_you_mean(entry.after, order.by_name)}",
                order.name_places,
            )
            return
        previous = order.previous(index)
        if index in previous:
            names = [str(order.entries[n].name) for n in previous]
            yield Finding(
                (*at, "after"),
                f"waits for itself: {' after '.join([entry.after, *names[1:]])}"
                if len(names) > 1
                else "waits for itself",
                (*order.time_places(index), *order.name_places),
            )
            return
        last = order.entries[order.by_name[entry.after]]
        if last.run_command is not None and last.run_command.replaces is not None:
            yield Finding(
                (*at, "after"),
                f"{entry.after} has no time of its own: wait for what it replaces",
                order.name_places,
            )
    due_s = order.due_s(index)
    end_s = scenario.duration + scenario.drain
    place: Loc = (
        *at,
        next((t for t in TRIGGERS if getattr(entry, t) is not None), ""),
    )
    depends: tuple[Loc, ...] = (
        ("duration",),
        ("drain",),
        ("calendar",),
        *order.time_places(index),
    )
    if due_s is not None and due_s < 0:
        yield Finding(place, "is before the calendar starts", depends)
    if due_s is not None and due_s > end_s:
        yield Finding(
            place,
            f"would be due {format_duration(due_s)} into a run that ends after "
            f"{format_duration(end_s)}",
            depends,
        )


def _server(
    scenario: Scenario, order: EntryOrder, entry: TimelineEntry, at: Loc
) -> Iterator[Finding]:
    if scenario.target is None or not needs_server(*entry.action):
        return
    if entry.action[0] in PATH_ACTIONS:
        return
    if stand_in_of(entry, stand_ins_of(scenario.timeline)) is None:
        key = entry.action[0]
        yield Finding(
            (*at, key),
            "needs control of the server, and this one is not the lab: add an entry "
            f"{{run_command: {{argv: […], replaces: {entry.name or key}}}}} that does it",
            (
                ("target",),
                *order.name_places,
                *(
                    (*_TIMELINE, n, "run_command")
                    for n in range(len(scenario.timeline))
                ),
            ),
        )


def _command(
    scenario: Scenario,
    order: EntryOrder,
    entry: TimelineEntry,
    at: Loc,
    *,
    is_allowed: bool,
) -> Iterator[Finding]:
    command = entry.run_command
    if command is None:
        return
    if not is_allowed and (command.replaces is None or scenario.target is not None):
        yield Finding(
            (*at, "run_command"),
            "runs a program of this machine: only with --allow-commands",
        )
    if command.replaces is None:
        return
    replaced = [
        other
        for other in scenario.timeline
        if len(actions_of(other)) == 1
        and needs_server(*other.action)
        and command.replaces in {other.name, other.action[0]}
    ]
    if not replaced:
        known = {*SERVER_ACTIONS, *(e.name for e in scenario.timeline if e.name)}
        yield Finding(
            (*at, "run_command", "replaces"),
            f"no entry that needs the server is called {shown(command.replaces)} or "
            f"does that{did_you_mean(command.replaces, sorted(known))}",
            order.name_places,
        )
