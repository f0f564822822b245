"""The summary is a pure function of the run folder, and its verdict can be trusted."""

import json
from pathlib import Path
from typing import Any

import pytest

from fleetsim.core.outcomes import (
    AuditOutcome,
    DeviceOutcome,
    GeneratorHealth,
    ProcessHealth,
)
from fleetsim.exceptions import InputError
from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.summary import build_summary, exit_code, write_summary
from tests.recording.records import MS, S, record
from tests.report.runs import SATURATED, make_run

CLEAN = AuditOutcome(checked=True, listed=1, acknowledged=1, stored=1)
MISSING = AuditOutcome(checked=True, missing=("k",), missing_count=1)
UNCHECKED = AuditOutcome(checked=False, reason="switched off")
UNCHECKABLE = AuditOutcome(checked=False, failed=True, reason="the target was gone")
BEREAVED = GeneratorHealth(
    saturated=True,
    reasons=("shard 2 of 2 died",),
    processes=(
        ProcessHealth(name="shard 1 of 2", devices=1),
        ProcessHealth(
            name="shard 2 of 2", devices=3, lost_at_ns=1, lost_reason="SIGKILL"
        ),
    ),
)
BUG = record(1, kind="unclassified", phase="wait")
SLOW = ("upload.response_time.max < 1ms",)
FAST = ("upload.response_time.max < 1s",)


def test_the_shape_is_the_contract(tmp_path: Path) -> None:
    """Every key of the published shape is there, with the right kind of value."""
    devices = (
        DeviceOutcome(
            device="0000002A",
            cohort="ordinary",
            state="connected",
            cipher_group="group 1",
            files_closed=3,
        ),
        DeviceOutcome(device="0000002B", cohort="high", state="unseen"),
    )
    records = (
        record(0),
        record(1, kind="tcp.refused", phase="tcp", suite="", tls_ns=-1),
        record(1, attempt=2),
        record(2, operation="heartbeat", suite="AES128-SHA"),
    )
    folder = make_run(
        tmp_path,
        records,
        thresholds=("unaccounted == 0",),
        devices=devices,
        audit=AuditOutcome(checked=True, listed=2, acknowledged=2, stored=2),
        warm_up_ns=1 * S,
    )
    summary = build_summary(folder)
    assert summary["schema"] == 1
    assert summary["run"] == folder.name
    assert (summary["scenario"], summary["seed"]) == ("quickstart", 42)
    assert summary["verdict"] == "passed"
    assert summary["profiles"] == ["canedge2"]
    assert summary["devices"]["total"] == 2
    assert summary["devices"]["by_state"] == {"connected": 1, "unseen": 1}
    assert summary["uploads"] == {
        "planned": 3,
        "attempted": 2,
        "acknowledged": 2,
        "stored": 2,
        "unaccounted": 0,
    }
    assert summary["failures"] == {"tcp.refused": 1}
    assert list(summary["latency"]) == [
        "dns",
        "tcp",
        "tls",
        "send",
        "wait",
        "total",
        "response",
    ]
    assert summary["latency"]["dns"]["count"] == 0
    assert summary["latency"]["dns"]["p99_ms"] is None
    response = summary["latency"]["response"]
    assert response == {
        "count": 1,
        "p50_ms": 21.0,
        "p90_ms": 21.0,
        "p99_ms": 21.0,
        "p999_ms": 21.0,
        "max_ms": 21.0,
        "min_ms": 21.0,
        "mean_ms": 21.0,
    }
    assert summary["latency"]["tls"]["count"] == 2
    assert summary["cipher_groups"] == {"group 1": 1}
    assert summary["cipher_suites"] == {
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": 2,
        "TLS_RSA_WITH_AES_128_CBC_SHA": 1,
    }
    assert summary["thresholds"] == [
        {"expression": "unaccounted == 0", "value": 0.0, "ok": True, "unit": "count"}
    ]
    assert summary["generator"]["saturated"] is False
    assert summary["generator"]["loop_lag_p99_ms"] == 1.5
    upload = summary["operations"]["upload"]
    assert (upload["attempts"], upload["ok"], upload["failed"]) == (3, 2, 1)
    assert upload["amplification"] == 1.5
    assert summary["operations"]["handshake"]["attempts"] == 3
    assert set(summary["cohorts"]) == {"ordinary", "high"}
    assert summary["cohorts"]["ordinary"]["uploads"]["acknowledged"] == 2
    assert summary["cohorts"]["high"]["devices"]["by_state"] == {"unseen": 1}
    assert set(summary["cohorts"]["high"]) == {
        "devices",
        "uploads",
        "failures",
        "latency",
        "cipher_groups",
        "cipher_suites",
        "operations",
        "throughput",
        "rehearsal",
    }
    json.dumps(summary, allow_nan=False)


@pytest.mark.parametrize(
    ("facts", "verdict", "code"),
    [
        ({}, "passed", 0),
        ({"audit": CLEAN}, "passed", 0),
        ({"thresholds": FAST}, "passed", 0),
        ({"thresholds": SLOW}, "failed", 99),
        ({"thresholds": ("stranded == 1",)}, "failed", 99),
        ({"records": (record(), BUG)}, "failed", 99),
        ({"audit": MISSING}, "failed", 99),
        ({"audit": UNCHECKED}, "passed", 0),
        ({"audit": UNCHECKABLE}, "failed", 99),
        ({"outcome": RunOutcome.ERROR}, "failed", 99),
        ({"generator": SATURATED}, "passed", 0),
        ({"generator": SATURATED, "thresholds": FAST}, "invalid", 99),
        ({"generator": SATURATED, "thresholds": SLOW}, "invalid", 99),
        ({"generator": SATURATED, "thresholds": ("unclassified == 0",)}, "passed", 0),
        (
            {"generator": SATURATED, "thresholds": FAST, "audit": MISSING},
            "failed",
            99,
        ),
        ({"generator": BEREAVED}, "invalid", 99),
        ({"generator": BEREAVED, "thresholds": ("stranded == 1",)}, "invalid", 99),
        ({"generator": BEREAVED, "audit": MISSING}, "failed", 99),
        ({"outcome": RunOutcome.INTERRUPTED}, "interrupted", 130),
        ({"outcome": RunOutcome.RUNNING}, "interrupted", 130),
        ({"outcome": RunOutcome.INTERRUPTED, "audit": MISSING}, "interrupted", 130),
    ],
    ids=[
        "clean",
        "audited",
        "a time holds",
        "a time does not hold",
        "a count does not hold",
        "unclassified",
        "unaccounted",
        "not audited on request",
        "audit impossible",
        "ended by an error",
        "saturated, no time asked",
        "saturated, a time holds",
        "saturated, a time does not hold",
        "saturated, a count holds",
        "saturated and unaccounted",
        "a process died",
        "a process died, a count does not hold",
        "a process died and unaccounted",
        "interrupted",
        "killed",
        "interrupted and unaccounted",
    ],
)
def test_verdicts(
    tmp_path: Path, facts: dict[str, Any], verdict: str, code: int
) -> None:
    """The first rule that applies decides; the exit code follows."""
    records = facts.pop("records", (record(),))
    summary = build_summary(make_run(tmp_path, records, **facts))
    assert summary["verdict"] == verdict
    assert exit_code(summary) == code


def test_a_killed_run_has_a_summary(tmp_path: Path) -> None:
    """What is not known is null, never a made-up zero."""
    folder = make_run(tmp_path, [record()], outcome=RunOutcome.RUNNING)
    summary = build_summary(folder)
    assert summary["uploads"] == {
        "planned": None,
        "attempted": 1,
        "acknowledged": 1,
        "stored": None,
        "unaccounted": None,
    }
    assert summary["generator"] is None
    assert summary["audit"] is None
    assert summary["cipher_groups"] == {"group 1": 1}
    assert summary["devices"]["total"] == 1


def test_made_again_it_is_the_same(tmp_path: Path) -> None:
    """The summary depends on the folder and on nothing else."""
    folder = make_run(tmp_path, [record(n) for n in range(20)])
    first = write_summary(folder)
    assert json.loads((folder / "summary.json").read_text()) == first
    assert write_summary(folder) == first


def test_an_expression_this_version_does_not_know_is_bad_input(tmp_path: Path) -> None:
    """All of them are named at once."""
    folder = make_run(tmp_path, thresholds=("speed > 9000", "unaccounted ~ 0"))
    with pytest.raises(InputError) as caught:
        build_summary(folder)
    assert len(caught.value.problems) == 2


def test_rates_are_over_the_whole_run(tmp_path: Path) -> None:
    """Uploads per second and goodput count from run time 0 to the last end."""
    rows = [record(n) for n in range(9)]
    rows.append(record(9, ended_ns=10 * S, started_ns=9 * S + 500 * MS))
    summary = build_summary(make_run(tmp_path, rows))
    assert summary["seconds"] == 10.0
    assert summary["throughput"]["uploads_per_s"] == 1.0
    assert summary["throughput"]["handshakes_per_s"] == 1.0
    assert summary["throughput"]["goodput_bytes_per_s"] == 16_384.0


def test_devices_that_died_with_their_process_are_counted(tmp_path: Path) -> None:
    """The fleet is as large as planned; how many of it died is told apart."""
    folder = make_run(tmp_path, (record(),), generator=BEREAVED)
    summary = build_summary(folder)
    assert summary["devices"]["lost"] == 3
    assert summary["generator"]["devices_lost"] == 3
    assert [each["name"] for each in summary["generator"]["processes"]] == [
        "shard 1 of 2",
        "shard 2 of 2",
    ]
