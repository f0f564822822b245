"""Wire: frames as the JSON that pages read. Names with units, nothing worked out here."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from fleetsim.report.live.frame import (
    CohortFrame,
    EntryFrame,
    Interval,
    LiveFrame,
    Quantiles,
    RunFacts,
    quantiles,
)
from fleetsim.report.live.history import rounded


def facts_data(facts: RunFacts) -> dict[str, Any]:
    """What is known before the start; ``ids`` holds 8 characters a device."""
    return {
        "name": facts.folder.name,
        "folder": str(facts.folder),
        "target": facts.target,
        "scenario": facts.scenario,
        "seed": facts.seed,
        "duration_s": facts.duration_s,
        "drain_s": facts.drain_s,
        "warm_up_s": facts.warm_up_s,
        "devices": facts.devices,
        "cohorts": [{"name": name, "devices": count} for name, count in facts.cohorts],
        "ids": "".join(each[:8].ljust(8) for each in facts.device_ids),
        "thresholds": list(facts.thresholds),
        "expects_failure": facts.expects_failure,
    }


def frame_data(frame: LiveFrame) -> dict[str, Any]:
    """One second."""
    health = frame.health
    return {
        "number": frame.number,
        "stage": frame.stage.value,
        "now_s": round(frame.now_s, 2),
        "remaining_s": round(frame.remaining_s, 1),
        "devices": frame.devices,
        "powered": frame.powered,
        "failing": frame.failing,
        "in_flight": frame.in_flight,
        "backlog": frame.backlog,
        "states": dict(frame.states),
        "uploads": frame.uploads,
        "attempts": sum(frame.attempts.values()),
        "sent_bytes": frame.sent_bytes,
        "received_bytes": frame.received_bytes,
        "failures": {str(kind): count for kind, count in frame.failures.items()},
        "response": quantiles_data(frame.response),
        "handshake": quantiles_data(frame.handshake),
        "recent": _interval_data(frame.recent),
        "groups": dict(frame.groups),
        "generations": [
            {
                "number": each.number,
                "fingerprint": each.bundle.fingerprint,
                "certificates": each.bundle.certificates,
                "devices": each.devices,
            }
            for each in frame.generations
        ],
        "cohorts": [cohort_data(cohort) for cohort in frame.cohorts],
        "timeline": [entry_data(entry) for entry in frame.timeline],
        "cpu_ratio": round(frame.cpu_now_ratio, 3),
        "health": None
        if health is None
        else {
            "saturated": health.saturated,
            "reasons": list(health.reasons),
            "late_starts": health.late_starts,
            "starts": health.starts,
            "loop_lag_p99_ms": health.loop_lag_p99_ms,
        },
    }


def entry_data(entry: EntryFrame) -> dict[str, Any]:
    """An entry of the timeline."""
    return {**asdict(entry), "state": entry.state.value}


def cohort_data(cohort: CohortFrame) -> dict[str, Any]:
    """A cohort."""
    return {
        "name": cohort.name,
        "devices": cohort.devices,
        "states": dict(cohort.states),
        "uploads": cohort.uploads,
        "attempts": cohort.attempts,
        "failures": cohort.failures,
        "response": quantiles_data(cohort.response),
        "groups": dict(cohort.groups),
        "bundles": {str(number): count for number, count in cohort.bundles.items()},
    }


def quantiles_data(figures: Quantiles) -> dict[str, Any]:
    """Quantiles in milliseconds."""
    return {
        "count": figures.count,
        "p50_ms": rounded(figures.p50_ms),
        "p90_ms": rounded(figures.p90_ms),
        "p99_ms": rounded(figures.p99_ms),
        "max_ms": rounded(figures.max_ms),
    }


def _interval_data(interval: Interval) -> dict[str, Any]:
    return {
        "span_s": round(interval.span_s, 2),
        "uploads_per_s": round(interval.uploads_per_s, 2),
        "attempts_per_s": round(interval.attempts_per_s, 2),
        "sent_bytes_per_s": round(interval.sent_bytes_per_s),
        "failures": dict(interval.failures),
        "response": quantiles_data(quantiles(interval.response)),
        "handshake": quantiles_data(quantiles(interval.handshake)),
    }


def summary_data(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The part of ``summary.json`` that the page shows."""
    wanted = (
        "verdict",
        "as_expected",
        "expect",
        "outcome",
        "detail",
        "seconds",
        "started",
        "ended",
        "devices",
        "uploads",
        "failures",
        "latency",
        "cipher_groups",
        "throughput",
        "thresholds",
        "unclassified",
        "generator",
        "audit",
    )
    return {name: summary[name] for name in wanted if name in summary}
