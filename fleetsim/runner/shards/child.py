"""Child: the process of one shard, started by :mod:`fleetsim.runner.shards.process`.

Its one argument is the number of the socket it was given; everything else comes over
that. Ctrl-C is the parent's business. When the parent is gone the shard stops at once,
within :data:`ORPHAN_S` seconds, whatever it was doing.
"""

import asyncio
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Final, assert_never, cast

import uvloop

from fleetsim.core.device import Device
from fleetsim.core.device_settings import NS_PER_S
from fleetsim.core.histogram import Histogram
from fleetsim.core.progress import Progress
from fleetsim.engine.fleet import Ending
from fleetsim.engine.shard_fleet import ShardFleet
from fleetsim.exceptions import RecordingError
from fleetsim.recording.recorder import Recorder
from fleetsim.recording.states import StateRecorder
from fleetsim.runner.shards.messages import (
    Answer,
    Around,
    Call,
    Ended,
    Failed,
    Go,
    Identities,
    Job,
    Order,
    Override,
    Ready,
    Restore,
    Tick,
    ToParent,
    ToShard,
)
from fleetsim.runner.shards.wire import Decoder, encode
from fleetsim.runner.stranding import Stranding, Surroundings

GLANCE_S: Final = 0.2
"""Conditions of a timeline see what happened at most this much later."""

ORPHAN_S: Final = 5.0
MOST_UNREAD_BYTES: Final = 8 << 20
"""Glances and ticks wait while the parent has so much to read."""


class OrphanedError(Exception):
    """The parent is gone before anything began."""


class Intervals:
    """Keeps latency intervals for the next tick; a ``LatencyLog``."""

    def __init__(self) -> None:
        self._seen: dict[str, Histogram] = {}

    def append(
        self, start_ns: int, end_ns: int, intervals: Mapping[str, Histogram]
    ) -> None:
        """Take an interval."""
        del start_ns, end_ns
        for phase, seen in intervals.items():
            if phase in self._seen:
                self._seen[phase].merge(seen)
            else:
                self._seen[phase] = seen

    def close(self) -> None:
        """Nothing more will come; what came is kept."""

    def take(self) -> dict[str, Histogram]:
        """Give what came since the last time."""
        taken, self._seen = self._seen, {}
        return taken


class Shard(asyncio.Protocol):
    """The shard's end of the socket pair, and the shard.

    Args:
        loop: Event loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._decoder = Decoder()
        self._job: asyncio.Future[Job] = loop.create_future()
        self._go: asyncio.Future[Go] = loop.create_future()
        self._surroundings: Surroundings | None = None
        self._fleet: ShardFleet | None = None
        self._group: asyncio.TaskGroup | None = None
        self._beside: set[asyncio.Task[None]] = set()
        self._orders: list[Order] = []
        self._is_congested = False
        self._is_over = False
        self.closed: asyncio.Future[None] = loop.create_future()

    # ------------------------------------------------------------ socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is ours."""
        self._transport = cast("asyncio.WriteTransport", transport)
        self._transport.set_write_buffer_limits(high=MOST_UNREAD_BYTES)

    def data_received(self, data: bytes) -> None:
        """The parent says something."""
        for message in self._decoder.feed(data):
            self._take(message)

    def pause_writing(self) -> None:
        """The parent does not keep up with reading."""
        self._is_congested = True

    def resume_writing(self) -> None:
        """It does again."""
        self._is_congested = False

    def connection_lost(self, exc: Exception | None) -> None:
        """The parent is gone, or we have closed."""
        del exc
        if not self.closed.done():
            self.closed.set_result(None)
        if self._is_over:
            return
        self._loop.call_later(ORPHAN_S, os._exit, 1)
        for future in (self._job, self._go):
            if not future.done():
                future.set_exception(OrphanedError())
        if self._fleet is not None:
            self._fleet.interrupt()
            self._fleet.interrupt()

    def _send(self, message: ToParent) -> None:
        if not self._transport.is_closing():
            self._transport.write(encode(message))

    def _take(self, message: ToShard) -> None:
        match message:
            case Job():
                self._job.set_result(message)
            case Go():
                self._go.set_result(message)
            case Around():
                self._surroundings = message.surroundings
            case Order():
                self._orders.append(message)
                self._obey()
            case Call() | Identities() | Override() | Restore():
                self._act(message)
            case _:
                assert_never(message)

    def _obey(self) -> None:
        """Carry orders out; those that come before the fleet wait for it."""
        if self._fleet is None:
            return
        for order in self._orders:
            match order:
                case Order.INTERRUPT:
                    self._fleet.interrupt()
                case Order.ABORT:
                    self._fleet.abort()
                case Order.FINISH:
                    self._fleet.finish()
                case _:
                    assert_never(order)
        self._orders.clear()

    def _act(self, message: Call | Identities | Override | Restore) -> None:
        fleet = self._fleet
        if fleet is None or self._group is None:
            if isinstance(message, Call | Identities):
                self._send(Answer(message.number, 0))  # the fleet has ended
            return
        match message:
            case Call():
                call = self._group.create_task(self._call(fleet, message))
                self._beside.add(call)
                call.add_done_callback(self._beside.discard)
            case Identities():
                for index, identity in message.given.items():
                    fleet.set_identity(index, identity)
                self._send(Answer(message.number, len(message.given)))
            case Override():
                fleet.resolver.override(
                    message.host,
                    message.addresses,
                    port=message.port,
                    to_port=message.to_port,
                )
            case Restore():
                fleet.resolver.restore(message.host, port=message.port)
            case _:
                assert_never(message)

    async def _call(self, fleet: ShardFleet, call: Call) -> None:
        changed = await getattr(fleet, call.action)(*call.arguments)
        self._send(Answer(call.number, changed))

    # ------------------------------------------------------------ life

    async def run(self) -> None:
        """Do the job; what goes wrong is told to the parent."""
        try:
            ended = await self._live(await self._job)
        except OrphanedError:
            return
        except RecordingError as error:
            self._send(Failed(error.where, error.what))
        except Exception:  # noqa: BLE001 - a bug: it is raised again by the parent
            self._send(Failed("", traceback.format_exc()))
        else:
            self._send(ended)
        self._is_over = True

    async def _live(self, job: Job) -> Ended:
        if job.cpu is not None:
            os.sched_setaffinity(0, {job.cpu})
        intervals = Intervals()

        def now_ns() -> int:
            return self._fleet.now_ns() if self._fleet is not None else 0

        def tick(progress: Progress) -> Tick:
            return Tick(
                progress=progress,
                snapshot=recorder.snapshot(),
                health=fleet.health_report(job.name),
                intervals=intervals.take(),
            )

        def on_tick(progress: Progress) -> None:
            if not self._is_congested:
                self._send(tick(progress))

        with (
            Recorder(
                job.folder, now_ns, warm_up_ns=job.warm_up_ns, log=intervals
            ) as recorder,
            StateRecorder(job.folder) as states,
        ):
            fleet = ShardFleet(
                job.devices,
                job.bindings,
                timing=job.timing,
                in_flight=job.in_flight,
                sink=recorder,
                source_addresses=job.source_addresses,
                on_tick=on_tick,
                states=states,
                wall_clock=lambda _origin_ns: self._go.result().clock,
                origin=self._begin,
                surveyed_shards=job.surveyed_shards,
            )
            self._fleet = fleet
            self._obey()
            ending = await self._run(fleet)
        return Ended(
            ending=ending,
            outcomes=tuple(fleet.outcomes()),
            glance=fleet.glance(),
            tick=tick(fleet.progress),
        )

    async def _run(self, fleet: ShardFleet) -> Ending:
        """Run the fleet, and beside it what the parent wants done and told."""
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                self._beside.add(group.create_task(self._glance(fleet)))
                ending = await fleet.run()
                self._group = None
                for task in self._beside:
                    task.cancel()
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        return ending

    async def _begin(self) -> int:
        """Wait until all shards are ready."""
        fleet = self._fleet
        if fleet is None:
            raise RuntimeError("a fleet begins that was not made")
        self._send(Ready(fleet.glance()))
        go = await self._go
        fleet.set_stranding(_Judge(fleet, go, self._look).reason)
        return go.origin_ns

    def _look(self) -> Surroundings | None:
        return self._surroundings

    async def _glance(self, fleet: ShardFleet) -> None:
        look_s = self._job.result().timing.look_every_ns / NS_PER_S
        while True:
            # A shortened run is looked at more often, and waits no longer for it.
            await asyncio.sleep(min(GLANCE_S, look_s / 2))
            if self._go.done() and not self._is_congested:
                self._send(fleet.glance())


class _Judge:
    """Proves stranding once the surroundings are known."""

    def __init__(
        self, fleet: ShardFleet, go: Go, look: Callable[[], Surroundings | None]
    ) -> None:
        self._look = look
        self._stranding = Stranding(
            lambda: look() or Surroundings(),
            identity=fleet.identity,
            dialled_port=fleet.resolver.dialled_port,
            now_ns=fleet.now_ns,
            server_unix_s=go.clock.unix_s,
        )

    def reason(self, device: Device) -> str | None:
        return None if self._look() is None else self._stranding.reason(device)


async def live(sock: socket.socket) -> None:
    """Be the shard at the other end of a socket, to its end."""
    loop = asyncio.get_running_loop()
    transport, shard = await loop.create_unix_connection(lambda: Shard(loop), sock=sock)
    try:
        await shard.run()
    finally:
        transport.close()
        await shard.closed


def main() -> None:
    """Run as a program: ``python -m fleetsim.runner.shards.child FD``."""
    # A terminal's Ctrl-C is not for us, should we ever share a process group with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    uvloop.run(live(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
