"""``fleetsim schema``: print the JSON Schema of the scenario format."""

import json
from typing import Annotated

import typer

from fleetsim.cli.options import run_options, table_schema
from fleetsim.report.reference.page import markdown
from fleetsim.report.reference.scenario_page import scenario_page
from fleetsim.scenario.schema import RUN_TABLE, json_schema


def schema_command(
    ctx: typer.Context,
    *,
    as_markdown: Annotated[
        bool,
        typer.Option("--md", help="Print a reference for people instead, Markdown."),
    ] = False,
) -> None:
    """Print the JSON Schema (2020-12) of scenarios, for editors and for CI.

    Examples:
      fleetsim schema > scenario.schema.json
      fleetsim schema --md > scenario-format.md
      # first line of a scenario, for editors with a YAML language server:
      # yaml-language-server: $schema=./scenario.schema.json
    """
    schema = json_schema()
    if as_markdown:
        typer.echo(markdown(scenario_page(schema)), nl=False)
        return
    schema["properties"][RUN_TABLE] = table_schema(run_options(ctx))
    typer.echo(json.dumps(schema, indent=2, ensure_ascii=False))
