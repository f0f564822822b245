"""Arrow streams: whole, cut at any byte, and turned into Parquet whole or not at all."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fleetsim.exceptions import RecordingError
from fleetsim.recording.arrow_stream import (
    GROUP_ROWS,
    stream_batches,
    stream_tables,
    streams_of,
    to_parquet,
)

SCHEMA = pa.schema([pa.field("number", pa.int64(), nullable=False)])


def write(path: Path, batches: int, rows: int = 3) -> None:
    """Write a stream of batches; row ``n`` of all holds ``n``."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, SCHEMA) as stream:
        for batch in range(batches):
            numbers = range(batch * rows, (batch + 1) * rows)
            stream.write_batch(pa.record_batch([pa.array(numbers)], schema=SCHEMA))


def numbers_of(path: Path) -> list[int]:
    """All rows of a stream."""
    return [
        number
        for batch in stream_batches(path)
        for number in batch.column(0).to_pylist()
    ]


def test_cut_at_any_byte(tmp_path: Path) -> None:
    """Whatever byte a killed run stopped at, whole batches before it are read."""
    path = tmp_path / "s.arrows"
    write(path, 4)
    data = path.read_bytes()
    seen = set()
    for length in range(len(data) + 1):
        path.write_bytes(data[:length])
        found = numbers_of(path)
        assert found == list(range(len(found)))
        assert len(found) % 3 == 0
        seen.add(len(found))
    assert seen == {0, 3, 6, 9, 12}


def test_rows_come_in_large_groups(tmp_path: Path) -> None:
    """Small batches are put together, so that Parquet gets few row groups."""
    path = tmp_path / "s.arrows"
    write(path, 70, rows=1000)
    assert [table.num_rows for table in stream_tables(path)] == [66_000, 4_000]
    assert GROUP_ROWS == 65_536


def test_parquet_replaces_the_stream(tmp_path: Path) -> None:
    """The stream is gone once the Parquet file is there; without one nothing happens."""
    stream, target = tmp_path / "s.arrows", tmp_path / "s.parquet"
    to_parquet((), target, SCHEMA)
    assert not target.exists()
    write(stream, 5)
    to_parquet((stream,), target, SCHEMA)
    assert pq.read_table(target)["number"].to_pylist() == list(range(15))
    assert [path.name for path in tmp_path.iterdir()] == ["s.parquet"]


def test_a_disk_that_refuses_keeps_the_stream(tmp_path: Path) -> None:
    """When the Parquet file cannot be written the stream stays and nothing half does."""
    stream, target = tmp_path / "s.arrows", tmp_path / "gone" / "s.parquet"
    write(stream, 2)
    with pytest.raises(RecordingError, match=r"s\.parquet"):
        to_parquet((stream,), target, SCHEMA)
    assert numbers_of(stream) == list(range(6))


def test_streams_of_shards(tmp_path: Path) -> None:
    """A run of several processes has a stream of each, in their order, and one Parquet."""
    paths = [tmp_path / "shards" / f"{index:04d}" / "s.arrows" for index in range(3)]
    for index, path in enumerate(paths):
        path.parent.mkdir(parents=True)
        write(path, index)
    assert streams_of(tmp_path, "s.arrows") == tuple(paths)
    to_parquet(paths, tmp_path / "s.parquet", SCHEMA)
    found = pq.read_table(tmp_path / "s.parquet")["number"].to_pylist()
    assert found == [0, 1, 2, 0, 1, 2, 3, 4, 5]
    assert streams_of(tmp_path, "s.arrows") == ()
