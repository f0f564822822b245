"""Pairs of runs for comparisons: the same plan, service times drawn from a law."""

import random
from pathlib import Path
from typing import Any

from fleetsim.core.outcomes import DeviceOutcome
from fleetsim.recording.record import Record
from tests.recording.records import MS, S, record
from tests.report.runs import make_run

DEVICES = 20
SECONDS = 30
SCENARIO: dict[str, Any] = {
    "name": "quickstart",
    "duration": 30.0,
    "seed": 42,
    "cohorts": [{"name": "ordinary", "count": DEVICES, "profile": "canedge2"}],
}


def records(seed: int, *, slower_ns: int = 0, failing: float = 0.0) -> list[Record]:
    """Twenty uploads a second for half a minute; stalls hit whole seconds.

    Args:
        seed: Of the service times; the plan is always the same.
        slower_ns: Added to every service time.
        failing: Share of the attempts that fail.
    """
    source = random.Random(seed)
    found: list[Record] = []
    for second in range(SECONDS):
        stall_ns = 30 * MS if source.random() < 0.1 else 0
        for device in range(DEVICES):
            planned = second * S + device * 40 * MS
            taken = round(source.lognormvariate(1.5, 0.4) * MS) + stall_ns + slower_ns
            is_failed = source.random() < failing
            found.append(
                record(
                    second,
                    device=f"{device:08X}",
                    planned_ns=planned,
                    due_ns=planned,
                    started_ns=planned,
                    ended_ns=planned + taken,
                    wait_ns=taken,
                    kind="s3.SlowDown" if is_failed else "",
                    phase="wait" if is_failed else "",
                )
            )
    return found


def run(
    root: Path,
    rows: list[Record],
    *,
    scenario: dict[str, Any] | None = None,
    stranded: int = 0,
    **options: Any,
) -> Path:
    """Write a run folder below ``root``."""
    root.mkdir()
    devices = tuple(
        DeviceOutcome(
            device=f"{n:08X}",
            cohort="ordinary",
            state="stranded" if n < stranded else "connected",
        )
        for n in range(DEVICES)
    )
    return make_run(
        root,
        rows,
        duration_ns=SECONDS * S,
        devices=devices,
        scenario=scenario or SCENARIO,
        **options,
    )
