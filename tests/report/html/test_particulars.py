"""Particulars: failures with examples, the bill per device and day, proofs by reason."""

from pathlib import Path

from fleetsim.report.contacts import Stranding
from fleetsim.report.failure_cells import failure_cells
from fleetsim.report.handshake_bill import handshake_bill
from fleetsim.report.html import particulars
from tests.recording.records import S, record
from tests.report.runs import make_run


def test_an_example_says_where_to_look(tmp_path: Path) -> None:
    """Device, attempt, time, endpoint, group, alert, status and the words."""
    failed = record(
        2,
        kind="tls.alert.handshake_failure",
        phase="tls",
        alert="handshake_failure",
        detail="sslv3 alert handshake failure",
        suite="",
        status=0,
    )
    found = particulars.failures(failure_cells(make_run(tmp_path, [failed])))
    example = found.rows[0][-1].text
    for words in ("0000002A upload, attempt 1", "2.021 s", "127.0.0.1:9443", "group 1"):
        assert words in example
    assert example.endswith("alert handshake_failure; sslv3 alert handshake failure")


def test_the_bill_is_told_per_device_and_day(tmp_path: Path) -> None:
    """4 handshakes of 2 devices in 100 s are 1,728 a day each; shortened runs count less."""
    bill = handshake_bill(make_run(tmp_path, [record(n) for n in range(4)]))
    told = dict(
        particulars.bill_totals(bill, devices=2, seconds=100.0, shortened_by=1.0)
    )
    assert told["completed"] == "4 (4 full, 0 resumed)"
    assert told["per device and day, at the run's own pace"].startswith("1,728 handsh")
    slow = dict(
        particulars.bill_totals(bill, devices=2, seconds=100.0, shortened_by=10.0)
    )
    (name, per_day) = list(slow.items())[-1]
    assert "10 times that of the scenario" in name
    assert per_day.startswith("173 handshakes")


def test_a_bill_without_devices_or_time_has_no_rate(tmp_path: Path) -> None:
    """Nothing is divided by nothing."""
    bill = handshake_bill(make_run(tmp_path, [record()]))
    told = particulars.bill_totals(bill, devices=0, seconds=0.0, shortened_by=1.0)
    assert not any("per device" in name for name, _ in told)


def test_proofs_gather_their_devices() -> None:
    """Most devices first; every device keeps its own time."""
    stranded = [
        Stranding(device=device, cohort="c", since_ns=at * S, reason=reason)
        for device, at, reason in (("A", 1, "x"), ("B", 2, "y"), ("C", 3, "y"))
    ]
    first, second = particulars.proofs(stranded)
    assert (first.reason, first.devices) == (
        "y",
        (("B", "c", "2 s"), ("C", "c", "3 s")),
    )
    assert second.devices == (("A", "c", "1 s"),)
