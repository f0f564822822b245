"""Shards: what several processes wrote reads as one run, finished, killed or bereaved."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fleetsim.core.contact import Change, ContactState
from fleetsim.exceptions import RecordingError
from fleetsim.recording.recorder import Recorder
from fleetsim.recording.records_file import read_batches
from fleetsim.recording.shards import LostDevices, make_shard_folder, merge_shards
from fleetsim.recording.states import StateRecorder, read_states
from tests.recording.records import record

UNREACHED, CONNECTED = ContactState.UNREACHED, ContactState.CONNECTED


def write(folder: Path, shard: int, devices: tuple[str, ...]) -> None:
    """Let a shard write three uploads and two changes of each device."""
    own = make_shard_folder(folder, shard)
    with Recorder(own, lambda: 0) as recorder, StateRecorder(own) as states:
        for number in range(3):
            for device in devices:
                recorder.add(record(number, device=device))
        for device in devices:
            states.add(device, "c", Change(at_ns=0, was=None, now=UNREACHED, reason=""))
            change = Change(
                at_ns=5 - shard, was=UNREACHED, now=CONNECTED, reason="first"
            )
            states.add(device, "c", change)
        recorder.flush()
        states.flush()


def ends(folder: Path) -> dict[str, list[int]]:
    """End of every attempt by device, in the order of the file."""
    found: dict[str, list[int]] = {}
    for table in read_batches(folder, ("device", "ended_ns")):
        for row in table.to_pylist():
            found.setdefault(row["device"], []).append(row["ended_ns"])
    return found


def test_a_killed_run_is_read_from_its_shards(tmp_path: Path) -> None:
    """Before anything was put together every row is there, each device in its order."""
    write(tmp_path, 0, ("A", "C"))
    write(tmp_path, 1, ("B",))
    found = ends(tmp_path)
    assert sorted(found) == ["A", "B", "C"]
    assert all(times == sorted(times) and len(times) == 3 for times in found.values())
    states = read_states(tmp_path)
    assert states is not None
    assert states.num_rows == 6


def test_merged_is_the_same(tmp_path: Path) -> None:
    """The files of one run hold what the shards wrote; the histories are by time."""
    write(tmp_path, 0, ("A", "C"))
    write(tmp_path, 1, ("B",))
    before = ends(tmp_path)
    merge_shards(tmp_path)
    assert ends(tmp_path) == before
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"records.parquet", "states.parquet"}
    times = pq.read_table(tmp_path / "states.parquet")["at_ns"].to_pylist()
    assert times == [0, 0, 0, 4, 5, 5]


def test_devices_that_died(tmp_path: Path) -> None:
    """Their histories end asleep, from the state they had, also without any history."""
    write(tmp_path, 0, ("A",))
    write(tmp_path, 1, ("B",))
    lost = LostDevices(at_ns=9, reason="SIGKILL", cohorts={"B": "c", "D": "d"})
    merge_shards(tmp_path, [lost])
    states = read_states(tmp_path)
    assert states is not None
    rows = [row for row in states.to_pylist() if row["state"] == "asleep"]
    assert [(r["device"], r["cohort"], r["was"], r["at_ns"]) for r in rows] == [
        ("B", "c", "connected", 9),
        ("D", "d", "", 9),
    ]
    assert {row["reason"] for row in rows} == {"SIGKILL"}


def test_a_disk_that_refuses(tmp_path: Path) -> None:
    """What the shards wrote is kept when it cannot be put together."""
    write(tmp_path, 0, ("A",))
    (tmp_path / "states.parquet.part").mkdir()
    with pytest.raises(RecordingError, match=r"states\.parquet"):
        merge_shards(tmp_path)
    assert (tmp_path / "shards" / "0000" / "states.arrows").exists()
    assert ends(tmp_path) == {"A": [21_000_000, 1_021_000_000, 2_021_000_000]}


def test_a_shard_folder_is_made_once(tmp_path: Path) -> None:
    """Two shards never write into one folder."""
    make_shard_folder(tmp_path, 3)
    with pytest.raises(RecordingError, match="0003"):
        make_shard_folder(tmp_path, 3)
