"""Timeline: the entries of a scenario, decided: when each is due and what it does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fleetsim.exceptions import InputError, Problem
from fleetsim.scenario.condition import Condition
from fleetsim.scenario.dates import parse_date
from fleetsim.scenario.roster import to_ns
from fleetsim.scenario.schema import Scenario
from fleetsim.scenario.timeline_schema import (
    Action,
    CalendarSpec,
    RotateDeviceCertificates,
    RunCommand,
    TimelineEntry,
)

SERVER_ACTIONS: Final = frozenset(
    {
        "swap_server_certificate",
        "swap_ciphers",
        "swap_tls_versions",
        "revoke_devices",
        "unrevoke",
        "expire_crl",
        "rotate_credentials",
        "server_outage",
        "slow_server",
        "reset_connections",
        "dns_change",
        "fault",
    }
)
"""Keys of actions that need control of the server or of the path to it."""

PATH_ACTIONS: Final = frozenset({"fault"})
"""Those of them that a relay of our own can do before any server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelinePlan:
    """One entry of the timeline, decided.

    It is due at ``at_ns``, or ``delay_ns`` after the entry ``after`` is done, or
    ``delay_ns`` after ``when`` came true: exactly one of the three is given. An entry
    without any is a command that stands in for others (see ``replaced_by``) and is never
    due by itself.

    Attributes:
        index: Position in the plan's timeline and in the scenario.
        name: What others call it and what it makes; empty = it has no name.
        key: Key of the action, such as ``push_bundle``.
        action: What is done; every time in it is in seconds of the run, lifetimes in
            seconds of the calendar.
        at_ns: Run time.
        after: Index of the entry it waits for.
        delay_ns: Time added to ``after`` or ``when``.
        when: Condition on the live figures.
        replaced_by: Index of the ``run_command`` that is carried out in its place,
            because the target is not the lab.
    """

    index: int
    name: str
    key: str
    action: Action
    at_ns: int | None
    after: int | None
    delay_ns: int
    when: Condition | None
    replaced_by: int | None = None

    @property
    def is_stand_in(self) -> bool:
        """Whether it is never due by itself."""
        return self.at_ns is None and self.after is None and self.when is None

    @property
    def label(self) -> str:
        """Name for people: the key, and the entry's own name if it has one."""
        return f"{self.key} {self.name}" if self.name else self.key


def make_timeline(scenario: Scenario) -> tuple[TimelinePlan, ...]:
    """Decide the timeline, in the order of the scenario.

    Raises:
        InputError: The scenario was never checked and does not fit together.
    """
    names = {e.name: n for n, e in enumerate(scenario.timeline) if e.name is not None}
    entries = scenario.timeline
    stand_ins = {} if scenario.target is None else stand_ins_of(entries)
    planned: list[TimelinePlan] = []
    for index, entry in enumerate(entries):
        at = f"timeline[{index}]"
        try:
            key, action = entry.action
        except ValueError:
            raise InputError(Problem(at, "has no action")) from None
        if entry.after is not None and entry.after not in names:
            raise InputError(Problem(f"{at}.after", f"no entry {entry.after!r}"))
        at_s = _at_s(entry, scenario.calendar)
        planned.append(
            TimelinePlan(
                index=index,
                name=entry.name or "",
                key=key,
                action=action,
                at_ns=None if at_s is None else to_ns(at_s),
                after=None if entry.after is None else names[entry.after],
                delay_ns=to_ns(entry.delay),
                when=entry.when,
                replaced_by=stand_in_of(entry, stand_ins),
            )
        )
    return tuple(planned)


def due_ns(timeline: Sequence[TimelinePlan], index: int) -> int | None:
    """Earliest run time an entry is due, nanoseconds.

    Args:
        timeline: Timeline of a plan.
        index: Entry.

    Returns:
        ``None`` when it depends on a condition, or is never due by itself.
    """
    added_ns = 0
    entry = timeline[index]
    while entry.after is not None:
        added_ns += entry.delay_ns
        entry = timeline[entry.after]
    return None if entry.at_ns is None else entry.at_ns + added_ns


def _at_s(entry: TimelineEntry, calendar: CalendarSpec | None) -> float | None:
    if entry.date is None or calendar is None:
        return entry.at
    return run_time_s(entry.date, calendar)


def run_time_s(date: str, calendar: CalendarSpec) -> float:
    """Run time of a date, seconds; negative = before the run."""
    return (parse_date(date) - parse_date(calendar.start)) / calendar.time_scale


def needs_server(key: str, action: Action) -> bool:
    """Whether an action needs control of the server or of the path to it."""
    if isinstance(action, RotateDeviceCertificates):
        return action.revoke_old is not None
    return key in SERVER_ACTIONS


def stand_ins_of(entries: tuple[TimelineEntry, ...]) -> Mapping[str, int]:
    """Commands that replace others: index by the name or the action they replace."""
    found: dict[str, int] = {}
    for index, entry in enumerate(entries):
        command = entry.run_command
        if isinstance(command, RunCommand) and command.replaces is not None:
            found.setdefault(command.replaces, index)
    return found


def stand_in_of(entry: TimelineEntry, stand_ins: Mapping[str, int]) -> int | None:
    """Command that replaces an entry: one for its name, else one for its action."""
    if not stand_ins or not needs_server(*entry.action):
        return None
    by_name = stand_ins.get(entry.name) if entry.name else None
    return stand_ins.get(entry.action[0]) if by_name is None else by_name
