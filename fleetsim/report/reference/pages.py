"""Pages about exit codes, failures, figures, exported metrics and records."""

import inspect
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from fleetsim.core.commands import Operation
from fleetsim.core.exit_codes import EXIT_CODES
from fleetsim.core.failure_words import failure_words, known_kinds
from fleetsim.core.outcomes import DeviceOutcome
from fleetsim.recording.columns import PLAIN_SCHEMA
from fleetsim.recording.record import Record
from fleetsim.recording.states import PLAIN_SCHEMA as STATES_SCHEMA
from fleetsim.report.metrics.catalogue import METRICS as EXPORTED
from fleetsim.report.metrics.catalogue import label
from fleetsim.report.reference.page import Page, Section
from fleetsim.scenario.condition import FIGURES
from fleetsim.scenario.threshold import METRICS, STATISTICS
from fleetsim.scenario.threshold import Metric as ThresholdMetric

_FAMILIES: Final[Mapping[str, str]] = {
    "dns": "Name resolution",
    "tcp": "TCP",
    "tls": "TLS",
    "http": "HTTP",
    "device": "The device itself",
    "run": "The run",
    "unclassified": "Unclassified",
    "s3": "S3",
}
_STATE_COLUMNS: Final[Mapping[str, str]] = {
    "device": "Device id, 8 hex digits.",
    "cohort": "Cohort name.",
    "at_ns": "Run time of the change.",
    "was": "State before; empty = the device began in this one.",
    "state": "State since.",
    "reason": "What changed it: a failure kind, an operation that succeeded, a proof.",
}
_ROLE = re.compile(r":\w+:`~?(?:\w+\.)*(\w+)`")
_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {6,}.*)*)", re.MULTILINE)


def exit_codes() -> Page:
    """What the program's exit code says."""
    rows = tuple(
        (str(code), name, meaning) for code, (name, meaning) in EXIT_CODES.items()
    )
    section = Section(header=("code", "name", "meaning"), rows=rows)
    return Page(name="exit-codes", title="Exit codes", sections=(section,))


def failure_kinds() -> Page:
    """Every failure kind, what it means and where to look."""
    by_family: dict[str, list[tuple[str, str, str]]] = {}
    for kind in known_kinds():
        words = failure_words(kind)
        if words is None:
            raise AssertionError(f"{kind} has no words")
        row = (f"`{kind}`", words.meaning, words.look_at)
        by_family.setdefault(kind.partition(".")[0], []).append(row)
    header = ("kind", "what happened", "where to look")
    intro = Section(
        text=(
            (
                "A failed attempt has one kind, `phase.cause`. Kinds are written to results "
                "and never renamed. Kinds that begin with `tls.alert.` (IANA's names), "
                "`tls.verify.` (OpenSSL's) and `s3.` (error codes of S3) are open families: "
                "common members are listed, any other appears under its own name."
            ),
        )
    )
    sections = (
        Section(title=title, header=header, rows=tuple(by_family[family]))
        for family, title in _FAMILIES.items()
    )
    return Page(
        name="failure-kinds", title="Failure kinds", sections=(intro, *sections)
    )


def figures() -> Page:
    """What every figure means and how it is measured."""
    return Page(
        name="figures",
        title="Figures: what they mean and how they are measured",
        sections=(
            Section(title="How time is taken", text=_TIMES),
            Section(
                title="Figures of a finished run, for thresholds",
                text=(
                    (
                        f"Statistics of durations: {STATISTICS}. Labels narrow a figure "
                        'down: `failures{cohort="old", kind="tcp.refused"} == 0`.'
                    ),
                ),
                header=("figure", "unit", "labels", "meaning"),
                rows=tuple(_threshold_row(metric) for metric in METRICS.values()),
            ),
            Section(
                title="Figures of a running fleet, for when, wait_for and assert",
                header=("figure", "unit", "meaning"),
                rows=tuple(
                    (f"`{each.name}`", each.unit.value, each.meaning)
                    for each in FIGURES.values()
                ),
            ),
            Section(title="What makes a figure trustworthy", text=_TRUST),
        ),
    )


def _threshold_row(metric: ThresholdMetric) -> tuple[str, str, str, str]:
    name = f"{metric.name}.<statistic>" if metric.has_statistic else metric.name
    return (f"`{name}`", metric.unit.value, ", ".join(metric.labels), metric.meaning)


def exported_metrics() -> Page:
    """Metrics for Prometheus and OpenTelemetry."""
    rows = tuple(
        (
            f"`{metric.series_name}`",
            f"`{metric.name}`",
            metric.kind.value,
            metric.unit,
            ", ".join(label(name) for name in metric.attributes),
            metric.help,
        )
        for metric in EXPORTED
    )
    section = Section(
        text=(
            (
                "`fleetsim run --prometheus PORT` serves them, `--otlp URL` pushes them; "
                "`fleetsim metrics dashboard` prints a Grafana dashboard."
            ),
            (
                "They are read once a second from counts that the run keeps anyway. "
                "Durations are of successful attempts planned after the warm-up, as in the "
                "summary; a bucket never claims more than was measured, and misses at most "
                "the values within 0.8 % below its bound. No metric has a device as a label; "
                "cohorts past the 50th and failure kinds past the 200th are counted together "
                "as `_OTHER`."
            ),
        ),
        header=("Prometheus", "OpenTelemetry", "kind", "unit", "labels", "meaning"),
        rows=rows,
    )
    return Page(name="metrics", title="Exported metrics", sections=(section,))


def records() -> Page:
    """Columns of the files of a run that analysts open."""
    header = ("column", "type", "meaning")
    return Page(
        name="records",
        title="Records of a run",
        sections=(
            Section(
                title="records.parquet: one row per attempt",
                text=(
                    (
                        "Failed attempts too. An operation that needed three attempts is "
                        "three rows with the same device and planned_ns. Times are "
                        "nanoseconds of the run's own clock, 0 = its start; a phase that "
                        "did not happen is -1. Operations: "
                        f"{', '.join(operation.value for operation in Operation)}."
                    ),
                    (
                        "Response time is `ended_ns - planned_ns` of the last row of an "
                        "operation, service time `ended_ns - started_ns`, lateness of the "
                        "generator `started_ns - due_ns`."
                    ),
                ),
                header=header,
                rows=_columns(PLAIN_SCHEMA, described(Record)),
            ),
            Section(
                title="states.parquet: one row per change of a device's contact",
                header=header,
                rows=_columns(STATES_SCHEMA, _STATE_COLUMNS),
            ),
            Section(
                title="devices.parquet: one row per device, at the end",
                header=("column", "meaning"),
                rows=tuple(
                    (f"`{name}`", text)
                    for name, text in described(DeviceOutcome).items()
                ),
            ),
        ),
    )


def described(cls: type) -> Mapping[str, str]:
    """Attributes of a class by the section of its docstring."""
    found = _ATTRIBUTE.findall(inspect.getdoc(cls) or "")
    return {
        name: " ".join(_ROLE.sub(r"\1", text).replace("``", "`").split())
        for name, text in found
    }


def _columns(
    schema: Iterable[Any], texts: Mapping[str, str]
) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (f"`{field.name}`", str(field.type), texts[field.name]) for field in schema
    )


_TIMES: Final = (
    (
        "Every attempt has three times: when the plan wanted the operation (planned), when "
        "the device wanted this attempt (due), when it started. **Service time** is from the "
        "start of an attempt to its last byte: what the server did. **Response time** is "
        "from the plan to the last byte: what the owner of the file waited; it holds failed "
        "attempts, pauses before retries and the queue behind a slow server, which a closed "
        "loop of requests would hide (coordinated omission)."
    ),
    (
        "Clocks are monotonic, nanoseconds, read in the process that drives the devices. "
        "`dns`, `tcp` and `tls` count attempts that had to make a connection; `send` runs "
        "from the first to the last byte handed to the socket, `wait` from there to the "
        "last byte of the response."
    ),
    (
        "Only successful attempts planned after the warm-up count in latencies. Percentiles "
        "come from log-linear counts (128 buckets a power of two, at most 0.8 % too large), "
        "are nearest rank, and are never averaged: counts of seconds, cohorts and processes "
        "are added up."
    ),
)
_TRUST: Final = (
    (
        "**Generator.** A run whose generator was the limit says so in its first line: CPU "
        "over 95 % of a core in more than a fifth of the seconds, more than 1 % of the "
        "starts 50 ms late, or p99 of start or loop lag over 100 ms. Its times are not to be "
        "trusted, and thresholds on them fail."
    ),
    (
        "**Truth check.** At the end the bucket is listed: `stored` counts confirmed uploads "
        "that are there with the right size and MD5, `unaccounted` what is missing, wrong, or "
        "was never sent. It must be 0."
    ),
    (
        "**Stranded** is a proof, not a timeout: bundle, clock, identity and every cipher "
        "group of the device are put through a real handshake in memory against what the "
        "server presents."
    ),
    (
        "**unclassified** counts failures without a kind and must be 0: anything else is a "
        "bug of fleetsim."
    ),
)
