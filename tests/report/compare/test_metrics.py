"""Metrics: names of thresholds, a unit and a direction each."""

from pathlib import Path

import numpy as np
import pytest

from fleetsim.report.compare.blocks import Cut, read_blocks
from fleetsim.report.compare.devices import DeviceFigures
from fleetsim.report.compare.metrics import metric_names, metrics
from fleetsim.scenario.threshold import METRICS
from tests.recording.records import S, record
from tests.report.runs import make_run

OWN = {"upload.attempts_each", "handshakes_per_upload", "wire_bytes_per_upload"}
OWN |= {"uploads_per_s", "goodput"}


def test_what_a_scenario_can_demand_has_the_same_name_here() -> None:
    """Except for the figures that no threshold knows."""
    for name in metric_names():
        base = name.partition(".p")[0]
        assert base in METRICS or name in OWN


def test_names_are_unique() -> None:
    """``--fail-on`` must mean one."""
    assert len(metric_names()) == len({*metric_names()})


@pytest.mark.parametrize(
    ("name", "value", "enough"),
    [
        ("upload.response_time.p50", 0.021, True),
        ("upload.response_time.p99", 0.021, False),
        ("wait.p50", 0.008, True),
        ("upload.failed_ratio", 0.2, True),
        ("upload.attempts_each", 1.25, True),
        ("uploads_per_s", 2.0, True),
        ("goodput", 2 * 16_384.0, True),
        ("heartbeat.response_time.p50", None, False),
        ("heartbeat.failed_ratio", None, False),
        ("stranded", 1.0, True),
        ("freshness.p50", 10.0, True),
        ("files.lost", None, False),
    ],
)
def test_figures_of_a_run(
    tmp_path: Path, name: str, value: float | None, enough: bool
) -> None:
    """Twenty blocks with two uploads and a repetition for half of them."""
    rows = [record(n, device=device) for n in range(20) for device in ("A", "B")]
    rows += [
        record(n, device="A", attempt=2, kind="s3.SlowDown", phase="wait")
        for n in range(0, 20, 2)
    ]
    cut = Cut(start_ns=0, block_ns=S, count=20)
    blocks = read_blocks(make_run(tmp_path, rows), cut)
    devices = DeviceFigures(
        ids=tuple(map(str, range(20))),
        sums={"stranded": np.array([1.0, *[0.0] * 19])},
        ages_s=np.arange(1.0, 21.0),
    )
    (metric,) = (each for each in metrics() if each.name == name)
    found = metric.measure(blocks, devices)
    if value is None:
        assert np.isnan(found.value)
    else:
        assert found.value == pytest.approx(value, rel=0.008)
    assert found.enough is enough
    drawn = found.resampled(np.ones((3, max(1, found.units))))
    assert drawn.shape == (3,)
    assert np.array_equal(drawn, np.full(3, found.value), equal_nan=True)
