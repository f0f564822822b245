import asyncio

import pytest

from fleetsim.lab.loop_lag import PERIOD_S, LoopLag


def test_figures_summarise_what_was_noted() -> None:
    """Mean, p99 and maximum of known lags."""
    lag = LoopLag(asyncio.new_event_loop())
    assert lag.figures() == {"mean_ms": 0.0, "p99_ms": 0.0, "max_ms": 0.0}
    for milliseconds in range(1, 101):
        lag.note(milliseconds / 1000)
    assert lag.figures() == {"mean_ms": 50.5, "p99_ms": 100.0, "max_ms": 100.0}
    lag._loop.close()


def test_early_timers_are_no_lag() -> None:
    """A timer that fires early by rounding counts as on time."""
    loop = asyncio.new_event_loop()
    lag = LoopLag(loop)
    lag.note(-0.001)
    assert lag.figures()["max_ms"] == 0.0
    loop.close()


async def test_ticks_measure_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick that comes 30 ms late is a lag of 30 ms."""
    loop = asyncio.get_running_loop()
    now_s = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now_s)
    lag = LoopLag(loop)
    lag.start()
    now_s += PERIOD_S + 0.030
    lag._tick()
    lag.stop()
    assert lag.figures()["max_ms"] == pytest.approx(30.0, abs=0.01)
