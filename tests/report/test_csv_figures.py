"""CSV: every figure of the summary once, readable by any reader, harmless to open."""

import csv
import io
from pathlib import Path

import duckdb
import pytest

from fleetsim.report.csv_figures import render_csv
from fleetsim.report.summary import build_summary
from tests.recording.records import record
from tests.report.runs import make_run


def rows_of(text: str) -> dict[tuple[str, str], str]:
    """Cohort and metric to value."""
    return {
        (row["cohort"], row["metric"]): row["value"]
        for row in csv.DictReader(io.StringIO(text))
    }


def test_metrics_are_paths_of_the_summary(tmp_path: Path) -> None:
    """The fleet has an empty cohort; thresholds have value and verdict."""
    folder = make_run(tmp_path, [record()], thresholds=("failures == 0",))
    summary = build_summary(folder)
    found = rows_of(render_csv(summary))
    assert found["", "verdict"] == "passed"
    assert found["", "uploads.acknowledged"] == "1"
    p99 = summary["latency"]["response"]["p99_ms"]
    assert float(found["", "latency.response.p99_ms"]) == p99
    assert found["ordinary", "uploads.acknowledged"] == "1"
    assert found["", "thresholds.failures == 0.value"] == "0.0"
    assert found["", "thresholds.failures == 0.ok"] == "true"


def test_another_reader_reads_the_same(tmp_path: Path) -> None:
    """DuckDB's own CSV reader finds the same rows."""
    text = render_csv(build_summary(make_run(tmp_path, [record()])))
    path = tmp_path / "figures.csv"
    path.write_text(text, newline="")
    table = duckdb.read_csv(str(path), all_varchar=True).to_arrow_table()
    read = zip(table["cohort"].to_pylist(), table["metric"].to_pylist(), strict=True)
    assert {(cohort or "", metric) for cohort, metric in read} == {*rows_of(text)}


@pytest.mark.parametrize("name", ["=1+1", "+cmd", "@x", "-2+3"])
def test_nothing_is_a_formula(name: str) -> None:
    """A name that a spreadsheet would calculate begins with an apostrophe."""
    summary = {"thresholds": [], "cohorts": {name: {"x": -1.5, "y": name}}, name: 1}
    found = rows_of(render_csv(summary))
    assert found[f"'{name}", "x"] == "-1.5"
    assert found[f"'{name}", "y"] == f"'{name}"
    assert found["", f"'{name}"] == "1"
