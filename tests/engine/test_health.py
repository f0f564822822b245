"""Health: each sign of a generator that did not keep up is said in words."""

from dataclasses import dataclass

import pytest

from fleetsim.engine import health
from fleetsim.engine.health import LATE_START_NS, HealthMonitor

MS = 1_000_000


@dataclass
class Watch:
    """The two clocks the monitor reads."""

    wall_s: float = 100.0
    cpu_s: float = 7.0

    def monotonic(self) -> float:
        """Wall time."""
        return self.wall_s

    def process_time(self) -> float:
        """CPU time of the process."""
        return self.cpu_s


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Clocks that the test moves."""
    fake = Watch()
    monkeypatch.setattr(health, "time", fake)
    return fake


def calm(watch: Watch, seconds: int = 10) -> HealthMonitor:
    """A monitor of a run that kept up."""
    monitor = HealthMonitor()
    for _ in range(seconds):
        watch.wall_s += 1
        watch.cpu_s += 0.5
        monitor.sample_cpu()
        monitor.started(1 * MS)
        monitor.sample(1 * MS)
    return monitor


def test_a_calm_run_is_not_saturated(watch: Watch) -> None:
    """Half a core, no late start, little lag: no reason, and the figures."""
    verdict = calm(watch).verdict()
    assert not verdict.saturated
    assert verdict.reasons == ()
    assert verdict.cpu_ratio == 0.5
    assert (verdict.starts, verdict.late_starts, verdict.seconds) == (10, 0, 10)
    assert verdict.loop_lag_p99_ms == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize(
    ("busy_seconds", "saturated"),
    [
        pytest.param(2, False, id="a fifth of the time"),
        pytest.param(3, True, id="more than a fifth"),
    ],
)
def test_a_busy_core(watch: Watch, busy_seconds: int, *, saturated: bool) -> None:
    """A core that was full in more than a fifth of the seconds is a reason."""
    monitor = calm(watch, 10 - busy_seconds)
    for _ in range(busy_seconds):
        watch.wall_s += 1
        watch.cpu_s += 0.99
        monitor.sample_cpu()
    verdict = monitor.verdict()
    assert verdict.saturated is saturated
    if saturated:
        assert "95% busy in 3 of 10 seconds" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("starts", "late", "saturated"),
    [
        pytest.param(100, 1, False, id="one in a hundred"),
        pytest.param(100, 2, True, id="two in a hundred"),
    ],
)
def test_late_starts(watch: Watch, starts: int, late: int, *, saturated: bool) -> None:
    """More than one start in a hundred late by the bound is a reason."""
    monitor = calm(watch, 0)
    for index in range(starts):
        monitor.started(LATE_START_NS if index < late else LATE_START_NS - 1)
    verdict = monitor.verdict()
    assert (verdict.starts, verdict.late_starts) == (starts, late)
    assert verdict.saturated is saturated
    if saturated:
        assert "2 of 100 attempts started 50 ms or more" in verdict.reasons[0]


def test_loop_lag(watch: Watch) -> None:
    """A loop whose timers come late is a reason."""
    monitor = calm(watch, 3)
    for _ in range(10):
        monitor.sample(150 * MS)
    assert "event loop's lag" in monitor.verdict().reasons[0]


def test_early_timers_are_no_negative_lag(watch: Watch) -> None:
    """A timer that fires a little early counts as no lag."""
    monitor = calm(watch, 0)
    monitor.sample(-5)
    assert monitor.verdict().loop_lag_p99_ms == 0


def test_the_in_flight_limit(watch: Watch) -> None:
    """Attempts that waited for a slot are the generator's doing, and said."""
    monitor = calm(watch)
    monitor.limited = 12
    verdict = monitor.verdict()
    assert verdict.saturated
    assert verdict.reasons == ("12 attempts had to wait for the in-flight limit",)


def test_no_time_at_all(watch: Watch) -> None:
    """A run that ended at once has a verdict and no division by zero."""
    verdict = calm(watch, 0).verdict()
    assert not verdict.saturated
    assert verdict.cpu_ratio == 0
