"""Lines: the progress of a run where nobody moves a cursor: a log, a pipe, CI."""

from typing import Final, TextIO

from fleetsim.report.live.frame import EntryFrame, LiveFrame, RunFacts
from fleetsim.report.live.view import LiveView

PLAIN_EVERY_S: Final = 10
ASCII: Final = str.maketrans({"·": "|", "→": ">"})
"""For terminals and logs that know nothing else; one character stands for one."""


class Lines(LiveView):
    """Writes one line every :data:`PLAIN_EVERY_S` seconds, and every message.

    Args:
        stream: Where to, usually standard error.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._duration_s = 0.0

    def say(self, text: str) -> None:
        """Write a line."""
        if not is_unicode(self._stream.encoding or "utf-8"):
            text = text.translate(ASCII)
        self._stream.write(text + "\n")
        self._stream.flush()

    def begin(self, facts: RunFacts, stop: object) -> None:  # noqa: ARG002 - Ctrl-C does it
        """Say what is about to run."""
        self._duration_s = facts.duration_s
        self.say(starting(facts))

    def show(self, frame: LiveFrame) -> None:
        """Write where the run is, every tenth time."""
        if frame.number % PLAIN_EVERY_S:
            return
        self.say(
            f"{frame.stage.value} {frame.now_s:.0f} s of {self._duration_s:g} s · "
            f"{frame.powered:,}/{frame.devices:,} devices on, {frame.failing:,} failing"
            f" · {frame.uploads:,} uploads, {frame.recent.uploads_per_s:.1f}/s · "
            f"{frame.failed_attempts:,} failed attempts · backlog {frame.backlog:,}"
        )

    def note(self, entry: EntryFrame, text: str) -> None:
        """Say what the timeline does."""
        self.say(f"timeline: {entry.label}: {text}")

    def end(self, ending: str) -> None:
        """Say that the fleet has ended."""
        self.say(f"{ending}; checking the bucket against the records")


def starting(facts: RunFacts) -> str:
    """First line of a run."""
    return f"{facts.devices:,} devices → {facts.target}, recording to {facts.folder}"


def is_unicode(encoding: str) -> bool:
    """Whether an encoding can write every character."""
    return encoding.lower().startswith("utf")
