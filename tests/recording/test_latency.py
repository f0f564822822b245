"""Which durations count, and under which name."""

from typing import Any

import pytest

from fleetsim.core.histogram import Histogram
from fleetsim.recording.latency import PHASES, bin_records
from tests.recording.records import MS, S, record


def binned(*records: Any, warm_up_ns: int = 0) -> dict[str, Histogram]:
    """Count records of one cohort into histograms."""
    cohorts = bin_records(records, warm_up_ns)
    found = {}
    for phase, bins in cohorts.get("ordinary", {}).items():
        found[phase] = Histogram()
        found[phase].add(bins)
    return found


def test_a_successful_upload_counts_in_every_phase_it_had() -> None:
    """Service time is from the start, response time from the plan, no DNS no value."""
    found = binned(record())
    assert {phase: seen.sum_ns for phase, seen in found.items()} == {
        "tcp": 1 * MS,
        "tls": 9 * MS,
        "send": 2 * MS,
        "wait": 8 * MS,
        "total": 20 * MS,
        "response": 21 * MS,
    }
    assert set(found) < set(PHASES)


@pytest.mark.parametrize(
    ("changes", "phases"),
    [
        ({"kind": "tcp.refused", "phase": "tcp"}, set()),
        ({"planned_ns": 0}, set()),
        ({"operation": "heartbeat"}, {"tcp", "tls"}),
        (
            {"reused": True, "tcp_ns": -1, "tls_ns": -1},
            {"send", "wait", "total", "response"},
        ),
        ({"dns_ns": 0}, {*PHASES}),
    ],
    ids=["failed", "in the warm-up", "other operation", "kept alive", "with DNS"],
)
def test_what_counts(changes: dict[str, Any], phases: set[str]) -> None:
    """Only successes after the warm-up; connection phases whatever was carried."""
    assert set(binned(record(5, **changes), warm_up_ns=5 * S)) == phases


def test_cohorts_are_kept_apart() -> None:
    """Every cohort has its own durations."""
    found = bin_records([record(cohort="a"), record(cohort="b"), record()], 0)
    assert {
        cohort: sum(bins["total"].counts.values()) for cohort, bins in found.items()
    } == {
        "a": 1,
        "b": 1,
        "ordinary": 1,
    }


def test_a_clock_that_steps_back_is_not_a_negative_duration() -> None:
    """An attempt ended before its plan (a plan moved by rounding) counts as zero."""
    assert (
        binned(record(ended_ns=0, started_ns=0, planned_ns=5))["response"].sum_ns == 0
    )
