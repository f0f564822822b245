"""Tables of a report say what ``summary.json`` holds."""

from pathlib import Path

from fleetsim.report.html import tables
from fleetsim.report.html.table import Table
from fleetsim.report.summary import build_summary
from tests.recording.records import DEVICE, record
from tests.report.runs import change, make_run, step


def column(found: Table, head: str) -> list[str]:
    """Texts of a column."""
    place = [cell.text for cell in found.head].index(head)
    return [row[place].text for row in found.rows]


def test_a_threshold_is_good_when_it_ends_as_expected(tmp_path: Path) -> None:
    """Damage that the scenario shows on purpose is no bad news."""
    scenario = {
        "expect": "fail",
        "cohorts": [],
        "thresholds": [
            {"expression": "failures > 0", "expect": "fail"},
            "failures == 0",
            {"expression": "failures < 5", "expect": "fail"},
        ],
    }
    folder = make_run(
        tmp_path,
        [record()],
        thresholds=("failures > 0", "failures == 0", "failures < 5"),
        scenario=scenario,
    )
    found = tables.thresholds(build_summary(folder))
    assert [row[0].tone for row in found.rows] == ["good", "good", "bad"]
    assert column(found, "measured") == ["0", "0", "0"]


def test_what_was_not_measured_is_said_in_words(tmp_path: Path) -> None:
    """A threshold without a figure shows the reason."""
    folder = make_run(tmp_path, [], thresholds=("upload.response_time.p99 < 1s",))
    found = tables.thresholds(build_summary(folder))
    assert column(found, "measured") == ["nothing was measured"]


def test_contact_is_told_at_the_start_the_worst_moment_and_the_end(
    tmp_path: Path,
) -> None:
    """Columns are the states that occurred."""
    folder = make_run(
        tmp_path,
        [record()],
        histories=[
            (DEVICE, "ordinary", change(0, "", "connected")),
            (DEVICE, "ordinary", change(4, "connected", "failing")),
            (DEVICE, "ordinary", change(9, "failing", "recovered")),
        ],
    )
    summary = build_summary(folder)
    found = tables.contact(summary["rehearsal"]["states"])
    assert column(found, "moment") == ["start", "worst, at 4 s", "end"]
    assert column(found, "failing") == ["0", "1", "0"]
    assert tables.in_contact(summary["rehearsal"]["states"]["end"]) == 1


def test_the_timeline_tells_why_something_was_not_done(tmp_path: Path) -> None:
    """Its number is that of the mark in the charts."""
    folder = make_run(
        tmp_path,
        [record()],
        timeline=[
            step("push_bundle", "start", 3, name="add", entry=0),
            step("push_bundle", "end", 4, entry=0, outcome="failed", reason="no room"),
        ],
    )
    entries = build_summary(folder)["rehearsal"]["timeline"]["entries"]
    found = tables.timeline(entries, {0: 1})
    assert column(found, "mark") == ["1"]
    assert column(found, "outcome") == ["failed: no room"]
    assert found.rows[0][-1].tone == "bad"
