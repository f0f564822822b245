"""Device history: changes with reasons and the last attempts, of one device only."""

from pathlib import Path

import pytest

from fleetsim.recording.names import STATES
from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.live import device_history as module
from fleetsim.report.live.device_history import MOST_ATTEMPTS, device_history
from tests.recording.records import S, record
from tests.report.runs import change, make_run

HISTORIES = [
    ("AAAA0001", "c", change(0, "", "unreached", "not switched on")),
    ("AAAA0002", "c", change(0, "", "unreached", "not switched on")),
    ("AAAA0001", "c", change(1.5, "unreached", "failing", "3 tries failed")),
]


@pytest.mark.parametrize("outcome", [RunOutcome.COMPLETED, RunOutcome.RUNNING])
def test_one_device(tmp_path: Path, outcome: RunOutcome) -> None:
    """Of a finished run and of one that goes on."""
    records = [
        record(n, device="AAAA0001", started_ns=n * S, ended_ns=n * S + S // 2)
        for n in range(MOST_ATTEMPTS + 5)
    ]
    records.append(record(0, device="AAAA0002", kind="tcp.refused", detail="<b>no"))
    folder = make_run(tmp_path, records, outcome=outcome, histories=HISTORIES)
    found = device_history(folder, "AAAA0001")
    assert [
        (each["at_s"], each["state"], each["reason"]) for each in found["changes"]
    ] == [
        (0, "unreached", "not switched on"),
        (1.5, "failing", "3 tries failed"),
    ]
    assert len(found["attempts"]) == MOST_ATTEMPTS
    assert found["attempts"][-1]["started_s"] == MOST_ATTEMPTS + 4
    assert found["attempts"][-1]["took_ms"] == 500
    (other,) = device_history(folder, "AAAA0002")["attempts"]
    assert (other["kind"], other["detail"]) == ("tcp.refused", "<b>no")


def test_a_stranger(tmp_path: Path) -> None:
    """A device that is not of the run has no history."""
    folder = make_run(tmp_path, [record()], histories=HISTORIES)
    assert device_history(folder, "BBBB0001") == {
        "id": "BBBB0001",
        "changes": [],
        "attempts": [],
    }


def test_long_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where reading the records would take time from the generator, they stay shut."""
    folder = make_run(tmp_path, [record()], histories=HISTORIES)
    monkeypatch.setattr(module, "MOST_BYTES", 10)
    found = device_history(folder, "AAAA0001")
    assert found["attempts"] is None
    assert found["changes"]


def test_being_written(tmp_path: Path) -> None:
    """A file that cannot be read this moment is no error of the page."""
    folder = make_run(tmp_path, [record()])
    (folder / STATES).write_bytes(b"half")
    assert device_history(folder, "AAAA0001")["changes"] == []
