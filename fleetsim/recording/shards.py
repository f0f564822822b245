"""Shards: what the processes of one run write, and how it becomes one run folder.

While a run goes on, shard *i* of *n* writes its streams into ``shards/<i>/`` of the run
folder, so that a killed run can be read up to its last second; at the end they become the
files that a run of one process has, and the folder ``shards`` is gone. Rows of one device
are in one shard and keep their order there; between devices there is none.
"""

import contextlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from fleetsim.core.contact import ContactState
from fleetsim.exceptions import RecordingError
from fleetsim.recording import states
from fleetsim.recording.arrow_stream import stream_tables, streams_of
from fleetsim.recording.names import (
    SHARDS,
    STATES,
    STATES_STREAM,
)
from fleetsim.recording.records_file import stream_to_parquet


@dataclass(frozen=True, slots=True, kw_only=True)
class LostDevices:
    """Devices whose process died.

    Attributes:
        at_ns: When, run time.
        reason: Why they fell silent, for people.
        cohorts: Device id to the name of its cohort.
    """

    at_ns: int
    reason: str
    cohorts: Mapping[str, str]


def make_shard_folder(folder: Path, index: int) -> Path:
    """Make the folder of a shard in a run folder.

    Raises:
        RecordingError: If it cannot be made.
    """
    path = folder / SHARDS / f"{index:04d}"
    try:
        path.mkdir(parents=True)
    except OSError as exc:
        raise RecordingError(str(path), exc.strerror or str(exc)) from exc
    return path


def merge_shards(folder: Path, lost: Sequence[LostDevices] = ()) -> None:
    """Turn what the shards wrote into the files of one run.

    Args:
        folder: Run folder.
        lost: Devices that died with their shards: their histories end ``asleep``.

    Raises:
        RecordingError: If the disk refuses; the streams are kept then.
    """
    stream_to_parquet(folder)
    _merge_states(folder, lost)
    with contextlib.suppress(OSError):  # empty folders are no loss
        shutil.rmtree(folder / SHARDS)


def _merge_states(folder: Path, lost: Sequence[LostDevices]) -> None:
    schema = states.PLAIN_SCHEMA
    target = folder / STATES
    partial = target.with_suffix(".parquet.part")
    try:
        tables = [
            table.cast(schema)
            for path in streams_of(folder, STATES_STREAM)
            for table in stream_tables(path)
        ]
        whole = pa.concat_tables(tables) if tables else schema.empty_table()
        ends = [_ends(whole, each) for each in lost]
        # Stable, so that what happened to a device at one time keeps its order.
        whole = pa.concat_tables([whole, *ends]).sort_by([("at_ns", "ascending")])
        pq.write_table(whole, partial, compression="zstd")
        partial.replace(target)
    except OSError as exc:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise RecordingError(str(target), exc.strerror or str(exc)) from exc


def _ends(histories: Any, lost: LostDevices) -> Any:
    """The last change of every lost device."""
    mine = histories.filter(
        pc.is_in(histories["device"], pa.array(lost.cohorts, pa.string()))
    )
    was = dict(
        zip(mine["device"].to_pylist(), mine["state"].to_pylist(), strict=True)
    )  # the last one of each
    asleep = ContactState.ASLEEP.value
    rows = [
        {
            "device": device,
            "cohort": cohort,
            "at_ns": lost.at_ns,
            "was": was.get(device, ""),
            "state": asleep,
            "reason": lost.reason,
        }
        for device, cohort in lost.cohorts.items()
        if was.get(device) != asleep
    ]
    return pa.Table.from_pylist(rows, schema=states.PLAIN_SCHEMA)
