"""A crew: shards without processes. Tests say what they say and see what they hear."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from fleetsim.core.device_settings import RunClock
from fleetsim.core.histogram import Histogram
from fleetsim.core.outcomes import DeviceOutcome
from fleetsim.core.progress import Progress, Stage
from fleetsim.engine.contacts import Tally
from fleetsim.engine.fleet import CohortBinding, Ending
from fleetsim.engine.health import HealthReport
from fleetsim.engine.shard_fleet import Glance
from fleetsim.recording.latency import PHASES
from fleetsim.recording.recorder import Snapshot
from fleetsim.runner.shards import fleet as fleet_module
from fleetsim.runner.shards import member as member_module
from fleetsim.runner.shards.fleet import ShardedFleet, Sharding
from fleetsim.runner.shards.messages import Ended, Job, Ready, Tick, ToParent, ToShard
from fleetsim.scenario.plan import Plan

S = 1_000_000_000


class Puppet:
    """Stands in for the process of a shard.

    Attributes:
        heard: What it was told, the job apart.
        job: Its job.
    """

    made: "list[Puppet]"

    def __init__(
        self, on_message: Callable[[ToParent], None], on_gone: Callable[[str], None]
    ) -> None:
        self.say = on_message
        self.die = on_gone
        self.heard: list[ToShard] = []
        self.job: Job | None = None
        self.is_killed = False
        self.made.append(self)

    async def start(self) -> None:
        """Nothing to start."""

    def send(self, message: ToShard) -> None:
        """Hear something."""
        if isinstance(message, Job):
            self.job = message
        else:
            self.heard.append(message)

    def kill(self) -> None:
        """Be killed."""
        self.is_killed = True
        self.die("its process was ended by SIGKILL")

    async def close(self) -> None:
        """Be gone."""

    def heard_of(self, kind: type[Any]) -> list[Any]:
        """What it heard of one kind."""
        return [message for message in self.heard if isinstance(message, kind)]


class Log:
    """Keeps latency intervals."""

    def __init__(self) -> None:
        self.intervals: list[tuple[int, int, dict[str, Histogram]]] = []

    def append(
        self, start_ns: int, end_ns: int, intervals: Mapping[str, Histogram]
    ) -> None:
        """Keep one."""
        self.intervals.append((start_ns, end_ns, dict(intervals)))

    def close(self) -> None:
        """Nothing to close."""


class Crew:
    """A sharded fleet whose shards are puppets.

    Args:
        plan: The plan.
        count: Number of shards.
        folder: Run folder.

    Attributes:
        puppets: The shards.
        ticks: Progress that was told.
        lost: Names of the shards whose death was told.
    """

    def __init__(self, plan: Plan, count: int, folder: Path) -> None:
        self.log = Log()
        self.ticks: list[Progress] = []
        self.lost: list[str] = []
        bindings: list[CohortBinding] = []
        self.fleet = ShardedFleet(
            plan,
            bindings,
            sharding=Sharding(count=count, folder=folder),
            log=self.log,
            on_tick=self.ticks.append,
            on_lost=lambda name, _lost: self.lost.append(name),
            wall_clock=lambda _origin_ns: RunClock(0),
        )
        self.puppets = Puppet.made

    def ready(self) -> None:
        """Every shard has built its devices."""
        for puppet in self.puppets:
            puppet.say(Ready(glance(puppet)))

    def end(self, ending: Ending = Ending.COMPLETED) -> None:
        """Every living shard ends."""
        for puppet in self.puppets:
            puppet.say(ended(puppet, ending))


def glance(
    puppet: Puppet,
    *,
    uploads: int = 0,
    state: str = "unreached",
    is_settled: bool = False,
    reported: Mapping[int, Any] | None = None,
) -> Glance:
    """A glance: all devices of the shard in one state."""
    assert puppet.job is not None
    return Glance(
        tally=Tally(
            cohorts={"c0": {state: len(puppet.job.devices)}},
            backlog=0,
            uploads=uploads,
            failed_attempts=0,
            files_lost=0,
        ),
        reported=reported or {},
        is_settled=is_settled,
    )


def tick(puppet: Puppet, *, latencies_ns: tuple[int, ...] = (), seen: int = 0) -> Tick:
    """A tick with some latencies since the one before and ``seen`` uploads so far."""
    assert puppet.job is not None
    devices = len(puppet.job.devices)
    return Tick(
        progress=Progress(
            stage=Stage.LOAD,
            now_ns=S,
            devices=devices,
            powered=devices,
            failing=0,
            in_flight=0,
            backlog=0,
        ),
        snapshot=Snapshot(
            attempts={"upload": seen},
            failures={},
            acknowledged=seen,
            bytes_sent=0,
            bytes_received=0,
            latency={phase: Histogram() for phase in PHASES},
            cohorts={},
        ),
        health=HealthReport(
            name=puppet.job.name,
            reasons=(),
            cpu_ratio=0.5,
            rss_bytes=1000,
            late_starts=0,
            starts=seen,
            start_lag=Histogram(),
            loop_lag=Histogram(),
            seconds=1.0,
        ),
        intervals={"total": Histogram.of(latencies_ns)},
    )


def ended(puppet: Puppet, ending: Ending = Ending.COMPLETED) -> Ended:
    """The last message of a shard."""
    assert puppet.job is not None
    return Ended(
        ending=ending,
        outcomes=tuple(
            DeviceOutcome(device=each.device_id, cohort="c0", state="connected")
            for each in puppet.job.devices
        ),
        glance=glance(puppet, state="connected", is_settled=True),
        tick=tick(puppet),
    )


@contextmanager
def puppets() -> Iterator[None]:
    """Make every shard that is started meanwhile a puppet."""
    Puppet.made = []
    with (
        patch.object(member_module, "ShardProcess", Puppet),
        patch.object(fleet_module, "LOOK_S", 0.001),
    ):
        yield


async def until(condition: Callable[[], bool]) -> None:
    """Let others work until something has happened."""
    while not condition():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0)
