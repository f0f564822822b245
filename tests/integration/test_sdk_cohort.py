"""Whole runs with ``client: sdk``: the truth about every upload, and the comparison."""

import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runs import FLEETSIM, Finished, cohort, run, scenario

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

FRONTS = [
    {"name": "main", "security": "medium"},
    {"name": "plain", "security": "low"},
    {"name": "mutual", "security": "high"},
    {
        "name": "static_rsa",
        "security": "medium",
        "tls": {"versions": ["TLSv1.2"], "ciphers": "AES128-SHA"},
    },
]
COHORTS: dict[str, dict[str, Any]] = {
    "firmware": {},
    "https": {"client": "sdk"},
    "http": {"client": "sdk", "front": "plain", "security": "low"},
    "mutual": {"client": "sdk", "front": "mutual"},
    "anonymous": {"client": "sdk", "front": "mutual", "security": "medium"},
    "no_suite": {"client": "sdk", "front": "static_rsa"},
    "parts": {
        "client": "sdk",
        "heartbeat": "0s",
        "ota": "0s",
        "sdk": {"multipart_threshold": "1MiB"},
        "workload": {"file_size": "6MiB"},
    },
}
REFUSED = {
    "anonymous": "tls.alert.certificate_required",
    "no_suite": "tls.alert.handshake_failure",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One run of all cohorts."""
    cohorts = [cohort(name, count=2, **changes) for name, changes in COHORTS.items()]
    made = scenario(*cohorts, lab={"fronts": FRONTS}, duration="2500ms", drain="1500ms")
    return run(made, tmp_path_factory.mktemp("sdk"))


def test_what_is_acknowledged_is_stored(finished: Finished) -> None:
    """Parts too; nothing is unclassified."""
    summary = finished.summary
    uploads = summary["uploads"]
    assert uploads["acknowledged"] == uploads["stored"] > 0
    assert uploads["unaccounted"] == 0
    assert summary["failures"].get("unclassified", 0) == 0
    for name in COHORTS.keys() - REFUSED.keys():
        assert finished.kinds(name) == {""}, name
        assert summary["cohorts"][name]["uploads"]["acknowledged"] > 0


@pytest.mark.parametrize("name", REFUSED)
def test_who_is_refused_is_refused_by_name(finished: Finished, name: str) -> None:
    """The server's alert, in the handshake, in every hidden attempt as well."""
    rows = finished.of(name)
    ended = [row for row in rows if row["kind"] != "run.stopped"]
    assert {row["kind"] for row in ended} == {REFUSED[name]}
    assert {row["phase"] for row in ended} == {"tls"}
    per_operation = Counter((row["device"], row["planned_ns"]) for row in rows)
    assert max(per_operation.values()) > 1
    for device, planned_ns in per_operation:
        attempts = [
            row["attempt"]
            for row in rows
            if (row["device"], row["planned_ns"]) == (device, planned_ns)
            and row["operation"] == "schema"
        ]
        assert attempts == sorted(set(attempts))


def test_the_sdk_keeps_its_connections(finished: Finished) -> None:
    """One handshake per device where firmware has one per request."""
    devices = finished.summary["cohorts"]
    rows = [row for row in finished.of("https") if row["suite"]]
    assert len(rows) == devices["https"]["devices"]["total"] == 2
    assert {row["tls_version"] for row in rows} == {"TLSv1.3"}
    assert {row["group"] for row in finished.of("https")} == {"sdk"}
    firmware = finished.of("firmware")
    assert sum(bool(row["suite"]) for row in firmware) > 10


def test_phases_are_measured_where_they_happen(finished: Finished) -> None:
    """A kept connection has no dial, a plain one no TLS, parts no send and wait."""
    for row in finished.of("https", "upload"):
        assert row["reused"] == (row["tcp_ns"] < 0)
        assert min(row["send_ns"], row["wait_ns"]) > 0
        assert row["started_ns"] + row["send_ns"] + row["wait_ns"] <= row["ended_ns"]
    assert all(row["tls_ns"] < 0 for row in finished.of("http"))
    for row in finished.of("parts", "upload"):
        assert (row["send_ns"], row["wait_ns"]) == (-1, -1)
        assert row["etag"].endswith("-1")
        assert row["bytes_sent"] > row["body_bytes"] == 6 * 1024**2


def test_device_and_sdk_side_by_side(tmp_path: Path) -> None:
    """The library's comparison, shortened: exit code 0, all its thresholds hold."""
    options = ["--time-scale", "6", "--json", "-q", "--results", str(tmp_path)]
    done = subprocess.run(
        [*FLEETSIM, "run", "device_vs_sdk", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=80,
    )
    assert done.stdout, done.stderr
    summary = json.loads(done.stdout)
    missed = [each for each in summary["thresholds"] if not each["ok"]]
    assert (done.returncode, missed) == (0, [])
    assert summary["cohorts"]["sdk"]["failures"].keys() <= {
        "tcp.refused",
        "tcp.reset",
        "tls.reset",
        "http.reset",
    }
