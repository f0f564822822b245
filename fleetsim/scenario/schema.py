"""Schema: a scenario as written, checked field by field; defaults live here once.

Rules between fields are in :mod:`fleetsim.scenario.checks`, because they need the device
profiles and because they are reported together with everything else.
"""

from dataclasses import replace
from typing import Annotated, Any, Final

from pydantic import Field, PlainSerializer, PlainValidator, StrictInt, WithJsonSchema

from fleetsim.scenario.cohort_schema import CohortSpec
from fleetsim.scenario.condition import FIGURES, live_condition
from fleetsim.scenario.model import Name, Part, Text
from fleetsim.scenario.quantities import Duration, Number, shown
from fleetsim.scenario.target_schema import LabSpec, TargetSpec
from fleetsim.scenario.threshold import (
    MAX_EXPRESSION,
    METRICS,
    Threshold,
    parse_threshold,
)
from fleetsim.scenario.timeline_schema import (
    MAX_ENTRIES,
    CalendarSpec,
    Expectation,
    TimelineEntry,
)

RUN_TABLE: Final = "run"
"""Key of the options of ``fleetsim run``."""
SCHEMA_ID: Final = "urn:fleetsim:scenario:1"
FORMAT_VERSION: Final = 1
MAX_DURATION_S: Final = 366 * 86400.0
MAX_COHORTS: Final = 1000
MAX_THRESHOLDS: Final = 1000
_THRESHOLD_KEYS: Final = frozenset({"reason", "abort_on_fail", "expect"})
MAX_SHORTENING: Final = 100_000.0


def _version(value: object) -> int:
    if type(value) is int and value == FORMAT_VERSION:
        return value
    raise ValueError(f"this program reads version {FORMAT_VERSION}, not {shown(value)}")


Version = Annotated[
    int, PlainValidator(_version), WithJsonSchema({"const": FORMAT_VERSION})
]


def _threshold(value: object) -> Threshold:
    match value:
        case Threshold():
            return value
        case str():
            return parse_threshold(value)
        case {"expression": str(expression), **rest} if set(rest) <= _THRESHOLD_KEYS:
            reason, aborts = rest.get("reason") or "", rest.get("abort_on_fail", False)
            expect = rest.get("expect", "pass")
            if isinstance(expect, str) and expect not in {"pass", "fail"}:
                raise ValueError(f"expect is pass or fail, not {shown(expect)}")
            if (
                isinstance(reason, str)
                and isinstance(aborts, bool)
                and isinstance(expect, str)
            ):
                threshold = replace(
                    parse_threshold(expression, reason), is_damage=expect == "fail"
                )
                return _aborting(threshold) if aborts else threshold
    raise ValueError(
        "expected a condition such as 'unaccounted == 0' or {expression: …, reason: …, "
        f"abort_on_fail: true, expect: fail}}, not {shown(value)}"
    )


def _aborting(threshold: Threshold) -> Threshold:
    if live_condition(threshold) is None:
        raise ValueError(
            f"abort_on_fail needs a figure that is known during the run, without "
            f"labels: {', '.join(name for name in FIGURES if name in METRICS)}"
        )
    return replace(threshold, abort_on_fail=True)


def _run_table(value: object) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ValueError(
        "expected a mapping of options of fleetsim run, such as {front: nginx}, not "
        f"{shown(value)}"
    )


def _threshold_data(threshold: Threshold) -> object:
    more: dict[str, object] = {}
    if threshold.reason:
        more["reason"] = threshold.reason
    if threshold.abort_on_fail:
        more["abort_on_fail"] = True
    if threshold.is_damage:
        more["expect"] = "fail"
    return (
        {"expression": threshold.expression, **more} if more else threshold.expression
    )


_EXPRESSION_SCHEMA: Final[dict[str, Any]] = {
    "type": "string",
    "minLength": 3,
    "maxLength": MAX_EXPRESSION,
}
_THRESHOLD_SCHEMA: Final[dict[str, Any]] = {
    "description": "Condition on the figures of the run, such as "
    "`upload.response_time.p99 < 2s`.",
    "anyOf": [
        _EXPRESSION_SCHEMA,
        {
            "type": "object",
            "properties": {
                "expression": _EXPRESSION_SCHEMA,
                "reason": {"type": "string", "description": "Why; for people."},
                "abort_on_fail": {
                    "type": "boolean",
                    "description": "End the run as soon as it does not hold.",
                },
                "expect": {
                    "enum": ["pass", "fail"],
                    "description": "fail = this is the damage that a scenario with "
                    "expect: fail shows: it must not hold, and all others must.",
                },
            },
            "required": ["expression"],
            "additionalProperties": False,
        },
    ],
}
ThresholdField = Annotated[
    Threshold,
    PlainValidator(_threshold),
    PlainSerializer(_threshold_data),
    WithJsonSchema(_THRESHOLD_SCHEMA),
]


RunTable = Annotated[
    dict[str, Any],
    PlainValidator(_run_table),
    WithJsonSchema({"type": "object"}),
]
"""Which options there are and what they take is known to the command line."""


class LimitsSpec(Part):
    """Bounds of the load generator."""

    in_flight: Annotated[StrictInt, Field(ge=1, le=100_000)] = 2000
    """Most attempts under way at the same time; more have to wait, and are counted."""


class Scenario(Part):
    """A scripted load on an S3 target."""

    version: Version = 1
    """Version of this format."""
    name: Name
    """Name of the scenario; part of the name of the run folder."""
    description: Text = ""
    """What it shows; for people."""
    seed: Annotated[StrictInt, Field(ge=0, lt=2**64)] = 1
    """Everything random derives from it: same seed, same plan."""
    duration: Annotated[Duration, Field(gt=0, le=MAX_DURATION_S)] = 30.0
    """How long the load lasts."""
    warm_up: Duration = 0.0
    """Attempts planned before this are kept in the records but left out of the latency
    figures."""
    drain: Annotated[Duration, Field(le=MAX_DURATION_S)] = 15.0
    """How long the backlog may take after the load ended."""
    lab: LabSpec | None = None
    """The embedded S3 server; exactly one of `lab` and `target` is given."""
    target: TargetSpec | None = None
    """A real S3 endpoint; exactly one of `lab` and `target` is given."""
    cohorts: Annotated[
        tuple[CohortSpec, ...], Field(min_length=1, max_length=MAX_COHORTS)
    ]
    """The fleet."""
    limits: LimitsSpec = LimitsSpec()
    """Bounds of the load generator."""
    calendar: CalendarSpec | None = None
    """Dates of the run; left out = it happens now."""
    timeline: Annotated[tuple[TimelineEntry, ...], Field(max_length=MAX_ENTRIES)] = ()
    """What is done while the fleet uploads."""
    shorten_by: Annotated[Number, Field(ge=1, le=MAX_SHORTENING)] = 1.0
    """Every time of the run is divided by this: the same rehearsal, sooner over."""
    expect: Expectation = "pass"
    """fail = the scenario shows damage on purpose: a failed verdict makes the exit code
    0, a passed one 99. Where thresholds are marked by `expect: fail`, exactly those
    must fail."""
    thresholds: Annotated[
        tuple[ThresholdField, ...], Field(max_length=MAX_THRESHOLDS)
    ] = ()
    """Conditions the run must meet; one that fails makes the exit code 99."""
    run: RunTable | None = None
    """Options of `fleetsim run`, named as there with `_` for `-`; the environment and
    the command line win over them."""

    def to_data(self) -> dict[str, Any]:
        """Plain data that :func:`fleetsim.scenario.parse.parse_scenario` reads back.

        Holds no secret, because a scenario cannot. Used for the run's manifest.
        """
        return self.model_dump(mode="json", exclude_none=True, by_alias=True)


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the scenario format."""
    schema = Scenario.model_json_schema(mode="validation")
    schema["patternProperties"] = {"^x-": {"description": "The author's own."}}
    schema["oneOf"] = [{"required": ["lab"]}, {"required": ["target"]}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "fleetsim scenario",
        **{key: value for key, value in schema.items() if key != "title"},
    }
