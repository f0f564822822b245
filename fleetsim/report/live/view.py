"""View: what shows a run while it goes on. Every method may be overridden.

A view is an asynchronous context: it is entered before anything of the run is made and
left after the summary is written, or after an error. Its methods are called on the
generator's event loop and must return at once.
"""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from fleetsim.report.live.frame import EntryFrame, LiveFrame, RunFacts


class LiveView:
    """Shows nothing."""

    async def __aenter__(self) -> Self:
        """Get ready.

        Raises:
            InputError: It cannot be shown the way it was asked for.
        """
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Take leave."""

    def say(self, text: str) -> None:
        """Something that people should know, one line."""

    def begin(self, facts: RunFacts, stop: Callable[[], None]) -> None:
        """The fleet is about to start; ``stop`` does what Ctrl-C does."""

    def show(self, frame: LiveFrame) -> None:
        """Another second went by."""

    def note(self, entry: EntryFrame, text: str) -> None:
        """The timeline took a step; ``text`` says which."""

    def end(self, ending: str) -> None:
        """The fleet has ended; the bucket is compared with the records next."""

    def finish(self, summary: Mapping[str, Any]) -> None:
        """The summary is written."""
