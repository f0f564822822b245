"""Tables are values: text, code and figures."""

import pytest

from fleetsim.report.html.table import Cell, code, figure, table, text


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "–"), (1234567, "1,234,567"), (0.12345, "0.123"), ("12 ms", "12 ms")],  # noqa: RUF001  # an en dash stands for a missing figure
)
def test_figures_are_written_for_people(value: float | str | None, shown: str) -> None:
    """A missing one is not an empty cell."""
    assert figure(value) == Cell(shown, is_number=True)


def test_a_table_keeps_its_cells() -> None:
    """Heads say which columns hold figures."""
    found = table("c", {"a": False, "b": True}, (code("x"), text("y", "bad")))
    assert [cell.is_number for cell in found.head] == [False, True]
    assert found.rows == ((Cell("x", "mono"), Cell("y", "bad")),)
