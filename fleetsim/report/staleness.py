"""Staleness: who has not looked at the server's new face yet.

A kept connection and a resumed session do not look at certificates: a device that lives
on either has proved nothing about the server's new chain or ciphers, however well it
uploads. So for every change of the timeline that devices may have met, this counts the
devices that have made a *full* TLS handshake since, those that were in contact without
one (whom the change may still meet), and those that were not in contact at all.

A handshake counts from its completion. Devices on plain HTTP make none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from fleetsim.recording.records_file import read_batches
from fleetsim.report.journal import Entry
from fleetsim.report.over_time import is_complete_handshake, rows_of

SHOWN: Final = 500
"""Most device ids listed for a change; counts are always complete."""

_COLUMNS: Final = (
    "device",
    "started_ns",
    "ended_ns",
    "dns_ns",
    "tcp_ns",
    "tls_ns",
    "suite",
    "resumed",
    "kind",
    "phase",
)


@dataclass(slots=True)
class LastSeen:
    """Last moments of every device, run time in ns.

    Attributes:
        full: Device to the end of its last full handshake.
        success: Device to the end of its last successful attempt.
    """

    full: dict[str, int] = field(default_factory=dict)
    success: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Staleness:
    """How far a change has got.

    Attributes:
        label: The entry of the timeline.
        at_ns: When devices could first meet it, run time.
        proved: Devices with a full handshake since.
        unproved: Devices with a success since, but without a full handshake.
        silent: Devices without a success since.
        examples: Ids of unproved devices, sorted, :data:`SHOWN` at most.
        unproved_by_cohort: Unproved devices by cohort.
    """

    label: str
    at_ns: int
    proved: int
    unproved: int
    silent: int
    examples: tuple[str, ...]
    unproved_by_cohort: Mapping[str, int]


def last_seen(folder: Path) -> LastSeen:
    """Read when each device last made a full handshake and last succeeded.

    Args:
        folder: Run folder, of a finished or a killed run.

    Raises:
        InputError: If the records cannot be read.
    """
    seen = LastSeen()
    for rows in read_batches(folder, _COLUMNS):
        done_ns = rows["started_ns"]
        for phase in ("dns_ns", "tcp_ns", "tls_ns"):
            done_ns = pc.add(done_ns, pc.max_element_wise(rows[phase], 0))
        is_full = pc.and_(is_complete_handshake(rows), pc.invert(rows["resumed"]))
        _keep_latest(seen.full, rows["device"], done_ns, is_full)
        is_ok = pc.equal(rows["kind"], "")
        _keep_latest(seen.success, rows["device"], rows["ended_ns"], is_ok)
    return seen


def staleness(
    entries: Sequence[Entry], seen: LastSeen, cohort_of: Mapping[str, str]
) -> tuple[Staleness, ...]:
    """Hold the last moments of the devices against each change.

    Args:
        entries: The timeline; entries no device can notice are left out.
        seen: Last moments of the devices.
        cohort_of: Every device of the run to its cohort.
    """
    return tuple(
        _staleness(entry, seen, cohort_of) for entry in entries if entry.noticed_ns
    )


def _staleness(entry: Entry, seen: LastSeen, cohort_of: Mapping[str, str]) -> Staleness:
    at_ns = entry.noticed_ns[0]
    proved = silent = 0
    unproved: list[str] = []
    by_cohort: dict[str, int] = {}
    for device, cohort in cohort_of.items():
        if seen.full.get(device, -1) >= at_ns:
            proved += 1
        elif seen.success.get(device, -1) >= at_ns:
            unproved.append(device)
            by_cohort[cohort] = by_cohort.get(cohort, 0) + 1
        else:
            silent += 1
    return Staleness(
        label=entry.label,
        at_ns=at_ns,
        proved=proved,
        unproved=len(unproved),
        silent=silent,
        examples=tuple(sorted(unproved)[:SHOWN]),
        unproved_by_cohort=dict(sorted(by_cohort.items())),
    )


def _keep_latest(latest: dict[str, int], devices: Any, times: Any, chosen: Any) -> None:
    table = pa.table({"device": devices, "at": times}).filter(chosen)
    found = table.group_by(["device"]).aggregate([("at", "max")])
    for device, at in rows_of(found.select(["device", "at_max"])):
        latest[device] = max(latest.get(device, -1), at)
