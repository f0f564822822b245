"""Progress: a look at a running fleet, and at every one of its devices.

Plain values that the engine makes once a second and that live views show. They can be
put together from several shards of a plan: numbers add up, and what is said about a
single device has its place by the device's index in the plan (:func:`merge_surveys`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final, TypeVar

from fleetsim.core.contact import ContactState
from fleetsim.core.outcomes import GeneratorHealth

STATES: Final = tuple(ContactState)
"""State codes of a survey: a code is a position here."""

MOST_NAMES: Final = 256
"""A survey tells so many names apart; the last code stands for all that follow."""

_NameT = TypeVar("_NameT")


@unique
class Stage(StrEnum):
    """Where a run is."""

    LOAD = "load"
    DRAIN = "drain"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class BundleSeen:
    """A trust bundle that devices use.

    Attributes:
        fingerprint: First 12 hex digits of its SHA-256; empty = the empty bundle.
        certificates: Trust anchors in it.
    """

    fingerprint: str = ""
    certificates: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """One byte per device and question, for every ``stride``-th device.

    Attributes:
        first: Index in the plan of the first device.
        stride: Distance of the indexes: the number of shards; 1 = the whole plan.
        states: Contact states: positions in :data:`STATES`.
        groups: Cipher groups of the last handshake: positions in ``group_names``.
        bundles: Trust bundles in use: positions in ``bundles_seen``.
        group_names: Position 0 is the empty name: no handshake yet.
        bundles_seen: In the order in which they were first seen; position 0 is the
            empty bundle.
    """

    first: int
    stride: int
    states: bytes
    groups: bytes
    bundles: bytes
    group_names: tuple[str, ...] = ("",)
    bundles_seen: tuple[BundleSeen, ...] = (BundleSeen(),)

    def __len__(self) -> int:
        """How many devices it tells about."""
        return len(self.states)

    def by_group(self) -> dict[str, int]:
        """Devices by cipher group of their last handshake; none without a device."""
        return {
            name: count
            for code, name in enumerate(self.group_names)
            if (count := self.groups.count(code)) and name
        }

    def by_bundle(self) -> dict[BundleSeen, int]:
        """Devices by trust bundle in use, in the order of first sight."""
        return {
            seen: count
            for code, seen in enumerate(self.bundles_seen)
            if (count := self.bundles.count(code))
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A look at a running fleet.

    Attributes:
        stage: Where the run is.
        now_ns: Run time.
        devices: Devices in the shard.
        powered: Devices that were powered on.
        failing: Devices whose last attempt failed.
        in_flight: Attempts under way.
        backlog: Files waiting on the cards, each card as of its last attempt.
        states: Devices by contact state.
        cohorts: The same by cohort.
        survey: A look at every device; ``None`` = nobody asked for one.
        health: Whether the generator keeps up, since the start; ``None`` likewise.
        cpu_now_ratio: CPU seconds per second of the last second, of one core.
    """

    stage: Stage
    now_ns: int
    devices: int
    powered: int
    failing: int
    in_flight: int
    backlog: int
    states: Mapping[str, int] = field(default_factory=dict)
    cohorts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    survey: Survey | None = None
    health: GeneratorHealth | None = None
    cpu_now_ratio: float = 0.0


def merge_surveys(parts: Sequence[Survey]) -> Survey:
    """Put the surveys of all shards of a plan together.

    Args:
        parts: One of each shard, in any order; each with a different ``first``.

    Returns:
        The survey of the whole plan.

    Raises:
        ValueError: A shard is missing or given twice, or their sizes do not fit.
    """
    ordered = sorted(parts, key=lambda part: part.first)
    count, total = len(ordered), sum(len(part) for part in ordered)
    if [(part.first, part.stride) for part in ordered] != [
        (first, count) for first in range(count)
    ] or any(len(range(p.first, total, count)) != len(p) for p in ordered):
        raise ValueError("these are not the surveys of all shards of one plan")
    names: dict[str, int] = {"": 0}
    seen: dict[BundleSeen, int] = {BundleSeen(): 0}
    states, groups, bundles = bytearray(total), bytearray(total), bytearray(total)
    for part in ordered:
        places = slice(part.first, None, count)
        states[places] = part.states
        groups[places] = part.groups.translate(_codes(part.group_names, names))
        bundles[places] = part.bundles.translate(_codes(part.bundles_seen, seen))
    return Survey(
        first=0,
        stride=1,
        states=bytes(states),
        groups=bytes(groups),
        bundles=bytes(bundles),
        group_names=tuple(names)[:MOST_NAMES],
        bundles_seen=tuple(seen)[:MOST_NAMES],
    )


def _codes(names: Sequence[_NameT], known: dict[_NameT, int]) -> bytes:
    """Translation of a shard's codes into those of the whole; adds unknown names."""
    codes = [min(known.setdefault(name, len(known)), MOST_NAMES - 1) for name in names]
    return bytes(codes).ljust(MOST_NAMES, b"\0")
