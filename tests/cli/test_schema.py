"""``fleetsim schema``."""

import json
from pathlib import Path

import jsonschema
import typer
import yaml
from typer.testing import CliRunner

from fleetsim.cli.schema import schema_command

LIBRARY = Path(__file__).parents[2] / "scenarios"


def test_the_printed_schema_validates_the_library() -> None:
    """An editor with the printed schema finds no fault with what we ship."""
    app = typer.Typer()
    app.command()(schema_command)
    result = CliRunner().invoke(app)
    assert result.exit_code == 0
    schema = json.loads(result.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    scenarios = sorted(LIBRARY.glob("*.yaml"))
    assert scenarios
    for path in scenarios:
        jsonschema.validate(yaml.safe_load(path.read_text(encoding="utf-8")), schema)
