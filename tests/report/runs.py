"""Run folders made up for tests, written by the recording room itself."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fleetsim.core.outcomes import AuditOutcome, DeviceOutcome, GeneratorHealth
from fleetsim.recording.outcomes import write_audit, write_devices, write_generator
from fleetsim.recording.record import Record
from fleetsim.recording.recorder import Recorder
from fleetsim.recording.run_folder import RunFolder, RunOutcome, RunStart
from tests.recording.records import S

NOW = datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC)
HEALTHY = GeneratorHealth(
    saturated=False, cpu_ratio=0.4, starts=10, late_starts=1, loop_lag_p99_ms=1.5
)
SATURATED = GeneratorHealth(
    saturated=True, reasons=("the generator used 99 % of a core",), cpu_ratio=0.99
)


def make_run(
    root: Path,
    records: Iterable[Record] = (),
    *,
    thresholds: tuple[str, ...] = (),
    warm_up_ns: int = 0,
    duration_ns: int = 100 * S,
    outcome: RunOutcome = RunOutcome.COMPLETED,
    devices: tuple[DeviceOutcome, ...] | None = (),
    generator: GeneratorHealth | None = HEALTHY,
    audit: AuditOutcome | None = None,
    scenario: dict[str, Any] | None = None,
) -> Path:
    """Write a run folder; outcome ``running`` leaves it as a kill does."""
    folder = RunFolder.create(root, "quickstart", NOW, lambda: "0a1b2c")
    folder.begin(
        RunStart(
            scenario_name="quickstart",
            scenario=scenario or {"cohorts": [{"profile": "canedge2"}]},
            plan_digest="00",
            seed=42,
            warm_up_ns=warm_up_ns,
            duration_ns=duration_ns,
            thresholds=thresholds,
            devices=len(devices or ()),
        ),
        NOW,
    )
    with Recorder(folder.path, lambda: 0, warm_up_ns=warm_up_ns) as recorder:
        for record in records:
            recorder.add(record)
        recorder.flush()
        if outcome is RunOutcome.RUNNING:
            return folder.path
        recorder.finish()
    if devices is not None:
        write_devices(folder.path, devices)
    if generator is not None:
        write_generator(folder.path, generator)
    if audit is not None:
        write_audit(folder.path, audit)
    folder.end(outcome, NOW)
    return folder.path
