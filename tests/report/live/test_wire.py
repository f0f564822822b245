"""Wire: what pages read is plain JSON and loses nothing of a frame."""

import json
from dataclasses import fields
from pathlib import Path

from fleetsim.report.live.feed import Feed
from fleetsim.report.live.frame import LiveFrame
from fleetsim.report.live.wire import facts_data, frame_data, summary_data
from fleetsim.report.summary import build_summary
from tests.recording.records import record
from tests.report.live.seconds import (
    NAMES,
    PLAN,
    frames,
    health,
    progress,
    snapshot,
    survey,
)
from tests.report.runs import make_run

_ELSEWHERE = {"latest", "survey", "cpu_now_ratio", "totals"}
"""Pages get them as a point of the charts, as layers, as ``cpu_ratio``, or not."""


def test_a_frame() -> None:
    """Every field is there, under its own name."""
    (frame,) = frames(
        (
            progress(1, seen=survey("ccfsa"), health=health(), cpu_now_ratio=0.25),
            snapshot(uploads=3, failures={"tcp.refused": 1}, response_ms=[5]),
        )
    )
    data = json.loads(json.dumps(frame_data(frame)))
    assert {field.name for field in fields(LiveFrame)} - _ELSEWHERE <= set(data)
    assert data["cpu_ratio"] == 0.25
    assert data["failures"] == {"tcp.refused": 1}
    assert [cohort["name"] for cohort in data["cohorts"]] == NAMES
    assert [entry["state"] for entry in data["timeline"]] == ["waiting"] * 3
    assert data["recent"]["response"]["p99_ms"] == 5


def test_facts() -> None:
    """Ids are eight characters each, in the order of the plan."""
    data = facts_data(Feed(PLAN).facts(Path("results/x"), "lab"))
    ids = [data["ids"][place : place + 8] for place in range(0, len(data["ids"]), 8)]
    assert ids == [device.device_id for device in PLAN.devices]
    assert json.loads(json.dumps(data)) == data


def test_summary(tmp_path: Path) -> None:
    """The part of the summary that is shown, untouched."""
    summary = build_summary(make_run(tmp_path, [record()]))
    data = summary_data(summary)
    assert data["uploads"] == summary["uploads"]
    assert data.items() <= summary.items()
