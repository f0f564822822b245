"""``fleetsim query``: SQL in, a table or a file out."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from fleetsim.cli import query
from fleetsim.cli.app import app
from tests.recording.records import record
from tests.report.runs import make_run

SQL = "select attempt, kind from records order by planned_ns"


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A run with three attempts."""
    rows = [record(0), record(1, kind="[bold]", phase="tcp"), record(2)]
    return str(make_run(tmp_path, rows))


def test_a_table_shows_the_first_rows_as_they_are(folder: str) -> None:
    """What is left out is told on standard error; brackets are no markup."""
    found = CliRunner().invoke(app, ["query", folder, SQL, "--rows", "2"])
    assert found.exit_code == 0
    assert "[bold]" in found.stdout
    assert "3 rows, 2 shown" in found.stderr


@pytest.mark.parametrize(
    ("form", "text"),
    [("--csv", "attempt,kind\r\n1,\r\n1,[bold]\r\n1,\r\n"), ("--json", None)],
)
def test_files_hold_all_rows(folder: str, form: str, text: str | None) -> None:
    """On standard output, or where ``--output`` says."""
    found = CliRunner().invoke(app, ["query", folder, SQL, form])
    assert found.exit_code == 0
    if text is None:
        assert [row["kind"] for row in json.loads(found.stdout)] == ["", "[bold]", ""]
    else:
        assert found.stdout_bytes.decode() == text


def test_parquet_needs_a_file(folder: str, tmp_path: Path) -> None:
    """It is no text."""
    found = CliRunner().invoke(app, ["query", folder, SQL, "--parquet"])
    assert found.exit_code == 2
    target = tmp_path / "x.parquet"
    words = ["query", folder, SQL, "--parquet", "-o", str(target)]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert pq.read_table(target).num_rows == 3


def test_a_question_can_come_from_standard_input(folder: str) -> None:
    """A dash reads it there."""
    found = CliRunner().invoke(app, ["query", folder, "-", "--csv"], input=SQL)
    assert found.stdout.startswith("attempt,kind")


def test_a_wrong_question_is_2(folder: str) -> None:
    """With the words of the database."""
    found = CliRunner().invoke(app, ["query", folder, "drop table records"])
    assert found.exit_code == 2
    assert "DROP is not allowed" in found.stderr


def test_without_the_extra_it_says_how_to_get_it(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB is not needed to run anything."""
    monkeypatch.setattr(query, "find_spec", lambda _: None)
    found = CliRunner().invoke(app, ["query", folder, SQL])
    assert found.exit_code == 2
    assert found.stderr == "query: needs DuckDB: pip install 'fleetsim[query]'\n"
