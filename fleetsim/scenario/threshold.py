"""Threshold: a k6-style condition on the figures of a run.

Grammar::

    threshold = metric [ "." statistic ] [ "{" label { "," label } "}" ] operator value
    statistic = "min" | "avg" | "med" | "max" | "p50" … "p99.9" | "p(95)"
    label     = name "=" '"' text '"'
    operator  = "<" | "<=" | ">" | ">=" | "==" | "!="
    value     = number | number "%" | duration

Every metric a threshold may name is in :data:`METRICS`, with its unit and its labels;
``fleetsim.report.thresholds`` evaluates them. Only the parse is here, so that a wrong
name is found before a run and not after it.
"""

import math
import operator as operators
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from fleetsim.core.failure import KINDS, is_kind
from fleetsim.scenario.quantities import parse_duration, parse_ratio, shown
from fleetsim.scenario.suggest import did_you_mean


@unique
class ThresholdUnit(StrEnum):
    """Unit of a threshold's value."""

    COUNT = "count"
    RATIO = "ratio"  # 0..1
    DURATION = "duration"  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """Something a threshold can be about.

    Attributes:
        name: Name without statistic.
        unit: Unit of its values.
        has_statistic: Whether it is a distribution, so that a statistic is needed.
        is_run_time: Whether it is a time that shrinks with the scenario
            (``shorten_by``), unlike what the network takes.
        labels: Labels that may narrow it down.
        meaning: What it counts or measures, in one sentence.
    """

    name: str
    unit: ThresholdUnit
    has_statistic: bool = False
    is_run_time: bool = False
    labels: tuple[str, ...] = ("cohort",)
    meaning: str


def _operation_metrics(operation: str, what: str) -> tuple[Metric, ...]:
    causes = ("cohort", "cause")
    return (
        Metric(
            name=f"{operation}.count",
            unit=ThresholdUnit.COUNT,
            meaning=f"Attempts at {what}.",
        ),
        Metric(
            name=f"{operation}.failed",
            unit=ThresholdUnit.COUNT,
            labels=causes,
            meaning=f"Failed attempts at {what}.",
        ),
        Metric(
            name=f"{operation}.failed_ratio",
            unit=ThresholdUnit.RATIO,
            labels=causes,
            meaning=f"Failed attempts at {what} per attempt.",
        ),
        Metric(
            name=f"{operation}.response_time",
            unit=ThresholdUnit.DURATION,
            has_statistic=True,
            meaning=f"From the planned start of {what} to its success.",
        ),
        Metric(
            name=f"{operation}.service_time",
            unit=ThresholdUnit.DURATION,
            has_statistic=True,
            meaning=f"From the actual start of {what} to its success.",
        ),
    )


def _phase_metric(phase: str, what: str) -> Metric:
    return Metric(
        name=phase, unit=ThresholdUnit.DURATION, has_statistic=True, meaning=what
    )


def _count(name: str, meaning: str, *labels: str) -> Metric:
    return Metric(
        name=name,
        unit=ThresholdUnit.COUNT,
        labels=("cohort", *labels),
        meaning=meaning,
    )


def _run_time(name: str, meaning: str, *, has_statistic: bool = False) -> Metric:
    return Metric(
        name=name,
        unit=ThresholdUnit.DURATION,
        has_statistic=has_statistic,
        is_run_time=True,
        meaning=meaning,
    )


def _own(name: str, unit: ThresholdUnit, meaning: str) -> Metric:
    return Metric(name=name, unit=unit, labels=(), meaning=meaning)


STATES: Final[Mapping[str, str]] = {
    "connected": "upload as they should",
    "degraded": "upload, but on a later cipher group or with a growing backlog",
    "failing": "do not get through",
    "stranded": "have no way back but a visit to their SD card",
    "recovered": "got through again after they failed",
    "asleep": "are switched off",
    "unreached": "have not been in contact yet",
}
"""Contact states of a device, with what its devices do."""

METRICS: Final[Mapping[str, Metric]] = {
    metric.name: metric
    for metric in (
        *_operation_metrics("upload", "an upload"),
        *_operation_metrics("heartbeat", "a heartbeat (PUT of device.json)"),
        *_operation_metrics("ota", "an over-the-air check"),
        *_operation_metrics("handshake", "a TLS handshake"),
        _phase_metric("dns", "Name resolution."),
        _phase_metric("tcp", "TCP connect."),
        _phase_metric("tls", "TLS handshake."),
        _phase_metric("send", "From first to last request byte handed over."),
        _phase_metric("wait", "From last request byte to last response byte."),
        _run_time(
            "freshness",
            "Age of a device's newest stored file at the end of the load.",
            has_statistic=True,
        ),
        _run_time(
            "time_to_detect",
            "Longest time from a change to the first failure it caused in a device.",
        ),
        _run_time(
            "time_to_recover",
            "Longest time a device took from its first failure to its next success.",
        ),
        _count("uploads.planned", "Files the plan wanted uploaded."),
        _count("uploads.attempted", "Files of which an upload was attempted."),
        _count("uploads.acknowledged", "Files the server confirmed."),
        _count("uploads.stored", "Log files found in the bucket."),
        _count(
            "uploads.unaccounted",
            "Acknowledged but not stored, plus stored but never sent.",
        ),
        _count("unaccounted", "The same as uploads.unaccounted."),
        _count("unclassified", "Failures without a kind: bugs of this program."),
        *(
            _count(state, f"Devices that {does}, at the end.")
            for state, does in STATES.items()
        ),
        _count("stranded_peak", "Most devices that were stranded at the same time."),
        _count("files.closed", "Log files the devices closed."),
        _count("files.lost", "Log files deleted on full cards before their upload."),
        _count("files.late", "Log files uploaded more than a period after the plan."),
        _count("files.backlog", "Log files left on the cards at the end."),
        Metric(
            name="bundle_share",
            unit=ThresholdUnit.RATIO,
            meaning="Devices whose last stored device.json lists exactly the newest "
            "bundle pushed to them, per device.",
        ),
        _count("failures", "Failed attempts of any operation.", "kind"),
        _count("devices", "Devices.", "state"),
        _own(
            "generator.cpu_ratio",
            ThresholdUnit.RATIO,
            "CPU time of the generator per second and core.",
        ),
        _own(
            "generator.late_starts",
            ThresholdUnit.COUNT,
            "Starts the generator could not keep.",
        ),
        _own(
            "generator.loop_lag_p99",
            ThresholdUnit.DURATION,
            "99th percentile of the event loop's lag.",
        ),
    )
}

OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operators.lt,
    "<=": operators.le,
    ">": operators.gt,
    ">=": operators.ge,
    "==": operators.eq,
    "!=": operators.ne,
}
STATISTICS: Final = "min, avg, med, max, p50 … p99.9"
MAX_EXPRESSION: Final = 500

_SPLIT = re.compile(
    r"\s*(?P<path>[^\s{}<>=!]+?)\s*(?:\{(?P<labels>[^{}]*)\})?"
    r"\s*(?P<operator>[<>=!]+)\s*(?P<value>[^\s<>=!]+(?:\s+[^\s<>=!]+)*)\s*\Z"
)
_LABEL = re.compile(r'\s*([A-Za-z_]\w*)\s*=\s*"([^"\\]*)"\s*\Z')
_ALIASES: Final[Mapping[str, str]] = {"kind": "cause", "cause": "kind"}
"""Both labels take a failure kind; a metric answers to either."""
_PERCENTILE = re.compile(r"p(?:\(\s*(\d+(?:\.\d+)?)\s*\)|(\d+(?:\.\d+)?))\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """One condition, parsed.

    Attributes:
        expression: As the scenario writes it, stripped.
        metric: A key of :data:`METRICS`.
        statistic: ``min``, ``avg``, ``max`` or ``p<percent>`` (``med`` becomes
            ``p50``, ``p(95)`` becomes ``p95``); empty when the metric has none.
        labels: Label names and values, sorted by name.
        operator: A key of :data:`OPERATORS`.
        value: Seconds, 0..1 or a count, by ``unit``.
        unit: Unit of the value.
        reason: Why the scenario asks for it; for people, may be empty.
        abort_on_fail: End the run as soon as it does not hold; only of metrics that are
            known while the run goes on.
        is_damage: In a scenario that shows damage on purpose: this is what must not
            hold at the end.
    """

    expression: str
    metric: str
    statistic: str
    labels: tuple[tuple[str, str], ...]
    operator: str
    value: float
    unit: ThresholdUnit
    reason: str = ""
    abort_on_fail: bool = False
    is_damage: bool = False

    def holds(self, measured: float) -> bool:
        """Whether a measured value (seconds, ratio or count) meets the condition."""
        return OPERATORS[self.operator](measured, self.value)

    @property
    def percent(self) -> float | None:
        """Percentile asked for, 0..100; ``None`` for other statistics."""
        return float(self.statistic[1:]) if self.statistic[:1] == "p" else None


def parse_threshold(expression: str, reason: str = "") -> Threshold:
    """Read one expression.

    Raises:
        ValueError: Not a threshold; one sentence that says what is accepted.
    """
    text = expression.strip()
    found = _SPLIT.match(text) if len(text) <= MAX_EXPRESSION else None
    if found is None:
        raise ValueError(
            f"expected a condition such as 'upload.response_time.p99 < 2s' or "
            f"'unaccounted == 0', not {shown(expression)}"
        )
    metric, statistic = _metric(found["path"])
    if found["operator"] not in OPERATORS:
        raise ValueError(
            f"unknown operator {found['operator']!r}: expected one of "
            f"{' '.join(OPERATORS)}"
        )
    return Threshold(
        expression=text,
        metric=metric.name,
        statistic=statistic,
        labels=_labels(metric, found["labels"]),
        operator=found["operator"],
        value=_value(metric, found["value"]),
        unit=metric.unit,
        reason=reason,
    )


def _metric(path: str) -> tuple[Metric, str]:
    if path in METRICS:
        metric, rest = METRICS[path], ""
    else:
        # The longest known name that the path starts with; the rest is a statistic.
        names = [name for name in METRICS if path.startswith(f"{name}.")]
        if not names:
            raise ValueError(_unknown_metric(path))
        metric = METRICS[max(names, key=len)]
        rest = path[len(metric.name) + 1 :]
    if metric.has_statistic:
        if not rest:
            raise ValueError(f"{path} needs a statistic: {path}.p99 ({STATISTICS})")
        return metric, _statistic(metric, rest)
    if rest:
        raise ValueError(
            f"{metric.name} is a single figure and has no {rest!r}: write "
            f"{metric.name} alone"
        )
    return metric, ""


def _unknown_metric(path: str) -> str:
    stem, _, last = path.rpartition(".")
    names = list(METRICS)
    if stem and (last in {"min", "avg", "med", "max"} or _PERCENTILE.match(last)):
        names = [n for n in names if METRICS[n].has_statistic]
        hint = did_you_mean(stem, names)
    else:
        hint = did_you_mean(path, names)
    return f"unknown metric {shown(path)}{hint}; known are {', '.join(METRICS)}"


def _statistic(metric: Metric, text: str) -> str:
    if text in {"min", "avg", "max"}:
        return text
    if text == "med":
        return "p50"
    percentile = _PERCENTILE.match(text)
    if percentile:
        percent = float(percentile[1] or percentile[2])
        if 0 < percent < 100:
            return f"p{percent:.10g}"
    hint = " (write p99.9)" if text == "p999" else ""
    raise ValueError(
        f"unknown statistic {shown(text)} of {metric.name}{hint}: {STATISTICS}"
    )


def _labels(metric: Metric, text: str | None) -> tuple[tuple[str, str], ...]:
    if text is None or not text.strip():
        return ()
    labels: dict[str, str] = {}
    for part in re.findall(r'(?:[^,"]|"[^"]*"?)+', text):
        found = _LABEL.match(part)
        if found is None:
            raise ValueError(
                f'labels are written name="value", separated by commas; '
                f"not {shown(part.strip())}"
            )
        name, value = found[1], found[2]
        name = _ALIASES.get(name, name) if name not in metric.labels else name
        if name not in metric.labels:
            known = ", ".join(metric.labels) or "no label"
            raise ValueError(
                f"{metric.name} has no label {name!r}"
                f"{did_you_mean(name, metric.labels)}: it takes {known}"
            )
        if name in labels:
            raise ValueError(f"label {name!r} is given twice")
        if name in {"kind", "cause"} and not is_kind(value):
            raise ValueError(
                f"unknown failure kind {shown(value)}{did_you_mean(value, KINDS)}"
            )
        labels[name] = value
    return tuple(sorted(labels.items()))


def _value(metric: Metric, text: str) -> float:
    match metric.unit:
        case ThresholdUnit.DURATION:
            if re.fullmatch(r"[\d.]+", text) and float_or_nan(text) != 0:
                raise ValueError(
                    f"{metric.name} is a time: write a unit, for example {text}s or "
                    f"{text}ms"
                )
            return parse_duration(text)
        case ThresholdUnit.RATIO:
            return parse_ratio(text)
        case ThresholdUnit.COUNT:
            number = float_or_nan(text)
            if not 0 <= number <= 1e15:
                raise ValueError(
                    f"{metric.name} is a count: expected a number from 0, not "
                    f"{shown(text)}"
                )
            return number


def float_or_nan(text: str) -> float:
    """A number, or NaN when the text is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
