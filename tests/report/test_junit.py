"""JUnit XML: what a CI panel shows agrees with the exit code."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from fleetsim.core.outcomes import AuditOutcome
from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.junit import cases_of, render_junit
from fleetsim.report.summary import build_summary, exit_code
from tests.recording.records import record
from tests.report.runs import SATURATED, make_run, step


def read(document: str) -> ET.Element:
    """Read a document we made ourselves."""
    return ET.fromstring(document)  # noqa: S314  # trusted: made two lines before


BROKEN_STEP = (
    step("assert", "start", 3, name="all_well", entry=0),
    step("assert", "end", 3, entry=0, outcome="failed", reason="not well"),
)


@pytest.mark.parametrize(
    ("options", "failed"),
    [
        pytest.param({"thresholds": ("failures == 0",)}, set(), id="passed"),
        pytest.param(
            {"thresholds": ("failures > 0", "failures == 0")},
            {"failures > 0", "Failed"},
            id="threshold",
        ),
        pytest.param(
            {"audit": AuditOutcome(checked=True, missing=("k",), missing_count=1)},
            {"every acknowledged upload is in the bucket", "Failed"},
            id="bucket",
        ),
        pytest.param(
            {"timeline": BROKEN_STEP}, {"assert all_well", "Failed"}, id="timeline"
        ),
        pytest.param(
            {"generator": SATURATED, "thresholds": ("tls.max < 1s",)},
            {"the load generator was not the limit", "Invalid"},
            id="saturated",
        ),
        pytest.param(
            {
                "thresholds": ("failures > 0",),
                "scenario": {"expect": "fail", "cohorts": []},
            },
            set(),
            id="damage on purpose",
        ),
        pytest.param(
            {
                "thresholds": ("failures == 0",),
                "scenario": {"expect": "fail", "cohorts": []},
            },
            {"Passed, but was expected to fail"},
            id="damage did not happen",
        ),
        pytest.param({"outcome": RunOutcome.RUNNING}, set(), id="killed"),
    ],
)
def test_cases_fail_where_the_run_went_wrong(
    tmp_path: Path, options: dict[str, Any], failed: set[str]
) -> None:
    """And some case fails exactly when the command does."""
    summary = build_summary(make_run(tmp_path, [record()], **options))
    found = {case.name for case in cases_of(summary) if case.failed}
    assert found == failed
    assert bool(found) == (exit_code(summary) not in {0, 130})


def test_the_document_adds_up(tmp_path: Path) -> None:
    """Counts of the suites are those of their cases."""
    folder = make_run(
        tmp_path, [record()], thresholds=("failures > 0", "failures == 0")
    )
    root = read(render_junit(build_summary(folder)))
    cases = root.findall(".//testcase")
    for suite in (root, *root.findall("testsuite")):
        assert int(suite.get("tests", "")) == len(cases)
        assert int(suite.get("failures", "")) == len(root.findall(".//failure"))
        assert int(suite.get("skipped", "")) == len(root.findall(".//skipped"))
    assert {case.get("classname") for case in cases} == {
        "quickstart.thresholds",
        "quickstart.checks",
        "quickstart.verdict",
    }


def test_what_xml_cannot_hold_is_replaced(tmp_path: Path) -> None:
    """Words of a peer may hold control characters (XML 1.0 section 2.2)."""
    audit = AuditOutcome(checked=False, failed=True, reason="\x00\x1b[31m<&\"'\ufffe")
    summary = build_summary(make_run(tmp_path, [record()], audit=audit))
    root = read(render_junit(summary))
    (failure,) = (
        case.find("failure")
        for case in root.iter("testcase")
        if case.get("name") == "every acknowledged upload is in the bucket"
    )
    assert failure is not None
    assert failure.text == "\ufffd\ufffd[31m<&\"'\ufffd"
