"""HdrHistogram log: latency second by second, readable by the HdrHistogram tools.

Format: "Histogram log format version 1.3" with V2 encoded histograms, one line an
interval, ``Tag=`` first (HdrHistogram, ``HistogramLogWriter``). Times are seconds from
the start of the run, given in the two comment lines at the top; the largest value of an
interval is milliseconds; the histograms themselves hold nanoseconds.
"""

import ctypes
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from hdrh.histogram import HdrHistogram

from fleetsim.core.histogram import HIGHEST_NS, Histogram
from fleetsim.exceptions import RecordingError

_NS_PER_S: Final = 1_000_000_000
_NS_PER_MS: Final = 1_000_000
_DIGITS: Final = 2  # 128 buckets a power of two: the layout of core.histogram


def encode(histogram: Histogram) -> str:
    """Encode a histogram as HdrHistogram V2, compressed, base64.

    The counts are copied index by index, so nothing is rounded on the way.
    """
    target = HdrHistogram(1, HIGHEST_NS, _DIGITS)
    counts = histogram.counts()
    address, length = counts.buffer_info()
    ctypes.memmove(target.counts, address, length * counts.itemsize)
    target.total_count = histogram.count
    target.min_value = histogram.minimum_ns or 0
    target.max_value = min(histogram.maximum_ns or 0, HIGHEST_NS)
    return str(target.encode().decode("ascii"))


class HistogramLog:
    """A growing log file; every line is complete once :meth:`append` returned.

    Args:
        path: File to create.
        started_unix_s: Wall clock at the start of the run, seconds since the epoch.

    Raises:
        RecordingError: If the file cannot be written.
    """

    def __init__(self, path: Path, started_unix_s: float) -> None:
        self._path = path
        started = datetime.fromtimestamp(started_unix_s, tz=UTC)
        try:
            # unbuffered: a line that met a full disk must not come back at the close
            self._file = path.open("wb", buffering=0)
        except OSError as exc:
            raise RecordingError(str(path), exc.strerror or str(exc)) from exc
        header = (
            "#[Histogram log format version 1.3]\n"
            f"#[StartTime: {started_unix_s:.3f} (seconds since epoch), "
            f"{started:%a %b %d %H:%M:%S UTC %Y}]\n"
            f"#[BaseTime: {started_unix_s:.3f} (seconds since epoch)]\n"
            '"StartTimestamp","Interval_Length","Interval_Max",'
            '"Interval_Compressed_Histogram"\n'
        )
        try:
            self._write(header)
        except RecordingError:
            self._file.close()
            raise

    def append(
        self, start_ns: int, end_ns: int, intervals: Mapping[str, Histogram]
    ) -> None:
        """Write one interval for every tag that counted something.

        Args:
            start_ns: Start of the interval, run time.
            end_ns: Its end.
            intervals: Tag (letters, digits, ``_``) to what was counted in between.

        Raises:
            RecordingError: If the file cannot be written.
        """
        length_s = max(0, end_ns - start_ns) / _NS_PER_S
        lines = [
            f"Tag={tag},{start_ns / _NS_PER_S:.3f},{length_s:.3f},"
            f"{(histogram.maximum_ns or 0) / _NS_PER_MS:.3f},{encode(histogram)}\n"
            for tag, histogram in intervals.items()
            if histogram.count
        ]
        if lines:
            self._write("".join(lines))

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except OSError as exc:
            raise RecordingError(str(self._path), exc.strerror or str(exc)) from exc

    def _write(self, text: str) -> None:
        rest = memoryview(text.encode("ascii"))
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as exc:
            raise RecordingError(str(self._path), exc.strerror or str(exc)) from exc
