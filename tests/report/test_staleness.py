"""Staleness: only a full handshake after a change proves anything about it."""

from pathlib import Path

from fleetsim.report.journal import Entry
from fleetsim.report.staleness import SHOWN, LastSeen, last_seen, staleness
from tests.recording.records import MS, S, record
from tests.report.runs import make_run

SWAP = Entry(action="swap_server_certificate", started_ns=5 * S, noticed_ns=(5 * S,))


def test_kept_connections_and_resumed_sessions_are_no_proof(tmp_path: Path) -> None:
    """Such a device is in contact and still has not looked."""
    folder = make_run(
        tmp_path,
        [
            record(1, device="A"),
            record(6, device="A"),
            record(1, device="B"),
            record(6, device="B", resumed=True),
            record(1, device="C"),
            record(6, device="C", reused=True, tls_ns=-1),
            record(1, device="D"),
        ],
    )
    seen = last_seen(folder)
    assert seen.full["A"] == 6 * S + 1 * MS + 1 * MS + 9 * MS
    (found,) = staleness((SWAP,), seen, dict.fromkeys("ABCD", "ordinary"))
    assert (found.proved, found.unproved, found.silent) == (1, 2, 1)
    assert found.examples == ("B", "C")
    assert found.unproved_by_cohort == {"ordinary": 2}


def test_changes_nobody_can_notice_are_left_out() -> None:
    """An assert, an issued certificate: nothing to prove."""
    entry = Entry(action="assert", started_ns=5 * S)
    assert staleness((entry,), LastSeen(), {"A": "ordinary"}) == ()


def test_the_list_of_devices_is_cut_and_the_count_is_not() -> None:
    """A report stays small."""
    many = {f"{number:08X}": 6 * S for number in range(SHOWN + 7)}
    (found,) = staleness(
        (SWAP,), LastSeen(success=many), dict.fromkeys(many, "ordinary")
    )
    assert len(found.examples) == SHOWN
    assert found.unproved == SHOWN + 7
