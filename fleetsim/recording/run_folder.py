"""Run folder: everything a run leaves behind, and all a report may look at.

``results/<UTC yyyymmddThhmmssZ>-<scenario>-<6 hex>/`` holds

=====================  =======================================================
``manifest.json``      what was run, with what, where and when, and how it ended
``records.arrows``     attempts while the run goes on (Arrow IPC stream)
``records.parquet``    attempts once it has ended
``timeline.jsonl``     what the scenario did, when planned and when really
``latency.hlog``       latency per second and phase (HdrHistogram log)
``states.arrows``      contact states of the devices while the run goes on
``states.parquet``     their whole history once it has ended
``devices.parquet``    one row per device: how it ended
``progress.jsonl``     once a second: states, cipher groups, bundles, generator load
``figures.json``       live figures at the end, of the fleet and of each cohort
``generator.json``     whether the load generator itself kept up
``audit.json``         what devices were told against what the bucket holds
``observed.json``      what the servers' own logs and counters say
``pushed.jsonl``       objects the control plane put for devices, when it put any
``clean.json``         what was deleted again, when that was asked for
``summary.json``       made by ``fleetsim report`` from all of the above
``report.html``        the same for people, one page that opens offline
``shards/``            streams of a run in several processes while it goes on
=====================  =======================================================

Files are replaced whole or appended line by line, so a killed run can be read. No
secret comes here: a resolved scenario names credentials, it does not hold them.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum, unique
from pathlib import Path
from typing import Any, Final, Self

from fleetsim.exceptions import InputError, Problem, RecordingError
from fleetsim.recording.host import host_facts, versions
from fleetsim.recording.json_file import read_json, write_json
from fleetsim.recording.names import MANIFEST, TIMELINE

SCHEMA_VERSION: Final = 1

_NAME = re.compile(r"\d{8}T\d{6}Z-.+-[0-9a-f]{6}\Z")


@unique
class RunOutcome(StrEnum):
    """How a run ended. Values are written to results: never rename one."""

    RUNNING = "running"  # still going on, or killed
    COMPLETED = "completed"
    INTERRUPTED = "interrupted"  # asked to stop before its time
    ERROR = "error"  # ended by a fault of its own (full disk, a bug)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStart:
    """What is known of a run before its first attempt.

    Attributes:
        scenario_name: As the scenario calls itself.
        scenario: The resolved scenario, JSON-able; names credentials, holds none.
        plan_digest: SHA-256 of the plan's bytes, hex.
        seed: Seed of the plan.
        warm_up_ns: Operations planned before this stay out of the latencies.
        duration_ns: Length of the load, without the drain.
        thresholds: Threshold expressions as written.
        devices: Number of devices planned.
        shards: Shards that write into this folder; one by default.
        target: A real target as it was resolved, so that its bucket is found again;
            empty for a lab.
        front_program: What ended TLS at the fronts of the lab; empty without one.
    """

    scenario_name: str
    scenario: Mapping[str, Any]
    plan_digest: str
    seed: int
    warm_up_ns: int
    duration_ns: int
    thresholds: tuple[str, ...] = ()
    devices: int = 0
    shards: tuple[str, ...] = ("0/1",)
    target: Mapping[str, Any] = field(default_factory=dict)
    front_program: str = ""


class RunFolder:
    """A run folder being written.

    Attributes:
        path: The folder.
    """

    __slots__ = ("_manifest", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._manifest: dict[str, Any] = {}

    @classmethod
    def create(
        cls,
        root: Path,
        scenario_name: str,
        now: datetime,
        suffix_source: Callable[[], str],
    ) -> Self:
        """Make a new, empty run folder; ``root`` is made when missing.

        Args:
            root: Folder of all runs, usually ``results``.
            scenario_name: Characters other than letters, digits, ``_``, ``.`` and
                ``-`` become ``-``.
            now: Aware time of the start.
            suffix_source: Gives 6 hex digits; asked again when the name is taken.

        Raises:
            RecordingError: If the folder cannot be made.
        """
        stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        safe = re.sub(r"[^A-Za-z0-9_.-]+", "-", scenario_name).strip("-.")[:80] or "run"
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise RecordingError(str(root), exc.strerror or str(exc)) from exc
        for _ in range(100):
            path = root / f"{stamp}-{safe}-{suffix_source()}"
            try:
                path.mkdir()
            except FileExistsError:
                continue
            except OSError as exc:
                raise RecordingError(str(path), exc.strerror or str(exc)) from exc
            return cls(path)
        raise RecordingError(str(root), "no free name for a run folder in 100 tries")

    @property
    def name(self) -> str:
        """Name of the folder: the name of the run."""
        return self.path.name

    def begin(self, start: RunStart, now: datetime) -> None:
        """Write the manifest of a run that begins now, outcome ``running``.

        Raises:
            RecordingError: If it cannot be written.
        """
        self._manifest = {
            "schema": SCHEMA_VERSION,
            "run": self.name,
            "outcome": RunOutcome.RUNNING.value,
            "started": _timestamp(now),
            "ended": None,
            "scenario_name": start.scenario_name,
            "seed": start.seed,
            "plan_sha256": start.plan_digest,
            "devices": start.devices,
            "warm_up_ns": start.warm_up_ns,
            "duration_ns": start.duration_ns,
            "thresholds": list(start.thresholds),
            "shards": list(start.shards),
            "processes": len(start.shards),
            "front_program": start.front_program or None,
            "target": dict(start.target),
            "versions": versions(),
            "host": host_facts(),
            "scenario": dict(start.scenario),
        }
        write_json(self.path / MANIFEST, self._manifest)

    def end(self, outcome: RunOutcome, now: datetime, *, detail: str = "") -> None:
        """Write how the run ended.

        Args:
            outcome: How.
            now: Aware time of the end.
            detail: Words for people, when it ended with an error.

        Raises:
            RecordingError: If it cannot be written.
        """
        self._manifest |= {
            "outcome": outcome.value,
            "ended": _timestamp(now),
            "detail": detail,
        }
        write_json(self.path / MANIFEST, self._manifest)

    def note(
        self, action: str, *, planned_ns: int, actual_ns: int, **facts: Any
    ) -> None:
        """Append one line to the timeline: what the scenario did, and when.

        Args:
            action: What was done, a word of the scenario language.
            planned_ns: When the plan wanted it, run time.
            actual_ns: When it was done.
            **facts: Further JSON-able facts, never secret.

        Raises:
            RecordingError: If it cannot be written.
        """
        line = json.dumps(
            {"action": action, "planned_ns": planned_ns, "actual_ns": actual_ns} | facts
        )
        path = self.path / TIMELINE
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as exc:
            raise RecordingError(str(path), exc.strerror or str(exc)) from exc


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read the manifest of a run.

    Raises:
        InputError: If this is no run folder.
    """
    manifest = read_json(folder / MANIFEST)
    if manifest is None:
        raise InputError(
            Problem(str(folder), f"is not a run folder: it holds no {MANIFEST}")
        )
    return manifest


def read_timeline(folder: Path) -> tuple[dict[str, Any], ...]:
    """Read the timeline; a last line that was cut short is left out.

    Raises:
        InputError: If another line is damaged or the file cannot be read.
    """
    path = folder / TIMELINE
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ()
    except OSError as exc:
        raise InputError(Problem(str(path), exc.strerror or str(exc))) from exc
    lines = text.split("\n")[:-1]
    try:
        return tuple(json.loads(line) for line in lines)
    except ValueError as exc:
        raise InputError(Problem(str(path), f"holds a damaged line: {exc}")) from exc


def latest_run(root: Path) -> Path:
    """Find the newest run folder below ``root``, by its name.

    Raises:
        InputError: If there is none.
    """
    try:
        runs = [path for path in root.iterdir() if _NAME.match(path.name)]
    except OSError as exc:
        raise InputError(Problem(str(root), exc.strerror or str(exc))) from exc
    found = [path for path in runs if (path / MANIFEST).is_file()]
    if not found:
        raise InputError(Problem(str(root), "holds no run yet"))
    return max(found, key=lambda path: (path.name[:16], _modified_ns(path)))


def _modified_ns(path: Path) -> int:
    return (path / MANIFEST).stat().st_mtime_ns


def _timestamp(now: datetime) -> str:
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
