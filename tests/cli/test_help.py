"""``fleetsim help``: topics, commands, and what was probably meant."""

import pytest
from typer.testing import CliRunner

from fleetsim.cli.app import app
from fleetsim.cli.help import ENVIRONMENT, TOPICS

WIDE = {"COLUMNS": "200"}


@pytest.mark.parametrize("topic", [*TOPICS, ENVIRONMENT])
def test_every_topic_is_a_page(topic: str) -> None:
    """In a pipe it is Markdown, and the list of topics names it."""
    page = CliRunner().invoke(app, ["help", topic])
    assert page.exit_code == 0
    assert page.stdout.startswith("# ")
    assert "| --- |" in page.stdout
    assert f"| {topic} |" in CliRunner().invoke(app, ["help"]).stdout


def test_exit_codes_are_all_there() -> None:
    """What scripts rely on."""
    page = CliRunner().invoke(app, ["help", "exit-codes"]).stdout
    for code in (0, 1, 2, 3, 99, 130):
        assert f"\n| {code} | " in page


def test_the_environment_names_every_variable_once() -> None:
    """Shared variables stand with all commands that read them."""
    page = CliRunner().invoke(app, ["help", ENVIRONMENT]).stdout
    lines = [line for line in page.splitlines() if line.startswith("| `FLEETSIM_SEED`")]
    assert len(lines) == 1
    assert "| `--seed` | run, check" in lines[0]
    assert (
        "`FLEETSIM_PKI_ISSUE_SERVER_LIFETIME` | `--lifetime` | pki issue server" in page
    )


@pytest.mark.parametrize(
    "words", [["run"], ["pki"], ["pki", "issue", "server"]], ids=" ".join
)
def test_help_of_a_command_is_its_own(words: list[str]) -> None:
    """``help run`` is ``run --help``."""
    asked = CliRunner().invoke(app, ["help", *words], env=WIDE)
    own = CliRunner().invoke(app, [*words, "--help"], env=WIDE)
    assert asked.exit_code == 0
    assert asked.stdout.split() == own.stdout.split()


def test_an_unknown_topic() -> None:
    """The nearest one is offered; bad usage is 2."""
    result = CliRunner().invoke(app, ["help", "exit-code"])
    assert result.exit_code == 2
    assert "did you mean 'exit-codes'?" in result.stderr
