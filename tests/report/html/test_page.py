"""``report.html``: one file, safe, complete, bounded, for any run there can be."""

import base64
import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from fleetsim.core.outcomes import AuditOutcome, DeviceOutcome
from fleetsim.exceptions import RecordingError
from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.html.page import gather, render, write_page, write_report
from fleetsim.report.load import load_run
from tests.recording.records import DEVICE, S, record
from tests.report.html.pages import Page, read_page
from tests.report.runs import SATURATED, change, make_run, step

HOSTILE = """</script><script>alert(1)</script>"'><img src=x onerror=alert(2)>{{7*7}}"""
PROOF = "cannot reach main: tls.verify.cert_has_expired (certificate has expired)"
TLS_FAILURE = {
    "kind": "tls.alert.handshake_failure",
    "phase": "tls",
    "suite": "",
    "alert": "handshake_failure",
}
REHEARSED: dict[str, Any] = {
    "histories": [
        (DEVICE, "ordinary", change(0, "", "connected")),
        (DEVICE, "ordinary", change(5, "connected", "stranded", PROOF)),
        ("0000000B", "ordinary", change(0, "", "connected")),
    ],
    "timeline": [
        step("swap_server_certificate", "start", 3, name="server_moves", entry=0),
        step("swap_server_certificate", "end", 3.1, name="server_moves", entry=0),
    ],
    "devices": (
        DeviceOutcome(device=DEVICE, cohort="ordinary", state="stranded"),
        DeviceOutcome(device="0000000B", cohort="ordinary", state="connected"),
    ),
    "audit": AuditOutcome(checked=True, acknowledged=2, stored=2, listed=2),
    "thresholds": ("stranded == 0", "upload.response_time.p99 < 1s"),
}
ROWS = [
    record(1),
    record(4, **TLS_FAILURE),
    record(6, device="0000000B", resumed=True),
]


def page_of(folder: Path) -> Page:
    """The page of a run, taken apart."""
    return read_page(render(gather(load_run(folder))))


@pytest.mark.parametrize(
    ("rows", "options"),
    [
        pytest.param(ROWS, REHEARSED, id="rehearsal"),
        pytest.param(ROWS, {"scenario": {"shorten_by": 5.0, "cohorts": []}}, id="load"),
        pytest.param([], {}, id="nothing attempted"),
        pytest.param([record()], {"outcome": RunOutcome.RUNNING}, id="killed"),
        pytest.param([], {"outcome": RunOutcome.RUNNING}, id="killed at once"),
        pytest.param([record()], {"generator": SATURATED}, id="saturated"),
        pytest.param([record()], {"generator": None, "devices": None}, id="bare"),
        pytest.param(
            [record(tls_ns=-1, suite="", group="", tls_version="")], {}, id="plain HTTP"
        ),
        pytest.param([record(n * 3600) for n in range(30)], {}, id="a day long"),
    ],
)
def test_the_page_stands_alone(
    tmp_path: Path, rows: list[Any], options: dict[str, Any]
) -> None:
    """Whatever the run was: well formed, no outside resource, nothing inline but its own."""
    found = page_of(make_run(tmp_path, rows, **options))
    assert found.unclosed == []
    assert all(target.startswith("#") for target in found.loads)
    assert {target[1:] for target in found.loads} <= {*found.ids}
    assert len(found.ids) == len({*found.ids})
    assert found.handlers == []
    assert found.tags.count("script") == found.tags.count("style") == 1
    assert "url(" not in found.blocks["style"]
    assert "@import" not in found.blocks["style"]


def test_the_policy_allows_the_style_and_the_script_of_the_page_only(
    tmp_path: Path,
) -> None:
    """Their hashes are those a browser computes (Content Security Policy 3, 2.3.1)."""
    found = page_of(make_run(tmp_path, [record()]))
    assert found.policy.startswith("default-src 'none'; ")
    for name, content in found.blocks.items():
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in found.policy


def test_names_are_data(tmp_path: Path) -> None:
    """Device ids, cohorts, kinds, words of a peer: shown as they are, never run."""
    hostile = {
        "device": HOSTILE,
        "cohort": HOSTILE,
        "endpoint": HOSTILE,
        "group": HOSTILE,
        "operation": HOSTILE,
    }
    rows = [
        record(1, **hostile, suite=HOSTILE, tls_version=HOSTILE),
        record(
            4, **hostile, kind=HOSTILE, phase=HOSTILE, detail=HOSTILE, alert=HOSTILE
        ),
    ]
    folder = make_run(
        tmp_path,
        rows,
        histories=[
            (HOSTILE, HOSTILE, change(0, "", "connected")),
            (HOSTILE, HOSTILE, change(5, "connected", "stranded", HOSTILE)),
        ],
        timeline=[
            step(HOSTILE, "start", 3, name=HOSTILE, entry=0),
            step(HOSTILE, "end", 4, entry=0, outcome=HOSTILE, reason=HOSTILE),
        ],
        devices=(DeviceOutcome(device=HOSTILE, cohort=HOSTILE, state=HOSTILE),),
        scenario={"description": HOSTILE, "cohorts": [{"profile": HOSTILE}]},
        audit=AuditOutcome(checked=False, failed=True, reason=HOSTILE),
    )
    found = page_of(folder)
    assert "img" not in found.tags
    assert found.tags.count("script") == 1
    assert found.handlers == []
    told = " ".join(found.text)
    assert HOSTILE in told
    assert "49" not in re.findall(r"\w+", told.replace(HOSTILE, ""))


def test_the_page_tells_what_matters(tmp_path: Path) -> None:
    """Verdict, thresholds, timeline, failures, proof, honesty and how to run it again."""
    folder = make_run(tmp_path, ROWS, **REHEARSED)
    told = " ".join(" ".join(page_of(folder).text).split())
    for words in (
        "1 of 2 devices is stranded (cannot reach main: tls.verify.cert_has_expired",
        "broken",
        "upload.response_time.p99 < 1s",
        "swap_server_certificate server_moves",
        "tls.alert.handshake_failure",
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        "in contact without a full handshake since",
        f"{DEVICE} ordinary, since 5 s",
        "2 acknowledged = 2 found in the bucket",
        "fleetsim run scenario.yaml --seed 42",
    ):
        assert words in told


def test_every_chart_can_be_read_without_seeing_it(tmp_path: Path) -> None:
    """Each has a sentence, a table and takes the focus."""
    page = render(gather(load_run(make_run(tmp_path, ROWS, **REHEARSED))))
    charts = page.count('<figure class="chart"')
    assert charts >= 6
    assert page.count("Figures of this chart") == charts
    assert len(re.findall(r'role="img" aria-label="[^"]{20,}"', page)) >= charts
    assert page.count('class="plot" tabindex="0"') == charts


def test_the_size_does_not_grow_with_the_run(tmp_path: Path) -> None:
    """3,000 stranded devices and 300 kinds of failure stay far below 3 MB."""
    rows = [
        record(
            n,
            device=f"{n:08X}",
            kind=f"s3.Code{n % 300}",
            phase="wait",
            detail="x" * 200,
        )
        for n in range(3000)
    ]
    histories = [
        (f"{n:08X}", "ordinary", each)
        for n in range(3000)
        for each in (
            change(0, "", "connected"),
            change(5, "connected", "stranded", f"{PROOF} {n % 40}"),
        )
    ]
    folder = make_run(tmp_path, rows, histories=histories)
    page = render(gather(load_run(folder)))
    assert len(page.encode()) < 1_000_000
    assert "1,000 more are in states.parquet" in page
    assert "rarer ones are in records.parquet" in page


def test_the_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A folder that cannot be written to is told, and nothing half is left."""
    with pytest.raises(RecordingError):
        write_page(tmp_path / "missing" / "page.html", "x")
    folder = make_run(tmp_path, [record()], duration_ns=S)
    path = write_report(load_run(folder))
    assert path == folder / "report.html"
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert not list(folder.glob("*.part"))
