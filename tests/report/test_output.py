"""A report in every format, made from the folder alone."""

import json
from pathlib import Path

import pytest

from fleetsim.report.output import Format, make_report
from tests.recording.records import record
from tests.report.runs import make_run

BEGINS = {
    Format.HTML: "<!DOCTYPE html>",
    Format.MARKDOWN: "# quickstart: Passed",
    Format.JSON: '{\n  "schema": 1,',
    Format.CSV: "cohort,metric,value\r\n",
    Format.JUNIT: "<?xml version='1.0'",
}


@pytest.mark.parametrize("form", Format)
def test_every_format_is_made_and_the_summary_with_it(
    tmp_path: Path, form: Format
) -> None:
    """``summary.json`` is as new as the report."""
    folder = make_run(tmp_path, [record()])
    text, summary = make_report(folder, form)
    assert text.startswith(BEGINS[form])
    assert text.endswith("\n")
    assert json.loads((folder / "summary.json").read_text()) == summary
