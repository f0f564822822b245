"""Records file: read a run's records, whole or cut short, batch by batch.

``records.parquet`` is the finished form, ``records.arrows`` the stream of a run that
is still going on or was killed (one for each shard, where several processes run it). Both are read column-wise in batches, so that millions
of rows need no more memory than one batch.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fleetsim.exceptions import InputError, Problem
from fleetsim.recording.arrow_stream import (
    GROUP_ROWS,
    stream_tables,
    streams_of,
    to_parquet,
)
from fleetsim.recording.columns import PLAIN_SCHEMA
from fleetsim.recording.names import RECORDS, RECORDS_STREAM


def stream_to_parquet(folder: Path) -> None:
    """Turn ``records.arrows`` (of the shards, if there are any) into ``records.parquet`` and remove the stream.

    The Parquet file appears whole or not at all. Without a stream nothing happens.

    Raises:
        RecordingError: If the disk refuses; the stream is kept then.
    """
    streams = streams_of(folder, RECORDS_STREAM)
    to_parquet(streams, folder / RECORDS, PLAIN_SCHEMA)


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
                for batch in file.iter_batches(GROUP_ROWS, columns=list(columns)):
                    table = pa.Table.from_batches([batch])
                    yield table.select(list(columns)).cast(wanted)
            return
        for path in streams_of(folder, RECORDS_STREAM):
            for table in stream_tables(path):
                yield table.select(list(columns)).cast(wanted)
    except (OSError, pa.ArrowException, KeyError) as exc:
        raise InputError(Problem(str(path), f"cannot be read: {exc}")) from exc
