"""Errors at the edge: words on standard error, the documented exit code, no traceback."""

import os
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from fleetsim.cli.errors import BROKEN_PIPE, Commands
from fleetsim.exceptions import InputError, Problem, RecordingError, TargetError

TWO = InputError([Problem("a.yaml:3: count", "too many"), Problem("--seed", "odd")])


def group(error: BaseException) -> typer.Typer:
    """Commands of which one fails with this."""
    app = typer.Typer(cls=Commands)

    @app.command()
    def fail() -> None:
        typer.echo("begun")
        raise error

    @app.command()
    def other() -> None:
        typer.echo("other")

    return app


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        pytest.param(TWO, 2, "a.yaml:3: count: too many\n--seed: odd\n", id="input"),
        pytest.param(TargetError("http://a", "refused"), 3, "http://a: refused\n"),
        pytest.param(RecordingError("r", "disk full"), 1, "r: disk full\n"),
    ],
)
def test_our_errors_are_words_and_a_code(
    error: Exception, code: int, words: str
) -> None:
    """One line per problem on standard error, and nothing else."""
    result = CliRunner().invoke(group(error), ["fail"])
    assert (result.exit_code, result.stdout) == (code, "begun\n")
    assert result.stderr == words


def test_a_nested_group_answers_for_itself() -> None:
    """What an inner group has answered is not printed again by the outer one."""
    outer = typer.Typer(cls=Commands)
    outer.add_typer(group(TWO), name="inner")
    result = CliRunner().invoke(outer, ["inner", "fail"])
    assert (result.exit_code, result.stderr) == (2, str(TWO) + "\n")


def test_control_c_is_130_without_a_traceback() -> None:
    """An interrupted command ends as a shell expects, with no words."""
    result = CliRunner().invoke(group(KeyboardInterrupt()), ["fail"])
    assert (result.exit_code, result.stderr) == (130, "")


def test_a_bug_is_never_swallowed() -> None:
    """Any other exception surfaces as it is."""
    result = CliRunner().invoke(group(ZeroDivisionError("bug")), ["fail"])
    assert isinstance(result.exception, ZeroDivisionError)


@pytest.mark.parametrize("command", ["schema", "profiles"])
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_reader_who_leaves_is_no_error(command: str, unbuffered: str) -> None:
    """A closed pipe ends a command quietly, as SIGPIPE ends other programs."""
    reader, writer = os.pipe()
    os.close(reader)
    with subprocess.Popen(
        [sys.executable, "-m", "fleetsim", command],
        stdout=writer,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    ) as process:
        os.close(writer)
        assert process.communicate()[1] == b""
    assert process.returncode == BROKEN_PIPE
