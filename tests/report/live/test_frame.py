"""Frame: quantiles of what was counted."""

import pytest

from fleetsim.core.histogram import Histogram
from fleetsim.report.live.frame import NO_BINS, Quantiles, quantiles


@pytest.mark.parametrize("how", ["histogram", "bins"])
def test_quantiles(how: str) -> None:
    """In milliseconds; the longest is exact, the others no more than 0.8 % too long."""
    seen = Histogram.of(n * 1_000_000 for n in range(1, 101))
    found = quantiles(seen if how == "histogram" else seen.bins())
    assert (found.count, found.max_ms) == (100, 100)
    assert found.p50_ms == pytest.approx(50, rel=0.008)
    assert found.p90_ms == pytest.approx(90, rel=0.008)
    assert found.p99_ms == pytest.approx(99, rel=0.008)


def test_nothing_counted() -> None:
    """Nothing is not zero."""
    assert quantiles(NO_BINS) == quantiles(Histogram()) == Quantiles()
    assert quantiles(NO_BINS).p99_ms is None
