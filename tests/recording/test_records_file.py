"""Records are readable whole, cut short anywhere, and never half-converted."""

from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsim.exceptions import InputError
from fleetsim.recording.columns import NAMES
from fleetsim.recording.recorder import Recorder
from fleetsim.recording.records_file import read_batches, stream_to_parquet
from tests.recording.records import record

_ROWS = 6


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A stream of six flushes of one row each, not closed."""
    folder = tmp_path_factory.mktemp("run")
    with Recorder(folder, lambda: 0) as recorder:
        for number in range(_ROWS):
            recorder.add(record(number))
            recorder.flush()
        return (folder / "records.arrows").read_bytes()


@given(share=st.floats(0, 1))
@settings(max_examples=60)
def test_a_stream_cut_anywhere_is_read_up_to_its_last_whole_batch(
    stream: bytes, tmp_path_factory: pytest.TempPathFactory, share: float
) -> None:
    """Whatever byte the kill hit, whole batches before it are there and in order."""
    folder = tmp_path_factory.mktemp("cut")
    (folder / "records.arrows").write_bytes(stream[: int(share * len(stream))])
    rows = [row for piece in read_batches(folder, NAMES) for row in piece.to_pylist()]
    assert rows == [asdict(record(number)) for number in range(len(rows))]
    assert len(rows) <= _ROWS
    if share == 1:
        assert len(rows) == _ROWS


def test_a_cut_stream_becomes_parquet_too(stream: bytes, tmp_path: Path) -> None:
    """What can be read of a killed run can be kept."""
    (tmp_path / "records.arrows").write_bytes(stream[:-10])
    stream_to_parquet(tmp_path)
    (piece,) = read_batches(tmp_path, ["key"])
    assert piece["key"].to_pylist() == [record(n).key for n in range(_ROWS - 1)]
    assert not (tmp_path / "records.arrows").exists()


def test_columns_come_in_the_order_asked_for(stream: bytes, tmp_path: Path) -> None:
    """Callers may take columns by position."""
    (tmp_path / "records.arrows").write_bytes(stream)
    (piece,) = read_batches(tmp_path, ["kind", "device", "attempt"])
    assert piece.column_names == ["kind", "device", "attempt"]
    stream_to_parquet(tmp_path)
    (piece,) = read_batches(tmp_path, ["kind", "device", "attempt"])
    assert piece.column_names == ["kind", "device", "attempt"]


def test_a_folder_without_records_has_none(tmp_path: Path) -> None:
    """A run that died before its first flush is an empty run."""
    assert list(read_batches(tmp_path, NAMES)) == []
    stream_to_parquet(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_parquet_file_is_bad_input(tmp_path: Path) -> None:
    """A file that is no Parquet file is named."""
    (tmp_path / "records.parquet").write_bytes(b"not parquet")
    with pytest.raises(InputError, match=r"records\.parquet: cannot be read"):
        list(read_batches(tmp_path, NAMES))


def test_an_unknown_column_is_a_bug(tmp_path: Path) -> None:
    """Only fields of a record can be read."""
    with pytest.raises(KeyError):
        list(read_batches(tmp_path, ["colour"]))
