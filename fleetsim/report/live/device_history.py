"""Device history: what became of one device, from its run folder.

Also from the folder of a run that goes on: its streams can be read up to their last
flush. Meant for a thread beside the loop; the attempts are left out where the stream of
records has grown so long that reading it would take time from the generator.
"""

from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc

from fleetsim.exceptions import InputError
from fleetsim.recording.arrow_stream import streams_of
from fleetsim.recording.names import RECORDS, RECORDS_STREAM
from fleetsim.recording.records_file import read_batches
from fleetsim.recording.states import read_states

MOST_ATTEMPTS: Final = 60
MOST_CHANGES: Final = 500
MOST_BYTES: Final = 64_000_000
"""Size of the file of records past which a device's attempts are not looked for."""

_COLUMNS: Final = (
    "device",
    "operation",
    "attempt",
    "planned_ns",
    "started_ns",
    "ended_ns",
    "group",
    "suite",
    "status",
    "kind",
    "detail",
    "reused",
)


def device_history(folder: Path, device_id: str) -> dict[str, Any]:
    """What became of a device.

    Args:
        folder: Run folder, of a finished or a running run.
        device_id: 8 hex digits.

    Returns:
        ``changes`` of its contact state with reasons, and its last ``attempts``, oldest
        first; ``attempts`` is ``None`` where they are not looked for.
    """
    return {
        "id": device_id,
        "changes": _changes(folder, device_id),
        "attempts": _attempts(folder, device_id),
    }


def _changes(folder: Path, device_id: str) -> list[dict[str, Any]]:
    try:
        states = read_states(folder)
    except InputError:  # being written this very moment
        return []
    if states is None:
        return []
    mine = states.filter(pc.equal(states["device"], device_id))
    return [
        {
            "at_s": row["at_ns"] / 1e9,
            "was": row["was"],
            "state": row["state"],
            "reason": row["reason"],
        }
        for row in mine.slice(max(0, mine.num_rows - MOST_CHANGES)).to_pylist()
    ]


def _attempts(folder: Path, device_id: str) -> list[dict[str, Any]] | None:
    files = [folder / RECORDS, *streams_of(folder, RECORDS_STREAM)]
    size_bytes = sum(path.stat().st_size for path in files if path.exists())
    if not 0 < size_bytes <= MOST_BYTES:
        return None
    found: list[dict[str, Any]] = []
    try:
        for rows in read_batches(folder, _COLUMNS):
            mine = rows.filter(pc.equal(rows["device"], device_id))
            found += mine.to_pylist()
            del found[:-MOST_ATTEMPTS]
    except InputError:  # being written this very moment
        return None
    return [
        {
            "operation": row["operation"],
            "attempt": row["attempt"],
            "planned_s": row["planned_ns"] / 1e9,
            "started_s": row["started_ns"] / 1e9,
            "took_ms": (row["ended_ns"] - row["started_ns"]) / 1e6,
            "group": row["group"],
            "suite": row["suite"],
            "reused": row["reused"],
            "status": row["status"],
            "kind": row["kind"],
            "detail": row["detail"],
        }
        for row in found
    ]
