"""Bars: the phases of a bar add up to the time of the operation."""

from pathlib import Path

import pytest

from fleetsim.report.aggregate import aggregate
from fleetsim.report.html.bars import phase_bars
from tests.recording.records import record
from tests.report.runs import make_run


def test_segments_follow_each_other_and_add_up(tmp_path: Path) -> None:
    """The longest bar is as wide as the page; what no phase covers is the rest."""
    rows = [record(0), record(1, tls_ns=-1, tcp_ns=-1, reused=True)]
    (bar,) = phase_bars(aggregate(make_run(tmp_path, rows), 0))
    assert bar.name == "upload"
    assert [part.name for part in bar.segments] == [
        "tcp",
        "tls",
        "send",
        "wait",
        "rest",
    ]
    at = 0.0
    for part in bar.segments:
        assert part.start == pytest.approx(at, abs=0.01)
        at += part.width
    assert at == pytest.approx(100, abs=0.01)
    # a kept connection counts as no handshake: the mean of 9 ms and nothing
    assert bar.segments[1].label == "4.5 ms"


def test_cohorts_are_told_apart_when_there_are_several(tmp_path: Path) -> None:
    """One bar for the operation, one for each cohort's uploads."""
    rows = [record(0), record(1, cohort="other")]
    bars = phase_bars(aggregate(make_run(tmp_path, rows), 0))
    assert [bar.name for bar in bars] == ["upload", "upload, ordinary", "upload, other"]


def test_without_success_there_is_no_bar(tmp_path: Path) -> None:
    """Failures have no phases to compare."""
    rows = [record(0, kind="http.timeout", phase="wait")]
    assert phase_bars(aggregate(make_run(tmp_path, rows), 0)) == ()
