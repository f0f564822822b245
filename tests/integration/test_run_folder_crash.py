"""A run that is killed or meets a full disk leaves a folder that can be reported."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fleetsim.recording.columns import NAMES
from fleetsim.recording.ledger import Ledger
from fleetsim.recording.records_file import read_batches
from fleetsim.report.summary import build_summary, write_summary

_ROOT = Path(__file__).parents[2]

# Records batch after batch for ever; prints a line after every flush.
_WRITER = """
import resource, sys
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from fleetsim.exceptions import RecordingError
from fleetsim.recording.recorder import Recorder
from fleetsim.recording.run_folder import RunFolder, RunStart
from tests.recording.records import record

root, limit_bytes = Path(sys.argv[1]), int(sys.argv[2])
now = datetime(2026, 3, 1, tzinfo=UTC)
folder = RunFolder.create(root, "crash", now, lambda: "0a1b2c")
folder.begin(
    RunStart(
        scenario_name="crash", scenario={}, plan_digest="", seed=1, warm_up_ns=0,
        duration_ns=10**12, thresholds=("unclassified == 0",),
    ),
    now,
)
folder.note("load", planned_ns=0, actual_ns=0)
if limit_bytes:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
numbers = count()
try:
    with Recorder(folder.path, lambda: 0) as recorder:
        while True:
            for number in range(700):
                recorder.add(record(next(numbers)))
            recorder.flush()
            print("flushed", flush=True)
except RecordingError as exc:
    print(exc, file=sys.stderr)
    sys.exit(exc.exit_code)
"""


def start(root: Path, limit_bytes: int = 0) -> subprocess.Popen[str]:
    """Start the writer."""
    return subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(root), str(limit_bytes)],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
    )


@pytest.mark.parametrize("flushes", [1, 4])
def test_a_killed_run_is_readable_up_to_its_last_flush(
    tmp_path: Path, flushes: int
) -> None:
    """SIGKILL in full flight: every row flushed before is there, in order, once."""
    with start(tmp_path) as writer:
        assert writer.stdout is not None
        for _ in range(flushes):
            assert writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    (folder,) = tmp_path.iterdir()
    keys = [
        key
        for piece in read_batches(folder, ["key"])
        for key in piece["key"].to_pylist()
    ]
    assert len(keys) >= flushes * 700
    assert len(set(keys)) == len(keys)
    assert keys == sorted(keys)
    summary = write_summary(folder)
    assert summary["verdict"] == "interrupted"
    assert summary["uploads"]["acknowledged"] == len(keys)
    assert summary["thresholds"][0]["ok"]
    assert Ledger(folder).attempts == len(keys)
    log = (folder / "latency.hlog").read_text().splitlines()
    assert sum(line.startswith("Tag=response,") for line in log) >= flushes


def test_a_full_disk_ends_the_run_with_the_name_of_the_file(tmp_path: Path) -> None:
    """A real short write in the middle of a batch: one sentence, rows before it kept."""
    with start(tmp_path, 60_000) as writer:
        output, errors = writer.communicate()
        assert writer.returncode == 1
    (folder,) = tmp_path.iterdir()
    (line,) = errors.strip().splitlines()
    assert line.startswith(str(folder))
    assert "File too large" in line
    assert max(path.stat().st_size for path in folder.iterdir()) <= 60_000
    rows = sum(piece.num_rows for piece in read_batches(folder, NAMES))
    assert rows >= 700 * len(output.splitlines()) >= 700
    assert build_summary(folder)["uploads"]["acknowledged"] == rows
