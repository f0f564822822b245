"""Queries read a run, all of it, and nothing else."""

import io
import json
from pathlib import Path

import duckdb
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from fleetsim.core.outcomes import DeviceOutcome
from fleetsim.exceptions import InputError
from fleetsim.recording.names import RECORDS, RECORDS_STREAM
from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.query import TABLES, run_query
from tests.recording.records import DEVICE, record
from tests.report.runs import change, make_run, step


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run with a line in each of its tables."""
    return make_run(
        tmp_path,
        [record(0), record(1, kind="tcp.refused", phase="tcp")],
        histories=[(DEVICE, "ordinary", change(0, "", "connected"))],
        timeline=[step("push_bundle", "start", 3, name="add", entry=0)],
        devices=(DeviceOutcome(device=DEVICE, cohort="ordinary", state="connected"),),
    )


@pytest.mark.parametrize(
    ("sql", "row"),
    [
        ("select count(*), sum(body_bytes) from records", (2, 32_768)),
        ("select device, kind from records where kind <> ''", (DEVICE, "tcp.refused")),
        ("select device, state from states", (DEVICE, "connected")),
        ("select cohort, files_closed from devices", ("ordinary", 0)),
        ("select name, step, facts from timeline", ("add", "start", '{"entry": 0}')),
        ("with a as (from records) select max(attempt) from a", (1,)),
    ],
)
def test_every_table_can_be_asked(
    folder: Path, sql: str, row: tuple[object, ...]
) -> None:
    """records, states, devices, timeline."""
    assert list(run_query(folder, sql).rows()) == [row]


def test_a_killed_run_can_be_asked_as_well(tmp_path: Path) -> None:
    """Its stream of records is read up to the last flush; other tables may be empty."""
    killed = make_run(tmp_path, [record()], outcome=RunOutcome.RUNNING)
    assert (killed / RECORDS_STREAM).exists()
    for table in TABLES:
        assert run_query(killed, f"from {table}").table.num_rows == (table == "records")


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("select * from read_csv('/etc/passwd')", "disabled by configuration"),
        ("select * from '/etc/passwd'", "does not exist"),
        ("select * from glob('/*')", "disabled by configuration"),
        ("select * from read_parquet('https://example.org/x')", "disabled"),
        ("copy records to 'x.csv'", "COPY is not allowed"),
        ("attach 'x.db'", "ATTACH is not allowed"),
        ("create table x as from records", "CREATE is not allowed"),
        ("drop view records", "DROP is not allowed"),
        ("set enable_external_access = true", "SET is not allowed"),
        ("install httpfs", "is not allowed"),
        ("select 1; copy records to 'x.csv'", "one statement, not 2"),
        ("", "one statement, not 0"),
        ("selec", "syntax error"),
        ("select nothing from records", "nothing"),
        ("select * from folder", "does not exist"),
    ],
)
def test_nothing_but_reading_the_run_is_possible(
    folder: Path, sql: str, words: str
) -> None:
    """Files, network, other statements, Python variables: refused, with the reason."""
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError) as caught:
        run_query(folder, sql)
    assert words in str(caught.value)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_answers_go_out_as_csv_json_and_parquet(folder: Path, tmp_path: Path) -> None:
    """Other readers read the same; NaN and NULL have a place in each."""
    sql = "select attempt, kind, 'nan'::double odd, null::int none from records"
    answer = run_query(folder, sql)
    read = pa_csv.read_csv(io.BytesIO(answer.to_csv().encode()))
    assert read["kind"].to_pylist() == ["", "tcp.refused"]
    assert json.loads(answer.to_json())[1] == {
        "attempt": 1,
        "kind": "tcp.refused",
        "odd": None,
        "none": None,
    }
    path = tmp_path / "answer.parquet"
    answer.to_parquet(path)
    assert pq.read_table(path).column_names == ["attempt", "kind", "odd", "none"]
    with pytest.raises(InputError):
        answer.to_parquet(tmp_path / "missing" / "answer.parquet")


def test_a_damaged_file_is_named(folder: Path) -> None:
    """A run that cannot be read is bad input."""
    (folder / RECORDS).write_bytes(b"PAR1 nonsense")
    with pytest.raises(InputError):
        run_query(folder, "select count(*) from records")


def test_records_open_in_duckdb_by_themselves(folder: Path) -> None:
    """An analyst needs no fleetsim: the Parquet file has plain types."""
    found = duckdb.read_parquet(str(folder / RECORDS))
    assert found.aggregate("count(*), max(planned_ns)").fetchall() == [
        (2, 1_000_000_000)
    ]
