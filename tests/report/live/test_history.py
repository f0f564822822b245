"""History: bounded, and nothing that was counted gets lost."""

import json

from hypothesis import given
from hypothesis import strategies as st

from fleetsim.report.live.history import (
    History,
    point_data,
    point_of,
    progress_line,
    rounded,
)
from tests.report.live.seconds import frames, health, progress, snapshot, survey


@given(st.integers(1, 90), st.sampled_from([2, 4, 10]))
def test_bounded_and_complete(seconds: int, most: int) -> None:
    """However long the run: few points, all uploads, each second in one point."""
    history = History(most)
    made = frames(
        *((progress(n + 1), snapshot(uploads=3 * (n + 1))) for n in range(seconds))
    )
    told = [history.add(frame) for frame in made]
    assert len(history.points) < most
    spans = [point.interval.span_s for point in history.points]
    assert set(spans) <= {history.frames_per_point, *spans[-1:]}
    waiting = seconds - sum(spans)
    assert 0 <= waiting < history.frames_per_point
    assert sum(p.interval.uploads for p in history.points) == 3 * (seconds - waiting)
    assert sum(point is not None for point in told) >= len(history.points)


def test_a_point_for_charts() -> None:
    """Rates, times in ms, gauges at the end; JSON without surprises."""
    (frame,) = frames(
        (
            progress(2, seen=survey("ccfsa", (1, 1, 2, 3, 0)), cpu_now_ratio=0.5),
            snapshot(uploads=4, failures={"tcp.refused": 2}, response_ms=[10]),
        )
    )
    data = point_data(point_of(frame))
    assert json.loads(json.dumps(data)) == data
    assert data["uploads"] == 2
    assert data["failures"] == {"tcp.refused": 1}
    assert data["r50"] == data["r99"] == data["h99"] == 10
    assert data["states"] == {"connected": 2, "failing": 1, "stranded": 1, "asleep": 1}
    assert data["groups"] == {"group 1": 2, "group 2": 1, "group 3": 1}
    assert data["bundles"] == {"1": 5}
    assert data["cpu"] == 0.5


def test_what_the_run_folder_keeps() -> None:
    """States, groups, bundles with their fingerprints, and the generator's load."""
    (frame,) = frames(
        (
            progress(1, seen=survey(), health=health(late_starts=3)),
            snapshot(sent=77),
        )
    )
    line = progress_line(frame)
    assert line["states"] == {"unreached": 5}
    assert line["bundles"] == [
        {
            "generation": 1,
            "fingerprint": "000000000001",
            "certificates": 1,
            "devices": 5,
        }
    ]
    assert (line["late_starts"], line["sent_bytes"], line["at_s"]) == (3, 77, 1)


def test_rounding() -> None:
    """Four digits are what a chart can show."""
    assert rounded(12.34567) == 12.35
    assert rounded(None) is None
