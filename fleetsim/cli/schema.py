"""``fleetsim schema``: print the JSON Schema of the scenario format."""

import json

import typer

from fleetsim.scenario.schema import json_schema


def schema_command() -> None:
    """Print the JSON Schema (2020-12) of scenarios, for editors and for CI.

    Example:
      fleetsim schema > scenario.schema.json
      # first line of a scenario, for editors with a YAML language server:
      # yaml-language-server: $schema=./scenario.schema.json
    """
    typer.echo(json.dumps(json_schema(), indent=2, ensure_ascii=False))
