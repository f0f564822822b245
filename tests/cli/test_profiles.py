import io
import json
import sys
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from fleetsim.cli import profiles
from fleetsim.cli.profiles import profiles_command
from fleetsim.exceptions import InputError
from fleetsim.profiles import catalog

app = typer.Typer()
app.command()(profiles_command)
runner = CliRunner()


def test_list() -> None:
    """Without a name all profiles are listed, a line each, cells parted by tabs."""
    result = runner.invoke(app)
    assert result.exit_code == 0
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [row[0] for row in rows] == ["profile", *catalog.names()]
    assert "winc-ecdhe-last (2, 6, 9)" in rows[1][2]
    assert "unknown-default" in rows[1][3]


def test_list_as_json() -> None:
    """JSON has every profile with its groups and how many figures are facts."""
    result = runner.invoke(app, ["--json"])
    content = json.loads(result.stdout)
    assert [entry["name"] for entry in content] == list(catalog.names())
    for entry in content:
        figures = catalog.load(entry["name"]).figures
        assert sum(entry["provenance"].values()) == len(figures)
    tables = content[0]["cipher_tables"]
    assert len(tables["winc-nonecc"]["group 3"]) == 10


def test_show() -> None:
    """With a name every figure stands on a line with its provenance and source."""
    result = runner.invoke(app, ["canedge2"])
    rows = [line.split("\t") for line in result.stdout.splitlines()[2:]]
    figures = catalog.load("canedge2").figures
    assert [row[0] for row in rows] == [figure.path for figure in figures]
    assert [row[2] for row in rows] == [figure.provenance for figure in figures]
    assert [row[3] for row in rows] == [figure.source for figure in figures]
    assert rows[0][1].startswith("group 1: AES128-GCM-SHA256, ")


def test_show_as_json() -> None:
    """JSON of one profile has the figures as they stand in the file."""
    content = json.loads(runner.invoke(app, ["canedge3", "--json"]).stdout)
    found = {figure["path"]: figure for figure in content["figures"]}
    assert found["bundle.require_ca"]["value"] is True
    assert found["heartbeat"]["value"] == "5m"
    assert found["heartbeat"]["provenance"] == "documented"


def test_own_file(tmp_path: Path) -> None:
    """A profile file can be shown like a built-in profile."""
    path = tmp_path / "mine.yaml"
    path.write_text("extends: generic-tls13\nname: mine\n")
    result = runner.invoke(app, [str(path)])
    assert result.exit_code == 0
    assert result.stdout.startswith("mine: ")


def test_unknown_name() -> None:
    """An unknown name is bad input."""
    result = runner.invoke(app, ["canedge"])
    assert isinstance(result.exception, InputError)


def test_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the same cells are in a table."""
    console = Console(width=400, file=io.StringIO())
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(profiles, "Console", lambda: console)
    with console.capture() as capture:
        profiles_command("canedge2", as_json=False)
    text = capture.get()
    for figure in catalog.load("canedge2").figures:
        assert figure.path in text
    assert "group 3: " in text
