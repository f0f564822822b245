"""A rehearsal: a whole fleet on a loop whose time is free, with somebody acting on it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

from fleetsim.core.commands import Connect, Send
from fleetsim.core.contact import Change
from fleetsim.core.device import Device
from fleetsim.core.draws import derive_seed
from fleetsim.core.events import Connected, Handshake, ResponseReceived
from fleetsim.core.trust_bundle import EMPTY_BUNDLE
from fleetsim.engine import clock, fleet, health
from fleetsim.engine.driver import Driver
from fleetsim.engine.fleet import CohortBinding, Ending, Fleet, Timing
from fleetsim.recording.record import Record
from fleetsim.scenario.plan import DevicePlan
from fleetsim.transport.scripted import Answer, ScriptedChannel
from tests.core.conversation import S, make_settings, ok, s3_error
from tests.engine.virtual_loop import VirtualLoop

MS = 1_000_000
HANDSHAKE = Connected(Handshake(version="TLSv1.2", suite="AES128-GCM-SHA256"))

Script = Callable[["Rehearsal", Device, Connect | Send], Answer]
"""What becomes of a command; how long it takes is the rehearsal's business."""

Actor = Callable[[Fleet], Awaitable[None]]


def obliging(
    _rehearsal: "Rehearsal", _device: Device, command: Connect | Send
) -> Answer:
    """A server for which everything is fine; nothing waits over the air."""
    if isinstance(command, Connect):
        return HANDSHAKE
    if command.head.startswith(b"GET "):
        answer = s3_error(404, "NoSuchKey")
        return ResponseReceived(answer, is_open=command.keep_open)
    return ResponseReceived(ok(etag='"e"'), is_open=command.keep_open)


@dataclass
class Rehearsal:
    """One run.

    Args:
        script: The server.
        latency_seed: Another seed is another network timing: 5 to 25 ms per step.
        fleet_class: Kind of fleet.
        shard: Index and number of shards: which share of the devices is run.

    Attributes:
        records: Attempts.
        changes: Contact changes with the device.
        fleet: The fleet, once it runs.
    """

    script: Script = obliging
    latency_seed: int = 0
    fleet_class: type[Fleet] = Fleet
    shard: tuple[int, int] = (0, 1)
    records: list[Record] = field(default_factory=list)
    changes: list[tuple[str, Change]] = field(default_factory=list)
    channels: dict[str, ScriptedChannel] = field(default_factory=dict)
    loop: VirtualLoop = field(default_factory=VirtualLoop)
    fleet: Fleet | None = None
    _steps: int = 0
    _patches: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        self._patches.enter_context(patch.object(clock, "time", self.loop))
        self._patches.enter_context(patch.object(health, "time", self.loop))
        self._patches.enter_context(
            patch.object(fleet, "NetworkChannel", self._channel)
        )
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._patches.close()

    @property
    def now_s(self) -> float:
        """Run time, seconds."""
        return 0.0 if self.fleet is None else self.fleet.now_ns() / S

    def run(
        self,
        actor: Actor | None = None,
        *,
        devices: int = 10,
        duration_s: float = 60.0,
        drain_s: float = 15.0,
        **settings: Any,
    ) -> Ending:
        """Run a fleet, all devices on at 0, while somebody acts on it."""

        async def main() -> Ending:
            self.fleet = self.fleet_class(
                [
                    DevicePlan(
                        index=index,
                        device_id=f"{index:08X}",
                        cohort=0,
                        seed=derive_seed(index),
                        start_ns=0,
                        phase_ns=index * 10 * S // devices,
                        clock_skew_s=0.0,
                    )
                    for index in range(self.shard[0], devices, self.shard[1])
                ],
                [
                    CohortBinding(
                        settings=make_settings(duration_s=duration_s, **settings),
                        bundle=EMPTY_BUNDLE,
                        identity=lambda _plan: None,
                    )
                ],
                timing=Timing(
                    duration_ns=int(duration_s * S), drain_ns=int(drain_s * S)
                ),
                in_flight=10_000,
                sink=self,
                states=_History(self.changes),
            )
            async with asyncio.TaskGroup() as group:
                acting = group.create_task(self._act(actor))
                ending = await self.fleet.run()
                acting.cancel()
            return ending

        with self, asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            return runner.run(main())

    async def _act(self, actor: Actor | None) -> None:
        await asyncio.sleep(0)
        if actor is not None and self.fleet is not None:
            await actor(self.fleet)

    def _channel(self, _network: object, driver: Driver, **_: object) -> object:
        device = driver.device

        def answer(command: Connect | Send) -> tuple[Answer, int]:
            self._steps += 1
            draw = derive_seed(self.latency_seed, self._steps)
            return self.script(self, device, command), (5 + draw % 20) * MS

        channel = self.channels[device.device_id] = ScriptedChannel(
            driver,
            answer,
            lambda after_ns, callback: self.loop.call_later(after_ns / 1e9, callback),
        )
        return channel

    def states_of(self, index: int) -> list[str]:
        """The states a device went through."""
        return [
            change.now.value
            for device, change in self.changes
            if device == f"{index:08X}"
        ]

    # a sink of records

    def add(self, record: Record) -> None:
        """Keep an attempt."""
        self.records.append(record)

    def flush(self) -> None:
        """Nothing to write."""


class _History:
    """A sink of contact changes."""

    def __init__(self, changes: list[tuple[str, Change]]) -> None:
        self._changes = changes

    def add(self, device: str, cohort: str, change: Change) -> None:
        """Keep one."""
        assert cohort == "cohort"
        self._changes.append((device, change))

    def flush(self) -> None:
        """Nothing to write."""


async def until(fleet: Fleet, seconds: float) -> None:
    """Wait for a run time."""
    await asyncio.sleep(max(0.0, seconds - fleet.now_ns() / S))
