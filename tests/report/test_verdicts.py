"""The verdict of a rehearsal: who lost contact, when, why, and whether they came back."""

import json
from pathlib import Path
from typing import Any

import pytest

from fleetsim.core.outcomes import DeviceOutcome
from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.load import load_run
from fleetsim.report.summary import build_summary, exit_code
from fleetsim.report.thresholds import evaluate
from fleetsim.report.verdicts import MAX_POINTS
from fleetsim.scenario.threshold import parse_threshold
from tests.recording.records import S, record
from tests.report.runs import change, make_run, step

A, B = "0000002A", "0000002B"
LOST = {
    "kind": "tls.verify.unable_to_get_issuer_cert_locally",
    "phase": "tls",
    "suite": "",
    "tls_ns": -1,
}
SWAP = (
    step("issue_ca", "start", 2.5, name="new"),
    step("issue_ca", "end", 2.6, name="new", outcome="done"),
    step("swap_server_certificate", "start", 3.5, 3.0, name="swap"),
    step("swap_server_certificate", "end", 3.6, 3.0, name="swap", outcome="done"),
)
RECORDS = (
    record(0),
    record(1, device=B),
    record(4, **LOST),
    record(4, device=B, **LOST),
    record(5, device=B, group="group 3"),
    record(6, **LOST),
)
HISTORIES = (
    (A, "ordinary", change(0, "", "unreached")),
    (B, "ordinary", change(0, "", "unreached")),
    (A, "ordinary", change(0.02, "unreached", "connected")),
    (B, "ordinary", change(1.02, "unreached", "connected")),
    (A, "ordinary", change(6, "connected", "failing", "3 tries")),
    (A, "ordinary", change(7, "failing", "stranded", "trusts nobody")),
)


def summary_of(root: Path, **facts: Any) -> dict[str, Any]:
    """Summary of the run above, changed where it matters."""
    facts.setdefault("histories", HISTORIES)
    facts.setdefault("timeline", SWAP)
    facts.setdefault(
        "scenario", {"cohorts": [{"name": "ordinary", "workload": {"period": 1.0}}]}
    )
    return build_summary(make_run(root, facts.pop("records", RECORDS), **facts))


def test_the_verdict_of_a_rehearsal(tmp_path: Path) -> None:
    """Times, states, proofs and the timeline, as a person would tell them."""
    devices = (
        DeviceOutcome(
            device=A, cohort="ordinary", state="stranded", files_closed=7, files_lost=2
        ),
    )
    summary = summary_of(tmp_path, devices=devices, duration_ns=7 * S)
    told = summary["rehearsal"]
    assert told["time_to_detect_s"]["count"] == 2
    assert told["time_to_detect_s"]["max"] == pytest.approx(0.421, rel=0.01)
    assert told["time_to_recover_s"]["max"] == pytest.approx(1.0)
    assert told["time_to_recover_s"]["not_recovered"] == 1
    assert told["freshness_s"]["max"] == pytest.approx(6.021)
    assert told["files"] == {"closed": 7, "lost": 2, "backlog": 0, "late": 0}
    assert told["states"]["start"] == {"unreached": 2}
    assert told["states"]["worst"] == {
        "at_s": 6.0,
        "out_of_touch": 1,
        "counts": {"connected": 1, "failing": 1},
    }
    assert told["states"]["end"] == {"connected": 1, "stranded": 1}
    assert told["stranded"]["devices"] == [
        {
            "device": A,
            "cohort": "ordinary",
            "since_s": 7.0,
            "reason": "trusts nobody",
        }
    ]
    assert told["stranded"]["reasons"][0]["devices"] == 1
    assert told["cipher_groups_over_time"]["groups"] == {
        "group 1": [1, 1, 0, 0, 0, 0],
        "group 3": [0, 0, 0, 0, 0, 1],
    }
    timeline = told["timeline"]
    assert (timeline["planned"], timeline["done"]) == (2, 2)
    assert timeline["entries"][1] == {
        "action": "swap_server_certificate",
        "name": "swap",
        "planned_s": 3.0,
        "started_s": 3.5,
        "ended_s": 3.6,
        "outcome": "done",
        "reason": "",
    }
    assert timeline["intervals"] == [
        {
            "from_s": 3.6,
            "to_s": None,
            "after": ["swap_server_certificate swap"],
            "failures": {LOST["kind"]: 3},
        }
    ]
    assert "timeline" not in summary["cohorts"]["ordinary"]["rehearsal"]
    json.dumps(summary, allow_nan=False)


def test_a_change_is_detected_once_by_each_device(tmp_path: Path) -> None:
    """A device that fails again and again does not make the detection slower."""
    flapping = (
        record(0),
        record(1, **LOST),
        record(2),
        record(3, **LOST),
        record(4),
    )
    told = summary_of(
        tmp_path,
        records=flapping,
        timeline=(step("swap_ciphers", "start", 0.5),),
    )["rehearsal"]
    assert told["time_to_detect_s"]["count"] == 1
    assert told["time_to_detect_s"]["max"] == pytest.approx(0.521)
    assert told["time_to_recover_s"]["count"] == 2


@pytest.mark.parametrize(
    ("shorten_by", "late"), [(1.0, 0), (2.0, 2)], ids=["as written", "shortened"]
)
def test_a_shortened_run_has_shorter_periods(
    tmp_path: Path, shorten_by: float, late: int
) -> None:
    """Two seconds late are in time with a period of 3 s, and late with half of it."""
    written = {
        "shorten_by": shorten_by,
        "cohorts": [{"name": "ordinary", "workload": {"period": 3.0}}],
    }
    records = (
        record(0),
        record(1, ended_ns=3 * S),
        record(2, ended_ns=4 * S),
    )
    told = summary_of(tmp_path, records=records, timeline=(), scenario=written)
    assert told["rehearsal"]["files"]["late"] == late


def test_an_older_run_has_no_histories(tmp_path: Path) -> None:
    """Without states and timeline there are still files, freshness and bytes."""
    told = summary_of(tmp_path, histories=None, timeline=(), scenario={})["rehearsal"]
    assert (told["states"], told["stranded"]) == (None, None)
    assert told["timeline"]["planned"] == 0
    assert told["files"]["late"] == 0
    assert told["spent"]["handshakes"] == 3


def test_a_killed_run_is_told_up_to_its_last_second(tmp_path: Path) -> None:
    """Entries without an end are open: neither done nor failed."""
    summary = summary_of(tmp_path, timeline=SWAP[:3], outcome=RunOutcome.RUNNING)
    assert summary["rehearsal"]["timeline"]["open"] == 1
    assert summary["rehearsal"]["states"]["end"] == {"connected": 1, "stranded": 1}
    assert summary["verdict"] == "interrupted"


def test_long_runs_have_coarser_series(tmp_path: Path) -> None:
    """A summary stays readable: no more than 600 points."""
    last_s = 5 * MAX_POINTS
    told = summary_of(tmp_path, records=(record(0), record(last_s)))["rehearsal"]
    assert told["states"]["step_s"] == 6
    assert len(told["states"]["over_time"]) <= MAX_POINTS + 1


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [("done", "passed"), ("failed", "failed"), ("skipped", "failed")],
)
def test_a_rehearsal_that_did_not_take_place_is_failed(
    tmp_path: Path, outcome: str, verdict: str
) -> None:
    """An entry that was not carried out fails the run, whatever thresholds say."""
    end = step("swap_ciphers", "end", 4, outcome=outcome, reason="no such front")
    summary = summary_of(tmp_path, timeline=(step("swap_ciphers", "start", 4), end))
    assert summary["verdict"] == verdict


BAD = {"expect": "fail", "cohorts": []}
FAILED_ASSERT = (
    step("assert", "start", 4),
    step("assert", "end", 4, outcome="failed", reason="stranded == 0 does not hold"),
)


@pytest.mark.parametrize(
    ("facts", "verdict", "code"),
    [
        ({"thresholds": ("stranded == 0",)}, "failed", 0),
        ({"thresholds": ("stranded == 1",)}, "passed", 99),
        ({"timeline": FAILED_ASSERT}, "failed", 0),
        ({"outcome": RunOutcome.ERROR}, "failed", 99),
        (
            {"thresholds": ("stranded == 0",), "outcome": RunOutcome.ERROR},
            "failed",
            99,
        ),
        (
            {"timeline": (step("swap_ciphers", "end", 4, outcome="failed"),)},
            "failed",
            99,
        ),
        (
            {"thresholds": ("stranded == 0",), "outcome": RunOutcome.INTERRUPTED},
            "interrupted",
            130,
        ),
        (
            {
                "thresholds": ("stranded == 0",),
                "records": (record(0, kind="unclassified", phase="wait"),),
            },
            "failed",
            99,
        ),
    ],
    ids=[
        "damage",
        "no damage",
        "assertion",
        "error",
        "damage and error",
        "not carried out",
        "interrupted",
        "unclassified",
    ],
)
def test_expected_damage_inverts_the_exit_code(
    tmp_path: Path, facts: dict[str, Any], verdict: str, code: int
) -> None:
    """Only damage that thresholds or assertions saw is what was expected."""
    summary = summary_of(tmp_path, scenario=BAD, **facts)
    assert (summary["verdict"], exit_code(summary)) == (verdict, code)


DAMAGE = {"expression": "stranded == 0", "expect": "fail"}


@pytest.mark.parametrize(
    ("marked", "others", "facts", "code"),
    [
        (DAMAGE, "stranded == 1", {}, 0),
        (DAMAGE, "stranded == 2", {}, 99),
        ({**DAMAGE, "expression": "stranded == 1"}, "connected == 1", {}, 99),
        (DAMAGE, "stranded == 1", {"timeline": FAILED_ASSERT}, 99),
        (DAMAGE, "stranded == 1", {"outcome": RunOutcome.ERROR}, 99),
        (DAMAGE, "stranded == 1", {"outcome": RunOutcome.INTERRUPTED}, 130),
    ],
    ids=[
        "exactly this",
        "something else fails too",
        "it holds",
        "an assertion fails",
        "error",
        "interrupted",
    ],
)
def test_marked_damage_is_exact(
    tmp_path: Path,
    marked: dict[str, str],
    others: str,
    facts: dict[str, Any],
    code: int,
) -> None:
    """Where thresholds are marked, those fail and nothing else does."""
    summary = summary_of(
        tmp_path,
        scenario={**BAD, "thresholds": [others, marked]},
        thresholds=(others, marked["expression"]),
        **facts,
    )
    assert exit_code(summary) == code
    assert [each.get("expect") for each in summary["thresholds"]] == [None, "fail"]


@pytest.mark.parametrize(
    ("records", "expression", "value"),
    [
        ((record(0),), "time_to_recover < 1s", 0),
        ((record(0), record(1, **LOST), record(2)), "time_to_recover < 2s", 1),
        ((record(0), record(1, **LOST)), "time_to_recover < 1h", None),
        ((record(0),), "time_to_detect < 1h", None),
    ],
    ids=["nobody failed", "recovered", "never recovered", "nothing detected"],
)
def test_who_never_recovers_did_not_recover_fast(
    tmp_path: Path, records: tuple[Any, ...], expression: str, value: float | None
) -> None:
    """Lost devices fail the threshold; a fleet that never failed took no time."""
    run = load_run(make_run(tmp_path, records, timeline=SWAP))
    verdict = evaluate(parse_threshold(expression), run)
    assert verdict.value == (None if value is None else pytest.approx(value))
    assert verdict.ok is (value is not None)
