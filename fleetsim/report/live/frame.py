"""Frame: everything a live view shows of one second of a run.

Values only. Names follow ``summary.json`` where both have a figure. Rates and times of
:attr:`LiveFrame.latest` are about the last second, those of :attr:`LiveFrame.recent`
about the last :data:`RECENT_S` seconds; everything else is about the run so far. Times
come from counts that were added up, never from percentiles.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from pathlib import Path
from typing import Final

from fleetsim.core.histogram import Bins, Histogram
from fleetsim.core.outcomes import GeneratorHealth
from fleetsim.core.progress import BundleSeen, Stage, Survey
from fleetsim.recording.recorder import Snapshot

RECENT_S: Final = 10
NO_BINS: Final = Bins(counts={}, minimum_ns=0, maximum_ns=0, sum_ns=0)
NO_TOTALS: Final = Snapshot(
    attempts={},
    failures={},
    acknowledged=0,
    bytes_sent=0,
    bytes_received=0,
    latency={},
    cohorts={},
)


@unique
class EntryState(StrEnum):
    """What has become of an entry of the timeline."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantiles:
    """Quantiles of durations; ``None`` when nothing was counted.

    Attributes:
        count: Durations.
        p50_ms: Median.
        p90_ms: 90th percentile.
        p99_ms: 99th percentile.
        max_ms: Longest.
    """

    count: int = 0
    p50_ms: float | None = None
    p90_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """What happened between two looks.

    Attributes:
        at_s: Its end, run time.
        span_s: Its length, > 0.
        uploads: Uploads acknowledged.
        attempts: Attempts at anything.
        sent_bytes: Bytes written to sockets, TLS included.
        received_bytes: Bytes read from sockets, TLS included.
        failures: Failed attempts by kind.
        response: Response times of uploads.
        handshake: Durations of TLS handshakes of successful attempts.
        late_starts: Attempts that started late by the generator's fault.
    """

    at_s: float
    span_s: float
    uploads: int = 0
    attempts: int = 0
    sent_bytes: int = 0
    received_bytes: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    response: Bins = NO_BINS
    handshake: Bins = NO_BINS
    late_starts: int = 0

    @property
    def uploads_per_s(self) -> float:
        """Uploads acknowledged per second."""
        return self.uploads / self.span_s

    @property
    def attempts_per_s(self) -> float:
        """Attempts per second."""
        return self.attempts / self.span_s

    @property
    def sent_bytes_per_s(self) -> float:
        """Bytes written to sockets per second."""
        return self.sent_bytes / self.span_s


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortFrame:
    """One cohort.

    Attributes:
        name: Its name.
        devices: Its devices.
        states: Devices by contact state.
        uploads: Uploads acknowledged.
        attempts: Attempts at anything.
        failures: Failed attempts.
        response: Response times of its uploads.
        groups: Devices by cipher group of the last handshake.
        bundles: Devices by generation of their trust bundle.
    """

    name: str
    devices: int
    states: Mapping[str, int]
    uploads: int = 0
    attempts: int = 0
    failures: int = 0
    response: Quantiles = Quantiles()
    groups: Mapping[str, int] = field(default_factory=dict)
    bundles: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFrame:
    """An entry of the timeline.

    Attributes:
        index: Position in the scenario.
        label: What it does and its own name, for people.
        trigger: When it is due, in words.
        state: What has become of it.
        due_s: When it is or was due, run time; ``None`` = nobody knows yet.
        started_s: When it started.
        ended_s: When it was settled.
        touched_s: When it took its last step.
        note: How far it is (``wave 2 of 5``), or why it was not done.
    """

    index: int
    label: str
    trigger: str
    state: EntryState = EntryState.WAITING
    due_s: float | None = None
    started_s: float | None = None
    ended_s: float | None = None
    touched_s: float | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A generation of trust bundles: counted in the order in which devices used them.

    Attributes:
        number: From 1; 0 = the empty bundle.
        bundle: Which it is.
        devices: Devices that use it.
    """

    number: int
    bundle: BundleSeen
    devices: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """What is known of a run before it starts.

    Attributes:
        folder: Run folder.
        target: Where the fleet uploads to, in words.
        scenario: Name of the scenario.
        seed: Seed of the plan.
        duration_s: Length of the load.
        drain_s: Longest drain after it.
        warm_up_s: Operations planned before it have no times.
        devices: Devices.
        cohorts: Names and sizes; the devices of a cohort are neighbours in the plan.
        device_ids: By index.
        thresholds: As written.
        expects_failure: Whether the scenario shows damage on purpose.
    """

    folder: Path
    target: str
    scenario: str
    seed: int
    duration_s: float
    drain_s: float
    warm_up_s: float
    devices: int
    cohorts: tuple[tuple[str, int], ...]
    device_ids: tuple[str, ...]
    thresholds: tuple[str, ...] = ()
    expects_failure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFrame:
    """One second of a run.

    Attributes:
        number: From 1.
        stage: Where the run is.
        now_s: Run time.
        remaining_s: Until the load ends, in the drain: until its deadline; at most.
        devices: Devices.
        powered: Devices that were switched on.
        failing: Devices whose last attempt failed.
        in_flight: Attempts under way.
        backlog: Files waiting on the cards.
        states: Devices by contact state.
        uploads: Uploads acknowledged.
        attempts: Attempts at each operation.
        sent_bytes: Bytes written to sockets, TLS included.
        received_bytes: Bytes read from sockets, TLS included.
        failures: Failed attempts by kind.
        response: Response times of uploads.
        handshake: Durations of TLS handshakes.
        latest: The last second.
        recent: The last seconds.
        groups: Devices by cipher group of their last handshake.
        generations: Trust bundles in use and before.
        cohorts: In the order of the scenario.
        timeline: In the order of the scenario.
        health: Whether the generator keeps up.
        cpu_now_ratio: CPU of the generator in the last second, of one core.
        survey: Every device; ``None`` before the first look.
        totals: The counts all of this was made of, for exporters.
    """

    number: int
    stage: Stage
    now_s: float
    remaining_s: float
    devices: int
    powered: int
    failing: int
    in_flight: int
    backlog: int
    states: Mapping[str, int]
    uploads: int
    attempts: Mapping[str, int]
    sent_bytes: int
    received_bytes: int
    failures: Mapping[str, int]
    response: Quantiles
    handshake: Quantiles
    latest: Interval
    recent: Interval
    groups: Mapping[str, int]
    generations: tuple[Generation, ...]
    cohorts: tuple[CohortFrame, ...]
    timeline: tuple[EntryFrame, ...]
    health: GeneratorHealth | None
    cpu_now_ratio: float
    survey: Survey | None
    totals: Snapshot = NO_TOTALS

    @property
    def next_entry(self) -> EntryFrame | None:
        """What the timeline does next: what is due soonest, else what waits first."""
        waiting = [e for e in self.timeline if e.state is EntryState.WAITING]
        timed = [e for e in waiting if e.due_s is not None]
        if timed:
            return min(timed, key=lambda entry: entry.due_s or 0.0)
        return waiting[0] if waiting else None

    @property
    def failed_attempts(self) -> int:
        """Failed attempts of all kinds."""
        return sum(self.failures.values())

    def top_failures(self, most: int) -> tuple[tuple[str, int], ...]:
        """Failure kinds with most attempts first, at most ``most``."""
        ranked = sorted(self.failures.items(), key=lambda item: (-item[1], item[0]))
        return tuple((str(kind), count) for kind, count in ranked[:most])


def quantiles(times: Histogram | Bins) -> Quantiles:
    """Quantiles of durations."""
    if isinstance(times, Bins):
        seen = Histogram()
        seen.add(times)
    else:
        seen = times
    if not seen.count:
        return Quantiles()
    p50, p90, p99 = ((each or 0) / 1e6 for each in seen.percentiles(50, 90, 99))
    return Quantiles(
        count=seen.count,
        p50_ms=p50,
        p90_ms=p90,
        p99_ms=p99,
        max_ms=(seen.maximum_ns or 0) / 1e6,
    )
