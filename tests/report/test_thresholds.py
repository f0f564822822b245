"""Every metric a scenario may name has a figure, or a reason why not."""

from pathlib import Path

import pytest

from fleetsim.core.outcomes import AuditOutcome, DeviceOutcome
from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.load import Run, load_run
from fleetsim.report.thresholds import evaluate
from fleetsim.scenario.threshold import METRICS, parse_threshold
from tests.recording.records import MS, S, record
from tests.report.runs import SATURATED, change, make_run, step

AUDIT = AuditOutcome(checked=True, acknowledged=4, stored=3, missing_count=1)
DEVICES = (
    DeviceOutcome(device="0000002A", cohort="ordinary", state="connected"),
    DeviceOutcome(
        device="0000002B", cohort="ordinary", state="stranded", files_closed=9
    ),
    DeviceOutcome(device="0000002C", cohort="high", state="connected"),
)
RECORDS = (
    record(0, dns_ns=3 * MS),
    record(1),
    record(2, kind="http.reset", phase="wait"),
    record(2, attempt=2, started_ns=2 * S + 500 * MS, ended_ns=2 * S + 600 * MS),
    record(3, operation="heartbeat", ended_ns=3 * S + 5 * MS),
    record(4, operation="ota_bundle", kind="unclassified", phase="wait"),
    record(5, operation="ota_config"),
    record(
        6,
        device="0000002C",
        cohort="high",
        kind="tls.alert.certificate_revoked",
        phase="tls",
        suite="",
        tls_ns=-1,
    ),
    record(7, device="0000002C", cohort="high", ended_ns=8 * S),
    record(8, kind="run.stopped", phase="run", tls_ns=-1, suite=""),
)
HISTORIES = (
    ("0000002A", "ordinary", change(0, "", "unreached")),
    ("0000002B", "ordinary", change(0, "", "unreached")),
    ("0000002C", "high", change(0, "", "unreached")),
    ("0000002A", "ordinary", change(1, "unreached", "connected")),
    ("0000002C", "high", change(2, "unreached", "stranded", "no trust")),
    ("0000002B", "ordinary", change(3, "unreached", "stranded", "no trust")),
    ("0000002C", "high", change(8, "stranded", "recovered")),
)
TIMELINE = (
    step("swap_ciphers", "start", 1.5),
    step("swap_ciphers", "end", 1.6, outcome="done"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with a bit of everything."""
    return load_run(
        make_run(
            tmp_path_factory.mktemp("results"),
            RECORDS,
            devices=DEVICES,
            audit=AUDIT,
            generator=SATURATED,
            duration_ns=60 * S,
            scenario={"cohorts": [{"name": "high", "workload": {"period": 0.5}}]},
            histories=HISTORIES,
            timeline=TIMELINE,
            figures={"figures": {"bundle_share": 0.5}},
        )
    )


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("upload.count == 7", 7),
        ('upload.count{cohort="high"} == 2', 2),
        ("upload.failed == 2", 2),
        ('upload.failed{cause="http.reset"} == 1', 1),
        ('upload.failed{cause="run.stopped"} == 1', 1),
        ("upload.failed_ratio < 30%", 2 / 7),
        ("upload.response_time.max < 2s", 1.0),
        ("upload.response_time.min < 2s", 0.021),
        ("upload.response_time.p50 < 2s", 0.021),
        ('upload.response_time.avg{cohort="high"} == 1s', 1.0),
        ("upload.service_time.max < 2s", 0.999),
        ("heartbeat.count == 1", 1),
        ("heartbeat.response_time.p99 < 1s", 0.005),
        ("ota.count == 2", 2),
        ("ota.failed == 1", 1),
        ("ota.failed_ratio <= 50%", 0.5),
        ("handshake.count == 9", 9),
        ("handshake.failed == 1", 1),
        ('handshake.failed{cause="tls.alert.certificate_revoked"} == 1', 1),
        ('handshake.failed{cause="tls.reset"} == 0', 0),
        ("handshake.service_time.max < 10ms", 0.009),
        ("handshake.response_time.max < 1s", 0.51),
        ("dns.max < 4ms", 0.003),
        ("tcp.p99 < 2ms", 0.001),
        ("tls.med < 10ms", 0.009),
        ("send.avg < 3ms", 0.002),
        ("wait.p(90) < 9ms", 0.008),
        ("freshness.min < 9s", 1.021),
        ("freshness.max < 9s", 8.021),
        ("uploads.planned == 9", 9),
        ('uploads.planned{cohort="high"} == 0', 0),
        ("uploads.attempted == 6", 6),
        ("uploads.acknowledged == 4", 4),
        ("uploads.stored == 3", 3),
        ("uploads.unaccounted == 1", 1),
        ("unaccounted == 1", 1),
        ("unclassified == 1", 1),
        ('unclassified{cohort="high"} == 0', 0),
        ("stranded == 1", 1),
        ('stranded{cohort="high"} == 0', 0),
        ("recovered == 1", 1),
        ("failing == 0", 0),
        ("stranded_peak == 2", 2),
        ('stranded_peak{cohort="high"} == 1', 1),
        ("files.closed == 9", 9),
        ("files.lost == 0", 0),
        ("files.backlog == 0", 0),
        ("files.late == 1", 1),
        ('files.late{cohort="ordinary"} == 0', 0),
        ("time_to_detect < 1s", 0.421),
        ("bundle_share == 50%", 0.5),
        ("failures == 4", 4),
        ('failures{kind="run.stopped"} == 1', 1),
        ('failures{kind="dns.timeout"} == 0', 0),
        ("devices == 3", 3),
        ('devices{state="connected"} == 2', 2),
        ('devices{cohort="high",state="stranded"} == 0', 0),
        ("generator.cpu_ratio < 100%", 0.99),
        ("generator.late_starts == 0", 0),
        ("generator.loop_lag_p99 < 1s", 0),
    ],
)
def test_figures(run: Run, expression: str, value: float) -> None:
    """The figure is the one a person counts by hand in the ten records above."""
    verdict = evaluate(parse_threshold(expression), run)
    assert verdict.value == pytest.approx(value, rel=0.008)
    assert verdict.ok
    assert verdict.reason == ""


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_known_metric_can_be_evaluated(run: Run, name: str) -> None:
    """No metric that parses is unknown here."""
    metric = METRICS[name]
    path = f"{name}.max" if metric.has_statistic else name
    verdict = evaluate(parse_threshold(f"{path} >= 0"), run)
    assert verdict.ok, verdict.reason


def test_what_does_not_hold_is_not_ok(run: Run) -> None:
    """The measured figure is given with a failed condition too."""
    verdict = evaluate(parse_threshold("unclassified == 0"), run)
    assert (verdict.value, verdict.ok) == (1, False)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("upload.response_time.p99 < 1s", "nothing was measured"),
        ("upload.failed_ratio == 0", "no attempt"),
        ("uploads.stored == 0", "not checked"),
        ("unaccounted == 0", "not checked"),
        ("uploads.planned == 0", "before its devices were counted"),
        ("stranded == 0", "before its devices were counted"),
        ("generator.late_starts == 0", "judged itself"),
        ('upload.count{cohort="nobody"} == 0', "no cohort named 'nobody'"),
    ],
)
def test_a_gap_is_not_a_pass(tmp_path: Path, expression: str, reason: str) -> None:
    """Of a run that was killed at once, nothing can be claimed."""
    killed = load_run(make_run(tmp_path, outcome=RunOutcome.RUNNING))
    verdict = evaluate(parse_threshold(expression), killed)
    assert (verdict.value, verdict.ok) == (None, False)
    assert reason in verdict.reason


def test_an_audit_that_could_not_look_says_why(tmp_path: Path) -> None:
    """The reason of the audit is the reason of the threshold."""
    audit = AuditOutcome(checked=False, reason="the target was gone")
    run = load_run(make_run(tmp_path, audit=audit))
    verdict = evaluate(parse_threshold("unaccounted == 0"), run)
    assert not verdict.ok
    assert "the target was gone" in verdict.reason


def test_stored_is_not_known_by_cohort(run: Run) -> None:
    """The bucket is listed as a whole: a label that cannot be honoured is a gap."""
    verdict = evaluate(parse_threshold('uploads.stored{cohort="high"} == 1'), run)
    assert verdict.value is None


@pytest.mark.parametrize(
    ("expression", "is_time"),
    [
        ("upload.response_time.p99 < 1s", True),
        ("tls.max < 1s", True),
        ("freshness.max < 1s", True),
        ("generator.loop_lag_p99 < 1s", False),
        ("unaccounted == 0", False),
    ],
)
def test_times_of_the_target_are_told_apart(
    run: Run, expression: str, is_time: bool
) -> None:
    """Only times of the target are worthless when the generator was saturated."""
    assert evaluate(parse_threshold(expression), run).is_time is is_time
