"""Grammar of thresholds."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.scenario.threshold import (
    METRICS,
    OPERATORS,
    Threshold,
    ThresholdUnit,
    parse_threshold,
)

READ = [
    ("upload.response_time.p99 < 2s", "upload.response_time", "p99", (), "<", 2.0),
    ("stranded == 0", "stranded", "", (), "==", 0.0),
    (
        'handshake.failed{cause="tls.alert.certificate_revoked"} == 40',
        "handshake.failed",
        "",
        (("cause", "tls.alert.certificate_revoked"),),
        "==",
        40.0,
    ),
    ("upload.failed_ratio < 0.1%", "upload.failed_ratio", "", (), "<", 0.001),
    ("freshness.max<10m", "freshness", "max", (), "<", 600.0),
    ("tls.p(99.9)<=250ms", "tls", "p99.9", (), "<=", 0.25),
    ("tls.p99.9 <= 250ms", "tls", "p99.9", (), "<=", 0.25),
    ("tls.med>0s", "tls", "p50", (), ">", 0.0),
    ("dns.avg != 0", "dns", "avg", (), "!=", 0.0),
    ("generator.loop_lag_p99<5ms", "generator.loop_lag_p99", "", (), "<", 0.005),
    (
        'failures{kind="tcp.refused", cohort="a,b"} >= 3',
        "failures",
        "",
        (("cohort", "a,b"), ("kind", "tcp.refused")),
        ">=",
        3.0,
    ),
    (
        'devices{state="stranded"} == 2',
        "devices",
        "",
        (("state", "stranded"),),
        "==",
        2.0,
    ),
    ("uploads.stored{} > 1e3", "uploads.stored", "", (), ">", 1000.0),
]


@pytest.mark.parametrize("row", READ, ids=lambda row: str(row[0]))
def test_thresholds_are_read(
    row: tuple[str, str, str, tuple[tuple[str, str], ...], str, float],
) -> None:
    """The expressions of the module docstring and their k6 spellings."""
    text, metric, statistic, labels, operator, value = row
    assert parse_threshold(f"  {text} ", "why") == Threshold(
        expression=text,
        metric=metric,
        statistic=statistic,
        labels=labels,
        operator=operator,
        value=value,
        unit=METRICS[metric].unit,
        reason="why",
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected a condition"),
        ("unaccounted", "expected a condition"),
        ("unaccounted == ", "expected a condition"),
        ("x" * 600, "expected a condition"),
        ("unaccounted = 0", "unknown operator '='"),
        ("unaccounted =< 0", "unknown operator '=<'"),
        ("upload.response_tim.p99 < 2s", "did you mean 'upload.response_time'?"),
        ("uplods.stored > 1", "did you mean 'uploads.stored'?"),
        ("upload.response_time < 2s", "needs a statistic"),
        ("upload.count.p99 < 2", "write upload.count alone"),
        ("tls.p999 < 1s", "(write p99.9)"),
        ("tls.p100 < 1s", "unknown statistic 'p100'"),
        ("tls.p0 < 1s", "unknown statistic 'p0'"),
        ("tls.p99 < 2", "write a unit, for example 2s"),
        ("tls.p99 < 2KiB", "expected a duration"),
        ("unaccounted == x", "is a count"),
        ("unaccounted == nan", "is a count"),
        ("unaccounted == -1", "is a count"),
        ("unaccounted == 1e20", "is a count"),
        ("upload.failed_ratio < 2", "expected a ratio"),
        ('failures{kind="tcp.refusd"} == 0', "did you mean 'tcp.refused'?"),
        ('failures{kin="tcp.refused"} == 0', "did you mean 'kind'?"),
        ("devices{state=x} == 1", 'name="value"'),
        ('devices{state="a",state="b"} == 1', "given twice"),
        ('generator.cpu_ratio{cohort="a"} < 1', "takes no label"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_wrong_thresholds_are_refused_before_the_run(text: str, says: str) -> None:
    """Every misspelling is found by the parser, not after an hour of load."""
    with pytest.raises(ValueError, match=re.escape(says)):
        parse_threshold(text)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_of_the_table_can_be_asked_for(name: str) -> None:
    """The table and the grammar agree."""
    metric = METRICS[name]
    values = {
        ThresholdUnit.COUNT: "3",
        ThresholdUnit.RATIO: "5%",
        ThresholdUnit.DURATION: "1s",
    }
    path = f"{name}.p95" if metric.has_statistic else name
    threshold = parse_threshold(f"{path} <= {values[metric.unit]}")
    assert (threshold.metric, threshold.unit) == (name, metric.unit)
    assert threshold.percent == (95.0 if metric.has_statistic else None)
    assert metric.meaning.endswith(".")


@given(
    st.sampled_from(sorted(OPERATORS)),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
def test_a_threshold_holds_as_its_operator_says(
    operator: str, measured: int, wanted: int
) -> None:
    """The verdict is that of Python's own comparison."""
    threshold = parse_threshold(f"unaccounted {operator} {wanted}")
    truth = {
        "<": measured < wanted,
        "<=": measured <= wanted,
        ">": measured > wanted,
        ">=": measured >= wanted,
        "==": measured == wanted,
        "!=": measured != wanted,
    }
    assert threshold.holds(measured) is truth[operator]


@given(
    st.text(alphabet=st.characters(codec="ascii"), max_size=80) | st.text(max_size=80)
)
def test_foreign_text_never_raises_anything_but_value_error(text: str) -> None:
    """Random text is refused, never a crash."""
    try:
        threshold = parse_threshold(text)
    except ValueError:
        return
    assert threshold.metric in METRICS


def test_kind_and_cause_are_one_label() -> None:
    """Both take a failure kind; a metric answers to either."""
    by_kind = parse_threshold('handshake.failed{kind="tcp.refused"} == 1')
    by_cause = parse_threshold('handshake.failed{cause="tcp.refused"} == 1')
    assert by_kind.labels == by_cause.labels == (("cause", "tcp.refused"),)
    failures = parse_threshold('failures{cause="tcp.refused"} == 1')
    assert failures.labels == (("kind", "tcp.refused"),)
    with pytest.raises(ValueError, match="given twice"):
        parse_threshold('failures{kind="tcp.refused", cause="tcp.reset"} == 1')


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('recovered{cohort="a"} == 40', 40.0),
        ("stranded_peak <= 3", 3.0),
        ("time_to_detect < 1m", 60.0),
        ("time_to_recover <= 90s", 90.0),
        ("files.lost == 0", 0.0),
        ("files.late < 10", 10.0),
        ("bundle_share >= 99%", 0.99),
    ],
)
def test_verdicts_of_rehearsals_can_be_asked_for(text: str, value: float) -> None:
    """Single figures: counts, shares, and times with a unit."""
    threshold = parse_threshold(text)
    assert threshold.value == pytest.approx(value)
    assert threshold.statistic == ""


def test_run_times_are_durations() -> None:
    """What shrinks with the scenario is a time."""
    run_times = {name for name, metric in METRICS.items() if metric.is_run_time}
    assert run_times == {"freshness", "time_to_detect", "time_to_recover"}
    for name in run_times:
        assert METRICS[name].unit is ThresholdUnit.DURATION
