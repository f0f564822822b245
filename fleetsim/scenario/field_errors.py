"""Field errors: what pydantic found, in the words of this program.

Each message says what is wrong, what is accepted and, where a name is near, which one
was probably meant. Values of fields that may hold a secret are never repeated.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from pydantic import ValidationError

from fleetsim.scenario.model import NAME_PATTERN, NAME_RULE
from fleetsim.scenario.quantities import (
    approximate_size,
    format_duration,
    parse_size,
    shown,
)
from fleetsim.scenario.schema import json_schema
from fleetsim.scenario.suggest import did_you_mean
from fleetsim.scenario.yaml_document import Loc

_NEVER_SHOWN: Final = frozenset({"credentials", "endpoint"})
_EXPECTED: Final[Mapping[str, str]] = {
    "bool_type": "true or false",
    "string_type": "a text",
    "int_type": "a whole number",
    "tuple_type": "a list",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
}
_BOUNDS: Final[Mapping[str, tuple[str, str]]] = {
    "greater_than": ("gt", "must be above"),
    "greater_than_equal": ("ge", "must be at least"),
    "less_than": ("lt", "must be below"),
    "less_than_equal": ("le", "must be at most"),
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field that is wrong by itself.

    Attributes:
        at: Where.
        what: What is wrong and what is accepted.
    """

    at: Loc
    what: str


def field_errors(exc: ValidationError, data: Any) -> list[Field]:
    """Translate a validation error of the whole scenario.

    Args:
        exc: What pydantic raised.
        data: What was validated.
    """
    found = [
        Field(_real(error["loc"], data), _what(dict(error), data))
        for error in exc.errors(include_url=False, include_input=False)
    ]
    # A list with a broken entry is also reported as too short: that says nothing new.
    short = {
        _real(error["loc"], data)
        for error in exc.errors(include_url=False, include_input=False)
        if error["type"] == "too_short"
    }
    return [
        field
        for field in found
        if field.at not in short
        or not any(
            other.at[: len(field.at)] == field.at and other.at != field.at
            for other in found
        )
    ]


def _real(loc: Loc, data: Any) -> Loc:
    """A place without the names of union members that pydantic puts in.

    The last step stays, because it may be a key that is missing, also in an action of a
    timeline that has no value at all.
    """
    real: list[str | int] = []
    for position, step in enumerate(loc):
        is_last = position == len(loc) - 1
        if isinstance(data, Mapping):
            if step in data or is_last:
                real.append(step)
                data = data.get(str(step))
        elif data is None and is_last and real[:1] == ["timeline"]:
            real.append(step)
        elif isinstance(data, list):
            if isinstance(step, int) and step < len(data):
                real.append(step)
                data = data[step]
        else:
            break
    return tuple(real)


def _what(error: dict[str, Any], data: Any) -> str:
    at = _real(error["loc"], data)
    kind, context = str(error["type"]), error.get("ctx", {})
    value = _value(data, at)
    seen = "" if _NEVER_SHOWN & set(at) else f", not {shown(value)}"
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return _unknown_key(at)
    if kind == "value_error":
        return str(error["msg"]).removeprefix("Value error, ")
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}{seen}"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"{words} {_bound(context[name], value)}{seen}"
    if kind in {"enum", "literal_error"}:
        return f"expected {context['expected']}{seen}{_near(value, at)}"
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        rule = f"a name of {NAME_RULE}" if pattern == NAME_PATTERN else pattern
        return f"expected {rule}{seen}"
    if kind == "too_short":
        return f"needs at least {context['min_length']} entry"
    if kind == "too_long":
        return f"has more than {context['max_length']} entries"
    words = str(error["msg"])
    return f"{words[:1].lower()}{words[1:]}{seen}"


def _bound(limit: Any, value: Any) -> str:
    if not isinstance(value, str):
        return f"{limit:g}"
    try:
        parse_size(value)
    except ValueError:
        return format_duration(limit)
    return approximate_size(limit)


def _near(value: Any, at: Loc) -> str:
    known = [word for schema in _schemas_at(at) for word in schema.get("enum", ())]
    return did_you_mean(value, map(str, known)) if isinstance(value, str) else ""


def _value(data: Any, at: Loc) -> Any:
    for step in at:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _unknown_key(at: Loc) -> str:
    key = str(at[-1])
    known = sorted(
        {
            name
            for schema in _schemas_at(at[:-1])
            for name in schema.get("properties", ())
        }
    )
    return (
        f"unknown key{did_you_mean(key, known)}; known are {', '.join(known)}"
        if known
        else "unknown key"
    )


@lru_cache(maxsize=1)
def _published() -> dict[str, Any]:
    return json_schema()


def _schemas_at(at: Loc) -> list[dict[str, Any]]:
    """Every part of the published schema that may describe a place."""
    found = list(_branches(_published()))
    for step in at:
        inner: list[dict[str, Any]] = []
        for schema in found:
            if isinstance(step, int):
                below = schema.get("items")
            else:
                below = schema.get("properties", {}).get(step)
            if below is not None:
                inner += _branches(below)
        found = inner
    return found


def _branches(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        yield from _branches(_published()["$defs"][name])
    yield schema
    for branch in schema.get("anyOf", ()):
        yield from _branches(branch)
