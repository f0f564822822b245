"""``fleetsim help``: topics that are about no single command, and the help of commands."""

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from fleetsim.cli.lazy import PREFIX, long_name, walk
from fleetsim.exceptions import InputError, Problem
from fleetsim.report.reference import pages
from fleetsim.report.reference.page import Page, Section, markdown
from fleetsim.scenario.suggest import did_you_mean

TOPICS: Final[Mapping[str, tuple[str, Callable[[], Page]]]] = {
    "exit-codes": ("What the exit code of a command says.", pages.exit_codes),
    "failure-kinds": (
        "Every failure kind: what happened, where to look.",
        pages.failure_kinds,
    ),
    "figures": (
        "What every figure means, how it is measured, what thresholds can name.",
        pages.figures,
    ),
    "metrics": ("Metrics for Prometheus and OpenTelemetry.", pages.exported_metrics),
    "records": ("Columns of the files of a run.", pages.records),
}
ENVIRONMENT: Final = "environment"
_ENVIRONMENT_TEXT: Final = "Every variable that is read, and what wins."
_OTHERS: Final = (
    (
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN",
        (
            "Credentials of devices and control plane, unless the scenario names other "
            "variables."
        ),
    ),
    (
        "AWS_PROFILE, AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE",
        "Where else credentials come from, by the rules of the AWS SDKs.",
    ),
    (
        "AWS_REGION, AWS_DEFAULT_REGION",
        "Region of the signature; the first that is set.",
    ),
    (
        "AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL",
        "Endpoint of a target that names none; the first that is set.",
    ),
    (
        "OTEL_EXPORTER_OTLP_*, OTEL_RESOURCE_ATTRIBUTES",
        "Of --otlp; an endpoint alone switches it on.",
    ),
    ("NO_COLOR", "No colours (no-color.org)."),
)


def help_command(
    ctx: typer.Context,
    topic: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TOPIC",
            help="A topic or a command; left out = the list of topics.",
            autocompletion=lambda incomplete: [
                name for name in (*TOPICS, ENVIRONMENT) if name.startswith(incomplete)
            ],
        ),
    ] = None,
) -> None:
    """Explain a topic or a command.

    In a pipe, topics are Markdown.

    Examples:
      fleetsim help
      fleetsim help exit-codes
      fleetsim help failure-kinds > failure-kinds.md
      fleetsim help run
    """
    words = topic or []
    name = " ".join(words)
    program = ctx.find_root().command
    if not words:
        _print(_contents())
    elif name in TOPICS:
        _print(TOPICS[name][1]())
    elif name == ENVIRONMENT:
        _print(environment_page(program))
    else:
        typer.echo(_help_of(ctx, program, words), nl=False)


def _help_of(ctx: typer.Context, program: Any, words: list[str]) -> str:
    """Help of a command, asked for as ``help pki init``."""
    commands: dict[tuple[str, ...], Any] = dict(walk(program))
    found = commands.get(tuple(words))
    if found is None:
        names = [*TOPICS, ENVIRONMENT, *(" ".join(path) for path in commands if path)]
        name = " ".join(words)
        what = (
            f"there is no topic and no command {name[:80]!r}{did_you_mean(name, names)}"
        )
        raise InputError(Problem("help", f"{what}; 'fleetsim help' lists topics"))
    context = ctx.find_root()
    for word, depth in zip(words, range(1, len(words) + 1), strict=True):
        command = commands[tuple(words[:depth])]
        context = type(ctx)(command, info_name=word, parent=context)
    return str(found.get_help(context))


def _contents() -> Page:
    rows = [(name, text) for name, (text, _) in TOPICS.items()]
    rows.append((ENVIRONMENT, _ENVIRONMENT_TEXT))
    others = (
        "`fleetsim COMMAND --help` explains a command, `fleetsim schema --md` the format "
        "of scenarios, `fleetsim profiles NAME` a device profile."
    )
    section = Section(text=(others,), header=("topic", "about"), rows=tuple(rows))
    return Page(name="help", title="Topics", sections=(section,))


def environment_page(program: Any) -> Page:
    """Every variable that is read.

    Args:
        program: The command line.
    """
    return Page(
        name=ENVIRONMENT,
        title="Environment",
        sections=(
            Section(
                text=(
                    (
                        "A value is taken from the first place that has it: the command "
                        f"line, {PREFIX}_*, the `run:` table of the scenario (names of the "
                        "options of `fleetsim run`, `_` for `-`), the default."
                    ),
                    (
                        "Switches take 1, true, yes or on, and 0, false, no or off. Options "
                        "that can be given several times take words with blanks between, "
                        "paths with colons between."
                    ),
                ),
                header=("variable", "option", "commands"),
                rows=tuple(_variables(program)),
            ),
            Section(
                title="Of others",
                header=("variable", "meaning"),
                rows=tuple((f"`{names}`", text) for names, text in _OTHERS),
            ),
        ),
    )


def _variables(program: Any) -> Iterator[tuple[str, str, str]]:
    """Variable, option and the commands that have it, the shared ones first."""
    places: dict[tuple[str, str], list[str]] = {}
    for path, command in walk(program):
        for option in command.params:
            if option.param_type_name != "option" or not path or not option.envvar:
                continue
            names = option.envvar
            name = names if isinstance(names, str) else names[0]
            place = (name, f"--{long_name(option)}")
            places.setdefault(place, []).append(" ".join(path))
    for (name, option), commands in places.items():
        yield f"`{name}`", f"`{option}`", ", ".join(commands)


def _print(page: Page) -> None:
    if not sys.stdout.isatty():
        typer.echo(markdown(page), nl=False)
        return
    console = Console()
    for section in page.sections:
        heading = section.title or page.title
        console.print(f"\n{heading}", style="bold", markup=False)
        for text in section.text:
            console.print(Markdown(text))
        if section.header:
            console.print(_table(section))


def _table(section: Section) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for title in section.header:
        table.add_column(title, overflow="fold")
    for row in section.rows:
        table.add_row(*(_cell(cell) for cell in row))
    return table


def _cell(text: str) -> Text:
    """Text with what stands between backticks in colour."""
    shown = Text()
    for number, part in enumerate(text.split("`")):
        shown.append(part, style="cyan" if number % 2 else "")
    return shown
