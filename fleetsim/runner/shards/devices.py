"""SharedDevices: the devices of a plan, acted on in whichever shard runs them.

Before anything is sent to a shard it is told how its surroundings have changed, so that no
device is judged by a world that is gone.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from fleetsim.core.device import Reported
from fleetsim.core.settings import Credentials
from fleetsim.engine.actions import FLAT_BATTERY_UNIX_S, count_reports, spread
from fleetsim.engine.clock import MonotonicClock
from fleetsim.runner.shards.member import Member
from fleetsim.runner.shards.messages import Around, ToShard
from fleetsim.runner.stranding import Surroundings
from fleetsim.transport.base import ClientIdentity


class SharedDevices:
    """Acts on devices by index in the plan; a device is in shard ``index % count``.

    Args:
        members: The shards, in their order.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = tuple(members)
        self._clock = MonotonicClock()
        self._look: Callable[[], Surroundings] | None = None
        self._around: Surroundings | None = None
        self._reports: dict[int, Reported] = {}
        self._known_reports: dict[Reported, Reported] = {}

    def now_ns(self) -> int:
        """Run time."""
        return self._clock.now_ns()

    # ------------------------------------------------------------ surroundings

    def _refresh(self) -> None:
        """Tell every shard how its surroundings have changed, if they have."""
        if self._look is None:
            return
        around = self._look()
        if self._around is not None and around.is_as(self._around):
            return
        self._around = around
        for member in self._members:
            member.process.send(Around(around))

    def _tell(self, message: ToShard) -> None:
        self._refresh()
        for member in self._members:
            member.send(message)

    def surround(
        self,
        look: Callable[[], Surroundings],
        *,
        identity: Callable[[str], ClientIdentity | None],
        server_unix_s: Callable[[int], int],
    ) -> None:
        """Let devices be declared stranded where these surroundings prove it.

        The shards know the identities of their devices and the servers' clock.
        """
        del identity, server_unix_s
        self._look = look
        self._refresh()

    # ------------------------------------------------------------ actions

    async def _act(self, action: str, indexes: Iterable[int], *arguments: Any) -> int:
        shares: dict[int, list[int]] = {}
        for index in indexes:
            shares.setdefault(index % len(self._members), []).append(index)
        return await self._call_all(
            {number: (action, share, *arguments) for number, share in shares.items()}
        )

    async def _call_all(self, calls: Mapping[int, tuple[Any, ...]]) -> int:
        self._refresh()
        async with asyncio.TaskGroup() as group:
            answers = [
                group.create_task(self._members[number].call(*call))
                for number, call in calls.items()
            ]
        return sum(answer.result() for answer in answers)

    async def power_cycle(self, indexes: Sequence[int], *, over_s: float = 0.0) -> int:
        """See :meth:`fleetsim.engine.actions.DeviceActions.power_cycle`."""
        if not over_s:
            return await self._act("power_cycle", indexes)
        shares: dict[int, list[tuple[int, int]]] = {}
        for index, at_ns in spread(indexes, self.now_ns(), over_s):
            shares.setdefault(index % len(self._members), []).append((index, at_ns))
        return await self._call_all(
            {number: ("power_cycle_at", share) for number, share in shares.items()}
        )

    async def sleep(self, indexes: Iterable[int]) -> int:
        """Switch devices off."""
        return await self._act("sleep", indexes)

    async def wake(self, indexes: Iterable[int]) -> int:
        """Switch devices on again."""
        return await self._act("wake", indexes)

    async def skew_clock(self, indexes: Iterable[int], by_s: float) -> int:
        """Move the clocks of devices."""
        return await self._act("skew_clock", indexes, by_s)

    async def set_clock(self, indexes: Iterable[int], unix_s: int) -> int:
        """Set the clocks of devices."""
        return await self._act("set_clock", indexes, unix_s)

    async def lose_rtc(self, indexes: Iterable[int]) -> int:
        """Let the clocks of devices begin again at 2000-01-01."""
        return await self.set_clock(indexes, FLAT_BATTERY_UNIX_S)

    async def set_network(self, indexes: Iterable[int], is_up: bool) -> int:
        """Take the network of devices away or give it back."""
        return await self._act("set_network", indexes, is_up)

    async def set_credentials(
        self, indexes: Iterable[int], credentials: Credentials
    ) -> int:
        """Let devices sign with other S3 keys."""
        return await self._act("set_credentials", indexes, credentials)

    def set_identity(self, index: int, identity: ClientIdentity | None) -> bool:
        """Give a device another client certificate; it travels with those of others."""
        member = self._members[index % len(self._members)]
        member.give(index, identity)
        return not member.is_over

    async def all_given(self) -> None:
        """Return when every certificate that was given is on its device."""
        async with asyncio.TaskGroup() as group:
            for member in self._members:
                group.create_task(member.all_given())

    # ------------------------------------------------------------ reports

    def _learn(self, reported: Mapping[int, Reported]) -> None:
        """Take over what device.json files say; alike ones are kept once."""
        known = self._known_reports
        for index, report in reported.items():
            self._reports[index] = known.setdefault(report, report)

    def reported(self, index: int) -> Reported | None:
        """What the last device.json says that the server stored of a device."""
        return self._reports.get(index)

    def count_reported(
        self,
        is_wanted: Callable[[Reported], bool],
        indexes: Iterable[int] | None = None,
    ) -> int:
        """Count devices whose last stored device.json says something."""
        chosen = self._reports if indexes is None else indexes
        return count_reports(map(self._reports.get, chosen), is_wanted)
