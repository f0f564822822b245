"""A comparison on the terminal and as Markdown."""

import io
from pathlib import Path

import pytest

from fleetsim.report.compare.bootstrap import Rule
from fleetsim.report.compare.comparison import Comparison, compare
from fleetsim.report.compare.texts import print_comparison, render_markdown
from fleetsim.report.console import make_console
from tests.recording.records import MS
from tests.report.compare.pairs_of_runs import records, run


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    """A, and B which is slower."""
    folders = [
        run(tmp_path / "a", records(1)),
        run(tmp_path / "b", records(2, slower_ns=20 * MS)),
    ]
    return compare(folders, Rule())


def test_the_verdict_comes_first(comparison: Comparison) -> None:
    """Then what was compared, then figures; the rest on demand."""
    file = io.StringIO()
    print_comparison(comparison, make_console(file))
    text = file.getvalue()
    assert text.startswith("WORSE B against A: worse in upload.response_time")
    assert "more metrics without evidence of a difference: --all" in text
    assert "tls.p90" not in text
    assert all(len(line) <= 100 for line in text.splitlines())
    everything = io.StringIO()
    print_comparison(comparison, make_console(everything), everything=True)
    assert "tls.p90" in everything.getvalue()


def test_markdown_has_every_metric(comparison: Comparison) -> None:
    """A pull request shows the whole table."""
    text = render_markdown(comparison)
    assert text.startswith("# B against A\n\n**worse**: B against A: worse in")
    assert "| `tls.p90` |" in text
