import socket

import pytest
import typer
from typer.testing import CliRunner

from fleetsim.cli.lab import lab_command
from fleetsim.exceptions import InputError

app = typer.Typer()
app.command()(lab_command)


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        (["--tls-versions", "1.7"], {}, "1.7"),
        (["--bucket", "No"], {}, "bucket"),
        (["--security", "low"], {"AWS_ACCESS_KEY_ID": "a"}, "AWS_SECRET_ACCESS_KEY"),
        (["--security", "low"], {"AWS_SECRET_ACCESS_KEY": "a"}, "AWS_ACCESS_KEY_ID"),
        (["--security", "low", "--store", "/dev/null/x"], {}, "/dev/null/x"),
    ],
)
def test_bad_options_are_input_errors(
    arguments: list[str],
    environment: dict[str, str],
    message: str,
) -> None:
    """What the user got wrong is raised as input error: exit code 2 of the program."""
    clean = {"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}
    result = CliRunner().invoke(
        app, ["--port", "0", *arguments], env={**clean, **environment}
    )
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)


@pytest.mark.parametrize(
    "arguments", [["--limit", "2 bits"], ["--security", "none"], ["--port", "70000"]]
)
def test_bad_usage_is_exit_code_2(arguments: list[str]) -> None:
    """Words that are no value of an option end in typer's usage message."""
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2


def test_port_in_use_is_an_input_error() -> None:
    """Another program on the port is named with the port."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = CliRunner().invoke(app, ["--security", "low", "--port", str(port)])
    assert isinstance(result.exception, InputError)
    assert f"127.0.0.1:{port}" in str(result.exception)
    assert "in use" in str(result.exception)
