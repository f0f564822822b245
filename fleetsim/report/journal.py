"""Journal: the timeline of a run as ``timeline.jsonl`` tells it.

Every line has ``action``, ``planned_ns`` and ``actual_ns``; lines about an entry of the
scenario's timeline have a ``step`` as well: ``start``, anything on the way (``wave`` …)
and one ``end`` with an ``outcome``. Other lines (the load began, a bundle was refused)
are no entries.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

DONE: Final = "done"
OPEN: Final = "open"
"""Outcome of an entry whose end was never written: the run was killed."""

HARMLESS: Final = frozenset(
    {"issue_ca", "cross_sign", "issue_server_certificate", "wait_for", "assert"}
)
"""Actions that no device can notice: they change nothing a device meets."""

ABORT: Final = "abort"
"""Action of the line that says why a run was ended early; it is no entry."""

CHECKS: Final = frozenset({"assert", "wait_for"})
"""Actions that only look at the fleet: where they fail, the fleet failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of the timeline, as it went.

    Attributes:
        action: Key of the action.
        name: What the scenario calls it, empty when it does not.
        planned_ns: When it was due, run time; -1 = it never was.
        started_ns: When it started, -1 = it did not.
        ended_ns: When it was settled, -1 = the run was killed before.
        outcome: ``done``, ``failed``, ``skipped`` or :data:`OPEN`.
        reason: Why it was not done; empty when it was.
        noticed_ns: When devices may have met a change it made, sorted.
    """

    action: str
    name: str = ""
    planned_ns: int = -1
    started_ns: int = -1
    ended_ns: int = -1
    outcome: str = OPEN
    reason: str = ""
    noticed_ns: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """Name for people: the key, and the entry's own name if it has one."""
        return f"{self.action} {self.name}" if self.name else self.action


def entries_of(lines: Iterable[Mapping[str, Any]]) -> tuple[Entry, ...]:
    """Put the lines of each entry together, entries in the order of their first line.

    Lines that lack a field are left out: an older run knew other ones.
    """
    found: dict[object, list[Mapping[str, Any]]] = {}
    for line in lines:
        if not isinstance(line.get("step"), str) or not _is_line(line):
            continue
        if line["action"] == ABORT:
            continue
        key = line.get("entry", (line["action"], line.get("name", "")))
        found.setdefault(str(key), []).append(line)
    return tuple(_entry(group) for group in found.values())


def abort_reason(lines: Iterable[Mapping[str, Any]]) -> str:
    """Why a run was ended early; empty when it was not."""
    return next(
        (str(line.get("reason", "")) for line in lines if line.get("action") == ABORT),
        "",
    )


def changes_of(entries: Iterable[Entry]) -> tuple[int, ...]:
    """Run times at which devices may have met a change, sorted, each once."""
    return tuple(sorted({at for entry in entries for at in entry.noticed_ns}))


def _is_line(line: Mapping[str, Any]) -> bool:
    return isinstance(line.get("action"), str) and all(
        isinstance(line.get(key), int) for key in ("planned_ns", "actual_ns")
    )


def _entry(lines: list[Mapping[str, Any]]) -> Entry:
    first = lines[0]
    starts = [line["actual_ns"] for line in lines if line["step"] == "start"]
    end = next((line for line in lines if line["step"] == "end"), None)
    action = first["action"]
    is_harmless = action in HARMLESS or not starts
    return Entry(
        action=action,
        name=str(first.get("name") or ""),
        planned_ns=first["planned_ns"],
        started_ns=starts[0] if starts else -1,
        ended_ns=-1 if end is None else end["actual_ns"],
        outcome=OPEN if end is None else str(end.get("outcome", DONE)),
        reason="" if end is None else str(end.get("reason", "")),
        noticed_ns=()
        if is_harmless
        else tuple(sorted({line["actual_ns"] for line in lines})),
    )
