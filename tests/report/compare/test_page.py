"""The page of a comparison stands alone, as that of a run does."""

from pathlib import Path

from fleetsim.report.compare.bootstrap import Rule
from fleetsim.report.compare.comparison import compare
from fleetsim.report.compare.page import render_page
from tests.recording.records import MS
from tests.report.compare.pairs_of_runs import records, run
from tests.report.html.pages import read_page


def test_the_page_shows_runs_on_top_of_each_other(tmp_path: Path) -> None:
    """Verdict, tables, charts with a line for each run; nothing from outside."""
    folders = [
        run(tmp_path / "a", records(1)),
        run(tmp_path / "b", records(2, slower_ns=20 * MS, failing=0.1)),
    ]
    page = render_page(compare(folders, Rule()))
    found = read_page(page)
    assert found.unclosed == []
    assert all(target.startswith("#") for target in found.loads)
    assert found.handlers == []
    told = " ".join(" ".join(found.text).split())
    assert "B against A: worse in upload.response_time.p" in told
    assert page.count('<figure class="chart"') == 6
    assert len(found.ids) == len({*found.ids})


def test_runs_without_records_have_no_charts(tmp_path: Path) -> None:
    """Nothing to lay on top of each other is no error."""
    folders = [run(tmp_path / "a", []), run(tmp_path / "b", [])]
    page = render_page(compare(folders, Rule()))
    assert "no evidence" in page
    assert "<figure" not in page
