"""``fleetsim profiles``: which device models there are, and how well each is known."""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fleetsim.cli.options import complete_profile
from fleetsim.profiles import catalog
from fleetsim.scenario.profile_schema import Figure, Provenance

_STYLES = {
    Provenance.DOCUMENTED: "green",
    Provenance.INFERRED: "yellow",
    Provenance.UNKNOWN_DEFAULT: "red",
}


def profiles_command(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Profile to show with the provenance of every figure: a name from the "
            "list, or a file such as ./mydevice.yaml.",
            autocompletion=complete_profile,
        ),
    ] = None,
    *,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print JSON instead of a table.", envvar="FLEETSIM_JSON"
        ),
    ] = False,
) -> None:
    """List the device profiles, or show one with the source of every figure.

    Examples:
      fleetsim profiles
      fleetsim profiles canedge2
      fleetsim profiles ./mydevice.yaml --json
    """
    if name is None:
        _list(as_json=as_json)
    else:
        _show(catalog.load(name), as_json=as_json)


def _list(*, as_json: bool) -> None:
    entries = [catalog.load(name) for name in catalog.names()]
    if as_json:
        _print_json([_summary(entry) for entry in entries])
        return
    rows = []
    for entry in entries:
        tables = "; ".join(
            f"{table.name} ({', '.join(str(len(g.suites)) for g in table.groups)})"
            for table in entry.profile.cipher_tables
        )
        counts = _counts(entry.figures)
        known = ", ".join(f"{count} {word}" for word, count in counts.items())
        rows.append((entry.profile.name, entry.profile.description, tables, known))
    header = ("profile", "description", "cipher tables (suites per group)", "figures")
    _print_table(header, rows)


def _show(entry: catalog.ProfileEntry, *, as_json: bool) -> None:
    profile = entry.profile
    if as_json:
        figures = [
            {
                "path": figure.path,
                "value": figure.value,
                "provenance": figure.provenance.value,
                "source": figure.source,
            }
            for figure in entry.figures
        ]
        _print_json({**_summary(entry), "figures": figures})
        return
    typer.echo(f"{profile.name}: {profile.description}")
    _print_table(
        ("figure", "value", "provenance", "source"),
        [
            (figure.path, _value(figure.value), figure.provenance, figure.source)
            for figure in entry.figures
        ],
    )


def _summary(entry: catalog.ProfileEntry) -> dict[str, object]:
    profile = entry.profile
    return {
        "name": profile.name,
        "description": profile.description,
        "cipher_tables": {
            table.name: {group.name: list(group.suites) for group in table.groups}
            for table in profile.cipher_tables
        },
        "provenance": _counts(entry.figures),
    }


def _counts(figures: Iterable[Figure]) -> dict[str, int]:
    found = Counter(figure.provenance for figure in figures)
    return {provenance.value: found[provenance] for provenance in Provenance}


def _value(value: Any) -> str:
    """A figure as a person reads it; cipher groups one per line."""
    match value:
        case [{"name": _, "suites": _}, *_]:
            return "\n".join(
                f"{group['name']}: {', '.join(group['suites'])}" for group in value
            )
        case str():
            return value or '""'
        case _:
            return json.dumps(value, ensure_ascii=False)


def _print_json(content: object) -> None:
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False))


def _print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal; in a pipe one line per row, cells separated by tabs."""
    if not sys.stdout.isatty():
        for row in (header, *rows):
            typer.echo("\t".join(cell.replace("\n", "; ") for cell in row))
        return
    table = Table(*header)
    for row in rows:
        table.add_row(
            *(
                Text(cell, style=_STYLES[cell])
                if isinstance(cell, Provenance)
                else Text(cell)
                for cell in row
            )
        )
    Console().print(table)
