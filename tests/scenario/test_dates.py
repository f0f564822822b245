"""Dates as people write them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.scenario.dates import format_date, parse_date


@pytest.mark.parametrize(
    ("text", "unix_s"),
    [
        ("1970-01-01", 0),
        ("2000-01-01T00:00Z", 946_684_800),
        ("2025-05-12T23:59:00Z", 1_747_094_340),  # Baltimore CyberTrust Root ends
        ("2028-02-29", 1_835_395_200),
    ],
)
def test_dates_are_utc(text: str, unix_s: int) -> None:
    """Compared with `date -u -d … +%s`."""
    assert parse_date(text) == unix_s


@pytest.mark.parametrize(
    "text",
    [
        "2027-02-29",
        "2027-13-01",
        "2027-01-01T24:00Z",
        "2027-01-01T10:00",
        "2027-01-01 10:00Z",
        "2027-01-01T10:00+01:00",
        "2027-1-1",
        "1969-12-31",
        "2200-01-01",
        "0000-01-01",
        "2027-01-01\n",
        "२०२७-01-01",
        "now",
        "",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    """No such day, another zone, another form."""
    with pytest.raises(ValueError, match=r"expected|years"):
        parse_date(text)


@given(st.integers(0, 7_258_118_399))
def test_what_is_written_is_read_back(unix_s: int) -> None:
    """To the second, from 1970 to 2199; an independent clock agrees."""
    assert parse_date(format_date(unix_s)) == unix_s
    assert datetime.fromtimestamp(unix_s, UTC).isoformat()[:19] in format_date(unix_s)
