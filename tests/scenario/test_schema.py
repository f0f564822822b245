"""The scenario format and its published schema."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from fleetsim.exceptions import InputError
from fleetsim.profiles import catalog
from fleetsim.scenario.parse import parse_scenario
from fleetsim.scenario.schema import SCHEMA_ID, Scenario, json_schema

QUICKSTART = Path(__file__).parents[2] / "scenarios" / "quickstart.yaml"
SMALLEST: dict[str, Any] = {
    "name": "x",
    "lab": {},
    "cohorts": [{"name": "a", "count": 1}],
}


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    """The published schema, checked against its own meta-schema."""
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_the_schema_is_published_for_2020_12() -> None:
    """Editors need the dialect and a stable id."""
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == SCHEMA_ID
    json.dumps(schema)


def test_every_field_is_described() -> None:
    """What an editor shows on hover exists for every key."""
    schema = json_schema()
    parts = [schema, *schema["$defs"].values()]
    nameless = [
        key
        for part in parts
        for key, field in part.get("properties", {}).items()
        if not field.get("description") and "$ref" not in field
    ]
    assert nameless == []


def test_the_quickstart_fits_the_published_schema(
    validator: jsonschema.Draft202012Validator,
) -> None:
    """An independent validator accepts what an independent parser reads of it."""
    validator.validate(yaml.safe_load(QUICKSTART.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Not a name"},
        {"version": 2},
        {"durration": "3s"},
        {"duration": "3 lightyears"},
        {"seed": -1},
        {"cohorts": []},
        {"cohorts": [{"name": "a", "count": 0}]},
        {"cohorts": [{"name": "a", "count": 1, "trust": "all"}]},
        {"cohorts": [{"name": "a", "count": 1, "credentials": {"secret_key": "x"}}]},
        {"cohorts": [{"name": "a", "count": 1, "security": "highest"}]},
        {"target": {"bucket": "fleet"}},
        {"thresholds": [3]},
        {"limits": {"in_flight": 0}},
    ],
    ids=lambda change: json.dumps(change)[:60],
)
def test_schema_and_program_refuse_the_same(
    change: dict[str, Any], validator: jsonschema.Draft202012Validator
) -> None:
    """What an editor marks as wrong, the program refuses too."""
    data = {**SMALLEST, **change}
    assert validator.is_valid(SMALLEST)
    assert not validator.is_valid(data)
    with pytest.raises(InputError):
        parse_scenario(json.dumps(data), "f", lambda n: catalog.load(n).profile)


def test_a_scenario_can_be_written_and_read_back(
    validator: jsonschema.Draft202012Validator,
) -> None:
    """validate(to_data(s)) = s; the manifest's copy is a scenario itself."""
    rich: dict[str, Any] = {
        **SMALLEST,
        "thresholds": [
            "unaccounted == 0",
            {"expression": "tls.p99 < 1s", "reason": "slow is broken"},
        ],
        "cohorts": [
            {
                "name": "a",
                "count": 3,
                "trust": {"lab": "leaf"},
                "credentials": {"profile": "p"},
                "clock": {"skew": {"normal": {"mean": "-1s", "stddev": "5s"}}},
                "workload": {"file_size": {"empirical": ["1KiB", "2KiB"]}},
                "overrides": {"retry": {"factor": 2}, "tls": {"resumption": True}},
            }
        ],
    }
    scenario = Scenario.model_validate(rich)
    data = json.loads(json.dumps(scenario.to_data()))
    assert Scenario.model_validate(data) == scenario
    validator.validate(data)


def test_defaults_make_a_scenario_of_three_lines() -> None:
    """A name, a lab and a cohort are enough."""
    scenario = Scenario.model_validate(SMALLEST)
    assert scenario.duration == 30.0
    assert scenario.lab is not None
    assert scenario.lab.fronts[0].security.value == "medium"
    assert scenario.cohorts[0].profile == "canedge2"


@pytest.mark.parametrize(
    ("threshold", "data"),
    [
        (
            {"expression": "stranded == 0", "abort_on_fail": True, "reason": "why"},
            {"expression": "stranded == 0", "reason": "why", "abort_on_fail": True},
        ),
        ({"expression": "stranded == 0", "abort_on_fail": False}, "stranded == 0"),
        ({"expression": "unaccounted == 0"}, "unaccounted == 0"),
        ({"expression": "unaccounted == 0", "expect": "pass"}, "unaccounted == 0"),
        (
            {"expression": "stranded == 0", "expect": "fail"},
            {"expression": "stranded == 0", "expect": "fail"},
        ),
    ],
)
def test_a_threshold_may_end_the_run_or_be_the_damage(
    threshold: dict[str, Any],
    data: object,
    validator: jsonschema.Draft202012Validator,
) -> None:
    """The first when its figure is known while the run goes on; both stay written."""
    scenario = Scenario.model_validate({**SMALLEST, "thresholds": [threshold]})
    assert scenario.thresholds[0].abort_on_fail == threshold.get("abort_on_fail", False)
    assert scenario.thresholds[0].is_damage == (threshold.get("expect") == "fail")
    assert scenario.to_data()["thresholds"] == [data]
    validator.validate(scenario.to_data())


@pytest.mark.parametrize("expect", ["maybe", True, None])
def test_damage_is_pass_or_fail(expect: object) -> None:
    """Nothing else is understood."""
    threshold = {"expression": "stranded == 0", "expect": expect}
    with pytest.raises(ValueError, match="expect"):
        Scenario.model_validate({**SMALLEST, "thresholds": [threshold]})


@pytest.mark.parametrize(
    "expression", ["unaccounted == 0", 'stranded{cohort="a"} == 0', "tls.p99 < 1s"]
)
def test_what_only_the_records_know_cannot_end_the_run(expression: str) -> None:
    """It says which figures can."""
    threshold = {"expression": expression, "abort_on_fail": True}
    with pytest.raises(ValueError, match=r"known during the run.*stranded"):
        Scenario.model_validate({**SMALLEST, "thresholds": [threshold]})


def test_the_timeline_can_be_set_from_the_command_line() -> None:
    """By position and by name, like everything else."""
    text = (
        "name: x\nlab: {}\ncohorts: [{name: a, count: 1}]\n"
        "timeline: [{name: ca, at: 1s, issue_ca: }]\n"
    )
    scenario = parse_scenario(
        text,
        "x.yaml",
        lambda name: catalog.load(name).profile,
        ["timeline.ca.at=3s", "timeline[0].issue_ca.key=p256", "shorten_by=2"],
    )
    entry = scenario.timeline[0]
    assert entry.at == 3.0
    assert entry.issue_ca is not None
    assert entry.issue_ca.key == "p256"
    assert scenario.shorten_by == 2
