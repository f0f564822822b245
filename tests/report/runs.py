"""Run folders made up for tests, written by the recording room itself."""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fleetsim.core.contact import Change, ContactState
from fleetsim.core.outcomes import AuditOutcome, DeviceOutcome, GeneratorHealth
from fleetsim.recording.json_file import write_json
from fleetsim.recording.names import FIGURES
from fleetsim.recording.outcomes import write_audit, write_devices, write_generator
from fleetsim.recording.record import Record
from fleetsim.recording.recorder import Recorder
from fleetsim.recording.run_folder import RunFolder, RunOutcome, RunStart
from fleetsim.recording.states import StateRecorder
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
    histories: Iterable[tuple[str, str, Change]] | None = None,
    timeline: Iterable[dict[str, Any]] = (),
    figures: dict[str, Any] | None = None,
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
        _write_rehearsal(folder, histories, timeline, figures)
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


def change(at_s: float, was: str, now: str, reason: str = "") -> Change:
    """One step of a history; an empty ``was`` begins it."""
    return Change(
        at_ns=round(at_s * S),
        was=ContactState(was) if was else None,
        now=ContactState(now),
        reason=reason,
    )


def step(
    action: str, step: str, at_s: float, planned_s: float | None = None, **facts: Any
) -> dict[str, Any]:
    """One line of the timeline about an entry."""
    planned = at_s if planned_s is None else planned_s
    return {
        "action": action,
        "planned_ns": round(planned * S),
        "actual_ns": round(at_s * S),
        "step": step,
        **facts,
    }


def _write_rehearsal(
    folder: RunFolder,
    histories: Iterable[tuple[str, str, Change]] | None,
    timeline: Iterable[dict[str, Any]],
    figures: dict[str, Any] | None,
) -> None:
    if histories is not None:
        with StateRecorder(folder.path) as states:
            for device, cohort, each in histories:
                states.add(device, cohort, each)
            states.finish()
    for line in timeline:
        folder.note(**line)
    if figures is not None:
        write_json(folder.path / FIGURES, figures)
