import io
import json
import sys
from pathlib import Path

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from fleetsim.cli import list as list_module
from fleetsim.cli.list import library, list_command
from fleetsim.cli.scenario_files import library_names

LONGEST_LINE = 140

app = typer.Typer()
app.command()(list_command)
runner = CliRunner()


def test_every_scenario_has_one_line() -> None:
    """Name and description, parted by a tab, in the order of the names."""
    result = runner.invoke(app)
    assert result.exit_code == 0
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert [name for name, _ in rows] == list(library_names())
    assert all(
        len(text) > 20 and len(name) + len(text) < LONGEST_LINE for name, text in rows
    )


def test_names_are_those_in_the_files() -> None:
    """What a run folder is called is what the library calls it."""
    assert [entry.scenario.name for entry in library()] == list(library_names())


def test_json_says_what_to_expect() -> None:
    """Size, length and expectation, for scripts."""
    found = {
        each["name"]: each for each in json.loads(runner.invoke(app, "--json").stdout)
    }
    assert list(found) == list(library_names())
    quickstart = found["quickstart"]
    assert quickstart["devices"] == 500
    assert (quickstart["duration_s"], quickstart["drain_s"]) == (30, 15)
    assert quickstart["expect"] == "pass"
    assert found["endpoint_changes_ca"]["expect"] == "fail"


def test_files_of_the_working_directory_are_not_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file named like a scenario changes nothing."""
    (tmp_path / "quickstart").write_text("name: mine")
    monkeypatch.chdir(tmp_path)
    assert "quickstart\t500 devices" in runner.invoke(app).stdout


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns instead of tabs."""
    out = io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(list_module, "Console", lambda: Console(file=out, width=200))
    list_command(as_json=False)
    assert "\t" not in out.getvalue()
    assert "quickstart" in out.getvalue()
