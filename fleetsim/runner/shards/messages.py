"""Messages between parent and shard; what travels is decided here and nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from pathlib import Path
from typing import Any

from fleetsim.core.device_settings import RunClock
from fleetsim.core.histogram import Histogram
from fleetsim.core.outcomes import DeviceOutcome
from fleetsim.core.progress import Progress
from fleetsim.engine.fleet import CohortBinding, Ending, Timing
from fleetsim.engine.health import HealthReport
from fleetsim.engine.shard_fleet import Glance
from fleetsim.recording.recorder import Snapshot
from fleetsim.runner.stranding import Surroundings
from fleetsim.scenario.plan import DevicePlan
from fleetsim.transport.base import ClientIdentity

# ---------------------------------------------------------------- parent to shard


@dataclass(frozen=True, slots=True)
class GivenIdentities:
    """Client certificates of the devices of one shard, in place of whoever issues them.

    Attributes:
        by_index: By device index; none without mutual TLS.
    """

    by_index: Mapping[int, ClientIdentity]

    def __call__(self, device: DevicePlan) -> ClientIdentity | None:
        """Client certificate of a device."""
        return self.by_index.get(device.index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything a shard needs before it can begin.

    Attributes:
        name: Of the shard, for people.
        devices: Its share of the plan.
        bindings: One per cohort, by cohort index; with :class:`GivenIdentities`.
        timing: Times of the run.
        in_flight: Most attempts at once.
        warm_up_ns: Operations planned before this stay out of the latencies.
        folder: Where it records.
        source_addresses: Local addresses to dial from; empty = any.
        cpu: Core to stay on; ``None`` = any.
        surveyed_shards: See :class:`fleetsim.engine.fleet.Fleet`.
    """

    name: str
    devices: tuple[DevicePlan, ...]
    bindings: tuple[CohortBinding, ...]
    timing: Timing
    in_flight: int
    warm_up_ns: int
    folder: Path
    source_addresses: tuple[str, ...] = ()
    cpu: int | None = None
    surveyed_shards: int | None = None


@dataclass(frozen=True, slots=True)
class Go:
    """Begin: run time 0 in monotonic ns, and what the devices' clocks show then."""

    origin_ns: int
    clock: RunClock


@dataclass(frozen=True, slots=True)
class Call:
    """Act on devices; answered by an :class:`Answer` of the same number."""

    number: int
    action: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Identities:
    """Other client certificates for devices, by index; answered as a call is."""

    number: int
    given: Mapping[int, ClientIdentity | None]


@dataclass(frozen=True, slots=True)
class Override:
    """Let a name mean something else; see :class:`fleetsim.transport.resolver.Resolver`."""

    host: str
    addresses: tuple[str, ...] | None
    port: int | None
    to_port: int | None


@dataclass(frozen=True, slots=True)
class Restore:
    """Take an override back."""

    host: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Around:
    """The surroundings have changed."""

    surroundings: Surroundings


@unique
class Order(Enum):
    """An order without further words."""

    INTERRUPT = "interrupt"  # what Ctrl-C does
    ABORT = "abort"
    FINISH = "finish"  # every shard has drained


ToShard = Job | Go | Call | Identities | Override | Restore | Around | Order

# ---------------------------------------------------------------- shard to parent


@dataclass(frozen=True, slots=True)
class Ready:
    """Every device is built.

    Attributes:
        glance: The first one.
    """

    glance: Glance


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Another second went by.

    Attributes:
        progress: How far the shard is.
        snapshot: Its running totals.
        health: Whether it keeps up.
        intervals: Latencies by phase since the tick before.
    """

    progress: Progress
    snapshot: Snapshot
    health: HealthReport
    intervals: Mapping[str, Histogram]


@dataclass(frozen=True, slots=True)
class Answer:
    """For how many devices a call changed anything."""

    number: int
    changed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The shard has ended and its files are closed.

    Attributes:
        ending: How.
        outcomes: How every device ended.
        glance: The last one.
        tick: The last one.
    """

    ending: Ending
    outcomes: tuple[DeviceOutcome, ...]
    glance: Glance
    tick: Tick


@dataclass(frozen=True, slots=True)
class Failed:
    """The shard cannot go on.

    Attributes:
        where: Path that could not be written; empty = a bug.
        what: The system's words, or a traceback.
    """

    where: str
    what: str


ToParent = Ready | Glance | Tick | Answer | Ended | Failed
