"""``fleetsim list``: the scenarios that come with the package, a line each."""

import json
import sys
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleetsim.cli.scenario_files import library_names, library_path, read_scenario
from fleetsim.profiles import catalog
from fleetsim.scenario.parse import parse_scenario
from fleetsim.scenario.schema import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A scenario of the library.

    Attributes:
        name: As ``fleetsim run`` takes it.
        scenario: What it says.
    """

    name: str
    scenario: Scenario

    @property
    def description(self) -> str:
        """Its description as one line."""
        return " ".join(self.scenario.description.split())

    def to_data(self) -> dict[str, Any]:
        """Plain data; times in seconds."""
        return {
            "name": self.name,
            "description": self.description,
            "expect": self.scenario.expect,
            "devices": sum(cohort.count for cohort in self.scenario.cohorts),
            "duration_s": self.scenario.duration,
            "drain_s": self.scenario.drain,
        }


def library() -> tuple[Entry, ...]:
    """All scenarios of the library, by name.

    Raises:
        InputError: One of them cannot be used.
    """
    return tuple(
        Entry(
            name=name,
            scenario=parse_scenario(
                read_scenario(library_path(name)),
                f"library scenario {name}",
                lambda profile: catalog.load(profile).profile,
            ),
        )
        for name in library_names()
    )


def list_command(
    *,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print JSON instead of a table.", envvar="FLEETSIM_JSON"
        ),
    ] = False,
) -> None:
    """List the scenarios that come with the program.

    Examples:
      fleetsim list
      fleetsim run ca_rotation_done_right
      fleetsim init ca_rotation_done_right
    """
    entries = library()
    if as_json:
        data = [entry.to_data() for entry in entries]
        typer.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return
    if not sys.stdout.isatty():
        for entry in entries:
            typer.echo(f"{entry.name}\t{entry.description}")
        return
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for entry in entries:
        table.add_row(Text(entry.name, style="bold"), Text(entry.description))
    Console().print(table)
