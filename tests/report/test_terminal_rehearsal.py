"""A rehearsal in words: the timeline, contact at its worst, and who is stranded."""

import io
from pathlib import Path
from typing import Any

import pytest

from fleetsim.report.console import make_console
from fleetsim.report.summary import build_summary
from fleetsim.report.terminal import print_summary
from tests.recording.records import record
from tests.report.runs import change, make_run, step
from tests.report.test_verdicts import BAD, HISTORIES, RECORDS, SWAP


def printed(folder: Path, **changes: Any) -> str:
    """Print the summary of a run."""
    file = io.StringIO()
    print_summary({**build_summary(folder), **changes}, make_console(file))
    return file.getvalue()


def test_a_rehearsal_is_told(tmp_path: Path) -> None:
    """Planned and actual times, states at start, worst and end, the proof."""
    text = printed(make_run(tmp_path, RECORDS, histories=HISTORIES, timeline=SWAP))
    assert "swap_server_certificate swap" in text
    line = next(each for each in text.splitlines() if "certificate swap" in each)
    assert line.split()[2:] == ["3.0", "s", "3.5", "s", "3.6", "s", "done"]
    assert "worst, at 6.0 s" in text
    assert "1 device stranded (ordinary; since 7.0 s; 0000002A for one)" in text
    assert "trusts nobody" in text
    assert "1 device did not recover" in text


def test_an_ordinary_load_run_says_nothing_of_it(tmp_path: Path) -> None:
    """Nothing scripted, nobody out of touch: the summary is as short as before."""
    text = printed(make_run(tmp_path, (record(0),), histories=HISTORIES[:3]))
    assert "Timeline" not in text
    assert "Contact" not in text


def test_a_summary_of_an_older_version_can_be_printed(tmp_path: Path) -> None:
    """What it does not have is not told."""
    assert "PASSED" in printed(make_run(tmp_path, (record(0),)), rehearsal=None)


def test_who_came_back_is_told(tmp_path: Path) -> None:
    """Devices that had been stranded and are not at the end."""
    back = (*HISTORIES, ("0000002A", "ordinary", change(8, "stranded", "recovered")))
    text = printed(make_run(tmp_path, RECORDS, histories=back))
    assert "1 device that had been stranded came back" in text


def test_why_an_entry_was_not_done_is_told(tmp_path: Path) -> None:
    """The reason stands beside the outcome."""
    lines = (step("fault", "end", 4, outcome="failed", reason="no front of that name"),)
    text = " ".join(printed(make_run(tmp_path, RECORDS, timeline=lines)).split())
    assert "failed: no front of that name" in text


@pytest.mark.parametrize(
    ("threshold", "first"),
    [
        ("stranded == 0", "FAILED as expected quickstart: "),
        ("stranded == 1", "PASSED, but was expected to fail quickstart: "),
    ],
)
def test_the_first_line_knows_what_was_expected(
    tmp_path: Path, threshold: str, first: str
) -> None:
    """Damage on purpose is good news, its absence is not."""
    folder = make_run(
        tmp_path,
        RECORDS,
        histories=HISTORIES,
        scenario=BAD,
        thresholds=(threshold,),
    )
    assert printed(folder).startswith(first)


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("stranded == 0", "1 (the damage shown)"),
        ("stranded == 1", "1 (holds, but must not)"),
    ],
)
def test_the_damage_is_told_from_other_thresholds(
    tmp_path: Path, expression: str, told: str
) -> None:
    """Whoever reads the table sees which failure is the point of the scenario."""
    marked = {"expression": expression, "expect": "fail"}
    folder = make_run(
        tmp_path,
        RECORDS,
        histories=HISTORIES,
        scenario={**BAD, "thresholds": [marked]},
        thresholds=(expression,),
    )
    assert told in printed(folder)


def test_a_run_that_was_ended_early_says_why(tmp_path: Path) -> None:
    """A threshold with abort_on_fail is named."""
    lines = (step("abort", "end", 5, outcome="failed", reason="'stranded == 0' broke"),)
    text = printed(make_run(tmp_path, RECORDS, timeline=lines))
    assert "Ended early: 'stranded == 0' broke" in text
