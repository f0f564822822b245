"""A run ends with a summary for programs and a page for people."""

import json
from pathlib import Path

from fleetsim.report.finish import finish_run
from fleetsim.report.summary import build_summary
from tests.recording.records import record
from tests.report.runs import make_run


def test_summary_and_page_are_written(tmp_path: Path) -> None:
    """Both tell of the same run."""
    folder = make_run(tmp_path, [record()])
    summary = finish_run(folder)
    assert summary == build_summary(folder)
    assert json.loads((folder / "summary.json").read_text()) == summary
    assert folder.name in (folder / "report.html").read_text()
