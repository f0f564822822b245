"""Actions: what a scenario does to devices while they run.

Devices are named by their index in the plan; indexes of devices that another shard runs
are passed over. Ten thousand devices at once must not keep the loop from its sockets,
so everything that touches many is a coroutine that works in slices of
:data:`SLICE_NS`. Each gives the number of devices for which it changed anything.

Within one call devices are taken in the order given; whoever passes the same indexes in
the same order gets the same run, apart from the timing of the network.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from fleetsim.core.device import Device, Reported
from fleetsim.core.device_settings import NS_PER_S, with_credentials
from fleetsim.core.settings import Credentials
from fleetsim.engine.driver import Driver
from fleetsim.transport.base import ClientIdentity

SLICE_NS: Final = 5_000_000
"""Time after which an action lets the loop serve the sockets."""

FLAT_BATTERY_UNIX_S: Final = 946_684_800
"""2000-01-01T00:00:00Z: what a clock shows whose battery was flat."""


class Devices(Protocol):
    """Devices of a running scenario, wherever they run: by index in the plan.

    What an action gives is the number of devices for which it changed anything.
    """

    async def power_cycle(self, indexes: Sequence[int], *, over_s: float = 0.0) -> int:
        """See :meth:`DeviceActions.power_cycle`."""

    async def sleep(self, indexes: Iterable[int]) -> int:
        """Switch devices off."""

    async def wake(self, indexes: Iterable[int]) -> int:
        """Switch devices on again."""

    async def skew_clock(self, indexes: Iterable[int], by_s: float) -> int:
        """Move clocks."""

    async def set_clock(self, indexes: Iterable[int], unix_s: int) -> int:
        """Set clocks."""

    async def lose_rtc(self, indexes: Iterable[int]) -> int:
        """Empty the batteries of clocks."""

    async def set_network(self, indexes: Iterable[int], is_up: bool) -> int:
        """Take networks away or give them back."""

    async def set_credentials(
        self, indexes: Iterable[int], credentials: Credentials
    ) -> int:
        """Hand out other S3 keys."""

    def set_identity(self, index: int, identity: ClientIdentity | None) -> bool:
        """Give a device another client certificate; see :meth:`all_given`."""

    async def all_given(self) -> None:
        """Return when every certificate that was given is on its device."""

    def reported(self, index: int) -> Reported | None:
        """What the last device.json says that the server stored of a device."""

    def count_reported(
        self,
        is_wanted: Callable[[Reported], bool],
        indexes: Iterable[int] | None = None,
    ) -> int:
        """Count devices whose last stored device.json says something."""


def spread(
    indexes: Sequence[int], begin_ns: int, over_s: float
) -> list[tuple[int, int]]:
    """Devices with run times spread evenly over ``over_s`` from ``begin_ns`` on."""
    step_ns = over_s * NS_PER_S / max(1, len(indexes))
    return [
        (index, begin_ns + round(number * step_ns))
        for number, index in enumerate(indexes)
    ]


def count_reports(
    reports: Iterable[Reported | None], is_wanted: Callable[[Reported], bool]
) -> int:
    """Count reports that say something; asks once for each different one."""
    known: dict[Reported, bool] = {}
    count = 0
    for report in reports:
        if report is None:
            continue
        if report not in known:
            known[report] = is_wanted(report)
        count += known[report]
    return count


class DeviceActions:
    """Acts on devices by index. A fleet is one.

    Args:
        now_ns: Clock.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._action_clock = now_ns
        self._by_index: dict[int, Driver] = {}

    async def power_cycle(self, indexes: Sequence[int], *, over_s: float = 0.0) -> int:
        """Cut the power of devices and restore it at once.

        A device that sleeps or was not switched on yet stays off.

        Args:
            indexes: Devices.
            over_s: Spread evenly over this time; the coroutine lasts as long.
        """
        if not over_s:
            return await self._each(indexes, Driver.power_cycle)
        return await self.power_cycle_at(spread(indexes, self._action_clock(), over_s))

    async def power_cycle_at(self, due_ns: Iterable[tuple[int, int]]) -> int:
        """Cut the power of devices at given run times, which must not fall."""
        changed = 0
        for index, at_ns in due_ns:
            early_ns = at_ns - self._action_clock()
            if early_ns > 0:
                await asyncio.sleep(early_ns / NS_PER_S)
            changed += await self._each((index,), Driver.power_cycle)
        return changed

    async def sleep(self, indexes: Iterable[int]) -> int:
        """Switch devices off. One that has not been switched on yet stays off."""
        return await self._each(indexes, Driver.power_off)

    async def wake(self, indexes: Iterable[int]) -> int:
        """Switch devices on that :meth:`sleep` switched off."""
        return await self._each(indexes, Driver.power_on)

    async def skew_clock(self, indexes: Iterable[int], by_s: float) -> int:
        """Move the clocks of devices by ``by_s``, negative = into the past."""

        def skew(driver: Driver) -> bool:
            driver.device.clock_skew_s += by_s
            return bool(by_s)

        return await self._each(indexes, skew)

    async def set_clock(self, indexes: Iterable[int], unix_s: int) -> int:
        """Set the clocks of devices to a time, from where they go on."""

        def set_to(driver: Driver) -> bool:
            driver.device.set_clock(unix_s, self._action_clock())
            return True

        return await self._each(indexes, set_to)

    async def lose_rtc(self, indexes: Iterable[int]) -> int:
        """Let the clocks of devices begin again at 2000-01-01."""
        return await self.set_clock(indexes, FLAT_BATTERY_UNIX_S)

    async def set_network(self, indexes: Iterable[int], is_up: bool) -> int:
        """Take the network of devices away or give it back."""
        return await self._each(indexes, lambda each: each.set_network(is_up=is_up))

    async def set_credentials(
        self, indexes: Iterable[int], credentials: Credentials
    ) -> int:
        """Let devices sign with other S3 keys from their next request on."""

        def change(driver: Driver) -> bool:
            device = driver.device
            if device.settings.credentials == credentials:
                return False
            device.settings = with_credentials(device.settings, credentials)
            return True

        return await self._each(indexes, change)

    def set_identity(self, index: int, identity: ClientIdentity | None) -> bool:
        """Give a device another client certificate, from its next connection on.

        Returns:
            Whether this shard runs the device.
        """
        driver = self._by_index.get(index)
        if driver is not None:
            driver.channel.replace_identity(identity)
        return driver is not None

    async def all_given(self) -> None:
        """Every certificate is on its device at once: nothing to wait for."""

    # ------------------------------------------------------------ questions

    def reported(self, index: int) -> Reported | None:
        """What the last device.json says that the server stored of a device."""
        driver = self._by_index.get(index)
        return driver.device.reported if driver is not None else None

    def count_reported(
        self,
        is_wanted: Callable[[Reported], bool],
        indexes: Iterable[int] | None = None,
    ) -> int:
        """Count devices whose last stored device.json says something.

        Args:
            is_wanted: What it is to say; called once for each different report.
            indexes: Devices; ``None`` = all.
        """
        chosen = self._by_index if indexes is None else indexes
        return count_reports(map(self.reported, chosen), is_wanted)

    def device(self, index: int) -> Device | None:
        """A device, to look at; ``None`` = another shard runs it."""
        driver = self._by_index.get(index)
        return driver.device if driver is not None else None

    async def _each(self, indexes: Iterable[int], act: Callable[[Driver], bool]) -> int:
        changed = 0
        slice_end_ns = self._action_clock() + SLICE_NS
        for index in indexes:
            driver = self._by_index.get(index)
            if driver is None:
                continue
            changed += act(driver)
            if self._action_clock() >= slice_end_ns:
                await asyncio.sleep(0)
                slice_end_ns = self._action_clock() + SLICE_NS
        return changed
