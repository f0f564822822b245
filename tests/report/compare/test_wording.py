"""A comparison in words and as data: signs, units, intervals."""

import json

import pytest

from fleetsim.report.compare import wording
from fleetsim.report.compare.bootstrap import Interval, Rule
from fleetsim.report.compare.comparison import Comparison, compare
from fleetsim.report.compare.judging import Change, Judgement, Relative
from fleetsim.report.compare.metrics import metrics
from tests.recording.records import MS
from tests.report.compare.pairs_of_runs import records, run

BY_NAME = {metric.name: metric for metric in metrics()}


def change(name: str, first: float, second: float, low: float, high: float) -> Change:
    """A change of a metric."""
    relative = None
    if name.endswith("p50"):
        relative = Relative(second / first - 1, Interval(low / first, high / first))
    return Change(
        metric=BY_NAME[name],
        first=first,
        second=second,
        change=second - first,
        interval=Interval(low, high),
        relative=relative,
        judgement=Judgement.WORSE,
    )


@pytest.mark.parametrize(
    ("found", "told"),
    [
        pytest.param(
            change("upload.response_time.p50", 0.010, 0.020, 0.008, 0.012),
            "+100 % [+80.0 % … +120 %]",
            id="time",
        ),
        pytest.param(
            change("upload.failed_ratio", 0.0, 0.05, 0.04, 0.06),
            "+5 % [+4 % … +6 %]",
            id="share",
        ),
        pytest.param(
            change("stranded", 30, 10, -25, -15),
            "\N{MINUS SIGN}20 [\N{MINUS SIGN}25 … \N{MINUS SIGN}15]",
            id="devices",
        ),
        pytest.param(change("stranded", 3, 3, 0, 0), "0 [0]", id="nothing"),
    ],
)
def test_changes_are_told_with_their_interval(found: Change, told: str) -> None:
    """Relative where that means something."""
    assert wording.change_told(found) == told


@pytest.mark.parametrize(
    ("name", "amount", "told"),
    [
        ("tls.p50", 0.0123, "12.3 ms"),
        ("upload.failed_ratio", 0.0123, "1.23 %"),
        ("uploads_per_s", 12.34, "12.3/s"),
        ("goodput", 2e6, "2 MB/s"),
        ("wire_bytes_per_upload", 48_800, "48.8 kB"),
        ("stranded", 30, "30"),
        ("stranded", None, "-"),
    ],
)
def test_figures_are_told_in_their_unit(
    name: str, amount: float | None, told: str
) -> None:
    """As every other report tells them."""
    assert wording.value(change(name, 1, 1, 0, 0), amount) == told


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """A, B like it, C slower."""
    root = tmp_path_factory.mktemp("runs")
    return compare(
        [
            run(root / "a", records(1)),
            run(root / "b", records(2)),
            run(root / "c", records(3, slower_ns=20 * MS)),
        ],
        Rule(),
    )


def test_a_sentence_says_what_matters_most(comparison: Comparison) -> None:
    """The response time of uploads, if that changed."""
    same, slower = comparison.others
    assert wording.sentence(comparison, same).startswith(
        "B against A: no evidence of a difference in any of"
    )
    assert wording.sentence(comparison, slower).startswith(
        "C against A: worse in upload.response_time."
    )
    assert [wording.verdict(each) for each in comparison.others] == [
        "no evidence",
        "worse",
    ]


def test_data_is_json_and_complete(comparison: Comparison) -> None:
    """Every metric with its figures, interval and verdict; no NaN."""
    data = json.loads(json.dumps(wording.as_data(comparison), allow_nan=False))
    assert [each["letter"] for each in data["runs"]] == ["A", "B", "C"]
    found = data["against_first"][1]["metrics"]["upload.response_time.p50"]
    assert found["verdict"] == "worse"
    assert found["low"] <= found["change"] <= found["high"]
    assert found["relative_low"] <= found["relative"] <= found["relative_high"]
    assert found["unit"] == "s"
