"""Lines: a log gets a line every ten seconds, and every message."""

import io
from dataclasses import replace
from pathlib import Path

from fleetsim.report.live.feed import Feed
from fleetsim.report.live.lines import PLAIN_EVERY_S, Lines
from tests.report.live.seconds import PLAN, S, frames, progress, snapshot

FACTS = Feed(PLAN).facts(Path("results/x"), "lab https://localhost:1")


def test_how_often() -> None:
    """Every tenth second."""
    stream = io.StringIO()
    lines = Lines(stream)
    made = frames(*((progress(n + 1), snapshot()) for n in range(3 * PLAIN_EVERY_S)))
    for frame in made:
        lines.show(frame)
    assert stream.getvalue().count("\n") == 3


def test_what_a_line_says() -> None:
    """Stage, time, devices, failing, uploads and their rate, failures, backlog."""
    stream = io.StringIO()
    lines = Lines(stream)
    lines.begin(FACTS, lambda: None)
    (frame,) = frames(
        (progress(12, failing=2), snapshot(uploads=1200, failures={"tcp.refused": 4}))
    )
    lines.show(replace(frame, number=PLAIN_EVERY_S))
    first, second = stream.getvalue().splitlines()
    assert first == "5 devices → lab https://localhost:1, recording to results/x"
    assert second == (
        "load 12 s of 60 s · 5/5 devices on, 2 failing · 1,200 uploads, 100.0/s · "
        "4 failed attempts · backlog 2"
    )


def test_ascii_logs_get_ascii() -> None:
    """What the log cannot write is told with what it can."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    Lines(stream).begin(FACTS, lambda: None)
    assert raw.getvalue().startswith(b"5 devices > lab https://")


def test_messages() -> None:
    """The timeline and the end are told as they happen."""
    stream = io.StringIO()
    lines = Lines(stream)
    lines.note(Feed(PLAN).acted(PLAN.timeline[0], "start", {"actual_ns": S}), "start")
    lines.end("interrupted")
    assert stream.getvalue().splitlines() == [
        "timeline: issue_ca root: start",
        "interrupted; checking the bucket against the records",
    ]
