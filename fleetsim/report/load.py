"""Load: everything a report may look at, read from a run folder.

Nothing here knows how to run anything: any report can be made again later, also of a
run that was killed. What such a run did not get to write is ``None``.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleetsim.core.outcomes import AuditOutcome, CleanOutcome, GeneratorHealth
from fleetsim.exceptions import InputError, Problem
from fleetsim.recording.json_file import read_json
from fleetsim.recording.names import FIGURES, MANIFEST
from fleetsim.recording.outcomes import (
    read_audit,
    read_clean,
    read_devices,
    read_generator,
)
from fleetsim.recording.run_folder import RunOutcome, read_manifest
from fleetsim.report.aggregate import Aggregate, aggregate
from fleetsim.report.verdicts import Rehearsal, load_rehearsal


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTotals:
    """The device table of a cohort (or of all), counted.

    Attributes:
        count: Devices.
        by_state: Devices by their last state.
        by_group: Devices by the cipher group of their last success, none left out.
        files_closed: Log files closed.
        files_backlog: Files still on cards.
        files_lost: Files cards had to give up.
        power_cycles: Power cycles.
    """

    count: int
    by_state: Mapping[str, int]
    by_group: Mapping[str, int]
    files_closed: int
    files_backlog: int
    files_lost: int
    power_cycles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run as its folder tells it.

    Attributes:
        path: The folder.
        manifest: Content of ``manifest.json``.
        outcome: How the run ended.
        warm_up_ns: Operations planned before this have no times.
        duration_ns: Length of the load.
        thresholds: Threshold expressions as written.
        records: The attempts, counted.
        devices: All devices; ``None`` when the run was killed.
        devices_by_cohort: The same by cohort.
        generator: Health of the load generator; ``None`` when the run was killed.
        audit: Truth check; ``None`` when there was none.
        cleaned: What was deleted of what the run stored; ``None`` = nothing ever.
        rehearsal: Contact over time and the timeline.
        figures: Live figures at the end by name, for the fleet (``None``) and for each
            cohort; empty when the run kept none.
    """

    path: Path
    manifest: Mapping[str, Any]
    outcome: RunOutcome
    warm_up_ns: int
    duration_ns: int
    thresholds: tuple[str, ...]
    records: Aggregate
    devices: DeviceTotals | None
    devices_by_cohort: Mapping[str, DeviceTotals]
    generator: GeneratorHealth | None
    audit: AuditOutcome | None
    cleaned: CleanOutcome | None
    rehearsal: Rehearsal
    figures: Mapping[str | None, Mapping[str, float]]

    @property
    def expects_failure(self) -> bool:
        """Whether the scenario shows damage on purpose."""
        scenario = self.manifest.get("scenario")
        return isinstance(scenario, dict) and scenario.get("expect") == "fail"

    @property
    def damage(self) -> tuple[bool, ...]:
        """Which thresholds must not hold, by position; all false = none is marked."""
        scenario = self.manifest.get("scenario")
        written = scenario.get("thresholds") if isinstance(scenario, dict) else None
        if not isinstance(written, list) or len(written) != len(self.thresholds):
            return (False,) * len(self.thresholds)
        return tuple(
            isinstance(each, dict) and each.get("expect") == "fail" for each in written
        )

    @property
    def cohorts(self) -> tuple[str, ...]:
        """Names of all cohorts that have devices or attempts, sorted."""
        return tuple(sorted({*self.records.cohorts(), *self.devices_by_cohort}))


def load_run(folder: Path) -> Run:
    """Read a run folder.

    Args:
        folder: Folder of a finished, interrupted or killed run.

    Raises:
        InputError: If it is no run folder or a file in it is damaged.
    """
    manifest = read_manifest(folder)
    try:
        outcome = RunOutcome(manifest["outcome"])
        warm_up_ns = int(manifest["warm_up_ns"])
        duration_ns = int(manifest["duration_ns"])
        thresholds = tuple(str(text) for text in manifest["thresholds"])
    except (KeyError, TypeError, ValueError) as exc:
        raise InputError(
            Problem(str(folder / MANIFEST), f"lacks a field of a manifest: {exc!r}")
        ) from exc
    devices, by_cohort = _devices(folder)
    records = aggregate(folder, warm_up_ns)
    scenario = manifest.get("scenario")
    return Run(
        path=folder,
        manifest=manifest,
        outcome=outcome,
        warm_up_ns=warm_up_ns,
        duration_ns=duration_ns,
        thresholds=thresholds,
        records=records,
        devices=devices,
        devices_by_cohort=by_cohort,
        generator=read_generator(folder),
        audit=read_audit(folder),
        cleaned=read_clean(folder),
        rehearsal=load_rehearsal(
            folder,
            scenario=scenario if isinstance(scenario, dict) else {},
            last_ns=records.last_ns,
        ),
        figures=_figures(folder),
    )


def _figures(folder: Path) -> dict[str | None, dict[str, float]]:
    content = read_json(folder / FIGURES) or {}
    by_cohort = content.get("cohorts")
    found: dict[str | None, dict[str, float]] = {None: _numbers(content.get("figures"))}
    if isinstance(by_cohort, dict):
        found |= {str(name): _numbers(each) for name, each in by_cohort.items()}
    return found


def _numbers(content: object) -> dict[str, float]:
    if not isinstance(content, dict):
        return {}
    return {
        str(name): float(value)
        for name, value in content.items()
        if isinstance(value, int | float)
    }


def _devices(folder: Path) -> tuple[DeviceTotals | None, dict[str, DeviceTotals]]:
    table = read_devices(folder)
    if table is None:
        return None, {}
    sums = ("files_closed", "files_backlog", "files_lost", "power_cycles")
    keys = ["cohort", "state", "cipher_group"]
    grouped = table.group_by(keys).aggregate(
        [("device", "count"), *((name, "sum") for name in sums)]
    )
    rows = grouped.to_pylist()
    by_cohort = {
        cohort: _total([row for row in rows if row["cohort"] == cohort])
        for cohort in sorted({row["cohort"] for row in rows})
    }
    return _total(rows), by_cohort


def _total(rows: list[dict[str, Any]]) -> DeviceTotals:
    by_state: Counter[str] = Counter()
    by_group: Counter[str] = Counter()
    for row in rows:
        by_state[row["state"]] += row["device_count"]
        if row["cipher_group"]:
            by_group[row["cipher_group"]] += row["device_count"]
    return DeviceTotals(
        count=by_state.total(),
        by_state=dict(sorted(by_state.items())),
        by_group=dict(sorted(by_group.items())),
        files_closed=sum(row["files_closed_sum"] for row in rows),
        files_backlog=sum(row["files_backlog_sum"] for row in rows),
        files_lost=sum(row["files_lost_sum"] for row in rows),
        power_cycles=sum(row["power_cycles_sum"] for row in rows),
    )
