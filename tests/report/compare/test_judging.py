"""Judging: a disturbed machine is no evidence about the target."""

from dataclasses import replace
from pathlib import Path

import pytest

from fleetsim.recording.record import Record
from fleetsim.report.compare.bootstrap import Rule
from fleetsim.report.compare.comparison import Against, compare
from fleetsim.report.compare.judging import EXPLAINED, Judgement
from tests.recording.records import MS
from tests.report.compare.pairs_of_runs import records, run


def lagging(rows: list[Record], lag_ns: int) -> list[Record]:
    """The same attempts, begun later by a busy generator."""
    return [replace(row, started_ns=row.started_ns + lag_ns) for row in rows]


def against(tmp_path: Path, first: list[Record], second: list[Record]) -> Against:
    """Compare two runs."""
    folders = [run(tmp_path / "a", first), run(tmp_path / "b", second)]
    (found,) = compare(folders, Rule()).others
    return found


@pytest.mark.parametrize(
    ("lag_ms", "slower_ms", "judgement", "reason"),
    [
        pytest.param(0, 20, Judgement.WORSE, "", id="undisturbed"),
        pytest.param(
            10,
            20,
            Judgement.NO_EVIDENCE,
            EXPLAINED,
            id="explained by the lag",
        ),
        pytest.param(10, 80, Judgement.WORSE, "", id="more than the lag explains"),
        pytest.param(
            10, 0, Judgement.NO_EVIDENCE, "the interval holds 0", id="lag alone"
        ),
    ],
)
def test_a_lag_that_differs_raises_what_counts(
    tmp_path: Path, lag_ms: int, slower_ms: int, judgement: Judgement, reason: str
) -> None:
    """By the turns of the event loops that an attempt waits for."""
    slow = lagging(records(2, slower_ns=slower_ms * MS), lag_ms * MS)
    found = against(tmp_path, records(1), slow)
    p50 = next(
        each for each in found.changes if each.metric.name == "upload.response_time.p50"
    )
    assert (p50.judgement, p50.reason) == (judgement, reason)
    assert any("otherwise busier" in each for each in found.remarks) is (lag_ms > 0)


def test_a_lag_that_both_runs_have_disturbs_neither(tmp_path: Path) -> None:
    """It is part of both, so it drops out."""
    found = against(
        tmp_path,
        lagging(records(1), 10 * MS),
        lagging(records(2, slower_ns=20 * MS), 10 * MS),
    )
    assert found.remarks == ()
    assert {each.judgement for each in found.controls} == {Judgement.NO_EVIDENCE}
    assert found.count(Judgement.WORSE) > 0


def test_the_lag_is_no_metric_of_the_target(tmp_path: Path) -> None:
    """No verdict and no gate rests on it."""
    found = against(tmp_path, records(1), lagging(records(1), 50 * MS))
    names = {each.metric.name for each in found.changes}
    assert not any(name.startswith("generator") for name in names)
    assert [each.metric.name for each in found.controls] == [
        f"generator.start_lag.{statistic}"
        for statistic in ("p50", "p90", "p99", "p99.9")
    ]
