"""Plan: everything a run will do, decided before anything runs.

Pure and seeded: the same scenario and seed give the same plan, byte for byte
(:meth:`Plan.to_bytes`), on every machine. Every device has its own stream of random
numbers, derived from the plan's seed and its index, so that a shard of the plan gives its
devices exactly the life they would have had in one piece.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from typing import Any, Final

from pydantic import BaseModel

from fleetsim.core.settings import DeviceProfile
from fleetsim.exceptions import InputError, Problem
from fleetsim.scenario.dates import parse_date
from fleetsim.scenario.needs import Needs, needs_of
from fleetsim.scenario.probability import AnyDistribution
from fleetsim.scenario.roster import (
    CohortPlan,
    DevicePlan,
    make_cohort,
    make_devices,
    to_ns,
)
from fleetsim.scenario.schema import Scenario
from fleetsim.scenario.sdk_checks import sdk_warnings
from fleetsim.scenario.shortening import shortened, shortened_profile
from fleetsim.scenario.target_schema import LabSpec, TargetSpec
from fleetsim.scenario.threshold import Threshold
from fleetsim.scenario.timeline import TimelinePlan, make_timeline
from fleetsim.scenario.timeline_needs import timeline_warnings
from fleetsim.scenario.timeline_schema import Expectation

__all__ = ["CohortPlan", "DevicePlan", "Needs", "Plan", "TimelinePlan", "make_plan"]


SHORTEST_LOOK_NS: Final = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run, decided.

    Attributes:
        name: Name of the scenario.
        seed: 0..2**64-1.
        duration_ns: Length of the load.
        warm_up_ns: Attempts planned before it stay out of the latency figures.
        drain_ns: Longest wait for the backlog after the load.
        in_flight: Most attempts under way at the same time.
        cohorts: All cohorts, also those without a device in this shard.
        devices: By index.
        lab: The embedded server; exactly one of ``lab`` and ``target`` is given.
        target: A real endpoint.
        thresholds: Conditions of the verdict.
        needs: What the run will need and make.
        timeline: What is done while the fleet uploads, in the order of the scenario.
        calendar_epoch_unix_s: Date at run time 0, unix seconds; ``None`` = now.
        time_scale: Seconds of the calendar per second of the run, >= 1; 1 without a
            calendar.
        shortened_by: What all times of the scenario were divided by, >= 1.
        expect: ``fail`` = the scenario shows damage on purpose.
        shard_index: Which shard this is, 0 <= index < count.
        shard_count: Of how many; 1 = the whole plan.
    """

    name: str
    seed: int
    duration_ns: int
    warm_up_ns: int
    drain_ns: int
    in_flight: int
    cohorts: tuple[CohortPlan, ...]
    devices: tuple[DevicePlan, ...]
    lab: LabSpec | None
    target: TargetSpec | None
    thresholds: tuple[Threshold, ...]
    needs: Needs
    timeline: tuple[TimelinePlan, ...] = ()
    calendar_epoch_unix_s: int | None = None
    time_scale: float = 1.0
    shortened_by: float = 1.0
    expect: Expectation = "pass"
    shard_index: int = 0
    shard_count: int = 1

    def shard(self, index: int, count: int) -> "Plan":
        """Share of one of ``count`` processes: every ``count``-th device.

        The shards of a plan have each of its devices exactly once, and together its
        ``in_flight`` (at least 1 each).

        Args:
            index: 0 <= index < count.
            count: Number of shards, >= 1.

        Raises:
            ValueError: Arguments out of range, or this is a shard already.
        """
        if not 0 <= index < count:
            raise ValueError(f"no shard {index} of {count}")
        if self.shard_count != 1:
            raise ValueError("a shard is not divided again")
        devices = tuple(d for d in self.devices if d.index % count == index)
        members = [0] * len(self.cohorts)
        for device in devices:
            members[device.cohort] += 1
        cohorts = tuple(
            replace(cohort, count=members[cohort.index]) for cohort in self.cohorts
        )
        in_flight = self.in_flight // count + (index < self.in_flight % count)
        return replace(
            self,
            cohorts=cohorts,
            devices=devices,
            in_flight=max(1, in_flight),
            needs=needs_of(
                cohorts=cohorts,
                devices=devices,
                duration_ns=self.duration_ns,
                drain_ns=self.drain_ns,
                in_flight=max(1, in_flight),
                lab=self.lab,
            ),
            shard_index=index,
            shard_count=count,
        )

    def to_bytes(self) -> bytes:
        """Canonical form: JSON, keys sorted, no white space, ASCII."""
        data = {f.name: _canonical(getattr(self, f.name)) for f in fields(self)}
        data["devices"] = [
            [
                d.index,
                d.device_id,
                d.cohort,
                d.seed,
                d.start_ns,
                d.phase_ns,
                d.clock_skew_s,
            ]
            for d in self.devices
        ]
        return json.dumps(data, sort_keys=True, separators=(",", ":")).encode("ascii")

    @property
    def look_every_ns(self) -> int:
        """How often figures and devices in trouble are looked at, ns of the run.

        Once a second; a run that is shortened has its looks in the same ratio, so that
        what a condition waits for is seen as soon. Never below
        :data:`SHORTEST_LOOK_NS`, which keeps the looks from becoming a load.
        """
        return max(SHORTEST_LOOK_NS, round(to_ns(1.0) / self.shortened_by))

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form, hex."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


def make_plan(
    scenario: Scenario,
    load_profile: Callable[[str], DeviceProfile],
    seed: int | None = None,
) -> Plan:
    """Decide a run.

    Args:
        scenario: A scenario as :func:`fleetsim.scenario.parse.parse_scenario` gives it.
        load_profile: Gives the device profile of a name.
        seed: Replaces the seed of the scenario, 0..2**64-1.

    Raises:
        InputError: A profile cannot be loaded, or the scenario was never checked and
            does not fit together.
    """
    chosen = scenario.seed if seed is None else seed
    if not 0 <= chosen < 2**64:
        raise InputError(Problem("seed", f"must be 0..2^64-1, not {chosen}"))
    factor = scenario.shorten_by
    profiles = {
        c.profile: shortened_profile(load_profile(c.profile), factor)
        for c in scenario.cohorts
    }
    scenario = shortened(scenario)
    cohorts = tuple(
        make_cohort(scenario, index, cohort, profiles[cohort.profile])
        for index, cohort in enumerate(scenario.cohorts)
    )
    devices = make_devices(chosen, cohorts, scenario.cohorts)
    duration_ns, drain_ns = to_ns(scenario.duration), to_ns(scenario.drain)
    calendar = scenario.calendar
    timeline = make_timeline(scenario)
    needs = needs_of(
        cohorts=cohorts,
        devices=devices,
        duration_ns=duration_ns,
        drain_ns=drain_ns,
        in_flight=scenario.limits.in_flight,
        lab=scenario.lab,
    )
    warnings = timeline_warnings(
        timeline,
        cohorts=cohorts,
        devices=devices,
        duration_ns=duration_ns,
        lab=scenario.lab,
    )
    return Plan(
        name=scenario.name,
        seed=chosen,
        duration_ns=duration_ns,
        warm_up_ns=to_ns(scenario.warm_up),
        drain_ns=drain_ns,
        in_flight=scenario.limits.in_flight,
        cohorts=cohorts,
        devices=devices,
        lab=scenario.lab,
        target=scenario.target,
        thresholds=scenario.thresholds,
        needs=replace(
            needs, warnings=(*needs.warnings, *warnings, *sdk_warnings(scenario))
        ),
        timeline=timeline,
        calendar_epoch_unix_s=None if calendar is None else parse_date(calendar.start),
        time_scale=1.0 if calendar is None else float(calendar.time_scale),
        shortened_by=factor,
        expect=scenario.expect,
    )


def _canonical(value: Any) -> Any:
    """Plain JSON data of a value of the plan."""
    if isinstance(value, AnyDistribution):
        return value.to_data()
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        if value and isinstance(value[0], DevicePlan):
            return None  # written as rows by the caller
        return [_canonical(item) for item in value]
    if is_dataclass(value):
        return {
            "type": type(value).__name__,
            **{f.name: _canonical(getattr(value, f.name)) for f in fields(value)},
        }
    return value
