"""Readings: the values of a frame, bounded in number, never more than is true."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.histogram import Histogram
from fleetsim.report.metrics import catalogue
from fleetsim.report.metrics.catalogue import REQUEST_BOUNDS_S, Metric
from fleetsim.report.metrics.readings import (
    MOST_COHORTS,
    MOST_KINDS,
    OTHER,
    Distribution,
    Meter,
    distribution,
)
from tests.report.metrics.frames import facts, frame, totals


def values(metric: Metric, **changes: Any) -> dict[tuple[str, ...], Any]:
    """Attributes to value of one metric of the frame."""
    readings = Meter(facts()).read(frame(**changes))
    return {each.attributes: each.value for each in readings if each.metric is metric}


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        pytest.param(
            catalogue.ATTEMPTS,
            {
                ("old", "upload", ""): 4,
                ("old", "upload", "tcp.refused"): 3,
                ("new", "upload", ""): 5,
                ("new", "heartbeat", ""): 4,
            },
            id="attempts",
        ),
        pytest.param(
            catalogue.NETWORK_IO, {("transmit",): 5000, ("receive",): 700}, id="network"
        ),
        pytest.param(
            catalogue.DEVICES_GROUP,
            {("old", "group 3"): 1, ("new", "group 1"): 2},
            id="groups",
        ),
        pytest.param(
            catalogue.DEVICES_BUNDLE, {("1", "0123456789ab"): 5}, id="bundles"
        ),
        pytest.param(catalogue.LATE_STARTS, {(): 1}, id="late starts"),
        pytest.param(catalogue.LOOP_LAG, {(): 0.0025}, id="milliseconds to seconds"),
        pytest.param(
            catalogue.RUN_INFO,
            {("demo", "20261123T101500Z-demo-1a2b3c", "7", "load"): 1},
            id="run",
        ),
    ],
)
def test_values_of_a_frame(metric: Metric, expected: dict[Any, Any]) -> None:
    """A frame's own figures, in base units."""
    assert values(metric) == expected


def test_states_without_devices_are_zero() -> None:
    """A series does not come and go with its last device."""
    devices = values(catalogue.DEVICES)
    assert devices["old", "stranded"] == 0
    assert sum(devices.values()) == 5


def test_an_unknown_health_gives_no_values() -> None:
    """What nobody measured is left out, not zero."""
    assert values(catalogue.LOOP_LAG, health=None) == {}


def test_durations_name_the_endpoint() -> None:
    """Attributes that the semantic conventions require are there."""
    Reading = values(  # noqa: N806 - the key is a tuple of attributes
        catalogue.REQUEST_DURATION,
        totals=totals(cohorts={"old": {"total": Histogram.of([1])}}),
    )
    assert list(Reading) == [("old", "PUT", "127.0.0.1", "9443")]
    names = catalogue.REQUEST_DURATION.attributes
    assert names == ("cohort", "http.request.method", "server.address", "server.port")


def test_cohorts_beyond_the_bound_are_counted_together() -> None:
    """The number of series is bounded, the sum is that of all."""
    names = [f"c{number}" for number in range(MOST_COHORTS + 3)]
    meter = Meter(facts(cohorts=tuple((name, 1) for name in names)))
    counts = {(name, "upload", ""): 2 for name in names}
    one = {"response": Histogram.of([1000])}
    readings = meter.read(
        frame(
            totals=totals(by_cohort=counts, cohorts=dict.fromkeys(names, one)),
            cohorts=(),
        )
    )
    attempts = {
        each.attributes[0]: each.value
        for each in readings
        if each.metric is catalogue.ATTEMPTS
    }
    assert len(attempts) == MOST_COHORTS + 1
    assert attempts[OTHER] == 6
    response = {
        each.attributes[0]: each.value
        for each in readings
        if each.metric is catalogue.RESPONSE_TIME
    }
    other = response[OTHER]
    assert isinstance(other, Distribution)
    assert other.count == 3
    assert one["response"].count == 1, "the run's own histogram was changed"


def test_kinds_beyond_the_bound_are_counted_together() -> None:
    """Who was first keeps its name: a counter never shrinks."""
    meter = Meter(facts())
    few = {("old", "upload", f"s3.Code{number}"): 1 for number in range(MOST_KINDS)}
    meter.read(frame(totals=totals(by_cohort=few)))
    more = {("old", "upload", "s3.AAA"): 5, ("old", "upload", "s3.BBB"): 6, **few}
    readings = meter.read(frame(totals=totals(by_cohort=more)))
    found = {
        each.attributes[2]: each.value
        for each in readings
        if each.metric is catalogue.ATTEMPTS
    }
    assert found[OTHER] == 11
    assert found["s3.Code0"] == 1
    assert len(found) == MOST_KINDS + 1


@pytest.mark.parametrize(
    ("uploads", "expected"),
    [
        pytest.param(
            {"stored": 8, "unaccounted": 1},
            {
                "fleetsim.run.verdict": 1,
                "fleetsim.uploads.stored": 8,
                "fleetsim.uploads.unaccounted": 1,
            },
            id="checked",
        ),
        pytest.param(
            {"stored": None, "unaccounted": None},
            {"fleetsim.run.verdict": 1},
            id="not checked",
        ),
    ],
)
def test_the_verdict_comes_last(
    uploads: dict[str, Any], expected: dict[str, int]
) -> None:
    """What the truth check found is handed out when it was made."""
    readings = Meter(facts()).conclude({"verdict": "failed", "uploads": uploads})
    assert {each.metric.name: each.value for each in readings} == expected
    assert readings[0].attributes == ("failed",)


@given(st.lists(st.integers(0, 400_000_000_000), max_size=50))
def test_buckets_never_claim_too_much(values_ns: list[int]) -> None:
    """Nothing is lost, and up to a bound there is never more than there truly was."""
    seen = distribution(Histogram.of(values_ns), REQUEST_BOUNDS_S)
    assert seen.count == len(values_ns)
    assert seen.sum_s == pytest.approx(sum(values_ns) / 1e9)
    below = 0
    for bound_s, count in zip(REQUEST_BOUNDS_S, seen.counts, strict=False):
        below += count
        true = sum(value <= bound_s * 1e9 for value in values_ns)
        nearly = sum(value <= bound_s * 1e9 * (1 - 1 / 128) for value in values_ns)
        assert nearly <= below <= true
