"""Records file: read a run's records, whole or cut short, batch by batch.

``records.parquet`` is the finished form, ``records.arrows`` the stream of a run that
is still going on or was killed. Both are read column-wise in batches, so that millions
of rows need no more memory than one batch.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from fleetsim.exceptions import InputError, Problem, RecordingError
from fleetsim.recording.columns import PLAIN_SCHEMA
from fleetsim.recording.names import RECORDS, RECORDS_STREAM

_BATCH_ROWS: Final = 65_536


def stream_to_parquet(folder: Path) -> None:
    """Turn ``records.arrows`` into ``records.parquet`` and remove the stream.

    The Parquet file appears whole or not at all. Without a stream nothing happens.

    Raises:
        RecordingError: If the disk refuses; the stream is kept then.
    """
    stream, target = folder / RECORDS_STREAM, folder / RECORDS
    if not stream.exists():
        return
    partial = target.with_suffix(".parquet.part")
    try:
        with pq.ParquetWriter(partial, PLAIN_SCHEMA, compression="zstd") as writer:
            for batches in _grouped(_stream_batches(stream)):
                table = pa.Table.from_batches(batches).cast(PLAIN_SCHEMA)
                writer.write_table(table)
        partial.replace(target)
        stream.unlink()
    except OSError as exc:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise RecordingError(str(target), exc.strerror or str(exc)) from exc


def read_batches(folder: Path, columns: Sequence[str]) -> Iterator[Any]:
    """Read columns of a run's records.

    A stream that was cut short is read up to its last complete batch.

    Args:
        folder: Run folder.
        columns: Names of :class:`~fleetsim.recording.record.Record` fields.

    Yields:
        ``pyarrow.Table`` pieces with these columns, text as plain strings, in the
        order of writing; none for a run that recorded nothing.

    Raises:
        InputError: If the file is damaged or is not a records file.
    """
    wanted = pa.schema([PLAIN_SCHEMA.field(name) for name in columns])
    path = folder / RECORDS
    try:
        if path.exists():
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_BATCH_ROWS, columns=list(columns)):
                    table = pa.Table.from_batches([batch])
                    yield table.select(list(columns)).cast(wanted)
            return
        path = folder / RECORDS_STREAM
        if path.exists():
            for batches in _grouped(_stream_batches(path)):
                table = pa.Table.from_batches(batches)
                yield table.select(list(columns)).cast(wanted)
    except (OSError, pa.ArrowException, KeyError) as exc:
        raise InputError(Problem(str(path), f"cannot be read: {exc}")) from exc


def _stream_batches(path: Path) -> Iterator[Any]:
    with pa.OSFile(str(path), "rb") as source:
        try:
            reader = pa.ipc.open_stream(source)
        except pa.ArrowInvalid:
            return  # killed before the schema was written
        while True:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                return
            except (pa.ArrowInvalid, OSError):
                return  # the batch that was being written when the run was killed
            yield batch


def _grouped(batches: Iterator[Any]) -> Iterator[list[Any]]:
    group: list[Any] = []
    rows = 0
    for batch in batches:
        group.append(batch)
        rows += batch.num_rows
        if rows >= _BATCH_ROWS:
            yield group
            group, rows = [], 0
    if group:
        yield group
