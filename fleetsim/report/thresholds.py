"""Thresholds: the conditions of a scenario, held against what was recorded.

A metric nobody could measure (no data, a run killed before the truth check) does not
pass: its value is ``None`` and the reason says what is missing. Counts of what went
wrong are different: no failures of a kind is the figure 0, not a gap.
"""

from dataclasses import dataclass
from typing import Final

from fleetsim.core.commands import Operation
from fleetsim.core.failure import Kind
from fleetsim.core.histogram import Histogram
from fleetsim.report.aggregate import HANDSHAKE
from fleetsim.report.contacts import Contacts
from fleetsim.report.load import Run
from fleetsim.scenario.threshold import STATES, Threshold, ThresholdUnit

_NS_PER_S: Final = 1_000_000_000
_MS_PER_S: Final = 1000

_OPERATIONS: Final = {
    "upload": (Operation.UPLOAD.value,),
    "heartbeat": (Operation.HEARTBEAT.value,),
    "ota": (
        Operation.OTA_BUNDLE.value,
        Operation.OTA_CONFIG.value,
        Operation.OTA_FIRMWARE.value,
    ),
    HANDSHAKE: (HANDSHAKE,),
}
_CONNECTION_PHASES: Final = frozenset({"dns", "tcp", "tls"})
_UPLOAD: Final = (Operation.UPLOAD.value,)
_REHEARSED: Final = frozenset(
    {"stranded_peak", "files", "time_to_detect", "time_to_recover", "bundle_share"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one threshold.

    Attributes:
        expression: As the scenario writes it.
        value: Measured figure in seconds, 0..1 or a count; ``None`` = no data.
        ok: Whether the condition holds.
        unit: Unit of the value.
        reason: Why there is no figure; empty when there is one.
        is_time: Whether the figure is a time of the target, which a saturated
            generator would falsify.
    """

    expression: str
    value: float | None
    ok: bool
    unit: ThresholdUnit
    reason: str = ""
    is_time: bool = False


class _NoDataError(Exception):
    """There is nothing to measure; the text says what is missing."""


def evaluate(threshold: Threshold, run: Run) -> Verdict:
    """Hold one threshold against a run."""
    is_time = (
        threshold.unit is ThresholdUnit.DURATION
        and not threshold.metric.startswith("generator.")
    )
    try:
        value = _measure(threshold, run)
    except _NoDataError as exc:
        return Verdict(
            expression=threshold.expression,
            value=None,
            ok=False,
            unit=threshold.unit,
            reason=str(exc),
            is_time=is_time,
        )
    return Verdict(
        expression=threshold.expression,
        value=value,
        ok=threshold.holds(value),
        unit=threshold.unit,
        is_time=is_time,
    )


def _measure(threshold: Threshold, run: Run) -> float:
    labels = dict(threshold.labels)
    cohort = labels.get("cohort")
    if cohort is not None and cohort not in run.cohorts:
        raise _NoDataError(f"no cohort named {cohort!r} took part")
    family, _, figure = threshold.metric.partition(".")
    if family in _OPERATIONS:
        return _operation(threshold, run, _OPERATIONS[family], figure, labels)
    if family in _REHEARSED or family in STATES:
        return _rehearsed(run, family, figure, cohort)
    match family:
        case "uploads":
            return _uploads(run, figure, cohort)
        case "unaccounted":
            return _uploads(run, "unaccounted", cohort)
        case "unclassified":
            kinds = run.records.attempts_at(cohort=cohort).kinds
            return float(kinds[Kind.UNCLASSIFIED])
        case "failures":
            kinds = run.records.attempts_at(cohort=cohort).kinds
            kind = labels.get("kind")
            return float(kinds.total() if kind is None else kinds[kind])
        case "devices":
            return _devices(run, cohort, labels.get("state"))
        case "generator":
            return _generator(run, figure)
        case "freshness":
            return _statistic(threshold, freshness(run, cohort))
        case phase:
            operations = None if phase in _CONNECTION_PHASES else _UPLOAD
            return _statistic(
                threshold, run.records.times_of(phase, operations, cohort)
            )


def _operation(
    threshold: Threshold,
    run: Run,
    operations: tuple[str, ...],
    figure: str,
    labels: dict[str, str],
) -> float:
    cohort = labels.get("cohort")
    if figure in {"response_time", "service_time"}:
        phase = "response" if figure == "response_time" else "total"
        return _statistic(threshold, run.records.times_of(phase, operations, cohort))
    attempts = run.records.attempts_at(operations, cohort)
    cause = labels.get("cause")
    failed = attempts.failed if cause is None else attempts.kinds[cause]
    match figure:
        case "count":
            return float(attempts.count)
        case "failed":
            return float(failed)
        case "failed_ratio":
            if not attempts.count:
                raise _NoDataError("there was no attempt")
            return failed / attempts.count
        case _:
            raise _NoDataError(f"{threshold.metric} is not a figure of this version")


def _uploads(run: Run, figure: str, cohort: str | None) -> float:
    attempts = run.records.attempts_at(_UPLOAD, cohort)
    match figure:
        case "planned":
            totals = (
                run.devices if cohort is None else run.devices_by_cohort.get(cohort)
            )
            if totals is None:
                raise _NoDataError("the run ended before its devices were counted")
            return float(totals.files_closed)
        case "attempted":
            return float(attempts.operations)
        case "acknowledged":
            return float(attempts.ok)
        case _:
            if run.audit is None:
                raise _NoDataError("the bucket was not checked")
            if not run.audit.checked:
                raise _NoDataError(f"the bucket was not checked: {run.audit.reason}")
            if cohort is not None:
                raise _NoDataError("the bucket is not checked by cohort")
            found = run.audit.stored if figure == "stored" else run.audit.unaccounted
            return float(found)


def _devices(run: Run, cohort: str | None, state: str | None) -> float:
    totals = run.devices if cohort is None else run.devices_by_cohort.get(cohort)
    if totals is None:
        raise _NoDataError("the run ended before its devices were counted")
    return float(totals.count if state is None else totals.by_state.get(state, 0))


def _rehearsed(run: Run, family: str, figure: str, cohort: str | None) -> float:
    """Figures of contact; see :mod:`fleetsim.report.verdicts`."""
    match family:
        case "stranded_peak":
            return float(_contacts(run, cohort).stranded_peak[0])
        case "files":
            return _files(run, figure, cohort)
        case "time_to_detect":
            longest_ns = run.rehearsal.detection_ns(cohort).maximum_ns
            if longest_ns is None:
                raise _NoDataError("no device failed after a change")
            return longest_ns / _NS_PER_S
        case "time_to_recover":
            return _recovery_s(run, cohort)
        case "bundle_share":
            found = run.figures.get(cohort, {}).get(family)
            if found is None:
                raise _NoDataError("the run kept no bundle_share")
            return found
        case state:
            return _state(run, cohort, state)


def _recovery_s(run: Run, cohort: str | None) -> float:
    """Longest time to recover; where nobody failed nobody took any time."""
    if lost := run.rehearsal.unrecovered(cohort):
        raise _NoDataError(f"{lost:,} devices did not recover")
    return (run.rehearsal.recovery_ns(cohort).maximum_ns or 0) / _NS_PER_S


def _contacts(run: Run, cohort: str | None) -> Contacts:
    if not run.rehearsal.contacts:
        raise _NoDataError("the run kept no histories of contact")
    return run.rehearsal.contacts.get(cohort, Contacts())


def _state(run: Run, cohort: str | None, state: str) -> float:
    """Devices by contact state at the end; a killed run has its histories at least."""
    if run.rehearsal.contacts:
        return float(_contacts(run, cohort).final[state])
    return _devices(run, cohort, state)


def _files(run: Run, figure: str, cohort: str | None) -> float:
    if figure == "late":
        return float(run.rehearsal.late(cohort))
    totals = run.devices if cohort is None else run.devices_by_cohort.get(cohort)
    if totals is None:
        raise _NoDataError("the run ended before its devices were counted")
    match figure:
        case "closed":
            return float(totals.files_closed)
        case "lost":
            return float(totals.files_lost)
        case "backlog":
            return float(totals.files_backlog)
        case _:
            raise _NoDataError(f"files.{figure} is not a figure of this version")


def _generator(run: Run, figure: str) -> float:
    health = run.generator
    if health is None:
        raise _NoDataError("the run ended before the generator judged itself")
    match figure:
        case "cpu_ratio":
            return health.cpu_ratio
        case "late_starts":
            return float(health.late_starts)
        case _:
            return health.loop_lag_p99_ms / _MS_PER_S


def freshness(run: Run, cohort: str | None) -> Histogram:
    """Ages of the newest acknowledged log file of each device at the end of the load.

    A device without any counts from the start of the run. Devices that made no attempt
    at all are known only by number; they count likewise.
    """
    records = run.records
    end_ns = min(run.duration_ns, records.last_ns) or records.last_ns
    ages = [
        max(0, end_ns - records.newest.get(device, 0))
        for device, of_cohort in records.cohort_of.items()
        if cohort in {None, of_cohort}
    ]
    totals = run.devices if cohort is None else run.devices_by_cohort.get(cohort)
    silent = totals.count - len(ages) if totals is not None else 0
    return Histogram.of([*ages, *([end_ns] * silent)])


def _statistic(threshold: Threshold, times: Histogram) -> float:
    if threshold.percent is not None:
        value: float | None = times.percentile(threshold.percent)
    else:
        match threshold.statistic:
            case "min":
                value = times.minimum_ns
            case "avg":
                value = times.mean_ns
            case _:
                value = times.maximum_ns
    if value is None:
        raise _NoDataError("nothing was measured")
    return value / _NS_PER_S
