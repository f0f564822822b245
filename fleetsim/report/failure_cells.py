"""Failure cells: failed attempts by phase, kind and cohort, each with an example.

The example is the first such attempt in the order of writing, with the words of the
peer or of the operating system: what somebody needs to start looking.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc

from fleetsim.recording.records_file import read_batches
from fleetsim.report.over_time import rows_of

_KEYS: Final = ("phase", "kind", "cohort")
_EXAMPLE: Final = (
    "device",
    "operation",
    "attempt",
    "ended_ns",
    "endpoint",
    "group",
    "alert",
    "status",
    "detail",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One failed attempt.

    Attributes:
        device: Device id.
        operation: What was attempted.
        attempt: Number of the attempt within its operation, from 1.
        ended_ns: When it failed, run time.
        endpoint: ``host:port``.
        group: Cipher group offered, empty on plain HTTP.
        alert: Alert the peer sent, empty when none.
        status: HTTP status, 0 = no response.
        detail: Words of the peer or the operating system.
    """

    device: str
    operation: str
    attempt: int
    ended_ns: int
    endpoint: str
    group: str
    alert: str
    status: int
    detail: str


@dataclass(slots=True, kw_only=True)
class FailureCell:
    """Failures of one kind, in one phase, in one cohort.

    Attributes:
        phase: Where in the attempt, a value of :class:`fleetsim.core.failure.Phase`.
        kind: Failure kind.
        cohort: Cohort name.
        example: The first of them.
        attempts: How many.
        devices: On how many devices.
        first_ns: When the first failed, run time.
        last_ns: When the last failed, run time.
        operations: Attempts by operation.
    """

    phase: str
    kind: str
    cohort: str
    example: Example
    attempts: int = 0
    devices: int = 0
    first_ns: int = 0
    last_ns: int = 0
    operations: Counter[str] = field(default_factory=Counter)


def failure_cells(folder: Path) -> tuple[FailureCell, ...]:
    """Read the failures of a run, most attempts first.

    Attempts that the end of the run cut off are told as well, under their own kind.

    Args:
        folder: Run folder, of a finished or a killed run.

    Raises:
        InputError: If the records cannot be read.
    """
    cells: dict[tuple[str, str, str], FailureCell] = {}
    devices: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    for rows in read_batches(folder, (*_KEYS, *_EXAMPLE)):
        failed = rows.filter(pc.not_equal(rows["kind"], ""))
        if failed.num_rows:
            _add_cells(cells, failed)
            for device, *key in rows_of(
                failed.group_by(["device", *_KEYS])
                .aggregate([])
                .select(["device", *_KEYS])
            ):
                devices[key[0], key[1], key[2]].add(device)
    for key_of, cell in cells.items():
        cell.devices = len(devices[key_of])
    return tuple(
        sorted(
            cells.values(),
            key=lambda cell: (-cell.attempts, cell.kind, cell.phase, cell.cohort),
        )
    )


def _add_cells(cells: dict[tuple[str, str, str], FailureCell], failed: Any) -> None:
    # "first" needs the order of writing, so one thread
    grouped = failed.group_by(list(_KEYS), use_threads=False).aggregate(
        [
            ("ended_ns", "count"),
            ("ended_ns", "min"),
            ("ended_ns", "max"),
            *((name, "first") for name in _EXAMPLE),
        ]
    )
    for row in grouped.to_pylist():
        key = (row["phase"], row["kind"], row["cohort"])
        cell = cells.get(key)
        if cell is None:
            cell = cells[key] = FailureCell(
                phase=key[0],
                kind=key[1],
                cohort=key[2],
                example=Example(**{name: row[f"{name}_first"] for name in _EXAMPLE}),
                first_ns=row["ended_ns_min"],
            )
        cell.attempts += row["ended_ns_count"]
        cell.first_ns = min(cell.first_ns, row["ended_ns_min"])
        cell.last_ns = max(cell.last_ns, row["ended_ns_max"])
    keys = [*_KEYS, "operation"]
    counts = failed.group_by(keys).aggregate([([], "count_all")])
    for phase, kind, cohort, operation, count in rows_of(
        counts.select([*keys, "count_all"])
    ):
        cells[phase, kind, cohort].operations[operation] += count
