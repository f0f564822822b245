"""``fleetsim report`` works on any run folder and says in its exit code what it found."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleetsim.cli.app import app
from fleetsim.core.outcomes import AuditOutcome
from fleetsim.recording.run_folder import RunOutcome
from tests.recording.records import record
from tests.report.runs import SATURATED, make_run


@pytest.mark.parametrize("by", ["path", "name", "latest"])
def test_a_run_is_found_by_path_name_or_as_the_latest(tmp_path: Path, by: str) -> None:
    """All three lead to the same folder, and its summary.json is made."""
    folder = make_run(tmp_path, [record()])
    run = {"path": str(folder), "name": folder.name, "latest": "latest"}[by]
    found = CliRunner().invoke(app, ["report", run, "--results", str(tmp_path)])
    assert found.exit_code == 0
    assert found.stdout.startswith("PASSED quickstart")
    assert str(folder) in found.stdout
    assert json.loads((folder / "summary.json").read_text())["verdict"] == "passed"


def test_json_is_the_summary_and_nothing_else(tmp_path: Path) -> None:
    """``--json`` prints what summary.json holds."""
    folder = make_run(tmp_path, [record()])
    found = CliRunner().invoke(app, ["report", str(folder), "--json"])
    assert json.loads(found.stdout) == json.loads((folder / "summary.json").read_text())


@pytest.mark.parametrize(
    ("outcome", "code"), [(RunOutcome.RUNNING, 0), (RunOutcome.INTERRUPTED, 0)]
)
def test_an_interrupted_run_is_reported_not_judged(
    tmp_path: Path, outcome: RunOutcome, code: int
) -> None:
    """A killed run can be reported, exit code 0."""
    folder = make_run(tmp_path, [record()], outcome=outcome)
    found = CliRunner().invoke(app, ["report", str(folder)])
    assert found.exit_code == code
    assert found.stdout.startswith("INTERRUPTED")


def test_a_failed_run_is_99(tmp_path: Path) -> None:
    """A difference between told and stored fails the report as it failed the run."""
    audit = AuditOutcome(checked=True, missing=("k",), missing_count=1)
    folder = make_run(tmp_path, [record()], audit=audit)
    assert CliRunner().invoke(app, ["report", str(folder)]).exit_code == 99


@pytest.mark.parametrize(
    ("threshold", "code"), [("failures > 0", 0), ("failures == 0", 99)]
)
def test_a_run_that_was_to_fail_is_judged_by_that(
    tmp_path: Path, threshold: str, code: int
) -> None:
    """Damage on purpose is 0, its absence 99, as from ``fleetsim run``."""
    folder = make_run(
        tmp_path,
        [record()],
        thresholds=(threshold,),
        scenario={"expect": "fail", "cohorts": []},
    )
    assert CliRunner().invoke(app, ["report", str(folder)]).exit_code == code


def test_an_invalid_run_is_99(tmp_path: Path) -> None:
    """Times of a saturated generator hold nothing."""
    folder = make_run(
        tmp_path, [record()], generator=SATURATED, thresholds=("tls.max < 1s",)
    )
    found = CliRunner().invoke(app, ["report", str(folder)])
    assert found.exit_code == 99
    assert found.stdout.startswith("INVALID")


@pytest.mark.parametrize("run", ["latest", "nothing-there"])
def test_no_run_is_bad_usage(tmp_path: Path, run: str) -> None:
    """One clear sentence on standard error, exit code 2."""
    found = CliRunner().invoke(app, ["report", run, "--results", str(tmp_path)])
    assert found.exit_code == 2
    assert found.stdout == ""
    assert len(found.stderr.strip().splitlines()) == 1


def test_the_page_goes_into_the_run_folder(tmp_path: Path) -> None:
    """Unless another place is named."""
    folder = make_run(tmp_path, [record()])
    found = CliRunner().invoke(app, ["report", str(folder), "--html"])
    assert found.stdout == f"{folder / 'report.html'}\n"
    assert (folder / "report.html").read_text().startswith("<!DOCTYPE html>")
    target = tmp_path / "other.html"
    CliRunner().invoke(app, ["report", str(folder), "--html", "-o", str(target)])
    assert target.is_file()


@pytest.mark.parametrize("form", ["--html", "--md", "--csv", "--junit", "--json"])
def test_every_format_judges_the_run(tmp_path: Path, form: str) -> None:
    """A failed run is 99 however it is told."""
    folder = make_run(tmp_path, [record()], thresholds=("failures > 0",))
    assert CliRunner().invoke(app, ["report", str(folder), form]).exit_code == 99
