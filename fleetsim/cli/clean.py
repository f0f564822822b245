"""``fleetsim clean``: delete from the bucket what a run stored, and nothing else."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from fleetsim.cli.options import Results
from fleetsim.cli.report import LATEST, find_run
from fleetsim.core.outcomes import CleanOutcome
from fleetsim.exceptions import InputError, Problem
from fleetsim.report.clean_text import clean_lines
from fleetsim.runner.cleaning import PastRun, open_past_run
from fleetsim.target.control import StoredObject


def clean_command(
    run: Annotated[
        str,
        typer.Argument(help="Run folder, its name below --results, or 'latest'."),
    ] = LATEST,
    *,
    results: Results = Path("results"),
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            "-n",
            help="Delete nothing; print the keys that would be deleted.",
        ),
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before deleting.")
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print what was done as JSON.", envvar="FLEETSIM_JSON"
        ),
    ] = False,
) -> None:
    """Delete from the bucket what a run stored, and nothing else.

    An object goes when its key is in the records of the run, it was stored while the
    run went on, and its ETag is one the run was told. Whatever else lies there stays.
    Bucket and credentials are those of the run; credentials are looked up anew.

    Exit code 3 when the target did not delete everything that was to be deleted.

    Examples:
      fleetsim clean --dry-run
      fleetsim clean 20260301T120000Z-my-fleet-1a2b3c --yes
    """
    folder = find_run(run, results)
    touched = 0

    def note(found: StoredObject) -> None:
        nonlocal touched
        touched += 1
        if dry_run and not as_json:
            typer.echo(found.key)

    try:
        outcome = uvloop.run(_clean(folder, note, dry_run=dry_run, asks=not yes))
    except KeyboardInterrupt:
        if not dry_run:
            how_far = f"at most {touched:,} objects were deleted"
            typer.echo(f"interrupted: {how_far}", err=True)
        raise
    if outcome is None:
        raise typer.Exit(1)
    if as_json:
        json.dump(asdict(outcome), sys.stdout, indent=2, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        for line in clean_lines(outcome):
            typer.echo(line, err=dry_run)
    if outcome.failed or outcome.refused_count:
        raise typer.Exit(3)


async def _clean(
    folder: Path, note: Callable[[StoredObject], None], *, dry_run: bool, asks: bool
) -> CleanOutcome | None:
    """Clean up; ``None`` = the answer to the question was no."""
    async with open_past_run(folder) as past:
        if asks and not dry_run and not await _is_wanted(past):
            return None
        return await past.clean(dry_run=dry_run, on_object=note)


async def _is_wanted(past: PastRun) -> bool:
    if not sys.stdin.isatty():
        what = "not at a terminal: give --yes to delete, or --dry-run to look"
        raise InputError(Problem("clean", what))
    found = await past.clean(dry_run=True)
    for line in clean_lines(found):
        typer.echo(line, err=True)
    if not found.deleted_count + found.aborted_count:
        return True
    return typer.confirm(f"Delete them from {past.where}?", err=True)
