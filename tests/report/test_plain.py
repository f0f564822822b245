"""Numbers and times in the words of every text report."""

import pytest

from fleetsim.report.plain import number, shown_time


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "-"),
        (0.1234, "0.123 ms"),
        (99.96, "100 ms"),
        (123.4, "123 ms"),
        (1234.0, "1.23 s"),
        (12_345.0, "12.3 s"),
    ],
)
def test_times_have_the_unit_that_suits(ms: float | None, text: str) -> None:
    """Three figures, milliseconds below a second."""
    assert shown_time(ms) == text


@pytest.mark.parametrize(("count", "text"), [(0, "0 devices"), (1, "1 device")])
def test_nouns_agree(count: int, text: str) -> None:
    """One device, no devices."""
    assert number(count, "device") == text
