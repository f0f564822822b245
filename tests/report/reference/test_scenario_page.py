"""The scenario reference has every part and every key of the schema."""

from typing import Any

import pytest

from fleetsim.report.reference.scenario_page import scenario_page, words_of
from fleetsim.scenario.schema import json_schema

SCHEMA = json_schema()
PAGE = scenario_page(SCHEMA)
SECTIONS = {section.title: section for section in PAGE.sections}
PARTS = {
    "Scenario": SCHEMA,
    **{name: part for name, part in SCHEMA["$defs"].items() if part.get("properties")},
}


@pytest.mark.parametrize("name", PARTS)
def test_every_part_is_there(name: str) -> None:
    """With all of its keys in their order, each with a meaning."""
    rows = SECTIONS[name].rows
    assert [row[0].strip("`") for row in rows] == list(PARTS[name]["properties"])
    assert all(row[1] for row in rows)


def test_no_two_parts_share_a_heading() -> None:
    """A reader finds each part once."""
    assert len(SECTIONS) == len(PAGE.sections)


def test_defaults_are_written_as_scenarios_write_them() -> None:
    """Durations with units, required keys as such."""
    rows = {row[0]: row for row in SECTIONS["Scenario"].rows}
    assert rows["`duration`"][2] == "`30s`"
    assert rows["`name`"][2] == "required"
    assert rows["`lab`"][2] == ""


@pytest.mark.parametrize(
    ("field", "words"),
    [
        pytest.param({"$ref": "#/$defs/LabSpec"}, "LabSpec", id="part"),
        pytest.param({"enum": ["a", "b"]}, "`a` or `b`", id="choice"),
        pytest.param({"const": 1}, "`1`", id="constant"),
        pytest.param(
            {"anyOf": [{"type": "string"}, {"type": "null"}]}, "text", id="optional"
        ),
        pytest.param(
            {"type": "array", "items": {"type": "integer"}},
            "list of whole number",
            id="list",
        ),
        pytest.param({"type": ["string", "number"]}, "text or number", id="kinds"),
        pytest.param({}, "anything", id="anything"),
    ],
)
def test_values_in_few_words(field: dict[str, Any], words: str) -> None:
    """What a key takes."""
    assert words_of(field) == words


def test_a_part_nobody_refers_to_is_an_error() -> None:
    """Nothing can be left out of the page by mistake."""
    lost: dict[str, Any] = {
        "properties": {},
        "$defs": {"Lost": {"properties": {"a": {}}}},
    }
    with pytest.raises(ValueError, match="Lost"):
        scenario_page(lost)
