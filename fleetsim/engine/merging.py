"""Merging: what several shards tell, as if one process had told it.

Everything counted is added (:mod:`fleetsim.core.sums`); percentiles come from added
counts and are never averaged.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from fleetsim.core.contact import ContactState
from fleetsim.core.device_settings import NS_PER_S
from fleetsim.core.histogram import Histogram
from fleetsim.core.outcomes import GeneratorHealth, ProcessHealth
from fleetsim.core.progress import STATES, Progress, Stage, merge_surveys
from fleetsim.core.sums import add_up
from fleetsim.engine.contacts import Tally
from fleetsim.engine.health import HealthReport, lag_ms

_STAGES: Final = tuple(Stage)
_ASLEEP: Final = ContactState.ASLEEP.value


def merge_progress(
    parts: Sequence[Progress], *, now_ns: int, health: GeneratorHealth | None
) -> Progress:
    """Progress of a whole fleet.

    Args:
        parts: The newest of every shard; of one that died see :func:`silenced`.
        now_ns: Run time.
        health: Merged health; ``None`` = nobody asked for one.
    """
    surveys = [part.survey for part in parts if part.survey is not None]
    return Progress(
        stage=min((part.stage for part in parts), key=_STAGES.index),
        now_ns=now_ns,
        devices=sum(part.devices for part in parts),
        powered=sum(part.powered for part in parts),
        failing=sum(part.failing for part in parts),
        in_flight=sum(part.in_flight for part in parts),
        backlog=sum(part.backlog for part in parts),
        states=add_up([part.states for part in parts]),
        cohorts=add_up([part.cohorts for part in parts]),
        survey=merge_surveys(surveys) if len(surveys) == len(parts) else None,
        health=health,
        cpu_now_ratio=sum(part.cpu_now_ratio for part in parts),
    )


def silenced(progress: Progress) -> Progress:
    """Progress of a shard whose process died: its devices are asleep."""
    survey = progress.survey
    if survey is not None:
        code = bytes((STATES.index(ContactState.ASLEEP),))
        survey = replace(survey, states=code * len(survey))
    return replace(
        progress,
        stage=Stage.OVER,
        failing=0,
        in_flight=0,
        states={**dict.fromkeys(progress.states, 0), _ASLEEP: progress.devices},
        cohorts=_asleep(progress.cohorts),
        survey=survey,
        cpu_now_ratio=0.0,
    )


def silenced_tally(tally: Tally) -> Tally:
    """The same for what its contacts come to: what was counted stays counted."""
    return replace(tally, cohorts=_asleep(tally.cohorts))


def _asleep(
    cohorts: Mapping[str, Mapping[str, int]],
) -> dict[str, dict[str, int]]:
    return {
        cohort: {**dict.fromkeys(counts, 0), _ASLEEP: sum(counts.values())}
        for cohort, counts in cohorts.items()
    }


def merge_health(
    reports: Sequence[HealthReport], processes: Sequence[ProcessHealth]
) -> GeneratorHealth:
    """Health of the whole generator.

    It was saturated when one of its processes was: the devices of that one were served
    late, whatever the others had to spare.

    Args:
        reports: The newest of every shard that gave one.
        processes: Every process, in the order in which they are shown; with
            ``cpu_ratio`` and ``rss_bytes`` of each.
    """
    reasons = [
        f"{process.name} died at {process.lost_at_ns / NS_PER_S:.1f} s with its "
        f"{process.devices} devices: {process.lost_reason}"
        for process in processes
        if process.lost_reason
    ]
    reasons += [f"{report.name}: {r}" for report in reports for r in report.reasons]
    start_lag = add_up([Histogram(), *(report.start_lag for report in reports)])
    loop_lag = add_up([Histogram(), *(report.loop_lag for report in reports)])
    return GeneratorHealth(
        saturated=bool(reasons),
        reasons=tuple(reasons),
        cpu_ratio=round(sum(process.cpu_ratio for process in processes), 3),
        late_starts=sum(report.late_starts for report in reports),
        starts=sum(report.starts for report in reports),
        start_lag_p99_ms=lag_ms(start_lag),
        loop_lag_p99_ms=lag_ms(loop_lag),
        seconds=max((report.seconds for report in reports), default=0.0),
        rss_bytes=sum(process.rss_bytes for process in processes),
        processes=tuple(processes),
    )
