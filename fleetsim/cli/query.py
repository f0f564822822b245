"""``fleetsim query``: SQL over the tables of a run."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.text import Text

from fleetsim.cli.formats import deliver, one_format
from fleetsim.cli.options import Results
from fleetsim.cli.report import find_run
from fleetsim.exceptions import InputError, Problem
from fleetsim.report.console import make_console
from fleetsim.report.plain import plain_table

STDIN = "-"


def query_command(
    ctx: typer.Context,
    run: Annotated[
        str,
        typer.Argument(help="Run folder, its name below --results, or 'latest'."),
    ],
    sql: Annotated[
        str, typer.Argument(help="One SELECT; '-' reads it from standard input.")
    ],
    *,
    results: Results = Path("results"),
    rows: Annotated[
        int, typer.Option(min=1, help="Rows of the table at most; files hold all.")
    ] = 50,
    as_csv: Annotated[bool, typer.Option("--csv", help="CSV.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON.", envvar="FLEETSIM_JSON")
    ] = False,
    as_parquet: Annotated[
        bool, typer.Option("--parquet", help="Parquet, into --output.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write there instead of to standard output."
        ),
    ] = None,
) -> None:
    """Query the tables of a run in SQL (DuckDB).

    Tables: records (one row per attempt), states (contact histories), devices (how
    each ended) and timeline. Only reading is possible, and nothing outside of the run
    folder. Needs the extra: pip install 'fleetsim[query]'.

    Examples:
      fleetsim query latest "describe records"
      fleetsim query latest "select kind, count(*) from records group by kind" --csv
      fleetsim query latest - < question.sql
    """
    asked = one_format(ctx, {"csv": as_csv, "json": as_json, "parquet": as_parquet})
    if output is not None and asked is None:
        raise InputError(
            Problem("--output", "needs a format: --csv, --json or --parquet")
        )
    if asked == "parquet" and output is None:
        raise InputError(Problem("--parquet", "needs --output FILE: it is no text"))
    if find_spec("duckdb") is None:
        raise InputError(
            Problem("query", "needs DuckDB: pip install 'fleetsim[query]'")
        )
    from fleetsim.report.query import run_query  # noqa: PLC0415  # imports the extra

    text = sys.stdin.read() if sql == STDIN else sql
    answer = run_query(find_run(run, results), text)
    match asked:
        case "csv":
            deliver(answer.to_csv(), output)
        case "json":
            deliver(answer.to_json(), output)
        case "parquet" if output is not None:
            answer.to_parquet(output)
            typer.echo(str(output))
        case _:
            table = plain_table()
            for name, is_number in zip(answer.names, answer.numeric, strict=True):
                justify: Literal["right", "left"] = "right" if is_number else "left"
                table.add_column(name, justify=justify, overflow="fold")
            for row in answer.rows(rows):
                table.add_row(
                    *(Text("" if cell is None else str(cell)) for cell in row)
                )
            make_console(sys.stdout).print(table)
            if answer.table.num_rows > rows:
                typer.echo(
                    f"{answer.table.num_rows:,} rows, {rows:,} shown (--rows, --csv)",
                    err=True,
                )
