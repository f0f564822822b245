"""Health: does the generator itself keep up? A run that it limited must say so.

Three signs are watched: the share of one core that the process uses, how late attempts
start compared with when they were due, and how late the event loop gets round to a
timer. Each has a bound; one crossed bound makes the run "generator saturated".
"""

import time
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fleetsim.core.histogram import Histogram
from fleetsim.core.outcomes import GeneratorHealth

LATE_START_NS: Final = 50_000_000
"""An attempt that starts this much after it was due counts as late."""

MAX_CPU_RATIO: Final = 0.95
MAX_START_LAG_P99_MS: Final = 100.0
MAX_LOOP_LAG_P99_MS: Final = 100.0
MAX_LATE_RATIO: Final = 0.01
BUSY_SHARE: Final = 0.2
"""The CPU sign counts when this share of the one-second samples is over the bound."""


_STATUS: Final = Path("/proc/self/status")


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """What one of several processes knows of its own health.

    Attributes:
        name: Of the process, for people.
        reasons: Why it was saturated; empty when it was not.
        cpu_ratio: CPU seconds / wall-clock seconds, of one core.
        rss_bytes: Most memory it held at any time.
        late_starts: Attempts that started noticeably after they were due.
        starts: All attempts started.
        start_lag: Of all attempts.
        loop_lag: Of all samples.
        seconds: Length of the measurement.
    """

    name: str
    reasons: tuple[str, ...]
    cpu_ratio: float
    rss_bytes: int
    late_starts: int
    starts: int
    start_lag: Histogram
    loop_lag: Histogram
    seconds: float


def lag_ms(lags: Histogram) -> float:
    """99th percentile of lags, ms; 0 when there are none."""
    return round((lags.percentile(99.0) or 0) / 1e6, 3)


def peak_rss_bytes() -> int:
    """Most memory that this process held at any time; 0 where Linux does not tell.

    ``VmHWM`` of proc_pid_status(5): ``ru_maxrss`` would begin with what the process
    held that started this one.
    """
    try:
        text = _STATUS.read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    for line in text.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


class HealthMonitor:
    """Collects the signs while the load runs."""

    def __init__(self) -> None:
        self.loop_lag = Histogram()
        self.start_lag = Histogram()
        self.late_starts = 0
        self.starts = 0
        self.limited = 0
        self._lags_ns = array("q")
        self._cpu = array("d")
        self._cpu_mark_s = time.process_time()
        self._wall_mark_s = time.monotonic()
        self._first_cpu_s = self._cpu_mark_s
        self._first_wall_s = self._wall_mark_s

    def started(self, lag_ns: int) -> None:
        """An attempt started ``lag_ns`` after it was due."""
        self._lags_ns.append(lag_ns)

    def sample(self, loop_lag_ns: int) -> None:
        """The loop served a timer ``loop_lag_ns`` late."""
        self.loop_lag.record(max(0, loop_lag_ns))
        self._count_starts()

    def _count_starts(self) -> None:
        """Count in one go what :meth:`started` took down."""
        lags_ns, self._lags_ns = self._lags_ns, array("q")
        self.starts += len(lags_ns)
        self.late_starts += sum([lag_ns >= LATE_START_NS for lag_ns in lags_ns])
        self.start_lag.record_many(lags_ns)

    def sample_cpu(self) -> None:
        """Take one sample of CPU use; called about once a second."""
        cpu_s, wall_s = time.process_time(), time.monotonic()
        if wall_s > self._wall_mark_s:
            self._cpu.append((cpu_s - self._cpu_mark_s) / (wall_s - self._wall_mark_s))
        self._cpu_mark_s, self._wall_mark_s = cpu_s, wall_s

    @property
    def cpu_now_ratio(self) -> float:
        """CPU seconds per second in the newest sample, of one core."""
        return self._cpu[-1] if self._cpu else 0.0

    def verdict(self) -> GeneratorHealth:
        """Judge the run so far."""
        self._count_starts()
        return self._judge(time.monotonic() - self._first_wall_s)

    def report(self, name: str) -> HealthReport:
        """Tell everything, to be put together with what other processes tell.

        Args:
            name: Name of the process.
        """
        verdict = self.verdict()
        return HealthReport(
            name=name,
            reasons=verdict.reasons,
            cpu_ratio=verdict.cpu_ratio,
            rss_bytes=verdict.rss_bytes,
            late_starts=self.late_starts,
            starts=self.starts,
            start_lag=self.start_lag.copy(),
            loop_lag=self.loop_lag.copy(),
            seconds=verdict.seconds,
        )

    def _judge(self, seconds: float) -> GeneratorHealth:
        cpu_ratio = (time.process_time() - self._first_cpu_s) / max(seconds, 1e-9)
        start_p99_ms, loop_p99_ms = lag_ms(self.start_lag), lag_ms(self.loop_lag)
        late_ratio = self.late_starts / max(1, self.starts)
        busy = sum(ratio > MAX_CPU_RATIO for ratio in self._cpu)
        reasons = []
        if self._cpu and busy / len(self._cpu) > BUSY_SHARE:
            reasons.append(
                f"its core was more than {MAX_CPU_RATIO:.0%} busy in {busy} of "
                f"{len(self._cpu)} seconds"
            )
        if late_ratio > MAX_LATE_RATIO:
            reasons.append(
                f"{self.late_starts} of {self.starts} attempts started "
                f"{LATE_START_NS // 1_000_000} ms or more after they were due"
            )
        elif start_p99_ms > MAX_START_LAG_P99_MS:
            reasons.append(f"p99 of the start lag was {start_p99_ms:.0f} ms")
        if loop_p99_ms > MAX_LOOP_LAG_P99_MS:
            reasons.append(f"p99 of the event loop's lag was {loop_p99_ms:.0f} ms")
        if self.limited:
            reasons.append(
                f"{self.limited} attempts had to wait for the in-flight limit"
            )
        return GeneratorHealth(
            saturated=bool(reasons),
            reasons=tuple(reasons),
            cpu_ratio=round(cpu_ratio, 3),
            late_starts=self.late_starts,
            starts=self.starts,
            start_lag_p99_ms=start_p99_ms,
            loop_lag_p99_ms=loop_p99_ms,
            seconds=round(seconds, 3),
            rss_bytes=peak_rss_bytes(),
        )
