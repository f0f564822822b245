"""Arrow stream: rows on disk while a run goes on, Parquet once it has ended.

Each batch of an Arrow IPC stream is complete in itself: the stream of a killed run can
be read up to its last whole batch.
"""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from fleetsim.exceptions import RecordingError
from fleetsim.recording.names import SHARDS

GROUP_ROWS: Final = 65_536
"""Rows put together: one row group of Parquet, one piece in memory."""


def streams_of(folder: Path, name: str) -> tuple[Path, ...]:
    """Streams of a run that did not end: its own, or one of each of its shards."""
    return tuple(
        path
        for path in (folder / name, *sorted((folder / SHARDS).glob(f"*/{name}")))
        if path.exists()
    )


def stream_batches(path: Path) -> Iterator[Any]:
    """Read a stream batch by batch, up to where it was cut short.

    Raises:
        OSError: It cannot be opened.
    """
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


def stream_tables(path: Path) -> Iterator[Any]:
    """Read a stream in tables of about :data:`GROUP_ROWS` rows."""
    group: list[Any] = []
    rows = 0
    for batch in stream_batches(path):
        group.append(batch)
        rows += batch.num_rows
        if rows >= GROUP_ROWS:
            yield pa.Table.from_batches(group)
            group, rows = [], 0
    if group:
        yield pa.Table.from_batches(group)


def to_parquet(streams: Sequence[Path], target: Path, schema: Any) -> None:
    """Turn streams into one Parquet file and remove them.

    The Parquet file appears whole or not at all. Without a stream nothing happens.

    Args:
        streams: Arrow IPC streams, possibly cut short; their rows one after the other.
        target: Parquet file to make.
        schema: Its columns; those of the stream are cast to them.

    Raises:
        RecordingError: If the disk refuses; the streams are kept then.
    """
    if not streams:
        return
    partial = target.with_suffix(".parquet.part")
    try:
        with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
            for stream in streams:
                for table in stream_tables(stream):
                    writer.write_table(table.cast(schema))
        partial.replace(target)
        for stream in streams:
            stream.unlink()
    except OSError as exc:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise RecordingError(str(target), exc.strerror or str(exc)) from exc
