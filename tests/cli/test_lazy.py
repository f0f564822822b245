"""Lazy commands: nothing is imported before it is asked for, every option has its variable."""

import subprocess
import sys
from typing import Annotated, ClassVar

import pytest
import typer
import typer.main
from typer.testing import CliRunner

from fleetsim.cli.lazy import LazyCommand, LazyCommands, dress, walk

NETWORK = {"aiohttp", "aioboto3", "pyarrow", "OpenSSL", "uvloop", "prometheus_client"}


def greet(
    *,
    name: Annotated[str, typer.Option(help="Whom, for example [Ann].")] = "you",
    loud_voice: Annotated[bool, typer.Option("--loud/--soft", help="How.")] = False,
    region: Annotated[str, typer.Option(help="Where.", envvar="AWS_REGION")] = "here",
    shared: Annotated[str, typer.Option(help="All.", envvar="FLEETSIM_ALL")] = "a",
) -> None:
    """Greet somebody.

    A paragraph of
    two lines.

    Examples:
      fleetsim greet --name Ann
    """
    typer.echo(f"{name} {loud_voice} {region} {shared}")


class Program(LazyCommands):
    """Two commands, one of which cannot be imported."""

    lazy: ClassVar[dict[str, LazyCommand]] = {
        "greet": LazyCommand(
            target=f"{__name__}:greet", summary="Greet somebody.", panel="All"
        ),
        "broken": LazyCommand(
            target="fleetsim.no_such_module:x", summary="Never there.", panel="All"
        ),
    }


@pytest.fixture
def program() -> typer.Typer:
    """The program."""
    app = typer.Typer(cls=Program)

    @app.callback()
    def nothing() -> None:
        """Greetings."""

    return app


def test_the_overview_imports_nothing(program: typer.Typer) -> None:
    """A command that cannot even be imported is listed with its summary."""
    result = CliRunner().invoke(program, ["--help"])
    assert result.exit_code == 0
    assert "Never there." in result.stdout


def test_a_command_is_imported_when_it_is_named(program: typer.Typer) -> None:
    """It then runs as if it had been there from the start."""
    result = CliRunner().invoke(program, ["greet", "--name", "Ann"])
    assert (result.exit_code, result.stdout) == (0, "Ann False here a\n")


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        pytest.param("gret", "(did you mean 'greet'?)", id="near"),
        pytest.param("zzz", "No such command 'zzz'.", id="nothing near"),
    ],
)
def test_a_mistyped_command(program: typer.Typer, typed: str, hint: str) -> None:
    """The nearest name is offered; usage errors end with 2."""
    result = CliRunner().invoke(program, [typed], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert hint in result.stderr


@pytest.mark.parametrize(
    ("environment", "output"),
    [
        pytest.param({"FLEETSIM_GREET_NAME": "Bo"}, "Bo False here a", id="derived"),
        pytest.param({"FLEETSIM_GREET_LOUD": "1"}, "you True here a", id="long name"),
        pytest.param({"AWS_REGION": "eu"}, "you False eu a", id="its own"),
        pytest.param(
            {"AWS_REGION": "eu", "FLEETSIM_GREET_REGION": "us"},
            "you False us a",
            id="ours before its own",
        ),
        pytest.param({"FLEETSIM_ALL": "b"}, "you False here b", id="shared name"),
        pytest.param({"FLEETSIM_GREET_SHARED": "b"}, "you False here a", id="one name"),
    ],
)
def test_options_have_variables(
    program: typer.Typer, environment: dict[str, str], output: str
) -> None:
    """``FLEETSIM_<COMMAND>_<OPTION>`` unless the option names a FLEETSIM variable."""
    result = CliRunner().invoke(program, ["greet"], env=environment)
    assert result.stdout == f"{output}\n"


def test_the_options_of_run_need_no_command() -> None:
    """``FLEETSIM_NAME``, not ``FLEETSIM_RUN_NAME``."""
    app = typer.Typer(add_completion=False)
    app.command()(greet)
    command = typer.main.get_command(app)
    dress(command, ("run",))
    assert {each.name: each.envvar for each in command.params if each.envvar} == {
        "name": "FLEETSIM_NAME",
        "loud_voice": "FLEETSIM_LOUD",
        "region": ["FLEETSIM_REGION", "AWS_REGION"],
        "shared": "FLEETSIM_ALL",
    }


def test_help_is_shown_as_written(program: typer.Typer) -> None:
    """Brackets are no markup, prose flows, examples keep their lines."""
    result = CliRunner().invoke(program, ["greet", "--help"], env={"COLUMNS": "100"})
    assert "[Ann]" in result.stdout
    assert "A paragraph of two lines." in result.stdout
    assert "  fleetsim greet --name Ann" in result.stdout


def test_walking_imports_everything() -> None:
    """Who wants to see all commands gets the real ones, groups and all."""
    app = typer.Typer(name="group")

    @app.callback()
    def nothing() -> None:
        """A group."""

    app.command("one")(greet)
    found = [path for path, _ in walk(typer.main.get_command(app), ("group",))]
    assert found == [("group",), ("group", "one")]


@pytest.mark.parametrize(
    ("arguments", "heavy"),
    [
        pytest.param(["--version"], {*NETWORK, "pydantic", "rich"}, id="version"),
        pytest.param(["--help"], {*NETWORK, "pydantic"}, id="help"),
        pytest.param(["chek"], NETWORK, id="mistyped"),
        pytest.param(["check", "quickstart"], NETWORK, id="check"),
    ],
)
def test_what_is_not_needed_is_not_imported(
    arguments: list[str], heavy: set[str]
) -> None:
    """A command that only reads starts without the libraries of a run."""
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from fleetsim.cli.app import app\n"
        f"CliRunner().invoke(app, {arguments!r})\n"
        f"print(sorted({heavy!r} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
