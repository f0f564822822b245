"""Terminal: the panel says everything at 80 columns, folds at 40, and goes away."""

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fleetsim.core.progress import Stage
from fleetsim.report.live.feed import Feed
from fleetsim.report.live.frame import LiveFrame
from fleetsim.report.live.lines import Lines
from fleetsim.report.live.terminal import Panel, progress_view, render
from tests.report.live.seconds import (
    PLAN,
    S,
    health,
    progress,
    snapshot,
    survey,
)

FACTS = Feed(PLAN).facts(Path("results/x"), "lab https://localhost:1")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def busy(**changes: Any) -> LiveFrame:
    """A frame in which there is something of everything."""
    feed = Feed(PLAN)
    feed.acted(PLAN.timeline[0], "start", {"planned_ns": 5 * S, "actual_ns": 5 * S})
    kinds = {f"tls.alert.kind_{n}": n for n in range(1, 8)}
    seconds = progress(
        12,
        seen=survey("ccfsa", (1, 1, 2, 3, 0), (1, 1, 1, 2, 2)),
        health=health(late_starts=7, loop_lag_p99_ms=3.0, **changes),
        cpu_now_ratio=0.42,
    )
    return feed.frame(
        seconds,
        snapshot(uploads=1234, failures=kinds, response_ms=[10, 20], sent=10**8),
    )


def shown(frame: LiveFrame, width: int, **how: Any) -> str:
    """The panel as text."""
    console = Console(width=width, file=io.StringIO(), **how)
    with console.capture() as capture:
        console.print(render(frame, FACTS, width))
    return capture.get()


def test_everything_at_80_columns() -> None:
    """Every figure the panel is for, in at most 24 lines of at most 80 columns."""
    lines = shown(busy(), 80).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    for part in (
        "x load 12s of 1m, 48s left",
        "5 of 5 on · connected 2 · failing 1 · stranded 1 · asleep 1",
        "1,234, 102.8/s, 8.33 MB/s · in flight 1 · backlog 2",
        "p50 10 ms, p99 20 ms",
        "28: tls.alert.kind_7 7 ·",
        "2 more kinds",
        "group 1 2 (50%)",
        "#1 3 (60%) · #2 2 (40%)",
        "0 of 3 done · now issue_ca root · next issue_server_certificate cert after root",
        "42% of a core · 7 late starts · loop lag p99 3 ms",
    ):
        assert part in text, part
    assert "kind_2" not in text


def test_folds_at_40_columns() -> None:
    """Nothing is cut off: lines fold."""
    text = shown(busy(), 40)
    assert max(map(len, text.splitlines())) <= 40
    assert "tls.alert.kind_7" in text
    assert "102.8/s" in text


def test_saturation_is_said() -> None:
    """With the reason, in words."""
    text = shown(busy(saturated=True, reasons=("its core was busy",)), 80)
    assert "saturated: its core was busy" in " ".join(text.split())


def test_draining() -> None:
    """The deadline is the latest end, not the end."""
    frame = replace(busy(), stage=Stage.DRAIN, now_s=62.0, remaining_s=8.0)
    assert "draining 1m2s of 1m, at most 8s left" in shown(frame, 80)


def test_no_colour_when_there_shall_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR (no-color.org): no colours; states are told by words anyway."""
    monkeypatch.setenv("NO_COLOR", "1")
    text = shown(busy(), 80, force_terminal=True, color_system="truecolor")
    assert "\x1b[3" not in text
    assert "stranded 1" in text


def test_ascii_terminals_get_ascii() -> None:
    """The bar is drawn with what the terminal knows."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    console = Console(width=80, file=stream, legacy_windows=False)
    console.print(render(busy(), FACTS, 80, is_unicode=False))
    stream.flush()
    assert b"connected 2" in raw.getvalue()


def test_which_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """The panel on a terminal; lines in a pipe and where the cursor cannot move."""
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(progress_view(Terminal()), Panel)
    assert isinstance(progress_view(io.StringIO()), Lines)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(progress_view(Terminal()), Lines)


async def test_the_panel_gives_the_terminal_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The cursor is shown again and messages stay, also after an error."""
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()

    async def breaks() -> None:
        async with progress_view(stream) as panel:
            panel.begin(FACTS, lambda: None)
            panel.show(busy())
            panel.note(busy().timeline[0], "start")
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await breaks()
    text = stream.getvalue()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1
    assert text.rindex("\x1b[?25h") > text.rindex("load")
    assert "timeline: issue_ca root: start" in text


async def test_another_width_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal wraps what stands there; the panel does not pile up on it."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    console = Console(file=stream, width=80)
    async with Panel(console) as panel:
        panel.begin(FACTS, lambda: None)
        panel.show(busy())
        panel.show(busy())
        assert "\x1b[2J" not in stream.getvalue()
        console.width = 40
        panel.show(busy())
        cleared = stream.getvalue().rpartition("\x1b[2J")[2]
    assert max(map(len, cleared.replace("\x1b", "\n").splitlines())) <= 44
    assert "stranded 1" in cleared
