"""Slowness: holds every answer of a front back for a while."""

import asyncio


class Slowness:
    """Delay of the answers of one front.

    What counts is when an answer is ready: a request that was already waiting for it
    when the slowness began is held back too. When it ends, held answers leave at once.

    Attributes:
        delay_s: Present delay, seconds; 0 = none.
        held: Answers held back right now.
    """

    __slots__ = ("_over", "delay_s", "held")

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.held = 0
        self._over = asyncio.Event()

    def begin(self, delay_s: float) -> None:
        """Hold answers back from now on; those held already keep their delay."""
        self.delay_s = delay_s
        if self._over.is_set():
            self._over = asyncio.Event()

    def end(self) -> None:
        """Let every answer go."""
        self.delay_s = 0.0
        self._over.set()

    async def hold(self) -> None:
        """Wait as long as the answer that is ready now has to."""
        if not self.delay_s:
            return
        self.held += 1
        try:
            async with asyncio.timeout(self.delay_s):
                await self._over.wait()
        except TimeoutError:
            return
        finally:
            self.held -= 1
