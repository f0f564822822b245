import pytest
from typer.testing import CliRunner

from fleetsim.cli.app import app
from fleetsim.target.observer import haproxy_log, nginx_log, rgw


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("nginx", nginx_log.settings()),
        ("haproxy", haproxy_log.settings()),
        ("rgw", rgw.settings()),
    ],
)
def test_prints_settings_and_nothing_else(server: str, expected: str) -> None:
    """The output can go into a file as it is."""
    result = CliRunner().invoke(app, ["log-format", server])
    assert (result.exit_code, result.stdout) == (0, expected)


def test_unknown_server() -> None:
    """Bad usage names the servers there are."""
    result = CliRunner().invoke(app, ["log-format", "apache"])
    assert result.exit_code == 2
    assert "haproxy" in result.output
