"""The reference says what the program does: it is made of the same tables."""

import pytest

from fleetsim.core.failure import KINDS
from fleetsim.recording.columns import PLAIN_SCHEMA
from fleetsim.recording.record import Record
from fleetsim.report.metrics.catalogue import METRICS as EXPORTED
from fleetsim.report.reference import pages
from fleetsim.report.reference.page import Page
from fleetsim.scenario.condition import FIGURES
from fleetsim.scenario.threshold import METRICS

ALL = (
    pages.exit_codes(),
    pages.failure_kinds(),
    pages.figures(),
    pages.exported_metrics(),
    pages.records(),
)


def cells(page: Page) -> list[str]:
    """First cells of all rows, without backticks."""
    return [row[0].strip("`") for section in page.sections for row in section.rows]


@pytest.mark.parametrize("page", ALL, ids=lambda page: page.name)
def test_rows_fit_their_header(page: Page) -> None:
    """No cell is missing, none is empty where the meaning stands."""
    for section in page.sections:
        for row in section.rows:
            assert len(row) == len(section.header)
            assert row[-1]


@pytest.mark.parametrize(
    ("page", "names"),
    [
        pytest.param(pages.failure_kinds(), KINDS, id="failure kinds"),
        pytest.param(pages.figures(), FIGURES, id="live figures"),
        pytest.param(
            pages.figures(),
            [
                f"{m.name}.<statistic>" if m.has_statistic else m.name
                for m in METRICS.values()
            ],
            id="thresholds",
        ),
        pytest.param(
            pages.exported_metrics(), [m.series_name for m in EXPORTED], id="metrics"
        ),
        pytest.param(pages.records(), PLAIN_SCHEMA.names, id="columns"),
    ],
)
def test_nothing_is_left_out(page: Page, names: list[str]) -> None:
    """Every name of the table it is made of is on the page."""
    assert set(names) <= set(cells(page))


def test_docstrings_give_the_meaning_of_columns() -> None:
    """Continued lines are joined, roles of the documentation tool do not show."""
    found = pages.described(Record)
    assert list(found) == PLAIN_SCHEMA.names
    assert found["operation"] == "Value of Operation."
    assert not any(":class:" in text for text in found.values())
