"""``fleetsim schema``: print the JSON Schema of the scenario format."""

import json

import typer

from fleetsim.cli.options import run_options, table_schema
from fleetsim.scenario.schema import RUN_TABLE, json_schema


def schema_command(ctx: typer.Context) -> None:
    """Print the JSON Schema (2020-12) of scenarios, for editors and for CI.

    Examples:
      fleetsim schema > scenario.schema.json
      # first line of a scenario, for editors with a YAML language server:
      # yaml-language-server: $schema=./scenario.schema.json
    """
    schema = json_schema()
    schema["properties"][RUN_TABLE] = table_schema(run_options(ctx))
    typer.echo(json.dumps(schema, indent=2, ensure_ascii=False))
