"""Verdicts: who lost contact, when, why, and whether the fleet healed.

From the histories of contact (``states.parquet``), the timeline and the episodes of
single devices (:mod:`fleetsim.report.episodes`); in ``summary.json`` under the key
``rehearsal``, for the fleet and for each cohort. A run without one of these files (an
older or killed one) has the figures that the others give.

States are those of :mod:`fleetsim.core.contact`. *Worst* is the first moment at which
most devices were failing or stranded. Series have one point a second, in runs of more
than :data:`MAX_POINTS` seconds one in every few.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc

from fleetsim.core.histogram import Histogram
from fleetsim.recording.run_folder import read_timeline
from fleetsim.recording.states import read_states
from fleetsim.report.contacts import Contacts, Stranding, follow
from fleetsim.report.episodes import Scan, Spent, scan
from fleetsim.report.journal import (
    DONE,
    OPEN,
    Entry,
    abort_reason,
    changes_of,
    entries_of,
)

MAX_POINTS: Final = 600
SHOWN: Final = 100
"""Most stranded devices, reasons and intervals listed; counts are always complete."""

_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What a run tells about contact.

    Attributes:
        step_s: Seconds between two points of a series, >= 1.
        contacts: By cohort; ``None`` = all together. Empty = no histories were kept.
        entries: The timeline as it went.
        aborted: Why a threshold ended the run early; empty when none did.
        changes: Run times at which devices may have met a change.
        scan: Episodes, late files, groups, failures and bytes.
    """

    step_s: int
    contacts: Mapping[str | None, Contacts]
    entries: tuple[Entry, ...]
    aborted: str
    changes: tuple[int, ...]
    scan: Scan

    def detection_ns(self, cohort: str | None = None) -> Histogram:
        """Times to detect: the first episode after each change, of each device."""
        seen: set[tuple[str, int]] = set()
        times: list[int] = []
        for episode in self.scan.episodes:
            waited_ns = episode.detected_ns(self.changes)
            if waited_ns is None or cohort not in {None, episode.cohort}:
                continue
            key = (episode.device, episode.began_ns - waited_ns)
            if key not in seen:
                seen.add(key)
                times.append(waited_ns)
        return Histogram.of(times)

    def recovery_ns(self, cohort: str | None = None) -> Histogram:
        """Times to recover, of all episodes that ended."""
        return Histogram.of(
            lasted_ns
            for episode in self.scan.episodes
            if cohort in {None, episode.cohort}
            and (lasted_ns := episode.recovered_ns) is not None
        )

    def unrecovered(self, cohort: str | None = None) -> int:
        """Devices whose last episode did not end before the run."""
        return sum(
            each.recovered_ns is None and cohort in {None, each.cohort}
            for each in self.scan.episodes
        )

    def late(self, cohort: str | None = None) -> int:
        """Files that arrived more than a file period late."""
        late = self.scan.late
        return late.total() if cohort is None else late[cohort]

    def spent(self, cohort: str | None = None) -> Spent:
        """What was spent on the wire."""
        total = Spent()
        for in_cohort, spent in self.scan.spent.items():
            if cohort in {None, in_cohort}:
                total.add(spent)
        return total

    @property
    def not_done(self) -> tuple[Entry, ...]:
        """Entries of the timeline that were not carried out."""
        return tuple(each for each in self.entries if each.outcome not in {DONE, OPEN})


def load_rehearsal(
    folder: Path, *, scenario: Mapping[str, Any], last_ns: int
) -> Rehearsal:
    """Read what a run folder tells about contact.

    Args:
        folder: Run folder.
        scenario: The resolved scenario of the manifest.
        last_ns: End of the last attempt, run time.

    Raises:
        InputError: If a file is damaged.
    """
    lines = read_timeline(folder)
    entries = entries_of(lines)
    changes = changes_of(entries)
    states = read_states(folder)
    end_ns = last_ns
    if states is not None and states.num_rows:
        end_ns = max(end_ns, pc.max(states["at_ns"]).as_py())
    step_s = max(1, math.ceil(end_ns / _NS_PER_S / MAX_POINTS))
    return Rehearsal(
        step_s=step_s,
        contacts={} if states is None else follow(states, step_s, end_ns),
        entries=entries,
        aborted=abort_reason(lines),
        changes=changes,
        scan=scan(folder, changes=changes, periods_ns=_periods_ns(scenario)),
    )


def _periods_ns(scenario: Mapping[str, Any]) -> dict[str, int]:
    """File period of each cohort of a resolved scenario; older ones may lack it.

    The scenario is kept as written: a run that was shortened had shorter periods.
    """
    found: dict[str, int] = {}
    factor = scenario.get("shorten_by")
    if not isinstance(factor, int | float) or factor < 1:
        factor = 1
    cohorts = scenario.get("cohorts", ())
    for cohort in cohorts if isinstance(cohorts, list | tuple) else ():
        work = cohort.get("workload", {}) if isinstance(cohort, dict) else {}
        period_s = work.get("period") if isinstance(work, dict) else None
        if isinstance(period_s, int | float) and period_s > 0 and "name" in cohort:
            found[str(cohort["name"])] = round(period_s / factor * _NS_PER_S)
    return found


# ---------------------------------------------------------------- as JSON


def rehearsal_data(
    rehearsal: Rehearsal,
    cohort: str | None,
    *,
    freshness_ns: Histogram,
    files: Mapping[str, int | None],
) -> dict[str, Any]:
    """What ``summary.json`` says of the contact of a cohort, or of all.

    Args:
        rehearsal: The run.
        cohort: Cohort name, ``None`` = all; the timeline is told for all only.
        freshness_ns: Ages of the newest stored files at the end.
        files: ``closed``, ``lost`` and ``backlog`` as the devices count them.
    """
    spent = rehearsal.spent(cohort)
    data: dict[str, Any] = {
        **_contact_data(rehearsal, cohort),
        "time_to_detect_s": _seconds(rehearsal.detection_ns(cohort)),
        "time_to_recover_s": {
            **_seconds(rehearsal.recovery_ns(cohort)),
            "not_recovered": rehearsal.unrecovered(cohort),
        },
        "freshness_s": _seconds(freshness_ns),
        "files": {**files, "late": rehearsal.late(cohort)},
        "spent": {
            "handshakes": spent.handshakes,
            "resumed": spent.resumed,
            "bytes_on_wire": spent.bytes_on_wire,
            "overhead_bytes": spent.bytes_on_wire - spent.body_bytes,
        },
        "cipher_groups_over_time": _groups(rehearsal, cohort),
    }
    if cohort is None:
        data["timeline"] = _timeline(rehearsal)
    return data


def _contact_data(rehearsal: Rehearsal, cohort: str | None) -> dict[str, Any]:
    contacts = rehearsal.contacts.get(cohort)
    if contacts is None:
        return {"states": None, "stranded": None}
    worst, worst_ns = contacts.worst
    peak, peak_ns = contacts.stranded_peak
    return {
        "states": {
            "step_s": rehearsal.step_s,
            "over_time": contacts.series,
            "start": contacts.series[0] if contacts.series else {},
            "worst": {
                "at_s": worst_ns / _NS_PER_S if worst else None,
                "out_of_touch": worst,
                "counts": contacts.at_worst,
            },
            "end": dict(contacts.final),
        },
        "stranded": {
            "count": len(contacts.stranded),
            "ever": contacts.stranded_ever,
            "peak": peak,
            "peak_at_s": peak_ns / _NS_PER_S if peak else None,
            "reasons": _reasons(contacts.stranded),
            "devices": [
                {
                    "device": each.device,
                    "cohort": each.cohort,
                    "since_s": each.since_ns / _NS_PER_S,
                    "reason": each.reason,
                }
                for each in contacts.stranded[:SHOWN]
            ],
        },
    }


def _reasons(stranded: Iterable[Stranding]) -> list[dict[str, Any]]:
    """Proofs with the number of devices each holds for, most first."""
    by_reason: dict[str, list[Stranding]] = {}
    for each in stranded:
        by_reason.setdefault(each.reason, []).append(each)
    ranked = sorted(by_reason.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        {
            "reason": reason,
            "devices": len(group),
            "cohorts": sorted({each.cohort for each in group}),
            "first_s": min(each.since_ns for each in group) / _NS_PER_S,
            "last_s": max(each.since_ns for each in group) / _NS_PER_S,
            "example": group[0].device,
        }
        for reason, group in ranked[:SHOWN]
    ]


def _seconds(times: Histogram) -> dict[str, Any]:
    def seconds(value_ns: float | None) -> float | None:
        return None if value_ns is None else value_ns / _NS_PER_S

    return {
        "count": times.count,
        "p50": seconds(times.percentile(50)),
        "p90": seconds(times.percentile(90)),
        "p99": seconds(times.percentile(99)),
        "max": seconds(times.maximum_ns),
    }


def _groups(rehearsal: Rehearsal, cohort: str | None) -> dict[str, Any]:
    """Successful attempts by cipher group, per step; a group without any is absent."""
    step_s = rehearsal.step_s
    counts: Counter[tuple[int, str]] = Counter()
    for (second, in_cohort, group), count in rehearsal.scan.groups.items():
        if cohort in {None, in_cohort}:
            counts[second // step_s, group] += count
    length = max((slot for slot, _ in counts), default=-1) + 1
    return {
        "step_s": step_s,
        "groups": {
            group: [counts[slot, group] for slot in range(length)]
            for group in sorted({group for _, group in counts})
        },
    }


def _timeline(rehearsal: Rehearsal) -> dict[str, Any]:
    outcomes = Counter(entry.outcome for entry in rehearsal.entries)
    return {
        "planned": len(rehearsal.entries),
        "done": outcomes[DONE],
        "failed": outcomes["failed"],
        "skipped": outcomes["skipped"],
        "open": outcomes[OPEN],
        "aborted": rehearsal.aborted,
        "entries": [_entry(each) for each in rehearsal.entries],
        "intervals": _intervals(rehearsal.entries, rehearsal),
    }


def _entry(entry: Entry) -> dict[str, Any]:
    def seconds(at_ns: int) -> float | None:
        return at_ns / _NS_PER_S if at_ns >= 0 else None

    return {
        "action": entry.action,
        "name": entry.name,
        "planned_s": seconds(entry.planned_ns),
        "started_s": seconds(entry.started_ns),
        "ended_s": seconds(entry.ended_ns),
        "outcome": entry.outcome,
        "reason": entry.reason,
    }


def _intervals(entries: Sequence[Entry], rehearsal: Rehearsal) -> list[dict[str, Any]]:
    """Failures between one change and the next; intervals without any are left out."""
    kinds: defaultdict[int, dict[str, int]] = defaultdict(dict)
    for (number, kind), count in sorted(rehearsal.scan.failures.items()):
        kinds[number][kind] = count
    changes = rehearsal.changes
    found = []
    for number, failures in sorted(kinds.items())[:SHOWN]:
        since_ns = changes[number - 1] if number else 0
        found.append(
            {
                "from_s": since_ns / _NS_PER_S,
                "to_s": changes[number] / _NS_PER_S if number < len(changes) else None,
                "after": [
                    entry.label
                    for entry in entries
                    if number and since_ns in entry.noticed_ns
                ],
                "failures": failures,
            }
        )
    return found
