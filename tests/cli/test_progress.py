"""Progress: one moving line on a terminal, a line every ten seconds in a log."""

import io
from pathlib import Path
from typing import Any

import pytest

from fleetsim.cli.progress import PLAIN_EVERY_S, Progressing
from fleetsim.core.progress import Progress, Stage
from fleetsim.core.trust_bundle import Refusal
from fleetsim.engine.fleet import Ending
from fleetsim.recording.recorder import Snapshot
from fleetsim.runner.bindings import RefusedBundle
from tests.runner.plans import plan_of
from tests.runner.stage import only, timeline_of

PLAN = plan_of({"count": 7}, duration="60s")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def at(seconds: int) -> Progress:
    """A fleet under way."""
    return Progress(
        stage=Stage.LOAD,
        now_ns=seconds * 10**9,
        devices=7,
        powered=5,
        failing=2,
        in_flight=1,
        backlog=3,
    )


def totals() -> Snapshot:
    """Running totals."""
    return Snapshot(
        attempts={"upload": 15},
        acknowledged=9,
        failures={"tcp.refused": 4, "tls.reset": 2},
        bytes_sent=0,
        bytes_received=0,
        latency={},
        cohorts={},
    )


@pytest.mark.parametrize(("stream", "lines"), [(io.StringIO(), 3), (Terminal(), 0)])
def test_how_often(stream: io.StringIO, lines: int) -> None:
    """A log gets every tenth tick as a line; a terminal every tick, without a line end."""
    progress = Progressing(PLAN, stream)
    for second in range(1, 3 * PLAIN_EVERY_S + 1):
        progress.ticked(at(second), totals)
    text = stream.getvalue()
    assert text.count("\n") == lines
    shown = text.count("load ")
    assert shown == (3 if lines else 3 * PLAIN_EVERY_S)


def test_what_a_line_says() -> None:
    """Stage, time, devices, failing, uploads, failed attempts, backlog."""
    stream = Terminal()
    Progressing(PLAN, stream).ticked(at(12), totals)
    assert stream.getvalue() == (
        "\r\x1b[2Kload 12 s of 60 s · 5/7 devices on, 2 failing · 9 uploads · "
        "6 failed attempts · backlog 3"
    )


def test_totals_are_only_made_for_a_line_that_is_shown() -> None:
    """In a log nine of ten ticks cost nothing."""
    asked: list[int] = []

    def count() -> Snapshot:
        asked.append(1)
        return totals()

    progress = Progressing(PLAN, io.StringIO())
    for second in range(1, PLAIN_EVERY_S + 1):
        progress.ticked(at(second), count)
    assert len(asked) == 1


def test_beginning_and_end(tmp_path: Path) -> None:
    """Where the run is recorded comes first, that the bucket is checked comes last."""
    stream = io.StringIO()
    progress = Progressing(PLAN, stream)
    progress.started(tmp_path, "lab https://localhost:1")
    progress.ended(Ending.INTERRUPTED)
    first, last = stream.getvalue().splitlines()
    assert first == f"7 devices → lab https://localhost:1, recording to {tmp_path}"
    assert last == "interrupted; checking the bucket against the records"


def test_refused_bundles_are_told_line_by_line() -> None:
    """Cohort, certificate, rule and detail of every refusal."""
    stream = io.StringIO()
    refusals = tuple(
        Refusal(certificate=f"certificate {n}", rule="too_many", detail="at most 10")
        for n in (11, 12)
    )
    Progressing(PLAN, stream).bundle_refused(
        RefusedBundle(cohort="a", refusals=refusals)
    )
    assert stream.getvalue().splitlines() == [
        f"cohort a: certificate {n} refused by rule too_many: at most 10"
        for n in (11, 12)
    ]


@pytest.mark.parametrize(
    ("step", "facts", "words"),
    [
        pytest.param("start", {}, "start", id="start"),
        pytest.param(
            "wave",
            {"wave": 2, "of": 4, "devices": 5},
            "wave 2 of 4, 5 devices",
            id="wave",
        ),
        pytest.param("end", {"outcome": "done"}, "done", id="done"),
        pytest.param(
            "end", {"outcome": "failed", "reason": "no"}, "failed: no", id="failed"
        ),
    ],
)
@pytest.mark.parametrize("stream", [io.StringIO, Terminal], ids=["log", "terminal"])
def test_the_timeline_is_told_as_it_happens(
    stream: type[io.StringIO], step: str, facts: dict[str, Any], words: str
) -> None:
    """Every step is a line of its own, also on a terminal."""
    made = stream()
    entry = only(timeline_of({"name": "sure", "at": "1s"}))
    Progressing(PLAN, made).acted(entry, step, facts)
    assert made.getvalue().removeprefix("\r\x1b[2K") == (
        f"timeline: assert sure: {words}\n"
    )
