"""Frames as the feed would make them, for tests of what reads them."""

from pathlib import Path
from typing import Any

from fleetsim.core.histogram import Histogram
from fleetsim.core.outcomes import GeneratorHealth
from fleetsim.core.progress import BundleSeen, Stage
from fleetsim.recording.recorder import Snapshot
from fleetsim.report.live.frame import (
    CohortFrame,
    EntryFrame,
    EntryState,
    Generation,
    Interval,
    LiveFrame,
    Quantiles,
    RunFacts,
)

MS = 1_000_000


def facts(**changes: Any) -> RunFacts:
    """Facts of a run of two cohorts."""
    given: dict[str, Any] = {
        "folder": Path("results/20261123T101500Z-demo-1a2b3c"),
        "target": "lab https://127.0.0.1:9443",
        "scenario": "demo",
        "seed": 7,
        "duration_s": 30.0,
        "drain_s": 15.0,
        "warm_up_s": 0.0,
        "devices": 5,
        "cohorts": (("old", 2), ("new", 3)),
        "device_ids": ("00000001", "00000002", "00000003", "00000004", "00000005"),
    }
    return RunFacts(**{**given, **changes})


def totals(**changes: Any) -> Snapshot:
    """Counts of a run of two cohorts."""
    given: dict[str, Any] = {
        "attempts": {"upload": 12, "heartbeat": 4},
        "failures": {"tcp.refused": 3},
        "acknowledged": 9,
        "bytes_sent": 5000,
        "bytes_received": 700,
        "latency": {},
        "cohorts": {
            "old": {
                "response": Histogram.of([4 * MS, 5 * MS, 6 * MS, 400_000 * MS]),
                "tls": Histogram.of([2 * MS]),
            },
            "new": {"response": Histogram.of([20 * MS]), "dns": Histogram.of([MS])},
        },
        "by_cohort": {
            ("old", "upload", ""): 4,
            ("old", "upload", "tcp.refused"): 3,
            ("new", "upload", ""): 5,
            ("new", "heartbeat", ""): 4,
        },
    }
    return Snapshot(**{**given, **changes})


def frame(**changes: Any) -> LiveFrame:
    """A second of that run."""
    given: dict[str, Any] = {
        "number": 3,
        "stage": Stage.LOAD,
        "now_s": 3.0,
        "remaining_s": 27.0,
        "devices": 5,
        "powered": 4,
        "failing": 1,
        "in_flight": 2,
        "backlog": 6,
        "states": {"connected": 3, "failing": 1, "unreached": 1},
        "uploads": 9,
        "attempts": {"upload": 12, "heartbeat": 4},
        "sent_bytes": 5000,
        "received_bytes": 700,
        "failures": {"tcp.refused": 3},
        "response": Quantiles(),
        "handshake": Quantiles(),
        "latest": Interval(at_s=3.0, span_s=1.0),
        "recent": Interval(at_s=3.0, span_s=3.0),
        "groups": {"group 1": 3},
        "generations": (
            Generation(number=1, bundle=BundleSeen("0123456789ab", 2), devices=5),
        ),
        "cohorts": (
            CohortFrame(
                name="old",
                devices=2,
                states={"failing": 1, "connected": 1},
                groups={"group 3": 1},
            ),
            CohortFrame(
                name="new",
                devices=3,
                states={"connected": 2, "unreached": 1},
                groups={"group 1": 2},
            ),
        ),
        "timeline": (
            EntryFrame(
                index=0,
                label='swap "main"\n(1)',
                trigger="at 1 s",
                state=EntryState.DONE,
            ),
        ),
        "health": GeneratorHealth(
            saturated=False, late_starts=1, loop_lag_p99_ms=2.5, start_lag_p99_ms=0.5
        ),
        "cpu_now_ratio": 0.25,
        "survey": None,
        "totals": totals(),
    }
    return LiveFrame(**{**given, **changes})
