"""Terminal: a panel on standard error that follows the run.

The panel fits 80 x 24 and still reads at 40 columns, where lines fold. What is coloured
is also said in words; ``NO_COLOR`` and terminals that know only ASCII are honoured. It
vanishes at the end: the summary takes its place, and messages stay above it.
"""

from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Final, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fleetsim.core.contact import ContactState
from fleetsim.core.progress import Stage
from fleetsim.report.live.frame import (
    EntryFrame,
    EntryState,
    LiveFrame,
    Quantiles,
    RunFacts,
    quantiles,
)
from fleetsim.report.live.lines import ASCII, Lines, is_unicode, starting
from fleetsim.report.live.view import LiveView
from fleetsim.report.plain import shown_time
from fleetsim.scenario.quantities import format_duration

MOST_FAILURES: Final = 5
_NARROW: Final = 60
"""Columns below which figures that others imply are left out."""

_STYLES: Final = {
    ContactState.UNREACHED: "bright_black",
    ContactState.CONNECTED: "green",
    ContactState.DEGRADED: "yellow",
    ContactState.FAILING: "red",
    ContactState.STRANDED: "bold magenta",
    ContactState.RECOVERED: "cyan",
    ContactState.ASLEEP: "bright_black",
}


def progress_view(stream: TextIO) -> LiveView:
    """The panel where there is a terminal, lines everywhere else."""
    console = Console(file=stream, markup=False, highlight=False, emoji=False)
    if stream.isatty() and console.is_terminal and not console.is_dumb_terminal:
        return Panel(console)
    return Lines(stream)


class Panel(LiveView):
    """Shows every frame in the same place.

    Args:
        console: A terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._width = 0
        self._facts: RunFacts | None = None

    async def __aenter__(self) -> Self:
        """Nothing to prepare: the panel begins with the fleet."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the terminal back, whatever happened."""
        self._close()

    def say(self, text: str) -> None:
        """Print a line above the panel."""
        if not is_unicode(self._console.encoding):
            text = text.translate(ASCII)
        self._console.print(text, soft_wrap=True)

    def begin(self, facts: RunFacts, stop: Callable[[], None]) -> None:  # noqa: ARG002 - Ctrl-C does it
        """Open the panel."""
        self._facts = facts
        self.say(starting(facts))
        self._open()

    def _open(self) -> None:
        self._width = self._console.width
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def show(self, frame: LiveFrame) -> None:
        """Draw a frame."""
        if self._live is not None and self._console.width != self._width:
            # The terminal has wrapped the lines anew: nobody knows how many there are.
            self._close()
            self._console.clear()
            self._open()
        if self._live is not None and self._facts is not None:
            panel = render(
                frame,
                self._facts,
                self._console.width,
                is_unicode=is_unicode(self._console.encoding),
            )
            self._live.update(panel, refresh=True)

    def note(self, entry: EntryFrame, text: str) -> None:
        """Print what the timeline does above the panel."""
        self.say(f"timeline: {entry.label}: {text}")

    def end(self, ending: str) -> None:
        """Close the panel and say what follows."""
        self._close()
        self.say(f"{ending}; checking the bucket against the records")

    def _close(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.stop()


def render(
    frame: LiveFrame, facts: RunFacts, width: int, *, is_unicode: bool = True
) -> RenderableType:
    """The panel of one frame.

    Args:
        frame: The frame.
        facts: Of its run.
        width: Columns.
        is_unicode: Whether the terminal knows more than ASCII.
    """
    body = Table.grid(padding=(0, 1))
    body.add_column(style="bold", no_wrap=True)
    body.add_column(overflow="fold", ratio=1)
    for label, content in _rows(frame, width):
        if not is_unicode:
            content.plain = content.plain.translate(ASCII)
        body.add_row(label, content)
    bar = Table.grid()
    bar.add_row(_bar(frame, facts, width))
    return Group(_head(frame, facts), bar, body)


def _head(frame: LiveFrame, facts: RunFacts) -> Text:
    where = {
        Stage.LOAD: "load",
        Stage.DRAIN: "draining",
        Stage.OVER: "over",
    }[frame.stage]
    return Text.assemble(
        (facts.scenario, "bold"),
        f"  {where} {format_clock(frame.now_s)} of {format_clock(facts.duration_s)}",
        f", {'at most ' if frame.stage is Stage.DRAIN else ''}"
        f"{format_clock(frame.remaining_s)} left",
    )


def _bar(frame: LiveFrame, facts: RunFacts, width: int) -> ProgressBar:
    return ProgressBar(
        total=max(facts.duration_s, 1e-9),
        completed=min(frame.now_s, facts.duration_s),
        width=min(width, 100),
    )


def _rows(frame: LiveFrame, width: int) -> Iterator[tuple[str, Text]]:
    is_narrow = width < _NARROW
    yield "devices", _states(frame)
    recent = frame.recent
    yield (
        "uploads",
        Text(
            f"{frame.uploads:,}, {recent.uploads_per_s:.1f}/s, "
            f"{recent.sent_bytes_per_s / 1e6:.2f} MB/s"
            + ("" if is_narrow else f" · in flight {frame.in_flight:,}")
            + f" · backlog {frame.backlog:,}"
        ),
    )
    yield "response", _times(quantiles(recent.response), frame.response, is_narrow)
    yield "handshake", _times(quantiles(recent.handshake), frame.handshake, is_narrow)
    yield "failures", _failures(frame)
    if frame.groups:
        yield "ciphers", _mix(frame.groups)
    if len(frame.generations) > 1:
        yield "bundles", _mix({f"#{e.number}": e.devices for e in frame.generations})
    if frame.timeline:
        yield "timeline", _timeline(frame)
    yield "generator", _generator(frame)


def _states(frame: LiveFrame) -> Text:
    text = Text(f"{frame.powered:,} of {frame.devices:,} on")
    for state in ContactState:
        count = frame.states.get(state.value, 0)
        if count:
            text.append(" · ")
            text.append(f"{state.value} {count:,}", style=_STYLES[state])
    return text


def _times(recent: Quantiles, whole: Quantiles, is_narrow: bool) -> Text:
    if not whole.count:
        return Text("none yet", style="bright_black")
    text = Text(f"p50 {shown_time(recent.p50_ms)}, p99 {shown_time(recent.p99_ms)}")
    if not is_narrow:
        text.append(
            f"   whole run p50 {shown_time(whole.p50_ms)}, p99 "
            f"{shown_time(whole.p99_ms)}, max {shown_time(whole.max_ms)}",
            style="bright_black",
        )
    return text


def _failures(frame: LiveFrame) -> Text:
    if not frame.failures:
        return Text("none", style="green")
    text = Text(f"{frame.failed_attempts:,}")
    top = frame.top_failures(MOST_FAILURES)
    for place, (kind, count) in enumerate(top):
        text.append(": " if not place else " · ")
        text.append(f"{kind} {count:,}", style="red")
    hidden = len(frame.failures) - len(top)
    if hidden:
        text.append(f" · {hidden} more kinds")
    return text


def _mix(counts: Mapping[str, int]) -> Text:
    total = max(1, sum(counts.values()))
    return Text(
        " · ".join(
            f"{name} {count:,} ({count / total:.0%})"
            for name, count in sorted(counts.items())
            if count
        )
    )


def _timeline(frame: LiveFrame) -> Text:
    settled = sum(
        entry.state not in {EntryState.WAITING, EntryState.RUNNING}
        for entry in frame.timeline
    )
    text = Text(f"{settled} of {len(frame.timeline)} done")
    lost = [
        entry
        for entry in frame.timeline
        if entry.state in {EntryState.FAILED, EntryState.SKIPPED}
    ]
    if lost:
        text.append(f" ({len(lost)} not carried out)", style="red")
    for entry in frame.timeline:
        if entry.state is EntryState.RUNNING:
            text.append(f" · now {entry.label}", style="cyan")
            if entry.note:
                text.append(f", {entry.note}", style="cyan")
    following = frame.next_entry
    if following is not None:
        when = (
            following.trigger
            if following.due_s is None
            else f"in {format_clock(max(0.0, following.due_s - frame.now_s))}"
        )
        text.append(f" · next {following.label} {when}")
    return text


def _generator(frame: LiveFrame) -> Text:
    text = Text(f"{frame.cpu_now_ratio:.0%} of a core")
    health = frame.health
    if health is None:
        return text
    text.append(
        f" · {health.late_starts:,} late starts"
        f" · loop lag p99 {shown_time(health.loop_lag_p99_ms)}"
    )
    if health.saturated:
        text.append(" · saturated: ", style="bold red")
        text.append("; ".join(health.reasons), style="red")
    return text


def format_clock(seconds: float) -> str:
    """Whole seconds in the words of the scenario format: ``90 s`` is ``1m30s``."""
    return format_duration(float(round(seconds)))
