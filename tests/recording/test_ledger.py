"""The ledger puts the attempts of a key together."""

from pathlib import Path

from fleetsim.core.outcomes import Upload
from fleetsim.recording.ledger import Ledger
from fleetsim.recording.recorder import Recorder
from tests.recording.records import record


def test_attempts_of_a_key_are_one_upload(tmp_path: Path) -> None:
    """Acknowledged when any attempt was; other operations are no uploads."""
    with Recorder(tmp_path, lambda: 0) as recorder:
        recorder.add(record(0, kind="http.reset", phase="wait"))
        recorder.add(record(0, attempt=2))
        recorder.add(record(1, kind="http.reset", phase="wait", body_bytes=7))
        recorder.add(record(2, operation="heartbeat", device="0000002B"))
        recorder.flush()
        ledger = Ledger(tmp_path)
    assert ledger.devices == {"0000002A", "0000002B"}
    assert ledger.attempts == 3
    uploads = sorted(ledger.uploads(""), key=lambda upload: upload.key)
    assert uploads == [
        Upload(key=record(0).key, size_bytes=16_384, content=1, acknowledged=True),
        Upload(key=record(1).key, size_bytes=7, content=2, acknowledged=False),
    ]


def test_a_prefix_takes_its_share_and_the_shares_are_the_whole(tmp_path: Path) -> None:
    """Asking digit by digit gives every upload exactly once; 64-bit keys survive."""
    with Recorder(tmp_path, lambda: 0) as recorder:
        for number in range(64):
            device = f"{number << 26:08X}"
            recorder.add(
                record(
                    number,
                    device=device,
                    key=f"{device}/00000001/00000001-5E0BE100.MF4",
                    content=2**64 - 1 - number,
                )
            )
        recorder.finish()
    ledger = Ledger(tmp_path)
    shares = [
        upload for digit in "0123456789ABCDEF" for upload in ledger.uploads(digit)
    ]
    assert sorted(shares, key=lambda u: u.key) == sorted(
        ledger.uploads(""), key=lambda u: u.key
    )
    assert {upload.content for upload in shares} == {2**64 - 1 - n for n in range(64)}


def test_an_empty_run_sent_nothing(tmp_path: Path) -> None:
    """No records, no devices, no uploads."""
    ledger = Ledger(tmp_path)
    assert (ledger.devices, ledger.attempts) == (frozenset(), 0)
    assert list(ledger.uploads("")) == []
