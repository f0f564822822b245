"""Formats: one at a time, the command line before the environment, files made whole."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleetsim.cli.app import app
from tests.recording.records import record
from tests.report.runs import make_run


def test_two_formats_are_a_mistake(tmp_path: Path) -> None:
    """Standard output has room for one."""
    folder = make_run(tmp_path, [record()])
    found = CliRunner().invoke(app, ["report", str(folder), "--md", "--csv"])
    assert found.exit_code == 2
    assert "--md, --csv: give one format at a time" in found.stderr
    assert found.stdout == ""


def test_a_typed_format_outdoes_the_environment(tmp_path: Path) -> None:
    """``FLEETSIM_JSON`` is a habit, ``--md`` is a wish."""
    folder = make_run(tmp_path, [record()])
    found = CliRunner().invoke(
        app, ["report", str(folder), "--md"], env={"FLEETSIM_JSON": "1"}
    )
    assert found.stdout.startswith("# quickstart")
    found = CliRunner().invoke(app, ["report", str(folder)], env={"FLEETSIM_JSON": "1"})
    assert found.stdout.startswith("{")


@pytest.mark.parametrize("command", ["report RUN", "compare RUN RUN", "query RUN x"])
def test_a_file_needs_a_format(tmp_path: Path, command: str) -> None:
    """A terminal's text is nothing to keep."""
    folder = make_run(tmp_path, [record()])
    words = [str(folder) if word == "RUN" else word for word in command.split()]
    found = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "x")])
    assert found.exit_code == 2
    assert "--output: needs a format" in found.stderr


def test_a_file_that_cannot_be_written_is_bad_input(tmp_path: Path) -> None:
    """The path is named; nothing half is left."""
    folder = make_run(tmp_path, [record()])
    target = tmp_path / "missing" / "x.csv"
    found = CliRunner().invoke(app, ["report", str(folder), "--csv", "-o", str(target)])
    assert found.exit_code == 2
    assert str(target) in found.stderr


def test_a_file_is_named_when_it_was_written(tmp_path: Path) -> None:
    """And holds what standard output would have shown."""
    folder = make_run(tmp_path, [record()])
    target = tmp_path / "x.md"
    found = CliRunner().invoke(app, ["report", str(folder), "--md", "-o", str(target)])
    assert found.stdout == f"{target}\n"
    shown = CliRunner().invoke(app, ["report", str(folder), "--md"]).stdout
    assert target.read_text() == shown
