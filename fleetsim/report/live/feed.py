"""Feed: makes the frames of a run from what the engine tells once a second.

The engine tells totals; the feed keeps the totals before and works out what happened in
between. It is the only place where figures of live views are worked out.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from fleetsim.core.commands import Operation
from fleetsim.core.histogram import HIGHEST_NS, Bins, Histogram, bucket_range
from fleetsim.core.progress import BundleSeen, Progress, Stage, Survey
from fleetsim.recording.recorder import Snapshot
from fleetsim.report.live.frame import (
    NO_BINS,
    NO_TOTALS,
    RECENT_S,
    CohortFrame,
    EntryFrame,
    EntryState,
    Generation,
    Interval,
    LiveFrame,
    Quantiles,
    RunFacts,
    quantiles,
)
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.timeline import TimelinePlan, due_ns

_NS_PER_S: Final = 1_000_000_000
_BLOCK: Final = 64


class Feed:
    """Makes frames, one after the other.

    Args:
        plan: The whole plan, not a shard.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._number = 0
        self._before = NO_TOTALS
        self._before_ns = 0
        self._late_starts = 0
        self._drain_since_s: float | None = None
        self._intervals: deque[Interval] = deque(maxlen=RECENT_S)
        self._generations: dict[BundleSeen, int] = {}
        self._entries = {
            entry.index: EntryFrame(
                index=entry.index,
                label=entry.label,
                trigger=_trigger(plan, entry),
                due_s=_seconds(due_ns(plan.timeline, entry.index))
                if entry.after is None
                else None,
            )
            for entry in plan.timeline
            if not entry.is_stand_in
        }

    def facts(self, folder: Path, target: str) -> RunFacts:
        """What is known before the start."""
        plan = self._plan
        return RunFacts(
            folder=folder,
            target=target,
            scenario=plan.name,
            seed=plan.seed,
            duration_s=plan.duration_ns / _NS_PER_S,
            drain_s=plan.drain_ns / _NS_PER_S,
            warm_up_s=plan.warm_up_ns / _NS_PER_S,
            devices=len(plan.devices),
            cohorts=tuple((cohort.name, cohort.count) for cohort in plan.cohorts),
            device_ids=tuple(device.device_id for device in plan.devices),
            thresholds=tuple(each.expression for each in plan.thresholds),
            expects_failure=plan.expect == "fail",
        )

    def acted(
        self, entry: TimelinePlan, step: str, facts: Mapping[str, Any]
    ) -> EntryFrame:
        """Take note of a step of the timeline.

        Args:
            entry: Of which entry.
            step: ``start``, ``end`` or something on the way.
            facts: With ``planned_ns`` and ``actual_ns``.

        Returns:
            The entry as it is now.
        """
        now_s = _seconds(facts.get("actual_ns"))
        seen = replace(self._entries[entry.index], touched_s=now_s)
        match step:
            case "start":
                seen = replace(
                    seen,
                    state=EntryState.RUNNING,
                    due_s=_seconds(facts.get("planned_ns")),
                    started_s=now_s,
                )
            case "end":
                state = EntryState(facts.get("outcome", EntryState.DONE))
                seen = replace(
                    seen, state=state, ended_s=now_s, note=str(facts.get("reason", ""))
                )
            case "wave":
                note = f"wave {facts.get('wave')} of {facts.get('of')}"
                seen = replace(seen, note=note)
            case _:
                seen = replace(seen, note=step)
        self._entries[entry.index] = seen
        if seen.state is EntryState.DONE and now_s is not None:
            self._foresee(entry.index, now_s)
        return seen

    def _foresee(self, index: int, ended_s: float) -> None:
        """What waits for an entry that is done has a time from now on."""
        for entry in self._plan.timeline:
            if entry.after == index and entry.index in self._entries:
                self._entries[entry.index] = replace(
                    self._entries[entry.index],
                    due_s=ended_s + entry.delay_ns / _NS_PER_S,
                )

    def frame(self, progress: Progress, snapshot: Snapshot) -> LiveFrame:
        """Make the frame of this second."""
        self._number += 1
        latest = self._interval(progress, snapshot)
        self._intervals.append(latest)
        survey = progress.survey
        return LiveFrame(
            number=self._number,
            stage=progress.stage,
            now_s=progress.now_ns / _NS_PER_S,
            remaining_s=self._remaining_s(progress),
            devices=progress.devices,
            powered=progress.powered,
            failing=progress.failing,
            in_flight=progress.in_flight,
            backlog=progress.backlog,
            states=progress.states,
            uploads=snapshot.acknowledged,
            attempts=snapshot.attempts,
            sent_bytes=snapshot.bytes_sent,
            received_bytes=snapshot.bytes_received,
            failures=snapshot.failures,
            response=_quantiles(snapshot, "response"),
            handshake=_quantiles(snapshot, "tls"),
            latest=latest,
            recent=merge_intervals(self._intervals),
            groups={} if survey is None else survey.by_group(),
            generations=self._count_generations(survey),
            cohorts=self._cohorts(progress, snapshot),
            timeline=tuple(self._entries.values()),
            health=progress.health,
            cpu_now_ratio=progress.cpu_now_ratio,
            survey=survey,
            totals=snapshot,
        )

    def _remaining_s(self, progress: Progress) -> float:
        now_s = progress.now_ns / _NS_PER_S
        if progress.stage is Stage.LOAD:
            return max(0.0, self._plan.duration_ns / _NS_PER_S - now_s)
        if self._drain_since_s is None:
            self._drain_since_s = now_s
        return max(0.0, self._drain_since_s + self._plan.drain_ns / _NS_PER_S - now_s)

    def _interval(self, progress: Progress, snapshot: Snapshot) -> Interval:
        before, self._before = self._before, snapshot
        before_ns, self._before_ns = self._before_ns, progress.now_ns
        late = progress.health.late_starts if progress.health else 0
        late_before, self._late_starts = self._late_starts, late
        return Interval(
            at_s=progress.now_ns / _NS_PER_S,
            span_s=max(1, progress.now_ns - before_ns) / _NS_PER_S,
            uploads=snapshot.acknowledged - before.acknowledged,
            attempts=sum(snapshot.attempts.values()) - sum(before.attempts.values()),
            sent_bytes=snapshot.bytes_sent - before.bytes_sent,
            received_bytes=snapshot.bytes_received - before.bytes_received,
            failures={
                str(kind): more
                for kind, count in snapshot.failures.items()
                if (more := count - before.failures.get(kind, 0))
            },
            response=_since(snapshot, before, "response"),
            handshake=_since(snapshot, before, "tls"),
            late_starts=late - late_before,
        )

    # ------------------------------------------------------------ devices

    def _count_generations(self, survey: Survey | None) -> tuple[Generation, ...]:
        counts = {} if survey is None else survey.by_bundle()
        for seen in () if survey is None else survey.bundles_seen:
            self._generation(seen)
        return tuple(
            Generation(number=number, bundle=seen, devices=counts.get(seen, 0))
            for seen, number in self._generations.items()
            if number or counts.get(seen)
        )

    def _generation(self, seen: BundleSeen) -> int:
        if not self._generations:
            self._generations[BundleSeen()] = 0
        return self._generations.setdefault(seen, len(self._generations))

    def _cohorts(
        self, progress: Progress, snapshot: Snapshot
    ) -> tuple[CohortFrame, ...]:
        uploads: Counter[str] = Counter()
        attempts: Counter[str] = Counter()
        failures: Counter[str] = Counter()
        for (cohort, operation, kind), count in snapshot.by_cohort.items():
            attempts[cohort] += count
            if kind:
                failures[cohort] += count
            elif operation == Operation.UPLOAD:
                uploads[cohort] += count
        frames: list[CohortFrame] = []
        begin = 0
        for plan in self._plan.cohorts:
            place, begin = slice(begin, begin + plan.count), begin + plan.count
            name = plan.name
            frames.append(
                CohortFrame(
                    name=name,
                    devices=plan.count,
                    states=progress.cohorts.get(name, {}),
                    uploads=uploads[name],
                    attempts=attempts[name],
                    failures=failures[name],
                    response=quantiles(
                        snapshot.cohorts.get(name, {}).get("response") or Histogram()
                    ),
                    **self._cohort_mix(progress.survey, place),
                )
            )
        return tuple(frames)

    def _cohort_mix(self, survey: Survey | None, place: slice) -> dict[str, Any]:
        if survey is None:
            return {}
        part = replace(
            survey,
            states=survey.states[place],
            groups=survey.groups[place],
            bundles=survey.bundles[place],
        )
        return {
            "groups": part.by_group(),
            "bundles": {
                self._generation(seen): count
                for seen, count in part.by_bundle().items()
            },
        }


def merge_intervals(parts: Sequence[Interval] | deque[Interval]) -> Interval:
    """One interval out of several that follow each other; at least one."""
    failures: Counter[str] = Counter()
    for part in parts:
        failures.update(part.failures)
    return Interval(
        at_s=parts[-1].at_s,
        span_s=sum(part.span_s for part in parts),
        uploads=sum(part.uploads for part in parts),
        attempts=sum(part.attempts for part in parts),
        sent_bytes=sum(part.sent_bytes for part in parts),
        received_bytes=sum(part.received_bytes for part in parts),
        failures=dict(failures),
        response=_merged([part.response for part in parts]),
        handshake=_merged([part.handshake for part in parts]),
        late_starts=sum(part.late_starts for part in parts),
    )


def _merged(parts: Sequence[Bins]) -> Bins:
    filled = [part for part in parts if part.counts]
    if not filled:
        return NO_BINS
    counts: Counter[int] = Counter()
    for part in filled:
        counts.update(part.counts)
    return Bins(
        counts=counts,
        minimum_ns=min(part.minimum_ns for part in filled),
        maximum_ns=max(part.maximum_ns for part in filled),
        sum_ns=sum(part.sum_ns for part in filled),
    )


def bins_since(now: Histogram, before: Histogram | None) -> Bins:
    """What a histogram that only grows has counted since an earlier copy of it.

    The extremes are those of the buckets, inside the extremes of ``now``.
    """
    if before is None or not before.count:
        return now.bins() if now.count else NO_BINS
    if now.count == before.count:
        return NO_BINS
    old, new = before.counts(), now.counts()
    grown: dict[int, int] = {}
    # Most blocks have not changed, and arrays are compared quickly.
    for begin in range(0, len(new), _BLOCK):
        block, earlier = new[begin : begin + _BLOCK], old[begin : begin + _BLOCK]
        if block != earlier:
            earlier.extend([0] * (len(block) - len(earlier)))
            for index, (count, before_count) in enumerate(
                zip(block, earlier, strict=True), begin
            ):
                if count > before_count:
                    grown[index] = count - before_count
    if not grown:
        return NO_BINS
    low, high = bucket_range(min(grown))[0], bucket_range(max(grown))[1]
    return Bins(
        counts=grown,
        minimum_ns=max(low, now.minimum_ns or 0),
        maximum_ns=min(high, now.maximum_ns or HIGHEST_NS),
        sum_ns=now.sum_ns - before.sum_ns,
    )


def _since(snapshot: Snapshot, before: Snapshot, phase: str) -> Bins:
    now = snapshot.latency.get(phase)
    return NO_BINS if now is None else bins_since(now, before.latency.get(phase))


def _quantiles(snapshot: Snapshot, phase: str) -> Quantiles:
    return quantiles(snapshot.latency.get(phase) or Histogram())


def _seconds(at_ns: int | None) -> float | None:
    return None if at_ns is None or at_ns < 0 else at_ns / _NS_PER_S


def _trigger(plan: Plan, entry: TimelinePlan) -> str:
    delay_s = entry.delay_ns / _NS_PER_S
    delay = f" + {delay_s:g} s" if delay_s else ""
    if entry.at_ns is not None:
        return f"at {entry.at_ns / _NS_PER_S:g} s"
    if entry.after is not None:
        before = plan.timeline[entry.after]
        return f"after {before.name or before.label}{delay}"
    return f"when {entry.when}{delay}"
