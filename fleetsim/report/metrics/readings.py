"""Readings: the values of all metrics at one moment, taken from a live frame.

The number of series is bounded whatever a scenario or a server does: cohorts past
:data:`MOST_COHORTS` and failure kinds past :data:`MOST_KINDS` are counted together as
``_OTHER`` (the word the semantic conventions have for it). Who was first keeps its own
name, so that a counter never shrinks.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from fleetsim.core.contact import ContactState
from fleetsim.core.histogram import Histogram, bucket_index, bucket_range
from fleetsim.report.live.frame import LiveFrame, RunFacts
from fleetsim.report.metrics import catalogue
from fleetsim.report.metrics.catalogue import BY_PHASE, Metric

MOST_COHORTS: Final = 50
MOST_KINDS: Final = 200
OTHER: Final = "_OTHER"
_NS_PER_S: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Content of a histogram.

    Attributes:
        counts: Values up to each bound of the metric and above the one before; the
            last one is of values above all bounds.
        sum_s: Sum of all values.
        minimum_s: Smallest value, 0 when there is none.
        maximum_s: Largest value, 0 when there is none.
    """

    counts: tuple[int, ...]
    sum_s: float
    minimum_s: float = 0.0
    maximum_s: float = 0.0

    @property
    def count(self) -> int:
        """Number of values."""
        return sum(self.counts)


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of one metric.

    Attributes:
        metric: Which.
        value: Number, or distribution of a histogram.
        attributes: Values of the metric's attributes, in their order; empty = it has
            none here.
    """

    metric: Metric
    value: float | Distribution
    attributes: tuple[str, ...] = ()


class Meter:
    """Reads the metrics of one run.

    Args:
        facts: What is known of it before it starts.
    """

    def __init__(self, facts: RunFacts) -> None:
        self._facts = facts
        self._cohorts = {name for name, _ in facts.cohorts[:MOST_COHORTS]}
        self._kinds: set[str] = set()
        url = urlsplit(facts.target.rpartition(" ")[2])
        self._host = url.hostname or ""
        self._port = str(url.port or "")

    def read(self, frame: LiveFrame) -> tuple[Reading, ...]:
        """Take all values of a frame."""
        return (*self._counts(frame), *self._durations(frame), *self._state(frame))

    def conclude(self, summary: Mapping[str, Any]) -> tuple[Reading, ...]:
        """Take what is known only after the run."""
        uploads = summary["uploads"]
        found = [
            Reading(catalogue.RUN_VERDICT, 1, (str(summary["verdict"]),)),
            *(
                Reading(metric, uploads[key])
                for metric, key in (
                    (catalogue.UPLOADS_STORED, "stored"),
                    (catalogue.UPLOADS_UNACCOUNTED, "unaccounted"),
                )
                if uploads.get(key) is not None
            ),
        ]
        return tuple(found)

    def _cohort(self, name: str) -> str:
        return name if name in self._cohorts else OTHER

    def _kind(self, kind: str) -> str:
        if kind and kind not in self._kinds:
            if len(self._kinds) >= MOST_KINDS:
                return OTHER
            self._kinds.add(kind)
        return kind

    def _counts(self, frame: LiveFrame) -> Iterator[Reading]:
        attempts: Counter[tuple[str, str, str]] = Counter()
        for (cohort, operation, kind), count in frame.totals.by_cohort.items():
            place = (self._cohort(cohort), str(operation), self._kind(str(kind)))
            attempts[place] += count
        for place, count in attempts.items():
            yield Reading(catalogue.ATTEMPTS, count, place)
        yield Reading(catalogue.NETWORK_IO, frame.sent_bytes, ("transmit",))
        yield Reading(catalogue.NETWORK_IO, frame.received_bytes, ("receive",))

    def _durations(self, frame: LiveFrame) -> Iterator[Reading]:
        merged: dict[tuple[str, str], Histogram] = {}
        for cohort, phases in frame.totals.cohorts.items():
            for phase, histogram in phases.items():
                place = (phase, self._cohort(cohort))
                if place in merged:
                    merged[place] = merged[place].copy()
                    merged[place].merge(histogram)
                else:
                    merged[place] = histogram
        for (phase, cohort), histogram in sorted(merged.items(), key=lambda kv: kv[0]):
            metric = BY_PHASE[phase]
            yield Reading(
                metric,
                distribution(histogram, metric.bounds_s),
                (cohort, *(self._constant(name) for name in metric.attributes[1:])),
            )

    def _constant(self, attribute: str) -> str:
        match attribute:
            case "http.request.method":
                return "PUT"
            case "server.port":
                return self._port
            case _:
                return self._host

    def _state(self, frame: LiveFrame) -> Iterator[Reading]:
        yield from self._devices(frame)
        yield Reading(catalogue.DEVICES_POWERED, frame.powered)
        for made in frame.generations:
            yield Reading(
                catalogue.DEVICES_BUNDLE,
                made.devices,
                (str(made.number), made.bundle.fingerprint),
            )
        yield Reading(catalogue.IN_FLIGHT, frame.in_flight)
        yield Reading(catalogue.BACKLOG, frame.backlog)
        yield Reading(catalogue.GENERATOR_CPU, frame.cpu_now_ratio)
        if frame.health is not None:
            health = frame.health
            yield Reading(catalogue.LATE_STARTS, health.late_starts)
            yield Reading(catalogue.GENERATOR_SATURATED, int(health.saturated))
            yield Reading(catalogue.LOOP_LAG, health.loop_lag_p99_ms / 1e3)
            yield Reading(catalogue.START_LAG, health.start_lag_p99_ms / 1e3)
        facts = self._facts
        yield Reading(
            catalogue.RUN_INFO,
            1,
            (facts.scenario, facts.folder.name, str(facts.seed), frame.stage.value),
        )
        yield Reading(catalogue.RUN_TIME, frame.now_s)
        yield Reading(catalogue.RUN_LEFT, frame.remaining_s)
        for entry in frame.timeline:
            place = (str(entry.index), entry.label, entry.state.value)
            yield Reading(catalogue.TIMELINE_ENTRY, 1, place)

    def _devices(self, frame: LiveFrame) -> Iterator[Reading]:
        states: Counter[tuple[str, str]] = Counter()
        groups: Counter[tuple[str, str]] = Counter()
        for each in frame.cohorts:
            cohort = self._cohort(each.name)
            for state in ContactState:
                states[cohort, state.value] += each.states.get(state.value, 0)
            for group, count in each.groups.items():
                groups[cohort, group] += count
        for place, count in states.items():
            yield Reading(catalogue.DEVICES, count, place)
        for place, count in groups.items():
            yield Reading(catalogue.DEVICES_GROUP, count, place)


def distribution(histogram: Histogram, bounds_s: Sequence[float]) -> Distribution:
    """Sort a histogram of this program into the buckets of a metric.

    A bucket of ours that reaches over a bound counts as above it: a bound never claims
    more than is true, and misses at most the values within 0.8 % below it.

    Args:
        histogram: Nanoseconds.
        bounds_s: Upper bounds, ascending.
    """
    seen = histogram.counts()
    counts, begin = [], 0
    for bound_s in bounds_s:
        bound_ns = round(bound_s * _NS_PER_S)
        index = bucket_index(bound_ns)
        end = index + (bucket_range(index)[1] <= bound_ns)
        counts.append(sum(seen[begin:end]))
        begin = end
    counts.append(histogram.count - sum(counts))
    return Distribution(
        counts=tuple(counts),
        sum_s=histogram.sum_ns / _NS_PER_S,
        minimum_s=(histogram.minimum_ns or 0) / _NS_PER_S,
        maximum_s=(histogram.maximum_ns or 0) / _NS_PER_S,
    )
