"""Metric names: OpenTelemetry's conventions, and what follows from them for Prometheus."""

import re

import pytest

from fleetsim.recording.latency import PHASES
from fleetsim.report.metrics import catalogue
from fleetsim.report.metrics.catalogue import BY_PHASE, METRICS, Metric, MetricKind

IDS = [metric.name for metric in METRICS]


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        pytest.param(
            catalogue.REQUEST_DURATION,
            "http_client_request_duration_seconds",
            id="http",
        ),
        pytest.param(catalogue.DNS_DURATION, "dns_lookup_duration_seconds", id="dns"),
        pytest.param(
            catalogue.HANDSHAKE_DURATION,
            "fleetsim_tls_handshake_duration_seconds",
            id="tls",
        ),
        pytest.param(catalogue.ATTEMPTS, "fleetsim_attempts_total", id="counter"),
        pytest.param(catalogue.NETWORK_IO, "fleetsim_network_io_bytes_total", id="By"),
        pytest.param(catalogue.GENERATOR_CPU, "fleetsim_generator_cpu_ratio", id="1"),
        pytest.param(catalogue.DEVICES, "fleetsim_devices", id="annotation"),
    ],
)
def test_prometheus_names_follow(metric: Metric, name: str) -> None:
    """Dots become underscores, the unit a suffix, counters end in ``_total``."""
    assert metric.series_name == name


@pytest.mark.parametrize("metric", METRICS, ids=IDS)
def test_every_metric_is_well_formed(metric: Metric) -> None:
    """A legal name, a sentence of help, ascending bounds where it is a histogram."""
    assert re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", metric.name)
    assert metric.help.endswith(".")
    assert (metric.kind is MetricKind.HISTOGRAM) == bool(metric.bounds_s)
    assert list(metric.bounds_s) == sorted(set(metric.bounds_s))


@pytest.mark.parametrize("metric", METRICS, ids=IDS)
def test_no_metric_has_a_device(metric: Metric) -> None:
    """A series per device would not survive a fleet: devices are in the records."""
    assert not any("device" in name for name in metric.attributes)


def test_names_are_unique() -> None:
    """No two metrics share a series."""
    assert len({metric.series_name for metric in METRICS}) == len(METRICS)


def test_every_phase_has_its_histogram() -> None:
    """What the recording times is handed out, all of it."""
    assert set(BY_PHASE) == set(PHASES)
