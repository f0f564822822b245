"""Every key a run wrote or may have written, with the ETags it was told."""

from pathlib import Path
from typing import Any

import pytest

from fleetsim.core.outcomes import SentKey, StoredKey
from fleetsim.exceptions import InputError, RecordingError
from fleetsim.recording.recorder import Recorder
from fleetsim.recording.stored_keys import StoredKeys, note_push
from tests.recording.records import DEVICE, record

KEY = f"{DEVICE}/device.json"


def stored(folder: Path, *changes: dict[str, Any]) -> StoredKeys:
    """Record attempts at one key and read what they may have stored."""
    with Recorder(folder, lambda: 0) as recorder:
        for number, each in enumerate(changes):
            recorder.add(record(number, **{"key": KEY, **each}))
        recorder.finish()
    return StoredKeys(folder)


LOST = {"kind": "http.timeout", "phase": "wait", "status": 0, "etag": ""}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([{"etag": "a"}], (("a",), False)),
        ([{"etag": "a"}, {"etag": "b"}, {"etag": "a"}], (("a", "b"), False)),
        ([{"etag": "a"}, LOST], (("a",), True)),
        ([LOST], ((), True)),
        ([{**LOST, "kind": "run.stopped", "phase": "run"}], ((), True)),
        ([{**LOST, "kind": "device.power_cycle", "phase": "device"}], ((), True)),
        ([{**LOST, "kind": "s3.InternalError", "status": 503}], ((), True)),
        ([{"etag": ""}], ((), True)),
        ([{"operation": "heartbeat", "etag": "h"}], (("h",), False)),
        ([{"operation": "config", "etag": "h"}], (("h",), False)),
        ([{"operation": "schema", "etag": "h"}], (("h",), False)),
    ],
    ids=[
        "told",
        "told twice",
        "told, then an answer was lost",
        "answer lost",
        "stopped by the end of the run",
        "cut off by power",
        "gateway gave up",
        "told without an ETag",
        "heartbeat",
        "configuration",
        "schema",
    ],
)
def test_what_may_have_been_stored(
    tmp_path: Path,
    changes: list[dict[str, Any]],
    expected: tuple[tuple[str, ...], bool],
) -> None:
    """ETags that were told; unsure when some attempt's is not known."""
    etags, unsure = expected
    assert list(stored(tmp_path, *changes).sent("")) == [
        SentKey(key=KEY, etags=frozenset(etags), unsure=unsure)
    ]


@pytest.mark.parametrize(
    "change",
    [
        {**LOST, "kind": "tcp.refused", "phase": "tcp"},
        {**LOST, "kind": "tls.alert.handshake_failure", "phase": "tls"},
        {**LOST, "kind": "device.no_trusted_certificates", "phase": "device"},
        {**LOST, "kind": "s3.AccessDenied", "status": 403},
        {"operation": "ota_bundle"},
        {"operation": "ota_config"},
    ],
    ids=["no connection", "no handshake", "no trust", "refused", "GET", "GET config"],
)
def test_what_cannot_have_been_stored(tmp_path: Path, change: dict[str, Any]) -> None:
    """Nothing was sent, or the store itself refused, or nothing was to be stored."""
    found = stored(tmp_path, change)
    assert list(found.sent("")) == []
    assert found.devices == frozenset()


def test_pushes_count_too(tmp_path: Path) -> None:
    """What the control plane put for devices; a line cut short by a kill is left out."""
    note_push(tmp_path, StoredKey("0000002B/certs_server.p7b", "x"))
    note_push(tmp_path, StoredKey("0000002C/firmware.bin", ""))
    with (tmp_path / "pushed.jsonl").open("a") as file:
        file.write('{"key": "0000002D/firm')
    found = stored(tmp_path, {"etag": "a"})
    assert found.devices == {DEVICE, "0000002B", "0000002C"}
    assert found.count("0000002B/") == 1
    assert list(found.sent("0000002B/")) == [
        SentKey(key="0000002B/certs_server.p7b", etags=frozenset({"x"}), unsure=False)
    ]
    assert [each.unsure for each in found.sent("0000002C/")] == [True]
    assert found.last_ns > 0


def test_a_damaged_line_is_bad_input(tmp_path: Path) -> None:
    """Deleting by guesswork is worse than not deleting."""
    (tmp_path / "pushed.jsonl").write_text("[]\n")
    with pytest.raises(InputError, match="damaged line"):
        StoredKeys(tmp_path)


def test_a_push_that_cannot_be_noted_is_told(tmp_path: Path) -> None:
    """A full or missing disk."""
    with pytest.raises(RecordingError, match="pushed"):
        note_push(tmp_path / "nowhere", StoredKey("k", "e"))


def test_an_empty_run_wrote_nothing(tmp_path: Path) -> None:
    """No records, no pushes."""
    found = StoredKeys(tmp_path)
    assert (found.devices, found.last_ns, list(found.sent(""))) == (frozenset(), 0, [])
