"""The gate closes on evidence, and on a demand that makes no sense."""

from pathlib import Path

import pytest

from fleetsim.exceptions import InputError
from fleetsim.report.compare.bootstrap import Rule
from fleetsim.report.compare.comparison import Against, Comparison, compare
from fleetsim.report.compare.gate import broken, parse_fail_on
from fleetsim.report.compare.judging import Judgement
from tests.recording.records import MS
from tests.report.compare.pairs_of_runs import records, run

WORSE = Judgement.WORSE


def test_demands_name_a_judgement_and_a_metric() -> None:
    """Every mistake is told at once."""
    assert parse_fail_on(["worse:upload.response_time.p99", "worse"]) == (
        (WORSE, "upload.response_time.p99"),
        (WORSE, ""),
    )
    with pytest.raises(InputError) as caught:
        parse_fail_on(["worse:upload.response_time.p98", "slower:tls.p50"])
    assert len(caught.value.problems) == 2
    assert "upload.response_time.p99" in str(caught.value)


def gate(tmp_path: Path) -> Comparison:
    """A comparison in which B is slower."""
    folders = [
        run(tmp_path / "a", records(1)),
        run(tmp_path / "b", records(2, slower_ns=20 * MS)),
    ]
    return compare(folders, Rule())


def test_a_gate_closes_on_evidence_only(tmp_path: Path) -> None:
    """And a metric that no run has is a mistake in the demand."""
    found = gate(tmp_path)
    names = [
        change.metric.name
        for _, change in broken(
            found, parse_fail_on(["worse:upload.response_time.p50"])
        )
    ]
    assert names == ["upload.response_time.p50"]
    assert broken(found, parse_fail_on(["worse:tls.p50", "better"])) == ()
    assert len(broken(found, parse_fail_on(["worse"]))) > 2
    with pytest.raises(InputError, match="no run has this figure"):
        broken(found, parse_fail_on(["worse:heartbeat.response_time.p50"]))
    against: Against = found.others[0]
    assert against.count(WORSE) > 2
