"""Plans: repeatable, divisible, portable."""

import json
import pickle
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetsim.core.settings import DeviceProfile
from fleetsim.exceptions import InputError
from fleetsim.scenario.plan import Plan, make_plan
from fleetsim.scenario.schema import Scenario

PlanOf = Callable[..., Plan]
ScenarioOf = Callable[..., Scenario]
LoadProfile = Callable[[str], DeviceProfile]
LONG = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


@LONG
@given(seed=st.integers(0, 2**64 - 1))
def test_the_same_seed_gives_the_same_bytes(
    seed: int, scenario_of: ScenarioOf, load_profile: LoadProfile
) -> None:
    """A plan can be made again anywhere; another seed gives another one."""
    scenario = scenario_of({"clock": {"skew": {"normal": {"mean": 0, "stddev": "2s"}}}})
    plan = make_plan(scenario, load_profile, seed)
    assert plan.to_bytes() == make_plan(scenario, load_profile, seed).to_bytes()
    assert plan.seed == seed
    other = make_plan(scenario, load_profile, seed ^ 1)
    assert plan.digest != other.digest


def test_the_bytes_do_not_change_between_versions_by_accident(plan_of: PlanOf) -> None:
    """Ids, seeds and starts of a known plan are pinned: results stay comparable."""
    first = plan_of({"workload": {"period": "10s"}}, seed=42).devices[0]
    assert first.device_id == "496655E8"
    assert first.seed == 3233633249810115081
    assert first.start_ns == 127308933
    assert first.phase_ns == 4675638637


@LONG
@given(count=st.integers(1, 40), in_flight=st.integers(1, 200))
def test_shards_partition_the_plan(count: int, in_flight: int, plan_of: PlanOf) -> None:
    """Each device is in exactly one shard, unchanged; counts and bounds add up."""
    plan = plan_of({}, {"count": 23}, limits={"in_flight": in_flight})
    shards = [plan.shard(index, count) for index in range(count)]
    together = sorted((d for s in shards for d in s.devices), key=lambda d: d.index)
    assert together == list(plan.devices)
    for cohort in plan.cohorts:
        assert sum(s.cohorts[cohort.index].count for s in shards) == cohort.count
    assert sum(s.in_flight for s in shards) == max(in_flight, count)
    assert abs(sum(s.needs.uploads for s in shards) - plan.needs.uploads) <= count
    assert {s.shard_index for s in shards} == set(range(count))


def test_one_shard_is_the_whole_plan(plan_of: PlanOf) -> None:
    """One process and many run the same code."""
    plan = plan_of()
    assert plan.shard(0, 1).to_bytes() == plan.to_bytes()


@pytest.mark.parametrize(("index", "count"), [(-1, 2), (2, 2), (0, 0)])
def test_impossible_shards_are_refused(index: int, count: int, plan_of: PlanOf) -> None:
    """0 <= index < count."""
    with pytest.raises(ValueError, match="no shard"):
        plan_of().shard(index, count)


def test_a_shard_is_not_divided_again(plan_of: PlanOf) -> None:
    """Indices of a shard are those of the whole plan."""
    with pytest.raises(ValueError, match="not divided again"):
        plan_of().shard(0, 2).shard(0, 2)


def test_plans_travel_to_other_processes(plan_of: PlanOf) -> None:
    """Pickle gives the same plan."""
    plan = plan_of(thresholds=["tls.p99 < 1s"])
    copy = pickle.loads(pickle.dumps(plan))  # noqa: S301 - our own bytes
    assert copy.to_bytes() == plan.to_bytes()
    assert copy == plan


def test_the_canonical_form_is_json_with_everything_in_it(plan_of: PlanOf) -> None:
    """Sorted keys, ASCII, all devices as rows."""
    plan = plan_of({"name": "a"}, thresholds=["tls.p99 < 1s"])
    data = json.loads(plan.to_bytes())
    assert len(data["devices"]) == 10
    assert data["cohorts"][0]["profile"]["name"] == "canedge2"
    assert data["thresholds"][0]["expression"] == "tls.p99 < 1s"
    assert list(data) == sorted(data)


def test_times_are_nanoseconds(plan_of: PlanOf) -> None:
    """Configured seconds become measured units once."""
    plan = plan_of(duration="40s", warm_up="1500ms", drain="2s")
    assert (plan.duration_ns, plan.warm_up_ns, plan.drain_ns) == (
        40 * 10**9,
        1_500_000_000,
        2 * 10**9,
    )


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seeds_have_64_bits(
    seed: int, scenario_of: ScenarioOf, load_profile: LoadProfile
) -> None:
    """Anything else is refused, not cut."""
    with pytest.raises(InputError, match="seed"):
        make_plan(scenario_of(), load_profile, seed)


@pytest.mark.parametrize(
    ("shorten_by", "look_every_ns"),
    [(1, 1_000_000_000), (4, 250_000_000), (20, 50_000_000), (1000, 50_000_000)],
)
def test_looks_keep_their_ratio_in_a_shortened_run(
    shorten_by: float, look_every_ns: int, plan_of: PlanOf
) -> None:
    """Once a second of the scenario's time, down to 20 times a second."""
    cohort = {"workload": {"period": "1h"}, "heartbeat": "0s", "ota": "0s"}
    plan = plan_of(cohort, duration="5h", shorten_by=shorten_by)
    assert plan.look_every_ns == look_every_ns
    assert plan.shard(0, 2).look_every_ns == look_every_ns
