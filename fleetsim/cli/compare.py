"""``fleetsim compare``: what changed between runs, and whether there is evidence."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from fleetsim.cli.formats import deliver, one_format
from fleetsim.cli.options import Results
from fleetsim.cli.report import find_run
from fleetsim.exceptions import InputError, Problem
from fleetsim.report.compare.bootstrap import Rule
from fleetsim.report.compare.comparison import compare
from fleetsim.report.compare.gate import broken, parse_fail_on
from fleetsim.report.compare.page import render_page
from fleetsim.report.compare.texts import print_comparison, render_markdown
from fleetsim.report.compare.wording import as_data, change_told
from fleetsim.report.console import make_console
from fleetsim.scenario.quantities import parse_duration, parse_ratio

THRESHOLD_FAILED = 99


def compare_command(
    ctx: typer.Context,
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN...",
            help="Run folders or their names; all others are compared with the first.",
        ),
    ],
    *,
    results: Results = Path("results"),
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORSE:METRIC",
            help="Exit code 99 when there is evidence, e.g. "
            "worse:upload.response_time.p99; 'worse' alone = of any metric. May be "
            "given several times.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Compare runs of different plans.")
    ] = False,
    confidence: Annotated[
        str, typer.Option(help="Of the intervals, 50% to 99.9%.")
    ] = "99%",
    tolerance: Annotated[
        str, typer.Option(help="Relative difference that does not matter.")
    ] = "5%",
    resolution: Annotated[
        str, typer.Option(help="Difference of times that does not matter.")
    ] = "1ms",
    everything: Annotated[
        bool,
        typer.Option("--all", help="Print every metric, with or without evidence."),
    ] = False,
    as_html: Annotated[
        bool, typer.Option("--html", help="One page with charts that opens offline.")
    ] = False,
    as_md: Annotated[bool, typer.Option("--md", help="Markdown.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON.", envvar="FLEETSIM_JSON")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write there instead of to standard output."
        ),
    ] = None,
) -> None:
    """Compare runs with the first one: better, worse, or no evidence.

    Differences come with an interval, resampled by blocks of time and by devices. Runs
    are compared when their fleets were asked to do the same; target, lab and
    thresholds may differ, because that is what one compares.

    Examples:
      fleetsim compare RUN-A RUN-B
      fleetsim compare before after --fail-on worse:upload.response_time.p99
      fleetsim compare before after --html -o before-after.html
    """
    asked = one_format(ctx, {"html": as_html, "md": as_md, "json": as_json})
    if output is not None and asked is None:
        raise InputError(Problem("--output", "needs a format: --html, --md, --json"))
    demands = parse_fail_on(fail_on or ())
    rule = _rule(confidence, tolerance, resolution)
    found = compare([find_run(run, results) for run in runs], rule, force=force)
    against = broken(found, demands)
    match asked:
        case "html":
            deliver(render_page(found), output)
        case "md":
            deliver(render_markdown(found), output)
        case "json":
            text = json.dumps(as_data(found), indent=2, allow_nan=False)
            deliver(f"{text}\n", output)
        case _:
            print_comparison(found, make_console(sys.stdout), everything=everything)
    for run, change in against:
        typer.echo(
            f"{run.side.letter}: {change.judgement.value} {change.metric.name}: "
            f"{change_told(change)}",
            err=True,
        )
    if against:
        raise typer.Exit(THRESHOLD_FAILED)


def _rule(confidence: str, tolerance: str, resolution: str) -> Rule:
    """Read when a difference is evidence.

    Raises:
        InputError: With every option that is not a number in its range.
    """
    problems: list[Problem] = []
    values: dict[str, float] = {}
    for option, text, parse, low, high in (
        ("--confidence", confidence, parse_ratio, 0.5, 0.999),
        ("--tolerance", tolerance, parse_ratio, 0.0, 1.0),
        ("--resolution", resolution, parse_duration, 0.0, 3600.0),
    ):
        try:
            value = parse(text)
        except ValueError as exc:
            problems.append(Problem(option, str(exc)))
            continue
        if not low <= value <= high:
            problems.append(Problem(option, f"must be {low:g} to {high:g}"))
        values[option] = value
    if problems:
        raise InputError(problems)
    return Rule(
        confidence=values["--confidence"],
        tolerance=values["--tolerance"],
        resolution_s=values["--resolution"],
    )
