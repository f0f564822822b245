"""Which devices, and in which waves."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.draws import derive_seed
from fleetsim.profiles import catalog
from fleetsim.scenario.plan import Plan, make_plan
from fleetsim.scenario.schema import Scenario
from fleetsim.scenario.selecting import (
    count_of,
    select,
    selected_count,
    selects_cohort,
    waves_of,
)
from fleetsim.scenario.timeline_schema import Selector

MakePlan = Callable[..., Plan]
SHARES = st.floats(0.001, 1.0)


@pytest.fixture
def plan(plan_of: MakePlan) -> Plan:
    """Three cohorts of 70, 20 and 10 devices."""
    return plan_of({"count": 70}, {"count": 20}, {"count": 10})


def selector(**given_keys: Any) -> Selector:
    """A selector as the scenario writes it."""
    return Selector.model_validate(given_keys)


def test_all_devices_in_an_order_that_mixes_the_cohorts(plan: Plan) -> None:
    """Nothing narrows the choice; the order is not that of the plan."""
    chosen = select(plan, Selector())
    assert sorted(chosen) == list(range(100))
    assert len({plan.devices[index].cohort for index in chosen[:15]}) > 1


@pytest.mark.parametrize(
    ("given_keys", "count"),
    [
        ({"cohorts": ("c1",)}, 20),
        ({"cohorts": ("c1", "c2")}, 30),
        ({"share": "10%"}, 10),
        ({"cohorts": ("c2",), "share": 0.25}, 2),
        ({"cohorts": ("c2",), "share": 0.001}, 1),
        ({"cohorts": ("nobody",)}, 0),
        ({"devices": ("00000000",)}, 0),
    ],
)
def test_what_is_given_narrows_the_choice(
    plan: Plan, given_keys: dict[str, Any], count: int
) -> None:
    """Cohorts first, then the share of what is left; exact counts."""
    chosen = select(plan, selector(**given_keys))
    assert len(set(chosen)) == len(chosen) == count
    assert selected_count(plan.cohorts, plan.devices, selector(**given_keys)) == count
    for index in chosen:
        name = plan.cohorts[plan.devices[index].cohort].name
        assert selects_cohort(selector(**given_keys), name)


def test_devices_by_id(plan: Plan) -> None:
    """Ids and cohorts must both fit."""
    some = [plan.devices[index] for index in (3, 75, 99)]
    ids = tuple(device.device_id for device in some)
    assert sorted(select(plan, selector(devices=ids))) == [3, 75, 99]
    assert select(plan, selector(devices=ids, cohorts=("c1",))) == (75,)
    assert selected_count(plan.cohorts, plan.devices, selector(devices=ids)) == 3


@given(first=SHARES, second=SHARES)
def test_a_smaller_share_is_part_of_a_larger(
    small_plan: Plan, first: float, second: float
) -> None:
    """10 % are among the 20 %, by order too."""
    low, high = sorted((first, second))
    small = select(small_plan, Selector(share=low))
    assert select(small_plan, Selector(share=high))[: len(small)] == small


@pytest.fixture(scope="module")
def small_plan() -> Plan:
    """A plan for laws, made once."""
    data = {"name": "x", "lab": {}, "cohorts": [{"name": "a", "count": 37}]}
    scenario = Scenario.model_validate(data)
    return make_plan(scenario, lambda name: catalog.load(name).profile)


def test_the_seed_decides(plan_of: MakePlan) -> None:
    """Same seed, same devices; another seed, others."""
    tenth = Selector(share=0.1)
    first = select(plan_of({"count": 100}, seed=1), tenth)
    assert first == select(plan_of({"count": 100}, seed=1), tenth)
    assert first != select(plan_of({"count": 100}, seed=2), tenth)


def test_ranks_are_apart_from_everything_else_that_is_drawn(plan: Plan) -> None:
    """A device that starts early is not selected early: no common stream."""
    ranks = {derive_seed(plan.seed, 5, index) for index in range(100)}
    assert not ranks & {device.seed for device in plan.devices}


def test_a_shard_cannot_select(plan: Plan) -> None:
    """It does not know how many the others have."""
    with pytest.raises(ValueError, match="from the whole plan"):
        select(plan.shard(0, 2), Selector())


@given(share=st.floats(0, 1), total=st.integers(0, 10_000))
def test_a_share_is_rounded_and_never_nobody(share: float, total: int) -> None:
    """Above 0 it is at least one device, at 1 all of them."""
    count = count_of(share, total)
    assert 0 <= count <= total
    assert abs(count - share * total) <= 1
    if total:
        assert (count == 0) == (share == 0)
    assert count_of(1.0, total) == total


@given(indexes=st.lists(st.integers(0, 10**6), unique=True, max_size=300), share=SHARES)
def test_waves_have_every_device_once(indexes: list[int], share: float) -> None:
    """In order, disjoint, none empty, all of one size but the last."""
    waves = waves_of(indexes, share)
    assert [index for wave in waves for index in wave] == indexes
    assert all(waves)
    sizes = [len(wave) for wave in waves]
    assert len(set(sizes[:-1])) <= 1
    assert all(size <= sizes[0] for size in sizes)


def test_the_first_wave_is_the_share(plan: Plan) -> None:
    """`waves: {share: 10%}` begins with those of `share: 10%`."""
    waves = waves_of(select(plan, Selector()), 0.1)
    assert [len(wave) for wave in waves] == [10] * 10
    assert waves[0] == select(plan, Selector(share=0.1))


@pytest.mark.parametrize("share", [0.0, -0.1, 1.01, float("nan")])
def test_impossible_waves_are_refused(share: float) -> None:
    """A wave takes some of the devices, and at most all."""
    with pytest.raises(ValueError, match="above 0"):
        waves_of((1, 2), share)
