"""``fleetsim schema``: for editors, and as a page for people."""

import json
from pathlib import Path

import jsonschema
import yaml
from typer.testing import CliRunner

from fleetsim.cli.app import app

LIBRARY = Path(__file__).parents[2] / "scenarios"


def test_the_printed_schema_validates_the_library() -> None:
    """An editor with the printed schema finds no fault with what we ship."""
    result = CliRunner().invoke(app, ["schema"])
    assert result.exit_code == 0
    schema = json.loads(result.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    scenarios = sorted(LIBRARY.glob("*.yaml"))
    assert scenarios
    for path in scenarios:
        validator.validate(yaml.safe_load(path.read_text(encoding="utf-8")))


def test_the_printed_schema_knows_the_options_of_run() -> None:
    """An editor completes and checks the ``run:`` table."""
    schema = json.loads(CliRunner().invoke(app, ["schema"]).stdout)
    table = schema["properties"]["run"]
    assert {"front", "results", "time_scale", "truth_check"} <= set(table["properties"])
    assert "allow_commands" not in table["properties"]
    assert table["additionalProperties"] is False


def test_the_reference_is_markdown() -> None:
    """``--md`` prints the same format for people."""
    result = CliRunner().invoke(app, ["schema", "--md"])
    assert result.exit_code == 0
    assert result.stdout.startswith("# Scenario format\n")
    assert "| `cohorts` | list of CohortSpec | required |" in result.stdout
