"""Distributions: what file sizes, delays, jitters and clock errors are drawn from.

YAML forms, the same for durations and sizes::

    10s                                        fixed
    {uniform: [8KiB, 64KiB]}
    {normal: {mean: 64KiB, stddev: 8KiB}}
    {lognormal: {median: 200ms, sigma: 0.5}}   sigma of the logarithm, 0..10
    {exponential: {mean: 5s}}
    {empirical: [1MiB, 2MiB, 2MiB]}
    {empirical: {values: [1MiB, 2MiB], weights: [1, 3]}}

Every mapping but ``uniform`` also takes ``min`` and ``max``; a draw outside is clamped to
the bound. Unless the quantity is signed, ``min`` is 0.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum, unique
from typing import Annotated, Any, Final

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from fleetsim.scenario.probability import (
    AnyDistribution,
    Empirical,
    Exponential,
    Fixed,
    Lognormal,
    Normal,
    Uniform,
)
from fleetsim.scenario.quantities import (
    DURATION_SCHEMA,
    MAX_DURATION_S,
    MAX_SIZE_BYTES,
    SIGNED_DURATION_SCHEMA,
    SIZE_SCHEMA,
    parse_duration,
    parse_size,
    shown,
)

__all__ = [
    "AnyDistribution",
    "DurationDistribution",
    "Empirical",
    "Exponential",
    "Fixed",
    "Lognormal",
    "Normal",
    "SignedDurationDistribution",
    "SizeDistribution",
    "Uniform",
    "Unit",
    "parse_distribution",
]

MAX_SIGMA: Final = 10.0
MAX_EMPIRICAL_VALUES: Final = 10_000


@unique
class Unit(StrEnum):
    """What a distribution is of."""

    DURATION = "duration"  # seconds, >= 0
    SIGNED_DURATION = "signed duration"  # seconds
    SIZE = "size"  # bytes, >= 0


_KINDS: Final = ("uniform", "normal", "lognormal", "exponential", "empirical")
_FORMS: Final = (
    "one value, {uniform: [low, high]}, {normal: {mean, stddev}}, "
    "{lognormal: {median, sigma}}, {exponential: {mean}} or {empirical: [values]}"
)


def parse_distribution(value: object, unit: Unit = Unit.DURATION) -> AnyDistribution:
    """Read one of the YAML forms.

    Args:
        value: Plain data as the YAML parser gives it, or a distribution already made.
        unit: What the numbers are.

    Raises:
        ValueError: The form is wrong; all problems in one message, joined by ``; ``.
    """
    if isinstance(value, AnyDistribution):
        return value
    if not isinstance(value, Mapping):
        return Fixed(_quantity(unit)(value))
    if len(value) != 1 or next(iter(value)) not in _KINDS:
        raise ValueError(f"expected {_FORMS}, not a mapping with {_keys_of(value)}")
    kind, body = next(iter(value.items()))
    form = _Form(unit)
    made: AnyDistribution | None
    if kind == "uniform":
        made = form.uniform(body)
    elif kind == "empirical":
        made = form.empirical(body)
    else:
        made = form.parametric(kind, body)
    if form.problems or made is None:
        raise ValueError(f"{kind}: {'; '.join(form.problems)}")
    return made


def _keys_of(value: Mapping[Any, Any]) -> str:
    return shown(", ".join(str(key) for key in list(value)[:10]))


def _quantity(unit: Unit) -> Callable[[object], float]:
    match unit:
        case Unit.DURATION:
            return parse_duration
        case Unit.SIGNED_DURATION:
            return lambda value: parse_duration(value, signed=True)
        case Unit.SIZE:
            return parse_size


class _Form:
    """Reads the body of one mapping form and gathers what is wrong with it."""

    def __init__(self, unit: Unit) -> None:
        self.problems: list[str] = []
        self._parse = _quantity(unit)
        self._floor = -MAX_DURATION_S if unit is Unit.SIGNED_DURATION else 0.0
        self._ceiling = float(MAX_SIZE_BYTES if unit is Unit.SIZE else MAX_DURATION_S)

    def uniform(self, body: object) -> Uniform | None:
        """``[low, high]``."""
        if not isinstance(body, Sequence) or isinstance(body, str) or len(body) != 2:
            length = f" of {len(body)}" if isinstance(body, list) else ""
            self.problems.append(f"expected [low, high], not {shown(body)}{length}")
            return None
        low, high = self._number("low", body[0]), self._number("high", body[1])
        if low is None or high is None:
            return None
        if low > high:
            self.problems.append(f"low {shown(body[0])} is above high {shown(body[1])}")
        return Uniform(low, high)

    def empirical(self, body: object) -> Empirical | None:
        """A list of values, or a mapping with values, weights, min, max."""
        mapping: Mapping[Any, Any]
        if isinstance(body, Mapping):
            mapping = body
            self._keys(mapping, required=("values",), optional=("weights",))
        else:
            mapping = {"values": body}
        values = self._list("values", mapping.get("values"), self._parse)
        weights: tuple[float, ...] | None = ()
        if mapping.get("weights") is not None:
            weights = self._list("weights", mapping["weights"], _weight)
        low, high = self._limits(mapping)
        if self.problems or values is None or weights is None:
            return None
        if weights and len(weights) != len(values):
            self.problems.append(f"{len(values)} values but {len(weights)} weights")
        if weights and not math.fsum(weights) > 0:
            self.problems.append("at least one weight must be above 0")
        return Empirical(values, weights, low, high)

    def parametric(self, kind: str, body: object) -> AnyDistribution | None:
        """``normal``, ``lognormal`` and ``exponential``."""
        names = {
            "normal": ("mean", "stddev"),
            "lognormal": ("median", "sigma"),
            "exponential": ("mean",),
        }[kind]
        if not isinstance(body, Mapping):
            self.problems.append(
                f"expected a mapping with {' and '.join(names)}, not {shown(body)}"
            )
            return None
        self._keys(body, required=names)
        low, high = self._limits(body)
        if kind != "normal" and high < 0:
            self.problems.append(f"max is below 0, which no {kind} draw is")
        first = self._number(names[0], body[names[0]]) if names[0] in body else None
        if first is not None and first <= 0 and kind != "normal":
            self.problems.append(f"{names[0]} must be above 0")
        second: float | None = 0.0
        if kind == "normal" and "stddev" in body:
            second = self._number("stddev", body["stddev"])
            if second is not None and second < 0:
                self.problems.append("stddev cannot be negative")
        elif kind == "lognormal" and "sigma" in body:
            second = self._sigma(body["sigma"])
        if self.problems or first is None or second is None:
            return None
        match kind:
            case "normal":
                return Normal(first, second, low, high)
            case "lognormal":
                return Lognormal(first, second, max(low, 0.0), high)
            case _:
                return Exponential(first, max(low, 0.0), high)

    def _number(self, name: str, value: object) -> float | None:
        try:
            return float(self._parse(value))
        except ValueError as exc:
            self.problems.append(f"{name}: {exc}")
            return None

    def _sigma(self, value: object) -> float | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.problems.append(f"sigma: expected a number, not {shown(value)}")
            return None
        if not 0 <= value <= MAX_SIGMA:
            self.problems.append(f"sigma must be from 0 to {MAX_SIGMA:g}")
            return None
        return float(value)

    def _limits(self, body: Mapping[Any, Any]) -> tuple[float, float]:
        low, high = self._floor, self._ceiling
        if body.get("min") is not None:
            found = self._number("min", body["min"])
            low = low if found is None else found
        if body.get("max") is not None:
            found = self._number("max", body["max"])
            high = high if found is None else found
        if low > high:
            self.problems.append("min is above max")
        return low, high

    def _keys(
        self,
        body: Mapping[Any, Any],
        *,
        required: tuple[str, ...],
        optional: tuple[str, ...] = (),
    ) -> None:
        known = (*required, *optional, "min", "max")
        self.problems += [
            f"unknown key {shown(key)}: expected {', '.join(known)}"
            for key in body
            if key not in known
        ]
        self.problems += [f"{name} is missing" for name in required if name not in body]

    def _list(
        self, name: str, body: object, parse: Callable[[object], float]
    ) -> tuple[float, ...] | None:
        if not isinstance(body, Sequence) or isinstance(body, str) or not body:
            self.problems.append(f"{name}: expected a list, not {shown(body)}")
            return None
        if len(body) > MAX_EMPIRICAL_VALUES:
            self.problems.append(f"{name}: more than {MAX_EMPIRICAL_VALUES} entries")
            return None
        found = []
        for index, entry in enumerate(body):
            try:
                found.append(float(parse(entry)))
            except ValueError as exc:
                self.problems.append(f"{name}[{index}]: {exc}")
        return tuple(found)


def _weight(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(  # noqa: TRY004 - pydantic gathers ValueErrors only
            f"expected a number, not {shown(value)}"
        )
    if not 0 <= value <= 1e15:
        raise ValueError(f"a weight is from 0 to 1e15, not {shown(value)}")
    return float(value)


# ---------------------------------------------------------------- pydantic types


def _schema(quantity: dict[str, Any]) -> dict[str, Any]:
    value = {"anyOf": quantity["anyOf"]}
    bounds = {"min": value, "max": value}

    def of(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {**required, **optional, **bounds},
            "required": list(required),
            "additionalProperties": False,
        }

    sigma = {"type": "number", "minimum": 0, "maximum": MAX_SIGMA}
    values = {
        "type": "array",
        "items": value,
        "minItems": 1,
        "maxItems": MAX_EMPIRICAL_VALUES,
    }
    weights = {"type": "array", "items": {"type": "number", "minimum": 0}}
    forms = {
        "uniform": {"type": "array", "items": value, "minItems": 2, "maxItems": 2},
        "normal": of({"mean": value, "stddev": value}),
        "lognormal": of({"median": value, "sigma": sigma}),
        "exponential": of({"mean": value}),
        "empirical": {"anyOf": [values, of({"values": values}, weights=weights)]},
    }
    return {
        "description": f"Distribution. One value or a mapping. {quantity['description']}",
        "anyOf": [
            *quantity["anyOf"],
            *(
                {
                    "type": "object",
                    "properties": {kind: body},
                    "required": [kind],
                    "additionalProperties": False,
                }
                for kind, body in forms.items()
            ),
        ],
    }


def _to_data(value: AnyDistribution) -> object:
    return value.to_data()


DurationDistribution = Annotated[
    AnyDistribution,
    PlainValidator(lambda value: parse_distribution(value, Unit.DURATION)),
    PlainSerializer(_to_data),
    WithJsonSchema(_schema(DURATION_SCHEMA)),
]
SignedDurationDistribution = Annotated[
    AnyDistribution,
    PlainValidator(lambda value: parse_distribution(value, Unit.SIGNED_DURATION)),
    PlainSerializer(_to_data),
    WithJsonSchema(_schema(SIGNED_DURATION_SCHEMA)),
]
SizeDistribution = Annotated[
    AnyDistribution,
    PlainValidator(lambda value: parse_distribution(value, Unit.SIZE)),
    PlainSerializer(_to_data),
    WithJsonSchema(_schema(SIZE_SCHEMA)),
]
