"""The log holds the counts themselves, in HdrHistogram's own format."""

import re
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.histogram import HIGHEST_NS, Histogram
from fleetsim.exceptions import RecordingError
from fleetsim.recording.hlog import HistogramLog, encode

_STARTED = 1_700_000_000.25


@given(st.lists(st.integers(0, HIGHEST_NS), min_size=1, max_size=40))
def test_an_encoded_histogram_is_the_one_hdrhistogram_would_have(
    values: list[int],
) -> None:
    """Decoded by the HdrHistogram library: same counts, same percentiles."""
    decoded = HdrHistogram.decode(encode(Histogram.of(values)))
    expected = HdrHistogram(1, HIGHEST_NS, 2)
    for value in values:
        expected.record_value(value)
    assert decoded.get_total_count() == len(values)
    for percentile in (50, 90, 99, 99.9, 100):
        assert decoded.get_value_at_percentile(
            percentile
        ) == expected.get_value_at_percentile(percentile)


def test_longer_than_an_hour_still_encodes() -> None:
    """A value beyond the range counts in the last bucket, as in the histogram."""
    decoded = HdrHistogram.decode(encode(Histogram.of([5 * HIGHEST_NS])))
    assert decoded.get_total_count() == 1
    assert decoded.get_value_at_percentile(50) >= HIGHEST_NS


def test_lines_follow_the_format(tmp_path: Path) -> None:
    """Version, start and base time, legend, then one line per tag that counted."""
    path = tmp_path / "latency.hlog"
    log = HistogramLog(path, _STARTED)
    tags = {"tls": Histogram.of([1_500_000]), "dns": Histogram()}
    log.append(0, 1_000_000_000, tags)
    log.append(1_000_000_000, 2_500_000_000, tags | {"dns": Histogram.of([2_000_000])})
    log.close()
    version, start, base, legend, *lines = path.read_text().splitlines()
    assert version == "#[Histogram log format version 1.3]"
    assert start == (
        "#[StartTime: 1700000000.250 (seconds since epoch), "
        "Tue Nov 14 22:13:20 UTC 2023]"
    )
    assert base == "#[BaseTime: 1700000000.250 (seconds since epoch)]"
    assert legend.startswith('"StartTimestamp","Interval_Length","Interval_Max",')
    assert [re.sub(",HIST.*", "", line) for line in lines] == [
        "Tag=tls,0.000,1.000,1.500",
        "Tag=tls,1.000,1.500,1.500",
        "Tag=dns,1.000,1.500,2.000",
    ]


def test_a_full_disk_names_the_log() -> None:
    """The very first line already meets the full disk."""
    with pytest.raises(RecordingError, match="/dev/full: No space left on device"):
        HistogramLog(Path("/dev/full"), 0.0)
