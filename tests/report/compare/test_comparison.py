"""Comparisons: evidence where there is a difference, none where there is not."""

from pathlib import Path
from typing import Any

import pytest

from fleetsim.exceptions import InputError
from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.compare.bootstrap import Rule
from fleetsim.report.compare.comparison import compare
from fleetsim.report.compare.judging import Change, Judgement
from tests.recording.records import MS
from tests.report.compare.pairs_of_runs import SCENARIO, records, run
from tests.report.runs import SATURATED

NONE, WORSE, BETTER = Judgement.NO_EVIDENCE, Judgement.WORSE, Judgement.BETTER


def compared(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any]
) -> dict[str, Change]:
    """Changes of two runs by metric."""
    folders = [
        run(tmp_path / name, options.pop("rows"), **options)
        for name, options in (("a", first), ("b", second))
    ]
    (against,) = compare(folders, Rule()).others
    return {each.metric.name: each for each in against.changes}


@pytest.mark.parametrize("seed", range(3))
def test_the_same_scenario_twice_is_no_evidence(tmp_path: Path, seed: int) -> None:
    """Stalls that hit other seconds are noise, in every metric."""
    found = compared(tmp_path, {"rows": records(seed)}, {"rows": records(100 + seed)})
    assert {each.judgement for each in found.values()} == {NONE}
    assert found["upload.response_time.p50"].interval is not None


def test_twenty_milliseconds_more_are_worse_and_less_are_better(
    tmp_path: Path,
) -> None:
    """The interval holds the truth; what did not change is not judged."""
    slow = {"rows": records(2, slower_ns=20 * MS)}
    for name in ("there", "back"):
        (tmp_path / name).mkdir()
    found = compared(tmp_path / "there", {"rows": records(1)}, dict(slow))
    p50 = found["upload.response_time.p50"]
    assert p50.judgement is WORSE
    assert p50.interval is not None
    assert p50.interval.low <= 0.020 <= p50.interval.high
    assert p50.relative is not None
    assert p50.relative.interval is not None
    assert p50.relative.interval.low > 0.05
    for name in ("tls.p50", "upload.failed_ratio", "uploads_per_s"):
        assert found[name].judgement is NONE
    back = compared(tmp_path / "back", slow, {"rows": records(1)})
    assert back["upload.response_time.p50"].judgement is BETTER


def test_failures_lower_goodput_and_stranded_devices_are_worse(tmp_path: Path) -> None:
    """More is better for rates, less for everything else."""
    found = compared(
        tmp_path,
        {"rows": records(1)},
        {"rows": records(1, failing=0.3), "stranded": 8},
    )
    for name in ("upload.failed_ratio", "uploads_per_s", "goodput", "stranded"):
        assert found[name].judgement is WORSE, name
    assert found["stranded"].change == 8
    assert found["stranded"].relative is None


def test_a_saturated_generator_judges_no_times(tmp_path: Path) -> None:
    """Its counts still hold."""
    found = compared(
        tmp_path,
        {"rows": records(1)},
        {
            "rows": records(1, slower_ns=50 * MS, failing=0.3),
            "generator": SATURATED,
        },
    )
    assert found["upload.response_time.p50"].judgement is NONE
    assert "generator of B was saturated" in found["upload.response_time.p50"].reason
    assert found["upload.failed_ratio"].judgement is WORSE


def test_few_values_are_not_judged(tmp_path: Path) -> None:
    """600 uploads have six beyond their 99th percentile."""
    found = compared(
        tmp_path, {"rows": records(1)}, {"rows": records(1, slower_ns=50 * MS)}
    )
    p99 = found["upload.response_time.p99"]
    assert (p99.judgement, p99.interval) == (NONE, None)
    assert "fewer than 10 values" in p99.reason


def test_an_interrupted_run_is_compared_as_far_as_it_got(tmp_path: Path) -> None:
    """Blocks that both runs have; too few are no evidence."""
    half = [row for row in records(1) if row.planned_ns < 5_000_000_000]
    found = compared(
        tmp_path,
        {"rows": records(1)},
        {"rows": half, "outcome": RunOutcome.INTERRUPTED},
    )
    assert found["upload.response_time.p50"].judgement is NONE
    assert "blocks in common" in found["upload.response_time.p50"].reason


def test_the_same_runs_give_the_same_answer(tmp_path: Path) -> None:
    """To the last digit."""
    folders = [run(tmp_path / "a", records(1)), run(tmp_path / "b", records(2))]
    assert compare(folders, Rule()).others[0].changes[0].interval == (
        compare(folders, Rule()).others[0].changes[0].interval
    )


def other_plan(tmp_path: Path, **changes: Any) -> list[Path]:
    """Two runs of which the second has another scenario and digest."""
    scenario = SCENARIO | changes
    first = run(tmp_path / "a", records(1))
    second = run(tmp_path / "b", records(2), scenario=scenario)
    manifest = second / "manifest.json"
    manifest.write_text(
        manifest.read_text().replace('"plan_sha256": "00"', '"plan_sha256": "01"')
    )
    return [first, second]


def test_runs_of_different_plans_are_refused_unless_forced(tmp_path: Path) -> None:
    """Forced, their blocks are drawn apart."""
    folders = other_plan(tmp_path, duration=60.0)
    with pytest.raises(InputError, match=r"duration is 60\.0, but 30\.0"):
        compare(folders, Rule())
    (against,) = compare(folders, Rule(), force=True).others
    assert not against.paired


def test_another_target_is_what_one_compares(tmp_path: Path) -> None:
    """It is named, and blocks stay pairs."""
    folders = other_plan(tmp_path, target={"endpoint": "https://two"})
    (against,) = compare(folders, Rule()).others
    assert against.paired
    assert [each.path for each in against.differences] == ["target"]


@pytest.mark.parametrize("count", [1, 9])
def test_two_to_eight_runs_are_compared(tmp_path: Path, count: int) -> None:
    """One is no comparison, nine have no letters on a chart."""
    with pytest.raises(InputError, match="two to eight"):
        compare([tmp_path] * count, Rule())
