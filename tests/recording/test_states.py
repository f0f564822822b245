"""Contact histories on disk: round trip, killed runs, full disks, counts over time."""

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.contact import Change, ContactState
from fleetsim.exceptions import InputError, RecordingError
from fleetsim.recording.names import STATES, STATES_STREAM
from fleetsim.recording.states import (
    BATCH_ROWS,
    PLAIN_SCHEMA,
    StateCounts,
    StateRecorder,
    counts_over_time,
    read_states,
)

S = 1_000_000_000
BEGIN = Change(at_ns=0, was=None, now=ContactState.UNREACHED, reason="not switched on")
FIRST = Change(
    at_ns=2 * S,
    was=ContactState.UNREACHED,
    now=ContactState.CONNECTED,
    reason="first success",
)


def test_round_trip(tmp_path: Path) -> None:
    """Every change comes back in order, the beginning with an empty ``was``."""
    with StateRecorder(tmp_path) as recorder:
        recorder.add("0000002A", "cars", BEGIN)
        recorder.add("0000002A", "cars", FIRST)
        recorder.finish()
    table = read_states(tmp_path)
    assert table is not None
    assert table.to_pylist() == [
        {
            "device": "0000002A",
            "cohort": "cars",
            "at_ns": 0,
            "was": "",
            "state": "unreached",
            "reason": "not switched on",
        },
        {
            "device": "0000002A",
            "cohort": "cars",
            "at_ns": 2 * S,
            "was": "unreached",
            "state": "connected",
            "reason": "first success",
        },
    ]
    assert [path.name for path in tmp_path.iterdir()] == [STATES]


def test_plain_parquet_for_any_reader(tmp_path: Path) -> None:
    """The file promises plain text columns, no dictionaries, no nulls."""
    with StateRecorder(tmp_path) as recorder:
        recorder.add("0000002A", "cars", BEGIN)
        recorder.finish()
    assert pq.read_schema(tmp_path / STATES).equals(PLAIN_SCHEMA)


def test_a_killed_run_is_read_up_to_its_last_flush(tmp_path: Path) -> None:
    """What was flushed can be read before anybody finished or closed anything."""
    with StateRecorder(tmp_path) as recorder:
        recorder.add("0000002A", "cars", BEGIN)
        recorder.flush()
        recorder.add("0000002A", "cars", FIRST)
        table = read_states(tmp_path)
        assert table is not None
        assert table["state"].to_pylist() == ["unreached"]
    data = (tmp_path / STATES_STREAM).read_bytes()
    (tmp_path / STATES_STREAM).write_bytes(data[:20])
    table = read_states(tmp_path)
    assert table is not None
    assert table.num_rows == 0
    assert table.schema.equals(PLAIN_SCHEMA)


def test_full_batches_need_no_flush(tmp_path: Path) -> None:
    """Waiting rows are bounded: a full batch goes to disk at once."""
    with StateRecorder(tmp_path) as recorder:
        for number in range(2 * BATCH_ROWS + 7):
            recorder.add(f"{number:08X}", "cars", BEGIN)
        table = read_states(tmp_path)
        assert table is not None
        assert table.num_rows == 2 * BATCH_ROWS
        recorder.finish()
    table = read_states(tmp_path)
    assert table is not None
    assert table["device"].to_pylist()[-1] == f"{2 * BATCH_ROWS + 6:08X}"


def test_words_that_no_file_can_take(tmp_path: Path) -> None:
    """A lone surrogate in a reason is replaced, the rows around it are kept."""
    odd = Change(at_ns=1, was=None, now=ContactState.STRANDED, reason="name \ud800")
    with StateRecorder(tmp_path) as recorder:
        recorder.add("0000002A", "cars", odd)
        recorder.add("0000002B", "cars", BEGIN)
        recorder.finish()
    table = read_states(tmp_path)
    assert table is not None
    assert table["reason"].to_pylist() == ["name ?", "not switched on"]


def test_no_history(tmp_path: Path) -> None:
    """A run that kept none has none; a recorder that was told nothing has an empty one."""
    assert read_states(tmp_path) is None
    with StateRecorder(tmp_path) as recorder:
        recorder.finish()
    table = read_states(tmp_path)
    assert table is not None
    assert table.num_rows == 0


def test_damaged_file(tmp_path: Path) -> None:
    """A file that is none is refused with its name."""
    (tmp_path / STATES).write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match=r"states\.parquet"):
        read_states(tmp_path)
    pq.write_table(pa.table({"device": ["x"]}), tmp_path / STATES)
    with pytest.raises(InputError, match=r"states\.parquet"):
        read_states(tmp_path)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """Without a folder there is one clear error and no open file."""
    with pytest.raises(RecordingError, match=r"states\.arrows"):
        StateRecorder(tmp_path / "gone")


def test_a_full_disk(tmp_path: Path) -> None:
    """A disk that refuses is one error that names the file; closing is quiet then."""
    (tmp_path / STATES_STREAM).symlink_to("/dev/full")
    recorder = StateRecorder(tmp_path)
    for number in range(BATCH_ROWS - 1):
        recorder.add(f"{number:08X}", "cars", BEGIN)
    with pytest.raises(RecordingError, match=r"states\.arrows"):
        recorder.flush()
    with pytest.raises(RecordingError, match=r"states\.arrows"):
        recorder.close()
    recorder.close()


# ---------------------------------------------------------------- counts


def table_of(rows: list[tuple[str, str, int, str, str]]) -> Any:
    """A table from device, cohort, seconds, was and state."""
    return pa.table(
        [
            [row[0] for row in rows],
            [row[1] for row in rows],
            [row[2] for row in rows],
            [row[3] for row in rows],
            [row[4] for row in rows],
            ["why"] * len(rows),
        ],
        schema=PLAIN_SCHEMA,
    )


def test_counts_over_time() -> None:
    """A change counts from its own time on; the last time may be off the grid."""
    table = table_of(
        [
            ("A", "cars", 0, "", "unreached"),
            ("B", "cars", 0, "", "unreached"),
            ("C", "boats", 0, "", "unreached"),
            ("A", "cars", 1 * S, "unreached", "connected"),
            ("B", "cars", 1 * S + 1, "unreached", "connected"),
            ("A", "cars", 2 * S + 5, "connected", "asleep"),
            ("A", "cars", 9 * S, "asleep", "connected"),
        ]
    )
    counts = counts_over_time(table, until_ns=2 * S + 5)
    cars = [(each.at_ns, each.counts) for each in counts if each.cohort == "cars"]
    assert cars == [
        (0, {"unreached": 2}),
        (1 * S, {"connected": 1, "unreached": 1}),
        (2 * S, {"connected": 2}),
        (2 * S + 5, {"asleep": 1, "connected": 1}),
    ]
    assert counts[0] == StateCounts(at_ns=0, cohort="boats", counts={"unreached": 1})
    assert len(counts) == 8


def test_counts_of_nothing() -> None:
    """No device, no counts."""
    assert counts_over_time(PLAIN_SCHEMA.empty_table(), until_ns=5 * S) == ()


@given(
    st.lists(
        st.tuples(st.sampled_from("ABC"), st.integers(0, 40), st.sampled_from("xyz")),
        max_size=40,
    ),
    st.integers(0, 50),
    st.integers(1, 9),
)
def test_counts_agree_with_looking_at_every_device(
    steps: list[tuple[str, int, str]], until: int, step: int
) -> None:
    """At every time the counts are those of each device's last change until then."""
    rows = []
    state = dict.fromkeys("ABC", "")
    for device, at_ns, now in sorted(
        [(device, 0, "x") for device in "ABC"] + steps, key=lambda each: each[1]
    ):
        if state[device] != now:
            rows.append((device, "cars", at_ns, state[device], now))
            state[device] = now
    counts = counts_over_time(table_of(rows), until_ns=until, step_ns=step)
    for each in counts:
        last = {row[0]: row[4] for row in rows if row[2] <= each.at_ns}
        assert each.counts == Counter(last.values())
    times = [each.at_ns for each in counts]
    assert times[0] == 0
    assert times[-1] == until
    assert all(0 < after - before <= step for before, after in pairwise(times))
