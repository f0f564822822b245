"""A fleet in virtual time: drivers on a heap of callbacks, no loop, no sockets."""

import heapq
from collections.abc import Callable
from itertools import count

from fleetsim.core.commands import Connect, Send
from fleetsim.core.device import Device
from fleetsim.core.failure import Failure
from fleetsim.engine.clock import Alarm
from fleetsim.engine.contacts import ContactBook, Prove, StateSink
from fleetsim.engine.driver import Driver
from fleetsim.engine.pacing import Limiter
from fleetsim.recording.record import Record
from fleetsim.transport.scripted import Answer, ScriptedChannel


class VirtualFleet:
    """Carries drivers through virtual time."""

    def __init__(self, limit: int = 1000, states: StateSink | None = None) -> None:
        self.records: list[Record] = []
        self.lags: list[int] = []
        self.over: list[Driver] = []
        self.limiter = Limiter(limit)
        self.book = ContactBook(self.now_ns, states)
        self._now_ns = 0
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._order = count()

    def add(
        self, device: Device, script: Callable[[Connect | Send], tuple[Answer, int]]
    ) -> Driver:
        """Add a device whose network is a script."""
        driver = Driver(device, self)
        driver.channel = ScriptedChannel(driver, script, self.later)
        self.book.add(driver)
        return driver

    def sweep_every_second(self, until_ns: int, prove: Prove | None = None) -> None:
        """Examine the devices in trouble once a second, as a fleet does."""

        def sweep() -> None:
            for _ in self.book.sweep(prove):
                pass
            if self._now_ns < until_ns:
                self.later(1_000_000_000, sweep)

        self.later(1_000_000_000, sweep)

    def later(self, after_ns: int, callback: Callable[[], None]) -> None:
        """Run a callback so many nanoseconds from now."""
        heapq.heappush(
            self._heap, (self._now_ns + after_ns, next(self._order), callback)
        )

    def run_until(self, until_ns: int) -> None:
        """Let time pass."""
        while self._heap and self._heap[0][0] <= until_ns:
            due_ns, _, callback = heapq.heappop(self._heap)
            self._now_ns = max(self._now_ns, due_ns)
            callback()
        self._now_ns = until_ns

    # the services of a driver

    def now_ns(self) -> int:
        """Virtual run time."""
        return self._now_ns

    def arm(self, due_ns: int, driver: Driver) -> Alarm:
        """Arm a timer."""
        alarm = Alarm(due_ns, driver.on_alarm)

        def fire() -> None:
            callback, alarm.callback = alarm.callback, None
            if callback is not None:
                callback()

        self.later(max(0, due_ns - self._now_ns), fire)
        return alarm

    def take_slot(self, driver: Driver) -> bool:
        """Take a slot."""
        return self.limiter.take(driver)

    def give_slot(self) -> None:
        """Give a slot back."""
        self.limiter.give_back()

    def forget(self, driver: Driver) -> None:
        """Leave the queue."""
        self.limiter.forget(driver)

    def started(self, lag_ns: int) -> None:
        """Note a start."""
        self.lags.append(lag_ns)

    def record(self, record: Record) -> None:
        """Take a record."""
        self.records.append(record)

    def concluded(
        self, driver: Driver, failure: Failure | None, upload_planned_ns: int
    ) -> None:
        """Judge the contact."""
        self.book.concluded(driver, failure, upload_planned_ns)

    def powered(self, driver: Driver, *, is_on: bool) -> None:
        """Note the power."""
        self.book.powered(driver, is_on=is_on)

    def stopped(self, driver: Driver) -> None:
        """Note an end."""
        self.over.append(driver)
