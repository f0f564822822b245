"""Failures by phase, kind and cohort: counts are complete, the example is the first."""

from pathlib import Path

from fleetsim.report.failure_cells import failure_cells
from tests.recording.records import S, record
from tests.report.runs import make_run


def test_cells_count_attempts_and_devices_and_keep_the_first_example(
    tmp_path: Path,
) -> None:
    """Two devices, three attempts of one kind; success makes no cell."""
    refused = {"kind": "tcp.refused", "phase": "tcp", "detail": "Connection refused"}
    folder = make_run(
        tmp_path,
        [
            record(0),
            record(1, device="0000000B", **refused),
            record(2, device="0000000A", **refused, attempt=2),
            record(3, device="0000000A", **refused, operation="heartbeat"),
            record(4, kind="s3.SlowDown", phase="wait", status=503, cohort="other"),
        ],
    )
    first, second = failure_cells(folder)
    assert (first.phase, first.kind, first.cohort) == ("tcp", "tcp.refused", "ordinary")
    assert (first.attempts, first.devices) == (3, 2)
    assert first.example.device == "0000000B"
    assert first.example.detail == "Connection refused"
    assert first.first_ns == record(1).ended_ns
    assert first.last_ns - first.first_ns == 2 * S
    assert first.operations == {"upload": 2, "heartbeat": 1}
    assert (second.kind, second.cohort, second.example.status) == (
        "s3.SlowDown",
        "other",
        503,
    )


def test_a_run_without_failures_has_no_cells(tmp_path: Path) -> None:
    """Not even an empty one."""
    assert failure_cells(make_run(tmp_path, [record()])) == ()
