"""The program: its commands, its help, its version, bad usage."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from fleetsim import __version__
from fleetsim.cli.app import app

COMMANDS = (
    "run",
    "check",
    "report",
    "lab",
    "pki",
    "profiles",
    "list",
    "init",
    "schema",
)


def test_version() -> None:
    """``--version`` prints the program's name and version."""
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"fleetsim {__version__}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    """``-h`` works everywhere and the overview names the command."""
    overview = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120"})
    assert f" {command} " in overview.stdout
    explained = CliRunner().invoke(app, [command, "-h"], env={"COLUMNS": "120"})
    assert explained.exit_code == 0
    assert "Usage" in explained.stdout


def test_help_names_the_exit_codes() -> None:
    """What a script must know is on the first page."""
    overview = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    for words in ("0 passed", "2 bad input", "3 target not usable", "99 threshold"):
        assert words in overview.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["dance"], id="no such command"),
        pytest.param(["run"], id="no scenario"),
        pytest.param(["run", "quickstart", "--fast"], id="no such option"),
        pytest.param(["run", "quickstart", "--seed", "x"], id="no number"),
    ],
)
def test_bad_usage_is_2(arguments: list[str]) -> None:
    """Usage errors end with 2, words on standard error, nothing on standard output."""
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage" in result.stderr


def test_the_package_runs_as_a_module() -> None:
    """``python -m fleetsim`` is the program, and keeps exit codes."""
    module = [sys.executable, "-m", "fleetsim"]
    done = subprocess.run(
        [*module, "check", "no-such-scenario"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "no-such-scenario" in done.stderr
