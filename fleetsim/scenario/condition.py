"""Condition: a comparison on the live figures of a run, such as ``bundle_share >= 1``.

Grammar::

    condition = figure operator value
    operator  = "<" | "<=" | ">" | ">=" | "==" | "!="
    value     = number | number "%" | duration

A threshold judges a finished run from its records; a condition is asked while the run
goes on, so it only knows what the program counts anyway. Every figure that may be named
is in :data:`FIGURES`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from fleetsim.scenario.quantities import parse_duration, parse_ratio, shown
from fleetsim.scenario.suggest import did_you_mean
from fleetsim.scenario.threshold import (
    OPERATORS,
    STATES,
    Threshold,
    ThresholdUnit,
    float_or_nan,
)

MAX_CONDITION: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Something a condition can be about.

    Attributes:
        name: As conditions name it.
        unit: Unit of its values.
        meaning: What it counts or measures, in one sentence.
    """

    name: str
    unit: ThresholdUnit
    meaning: str


FIGURES: Final[Mapping[str, Figure]] = {
    name: Figure(name=name, unit=unit, meaning=meaning)
    for name, unit, meaning in (
        *(
            (state, ThresholdUnit.COUNT, f"Devices that {does}.")
            for state, does in STATES.items()
        ),
        *(
            (f"{state}_share", ThresholdUnit.RATIO, f"Share that {does}.")
            for state, does in STATES.items()
        ),
        (
            "bundle_share",
            ThresholdUnit.RATIO,
            (
                "Share of the fleet whose last stored device.json lists exactly the newest "
                "pushed bundle."
            ),
        ),
        (
            "config_share",
            ThresholdUnit.RATIO,
            (
                "Share of the fleet whose last stored device.json shows the newest pushed "
                "configuration."
            ),
        ),
        (
            "firmware_share",
            ThresholdUnit.RATIO,
            (
                "Share of the fleet whose last stored device.json shows the newest pushed "
                "firmware."
            ),
        ),
        ("backlog", ThresholdUnit.COUNT, "Closed files that are not uploaded yet."),
        ("uploads", ThresholdUnit.COUNT, "Files the server confirmed."),
        ("failed_attempts", ThresholdUnit.COUNT, "Failed attempts of any operation."),
        ("files_lost", ThresholdUnit.COUNT, "Files deleted on full cards."),
        ("crl_revoked", ThresholdUnit.COUNT, "Certificates on the revocation list."),
        ("elapsed_s", ThresholdUnit.DURATION, "Run time."),
    )
}

_SPLIT = re.compile(
    r"\s*(?P<figure>[^\s{}<>=!]+)\s*(?P<operator>[<>=!]+)"
    r"\s*(?P<value>[^\s<>=!]+(?:\s+[^\s<>=!]+)*)\s*\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One comparison, parsed.

    Attributes:
        expression: As the scenario writes it, stripped.
        figure: A key of :data:`FIGURES`.
        operator: A key of :data:`fleetsim.scenario.threshold.OPERATORS`.
        value: A count, 0..1 or seconds, by the unit of the figure.
    """

    expression: str
    figure: str
    operator: str
    value: float

    def holds(self, figures: Mapping[str, float]) -> bool:
        """Whether it is true now.

        Args:
            figures: Live figures by name; counts, shares 0..1, seconds.

        Raises:
            KeyError: The figure is not among them: a bug of the caller, because a
                condition that is silently false would make a rehearsal wait for ever.
        """
        return OPERATORS[self.operator](figures[self.figure], self.value)

    def __str__(self) -> str:
        """As the scenario writes it."""
        return self.expression


def live_condition(threshold: Threshold) -> Condition | None:
    """The same condition on live figures.

    Returns:
        ``None`` when its metric is only known from the records of a finished run.
    """
    if threshold.metric not in FIGURES or threshold.labels:
        return None
    return Condition(
        expression=threshold.expression,
        figure=threshold.metric,
        operator=threshold.operator,
        value=threshold.value,
    )


def parse_condition(value: object) -> Condition:
    """Read a condition.

    Args:
        value: Its text, or a condition that is parsed already.

    Raises:
        ValueError: Not a condition; one sentence that says what is accepted.
    """
    if isinstance(value, Condition):
        return value
    found = None
    if isinstance(value, str) and len(value) <= MAX_CONDITION:
        found = _SPLIT.match(value)
    if found is None or not isinstance(value, str):
        raise ValueError(
            f"expected a condition such as 'stranded == 0' or 'bundle_share >= 90%', "
            f"not {shown(value)}"
        )
    figure = FIGURES.get(found["figure"])
    if figure is None:
        raise ValueError(
            f"unknown figure {shown(found['figure'])}"
            f"{did_you_mean(found['figure'], FIGURES)}; known are {', '.join(FIGURES)}"
        )
    if found["operator"] not in OPERATORS:
        raise ValueError(
            f"unknown operator {found['operator']!r}: expected one of "
            f"{' '.join(OPERATORS)}"
        )
    return Condition(
        expression=value.strip(),
        figure=figure.name,
        operator=found["operator"],
        value=_value(figure, found["value"]),
    )


def _value(figure: Figure, text: str) -> float:
    match figure.unit:
        case ThresholdUnit.DURATION:
            return parse_duration(text)
        case ThresholdUnit.RATIO:
            return parse_ratio(text)
        case ThresholdUnit.COUNT:
            number = float_or_nan(text)
            if not 0 <= number <= 1e15:
                raise ValueError(
                    f"{figure.name} is a count: expected a number from 0, not "
                    f"{shown(text)}"
                )
            return number


ConditionField = Annotated[
    Condition,
    PlainValidator(parse_condition),
    PlainSerializer(str),
    WithJsonSchema(
        {
            "description": "Condition on the live figures, such as `stranded == 0`: "
            f"one of {', '.join(FIGURES)}, an operator and a value.",
            "type": "string",
            "minLength": 3,
            "maxLength": MAX_CONDITION,
        }
    ),
]
