"""Scenario reference: the JSON Schema of scenarios as a page for people."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fleetsim.report.reference.page import Page, Section
from fleetsim.scenario.quantities import format_duration

_LONGEST_DEFAULT: Final = 40
_DURATION: Final = "a duration such as"


def scenario_page(schema: Mapping[str, Any]) -> Page:
    """Make the page.

    Args:
        schema: What :func:`fleetsim.scenario.schema.json_schema` gives.
    """
    parts: Mapping[str, Mapping[str, Any]] = schema.get("$defs", {})
    intro = Section(
        text=(
            (
                "A scenario is a YAML file (1.2). Unknown keys are errors; `fleetsim check` "
                "tells all of them with their lines. Keys of the root that begin with `x-` "
                "are yours, for anchors. Durations are written `250ms`, `30s`, `1h30m`, `2d`, "
                "sizes `64KiB`, `2.5MB`, shares `0.5` or `50%`."
            ),
        )
    )
    sections = [intro, _section("Scenario", schema)]
    sections += [
        _section(name, part)
        for name, part in _in_reading_order(schema)
        if part.get("properties")
    ]
    named = {section.title for section in sections}
    if missing := {name for name in parts if parts[name].get("properties")} - named:
        raise ValueError(f"parts that nothing refers to: {sorted(missing)}")
    return Page(name="scenario", title="Scenario format", sections=tuple(sections))


def _in_reading_order(
    schema: Mapping[str, Any],
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Parts in the order in which a reader meets them."""
    parts = schema.get("$defs", {})
    waiting, seen = list(_references(schema.get("properties", {}))), set[str]()
    while waiting:
        name = waiting.pop(0)
        if name not in seen:
            seen.add(name)
            yield name, parts[name]
            waiting = [*_references(parts[name]), *waiting]


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].rpartition("/")[2]
        for each in node.values():
            yield from _references(each)
    elif isinstance(node, list):
        for each in node:
            yield from _references(each)


def _section(title: str, part: Mapping[str, Any]) -> Section:
    required = set(part.get("required", ()))
    description = " ".join(str(part.get("description", "")).split())
    rows = tuple(
        (
            f"`{name}`",
            words_of(field),
            "required" if name in required else _default(field),
            str(field.get("description", "")),
        )
        for name, field in part["properties"].items()
    )
    return Section(
        title=title,
        text=(description,) if description else (),
        header=("key", "value", "default", "meaning"),
        rows=rows,
    )


def words_of(field: Mapping[str, Any]) -> str:
    """What a field takes, in few words.

    Args:
        field: Schema of the field.
    """
    match field:
        case {"$ref": str(reference)}:
            return reference.rpartition("/")[2]
        case {"const": constant}:
            return f"`{constant}`"
        case {"enum": list(values)}:
            return " or ".join(f"`{value}`" for value in values)
        case {"anyOf": list(choices)} | {"oneOf": list(choices)}:
            words = (words_of(each) for each in choices)
            return " or ".join(dict.fromkeys(word for word in words if word))
        case {"allOf": [only]}:
            return words_of(only)
        case {"type": "array", "items": items}:
            return f"list of {words_of(items)}"
        case {"type": "array"}:
            return "list"
        case {"type": "null"}:
            return ""
        case {"type": list(kinds)}:
            return " or ".join(_kind(kind) for kind in kinds)
        case {"type": str(kind)}:
            return _kind(kind)
        case _:
            return "anything"


def _kind(kind: str) -> str:
    names = {
        "string": "text",
        "integer": "whole number",
        "boolean": "true or false",
        "object": "mapping",
    }
    return names.get(kind, kind)


def _default(field: Mapping[str, Any]) -> str:
    match field.get("default"):
        case None | [] | {} | "":
            return ""
        case dict():
            return "its defaults"
        case bool(value):
            return str(value).lower()
        case int(value) | float(value) if _DURATION in str(field.get("description")):
            return f"`{format_duration(float(value))}`"
        case value:
            text = str(value)
            return f"`{text}`" if len(text) <= _LONGEST_DEFAULT else ""
