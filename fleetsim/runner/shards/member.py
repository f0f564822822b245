"""Member: one shard as its parent knows it: the newest it said, and what it still owes."""

import asyncio
from collections.abc import Callable
from typing import Any

from fleetsim.core.outcomes import ProcessHealth
from fleetsim.core.progress import Progress, Stage
from fleetsim.engine.contacts import Tally
from fleetsim.engine.merging import silenced, silenced_tally
from fleetsim.engine.shard_fleet import Glance
from fleetsim.recording.shards import LostDevices
from fleetsim.runner.shards.messages import (
    Answer,
    Call,
    Ended,
    Identities,
    Tick,
    ToParent,
    ToShard,
)
from fleetsim.runner.shards.process import ShardProcess
from fleetsim.scenario.plan import DevicePlan
from fleetsim.transport.base import ClientIdentity


class Member:
    """One shard.

    Args:
        name: For people.
        devices: Its share of the plan.
        on_message: Told what it says, answers apart.
        on_gone: Told once, when its process has ended, how.

    Attributes:
        tick: Newest tick.
        is_fresh: Whether that came since somebody last looked.
        is_settled: Whether nothing is left to drain.
        ended: How it ended; ``None`` = it has not.
        lost: What died with it; ``None`` = it has not died.
    """

    def __init__(
        self,
        *,
        name: str,
        devices: tuple[DevicePlan, ...],
        on_message: Callable[["Member", ToParent], None],
        on_gone: Callable[["Member", str], None],
    ) -> None:
        self.name = name
        self.devices = devices
        self.process = ShardProcess(self._take, self._gone)
        self.tick: Tick | None = None
        self.is_fresh = False
        self.is_settled = False
        self.is_ready = False
        self.ended: Ended | None = None
        self.lost: LostDevices | None = None
        self._on_message = on_message
        self._on_gone = on_gone
        self._tally: Tally | None = None
        self._answers: dict[int, asyncio.Future[int]] = {}
        self._asked = 0
        self._last_given: asyncio.Future[int] | None = None
        self._given: dict[int, ClientIdentity | None] = {}
        self.has_failed = False

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.ended is not None or self.lost is not None or self.has_failed

    # ------------------------------------------------------------ to it

    def send(self, message: ToShard) -> None:
        """Say something, after every identity that was given before."""
        self.give_out()
        self.process.send(message)

    def give(self, index: int, identity: ClientIdentity | None) -> None:
        """Have another client certificate sent with the next message."""
        self._given[index] = identity

    def give_out(self) -> None:
        """Send the client certificates now, all in one message."""
        if self._given:
            given, self._given = self._given, {}
            number, self._last_given = self._question()
            self.process.send(Identities(number, given))

    async def all_given(self) -> None:
        """Return when every certificate given so far is on its device."""
        self.give_out()
        last = self._last_given
        if last is not None and not self.is_over:
            await asyncio.shield(last)

    def _question(self) -> tuple[int, asyncio.Future[int]]:
        """Number of the next message that is answered, and its answer."""
        self._asked += 1
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._answers[self._asked] = answer
        return self._asked, answer

    async def call(self, action: str, *arguments: Any) -> int:
        """Act on its devices.

        Returns:
            For how many it changed anything; 0 when the shard is over or dies.
        """
        if self.is_over:
            return 0
        self.give_out()
        number, answer = self._question()
        self.process.send(Call(number, action, arguments))
        try:
            return await answer
        finally:
            self._answers.pop(number, None)

    # ------------------------------------------------------------ from it

    def _take(self, message: ToParent) -> None:
        if isinstance(message, Answer):
            answer = self._answers.pop(message.number, None)
            if answer is not None and not answer.done():
                answer.set_result(message.changed)
            return
        self._on_message(self, message)

    def _gone(self, how: str) -> None:
        for answer in self._answers.values():
            if not answer.done():
                answer.set_result(0)
        self._on_gone(self, how)

    def saw(self, glance: Glance) -> None:
        """Take a glance."""
        self._tally = glance.tally
        self.is_settled = glance.is_settled

    def ticked(self, tick: Tick) -> None:
        """Take a tick."""
        self.tick = tick
        self.is_fresh = True

    # ------------------------------------------------------------ what is known

    @property
    def tally(self) -> Tally:
        """What the contacts of its devices come to; those that died are asleep.

        Raises:
            RuntimeError: It was never ready.
        """
        if self._tally is None:
            raise RuntimeError(f"{self.name} is not ready")
        return self._tally if self.lost is None else silenced_tally(self._tally)

    @property
    def progress(self) -> Progress:
        """Newest progress; of a shard that died without one, that it is over."""
        if self.tick is not None:
            progress = self.tick.progress
            return progress if self.lost is None else silenced(progress)
        tally = self.tally
        return Progress(
            stage=Stage.LOAD if self.lost is None else Stage.OVER,
            now_ns=0,
            devices=len(self.devices),
            powered=0,
            failing=0,
            in_flight=0,
            backlog=0,
            states=tally.total(),
            cohorts=tally.cohorts,
        )

    @property
    def process_health(self) -> ProcessHealth:
        """Its process, as far as it has told."""
        health = None if self.tick is None else self.tick.health
        return ProcessHealth(
            name=self.name,
            devices=len(self.devices),
            cpu_ratio=0.0 if health is None else health.cpu_ratio,
            rss_bytes=0 if health is None else health.rss_bytes,
            lost_at_ns=-1 if self.lost is None else self.lost.at_ns,
            lost_reason="" if self.lost is None else self.lost.reason,
        )
