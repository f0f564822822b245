"""Whole runs against the real lab process: the truth about every device, end to end."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fleetsim.core.failure import is_kind
from tests.integration.runs import FLEETSIM, Finished, cohort, plan_of, run, scenario

pytestmark = pytest.mark.slow

S = 1_000_000_000
HARDENED = "ECDHE-RSA-AES128-GCM-SHA256"
FRONTS = [
    {"name": "main", "security": "medium"},
    {"name": "plain", "security": "low"},
    {"name": "mutual", "security": "high"},
    {
        "name": "hardened",
        "security": "medium",
        "tls": {"versions": ["TLSv1.2"], "ciphers": HARDENED},
    },
    {
        "name": "modern",
        "security": "medium",
        "tls": {"versions": ["TLSv1.3"], "session_tickets": True},
    },
    {"name": "address", "security": "medium", "host": "127.0.0.1"},
]

# Cohorts whose every device must reach the bucket, and those that must not, with why.
WELCOME: dict[str, dict[str, Any]] = {
    "low": {"front": "plain", "security": "low"},
    "medium": {},
    "high": {"front": "mutual"},
    "high-p256": {"front": "mutual", "client_certificates": {"key": "p256"}},
    "address": {"front": "address"},
    "keep-alive": {"workload": {"connection": "keep_alive"}},
    "signed": {"overrides": {"signed_payload": True}},
    "head-then-get": {"overrides": {"change_detection": "head_then_get"}},
    "tls13": {
        "front": "modern",
        "profile": "generic-tls13",
        "overrides": {"tls": {"resumption": True}},
    },
    "ladder": {"front": "hardened", "cipher_table": "winc-ecdhe-last"},
    "intermediate": {"trust": {"lab": "intermediate"}},
    "leaf": {"trust": {"lab": "leaf"}},
    # The key holds the second of the upload: within it a duplicate overwrites.
    "duplicates": {
        "workload": {"duplicates": 0.5, "period": "2s"},
        "overrides": {"retry": {"first": "1100ms"}},
    },
    "large": {
        "count": 1,
        "workload": {"file_size": "9MiB", "period": "2s"},
        "overrides": {"signed_payload": True},
    },
}
REFUSED: dict[str, tuple[dict[str, Any], set[str]]] = {
    "slow-clock": (
        {"clock": {"skew": "-30d"}},
        {"tls.verify.cert_not_yet_valid"},
    ),
    "skewed": (
        {"clock": {"skew": "-20m"}},
        {"s3.RequestTimeTooSkewed"},
    ),
    "trustless": ({"trust": "empty"}, {"device.no_trusted_certificates"}),
    "nameless": (
        {"front": "mutual", "security": "medium"},
        {"tls.alert.handshake_failure"},
    ),
    "old": (
        {"front": "hardened", "cipher_table": "winc-nonecc"},
        {"tls.alert.handshake_failure"},
    ),
}


@pytest.fixture(scope="module")
def everybody(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """One run with a cohort for every way to live: labs are slow to start."""
    cohorts = [cohort(name, **changes) for name, changes in WELCOME.items()]
    cohorts += [cohort(name, **changes) for name, (changes, _) in REFUSED.items()]
    for one in cohorts:
        one.setdefault("front", "main")
    data = scenario(*cohorts, lab={"fronts": FRONTS}, seed=7)
    return run(data, tmp_path_factory.mktemp("everybody"))


def test_acknowledged_is_stored(everybody: Finished) -> None:
    """What the devices were told is what the bucket holds, to the object."""
    uploads = everybody.summary["uploads"]
    assert uploads["acknowledged"] == uploads["stored"] > 50
    assert uploads["unaccounted"] == 0
    assert everybody.summary["unclassified"] == 0
    assert everybody.summary["verdict"] == "passed"


def test_times_of_every_attempt_are_in_order(everybody: Finished) -> None:
    """Planned, due, started, ended; phases are inside the attempt."""
    for row in everybody.records:
        assert 0 <= row["planned_ns"] <= row["due_ns"] <= row["started_ns"]
        assert row["started_ns"] <= row["ended_ns"]
        phases = [row[f"{name}_ns"] for name in ("dns", "tcp", "tls", "send", "wait")]
        took_ns = row["ended_ns"] - row["started_ns"]
        assert sum(max(0, phase_ns) for phase_ns in phases) <= took_ns


def test_every_failure_has_a_name(everybody: Finished) -> None:
    """Kinds are members of the taxonomy; success has none."""
    for row in everybody.records:
        assert row["kind"] == "" or is_kind(row["kind"])
        assert (row["kind"] == "") == (row["phase"] == "")
    assert (
        Counter(row["kind"] for row in everybody.records if row["kind"])
        == (everybody.summary["failures"])
    )


def test_attempts_of_an_operation_are_numbered(everybody: Finished) -> None:
    """Uploads of one plan are attempts 1, 2, 3 … without a gap, of one content."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in everybody.records:
        if row["operation"] == "upload":
            found.setdefault((row["device"], row["planned_ns"]), []).append(row)
    for rows in found.values():
        rows.sort(key=lambda row: row["started_ns"])
        assert [row["attempt"] for row in rows] == [*range(1, len(rows) + 1)]
        assert len({(row["content"], row["body_bytes"]) for row in rows}) == 1


@pytest.mark.parametrize("name", WELCOME)
def test_who_must_get_through_does(everybody: Finished, name: str) -> None:
    """Every planned file of every device is acknowledged; nothing fails but by design."""
    figures = everybody.summary["cohorts"][name]["uploads"]
    assert figures["planned"] > 0
    assert figures["acknowledged"] >= figures["planned"]
    by_design = {"tls.alert.handshake_failure"} if name == "ladder" else set()
    assert everybody.kinds(name) == {""} | by_design


@pytest.mark.parametrize("name", REFUSED)
def test_who_must_not_get_through_does_not(everybody: Finished, name: str) -> None:
    """No upload is acknowledged, and every attempt says the one right reason."""
    figures = everybody.summary["cohorts"][name]["uploads"]
    assert figures["acknowledged"] == 0
    assert figures["planned"] > 0
    assert everybody.kinds(name) - {"run.stopped"} == REFUSED[name][1]


def test_fallback_takes_three_handshakes_once(everybody: Finished) -> None:
    """Groups 1 and 2 are refused once per device; group 3 is kept to the end."""
    by_device: dict[str, list[dict[str, Any]]] = {}
    for row in everybody.of("ladder"):
        if not row["reused"]:
            by_device.setdefault(row["device"], []).append(row)
    for rows in by_device.values():
        rows.sort(key=lambda row: row["started_ns"])
        groups = [row["group"] for row in rows]
        assert groups[:2] == ["group 1", "group 2"]
        assert set(groups[2:]) == {"group 3"}
        assert [row["alert"] for row in rows[:3]] == [
            "handshake_failure",
            "handshake_failure",
            "",
        ]
        assert {row["suite"] for row in rows[2:]} == {HARDENED}


def test_plain_http_has_no_tls_in_its_records(everybody: Finished) -> None:
    """No group, suite, version or handshake time in low security mode."""
    for row in everybody.of("low"):
        assert (row["group"], row["suite"], row["tls_version"]) == ("", "", "")
        assert row["tls_ns"] == -1


def test_keep_alive_dials_once(everybody: Finished) -> None:
    """One connection per device carries everything; the rest is reused."""
    rows = everybody.of("keep-alive")
    assert sum(not row["reused"] for row in rows) == 3
    assert all(row["tcp_ns"] == row["tls_ns"] == -1 for row in rows if row["reused"])
    assert not [row for row in everybody.of("medium", "upload") if row["reused"]]


def test_tls13_resumes(everybody: Finished) -> None:
    """The first handshake of a device is full, later ones resume its session."""
    rows = [row for row in everybody.of("tls13") if row["tls_version"]]
    assert {row["tls_version"] for row in rows} == {"TLSv1.3"}
    by_device: dict[str, list[bool]] = {}
    for row in sorted(rows, key=lambda row: row["started_ns"]):
        if not row["reused"]:
            by_device.setdefault(row["device"], []).append(row["resumed"])
    for resumed in by_device.values():
        assert not resumed[0]
        assert all(resumed[1:])
        assert len(resumed) > 3


def test_large_files_arrive_whole(everybody: Finished) -> None:
    """9 MiB are sent and counted; size and ETag were compared by the truth check."""
    rows = everybody.of("large", "upload")
    assert {row["body_bytes"] for row in rows} == {9 * 1024**2}
    assert all(row["bytes_sent"] > 9 * 1024**2 for row in rows)


def test_lost_confirmations_are_uploaded_again(everybody: Finished) -> None:
    """A duplicate has another key and the same content, and both are stored."""
    rows = everybody.of("duplicates", "upload")
    keys = {row["key"] for row in rows}
    contents = {(row["device"], row["content"]) for row in rows}
    assert len(keys) == len(rows) > len(contents)


def test_head_then_get_asks_with_head_first(everybody: Finished) -> None:
    """Checks of an empty bucket are HEADs: 404 without a body, no failure."""
    rows = everybody.of("head-then-get", "ota_bundle")
    assert {row["status"] for row in rows} == {404}


def test_same_seed_same_uploads(tmp_path: Path) -> None:
    """Two runs of one seed plan and upload the same files of the same bytes."""
    data = scenario(
        cohort("a", 20, workload={"file_size": {"uniform": [1000, 9000]}}),
        duration="2s",
        seed=11,
    )

    def uploads(found: Finished) -> set[tuple[object, ...]]:
        return {
            tuple(
                row[name] for name in ("device", "planned_ns", "body_bytes", "content")
            )
            for row in found.of("a", "upload")
        }

    first, again = run(data, tmp_path), run(data, tmp_path)
    digests = [
        json.loads((each.folder / "manifest.json").read_text())["plan_sha256"]
        for each in (first, again)
    ]
    assert digests[0] == digests[1] == plan_of(data)[1].digest
    assert uploads(first) == uploads(again)
    assert len(uploads(first)) >= 20
    other = plan_of({**data, "seed": 12})[1]
    assert other.digest != digests[0]


# ---------------------------------------------------------------- as a program


def start(folder: Path, data: dict[str, Any], *prefix: str) -> subprocess.Popen[str]:
    """Start ``fleetsim run`` and wait until the fleet is under way."""
    path = folder / "s.yaml"
    path.write_text(json.dumps(data))
    (folder / "tmp").mkdir()
    process = subprocess.Popen(
        [*prefix, *FLEETSIM, "run", str(path), "--results", str(folder / "results")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(Path.cwd()),
            "TMPDIR": str(folder / "tmp"),
        },
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    assert "recording to" in line, line + process.stderr.read()
    return process


def wait_for_records(folder: Path) -> Path:
    """Wait until a run has written its first records."""
    while True:
        found = [
            each
            for each in (folder / "results").glob("*/*")
            if each.name.startswith("records") and each.stat().st_size > 10_000
        ]
        if found:
            return found[0].parent
        time.sleep(0.02)


LONG = scenario(cohort("a", 40), duration="60s", drain="30s")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_drains_and_keeps_the_truth(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Exit code 130, an interrupted summary, the bucket checked, no key left behind."""
    process = start(tmp_path, LONG)
    folder = wait_for_records(tmp_path)
    process.send_signal(number)
    out, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert out.startswith("INTERRUPTED")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["verdict"] == "interrupted"
    assert summary["uploads"]["acknowledged"] == summary["uploads"]["stored"] > 0
    assert "Traceback" not in errors
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    """A drain that cannot end is cut short; what was under way is recorded."""
    stuck = scenario(
        cohort("a", 5),
        cohort("b", 5, trust="empty"),
        duration="60s",
        drain="600s",
    )
    process = start(tmp_path, stuck)
    folder = wait_for_records(tmp_path)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, out.split()[0]) == (130, "INTERRUPTED"), errors
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["outcome"] == "interrupted"


def test_a_killed_run_can_be_reported(tmp_path: Path) -> None:
    """SIGKILL leaves a folder that ``fleetsim report`` reads; the lab goes down too."""
    process = start(tmp_path, LONG)
    folder = wait_for_records(tmp_path)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    (lab,) = map(int, children.read_text().split())
    process.kill()
    process.communicate()
    while Path(f"/proc/{lab}/cmdline").is_file() and b"fleetsim.lab" in (
        Path(f"/proc/{lab}/cmdline").read_bytes()
    ):
        time.sleep(0.02)
    done = subprocess.run(
        [*FLEETSIM, "report", str(folder), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["verdict"] == "interrupted"
    assert summary["uploads"]["acknowledged"] > 0


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    """Exit code 1 and one line that names the file; the folder is not called complete."""
    process = start(tmp_path, LONG, "prlimit", "--fsize=40000")
    out, errors = process.communicate(timeout=50)
    assert (process.returncode, out) == (1, ""), errors
    last = errors.strip().splitlines()[-1]
    assert str(tmp_path / "results") in last
    assert "Traceback" not in errors
