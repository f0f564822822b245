"""Every record reaches the disk once, also when the run does not end well."""

from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fleetsim.core.histogram import Histogram
from fleetsim.exceptions import RecordingError
from fleetsim.recording.columns import NAMES, PLAIN_SCHEMA
from fleetsim.recording.recorder import BATCH_ROWS, Recorder
from fleetsim.recording.records_file import read_batches
from tests.recording.records import MS, S, record


def read(folder: Path) -> list[dict[str, object]]:
    """Read all rows of a run folder."""
    return [row for piece in read_batches(folder, NAMES) for row in piece.to_pylist()]


def fill(folder: Path) -> None:
    """Record one full batch."""
    with Recorder(folder, at_zero) as recorder:
        for number in range(BATCH_ROWS):
            recorder.add(record(number))


def at_zero() -> int:
    """A clock that stands still."""
    return 0


def test_a_flush_makes_rows_readable(tmp_path: Path) -> None:
    """Rows are readable after the flush, not only after the end of the run."""
    with Recorder(tmp_path, at_zero) as recorder:
        recorder.add(record(0))
        assert read(tmp_path) == []
        recorder.flush()
        assert read(tmp_path) == [asdict(record(0))]


def test_a_full_batch_is_written_without_a_flush(tmp_path: Path) -> None:
    """Memory is bounded: a full batch does not wait for the second to be over."""
    with Recorder(tmp_path, at_zero) as recorder:
        for number in range(BATCH_ROWS + 1):
            recorder.add(record(number))
        assert len(read(tmp_path)) == BATCH_ROWS


def test_the_end_turns_the_stream_into_parquet(tmp_path: Path) -> None:
    """After the end there is one Parquet file with every row in order, no stream."""
    rows = [record(number) for number in range(3 * BATCH_ROWS + 7)]
    recorder = Recorder(tmp_path, at_zero)
    for row in rows:
        recorder.add(row)
    recorder.finish()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "latency.hlog",
        "records.parquet",
    ]
    assert read(tmp_path) == [asdict(row) for row in rows]
    file = pq.ParquetFile(tmp_path / "records.parquet")
    assert file.schema_arrow.equals(PLAIN_SCHEMA)
    column = file.metadata.row_group(0).column(NAMES.index("cohort"))
    assert column.compression == "ZSTD"
    assert "RLE_DICTIONARY" in column.encodings


def test_a_run_without_an_attempt_leaves_an_empty_file(tmp_path: Path) -> None:
    """No attempts are a result as well."""
    Recorder(tmp_path, at_zero).finish()
    assert read(tmp_path) == []
    assert pq.read_metadata(tmp_path / "records.parquet").num_rows == 0


def test_running_totals_are_those_of_the_records(tmp_path: Path) -> None:
    """The live view sees counts, kinds, bytes and latencies up to the last flush."""
    with Recorder(tmp_path, at_zero, warm_up_ns=1 * S) as recorder:
        recorder.add(record(0, bytes_sent=10, bytes_received=1))
        recorder.add(record(1, bytes_sent=10, bytes_received=1))
        recorder.add(record(2, cohort="b", kind="tcp.refused", phase="tcp"))
        recorder.add(record(3, cohort="b", operation="heartbeat"))
        assert recorder.snapshot().attempts == {}
        recorder.flush()
        seen = recorder.snapshot()
    assert seen.attempts == {"upload": 3, "heartbeat": 1}
    assert seen.failures == {"tcp.refused": 1}
    assert seen.acknowledged == 2
    assert seen.bytes_sent == 20 + 2 * 17_000
    assert seen.bytes_received == 2 + 2 * 3_000
    assert sum(seen.by_cohort.values()) == sum(seen.attempts.values())
    assert seen.latency["response"] == Histogram.of([21 * MS])
    assert seen.latency["tls"] == Histogram.of([9 * MS] * 2)
    assert seen.cohorts["b"]["tls"] == Histogram.of([9 * MS])
    assert "response" not in seen.cohorts["b"]


def test_a_snapshot_does_not_change_afterwards(tmp_path: Path) -> None:
    """A live view may keep what it was given."""
    with Recorder(tmp_path, at_zero) as recorder:
        before = recorder.snapshot()
        recorder.add(record())
        recorder.flush()
        assert before.latency["total"].count == 0
        assert recorder.snapshot().latency["total"].count == 1


@pytest.mark.parametrize("name", ["records.arrows", "latency.hlog"])
def test_a_full_disk_names_the_file(tmp_path: Path, name: str) -> None:
    """The error says which file could not be written and what the system said."""
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(RecordingError) as caught:
        fill(tmp_path)
    assert caught.value.where == str(tmp_path / name)
    assert "No space left on device" in caught.value.what


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """Opening fails with the file's name, not with a bare system error."""
    with pytest.raises(RecordingError, match=r"missing/latency\.hlog"):
        Recorder(tmp_path / "missing", at_zero)


def test_the_stream_stays_when_parquet_cannot_be_written(tmp_path: Path) -> None:
    """A disk that fills up at the very end costs no record."""
    recorder = Recorder(tmp_path, at_zero)
    recorder.add(record())
    (tmp_path / "records.parquet.part").symlink_to("/dev/full")
    with pytest.raises(RecordingError, match=r"records\.parquet: .*No space left"):
        recorder.finish()
    assert read(tmp_path) == [asdict(record())]
    assert not (tmp_path / "records.parquet.part").is_symlink()


def test_closing_twice_is_once(tmp_path: Path) -> None:
    """``finish`` inside a ``with`` block closes once."""
    with Recorder(tmp_path, at_zero) as recorder:
        recorder.finish()
    recorder.close()
    assert read(tmp_path) == []
