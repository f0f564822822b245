"""Who refused: whose word a failure is, counted from the records of a run."""

from pathlib import Path

import pytest

from fleetsim.core.failure import KINDS, is_kind
from fleetsim.recording.recorder import Recorder
from fleetsim.report.refusals import (
    By,
    answer_of,
    read_refusals,
    refusal_data,
    refused_by,
)
from tests.recording.records import record


@pytest.mark.parametrize(
    ("kind", "phase", "by"),
    [
        ("tls.alert.certificate_revoked", "tls", By.SERVER_TLS),
        ("tls.alert.handshake_failure", "wait", By.SERVER_TLS),
        ("http.status", "wait", By.FRONT),
        ("s3.SlowDown", "wait", By.S3),
        ("tls.verify.certificate_has_expired", "tls", By.DEVICE),
        ("tls.no_shared_cipher", "tls", By.DEVICE),
        ("tls.own_certificate", "tls", By.DEVICE),
        ("device.no_trusted_certificates", "device", By.DEVICE),
        ("device.power_cycle", "device", By.DEVICE),
        ("tcp.refused", "tcp", By.NETWORK),
        ("tls.reset", "tls", By.NETWORK),
        ("http.timeout", "wait", By.NETWORK),
        ("dns.not_found", "dns", By.NETWORK),
        ("run.stopped", "run", By.RUN),
    ],
    ids=str,
)
def test_whose_word(kind: str, phase: str, by: By) -> None:
    """An alert is the TLS server's word, a verdict on a chain the device's own."""
    assert is_kind(kind)
    assert refused_by(kind, phase) is by


def test_every_kind_is_somebodys_word() -> None:
    """No kind of the taxonomy is left without an answer."""
    for kind in KINDS:
        assert refused_by(kind, kind.partition(".")[0]) in By


@pytest.mark.parametrize(
    ("kind", "alert", "status", "answer"),
    [
        # Numbers: RFC 5246 7.2.
        ("tls.alert.certificate_revoked", "certificate_revoked", 0, "alert 44 "),
        ("tls.alert.unassigned_7", "unassigned_7", 0, "alert unassigned_7"),
        ("http.status", "", 400, "HTTP 400"),
        ("s3.SlowDown", "", 503, "HTTP 503 SlowDown"),
        ("tls.reset", "", 0, ""),
    ],
    ids=["alert", "unassigned", "front", "s3", "nothing"],
)
def test_with_what(kind: str, alert: str, status: int, answer: str) -> None:
    """The alert comes with its number, the status with the S3 error code."""
    expected = answer + alert if answer.endswith(" ") else answer
    assert answer_of(kind, alert, status) == expected


def test_counts(tmp_path: Path) -> None:
    """Attempts and devices are counted; successes are left out; most come first."""
    revoked = {
        "kind": "tls.alert.certificate_revoked",
        "phase": "tls",
        "alert": "certificate_revoked",
    }
    bad = {"kind": "http.status", "phase": "wait", "detail": "400 Bad Request"}
    with Recorder(tmp_path, lambda: 0) as recorder:
        recorder.add(record(0))
        for number, device in enumerate(("0000002A", "0000002B", "0000002A"), 1):
            recorder.add(record(number, device=device, status=0, **revoked))
        recorder.add(record(4, status=400, **bad))
        recorder.add(record(5, status=495, **bad))
        recorder.finish()
    assert refusal_data(read_refusals(tmp_path)) == [
        {
            "by": "server_tls",
            "phase": "tls",
            "kind": "tls.alert.certificate_revoked",
            "answer": "alert 44 certificate_revoked",
            "attempts": 3,
            "devices": 2,
            "example": "",
        },
        *(
            {
                "by": "front",
                "phase": "wait",
                "kind": "http.status",
                "answer": f"HTTP {status}",
                "attempts": 1,
                "devices": 1,
                "example": "400 Bad Request",
            }
            for status in (400, 495)
        ),
    ]


def test_nothing_failed(tmp_path: Path) -> None:
    """A run without failures has nobody who refused."""
    with Recorder(tmp_path, lambda: 0) as recorder:
        recorder.add(record(0))
    assert read_refusals(tmp_path) == ()
