"""Cohorts and devices of a plan."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.exceptions import InputError
from fleetsim.profiles import catalog
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.roster import DevicePlan, make_cohort, make_devices, to_ns
from fleetsim.scenario.schema import Scenario

PlanOf = Callable[..., Plan]


def devices_of(count: int, seed: int, **cohort: Any) -> tuple[DevicePlan, ...]:
    """Devices of a scenario of one cohort."""
    scenario = Scenario.model_validate(
        {"name": "x", "lab": {}, "cohorts": [{"name": "a", "count": count, **cohort}]}
    )
    spec = scenario.cohorts[0]
    profile = catalog.load("canedge2").profile
    return make_devices(seed, [make_cohort(scenario, 0, spec, profile)], [spec])


@given(st.integers(0, 2**64 - 1))
def test_ids_are_unique_and_well_formed(seed: int) -> None:
    """8 upper-case hex digits, no two alike, whatever the seed."""
    ids = [device.device_id for device in devices_of(500, seed)]
    assert len(set(ids)) == 500
    assert all(len(i) == 8 and set(i) <= set("0123456789ABCDEF") for i in ids)


@pytest.mark.slow
def test_ids_are_unique_in_a_large_fleet() -> None:
    """200,000 random ids of 32 bits would collide about five times; these never."""
    assert len({device.device_id for device in devices_of(200_000, 7)}) == 200_000


@given(st.integers(0, 2**64 - 1), st.integers(1, 50), st.integers(51, 100))
def test_a_larger_fleet_has_the_smaller_one_in_it(
    seed: int, few: int, many: int
) -> None:
    """Devices depend on seed and index only, so runs of two sizes can be compared."""
    assert devices_of(many, seed)[:few] == devices_of(few, seed)


@given(st.integers(0, 2**64 - 1))
def test_starts_and_phases_lie_in_their_ranges(seed: int) -> None:
    """0 <= start < over, 0 <= phase < period."""
    for device in devices_of(
        200, seed, workload={"period": "10s"}, start_up={"over": "3s"}
    ):
        assert 0 <= device.start_ns < 3 * 10**9
        assert 0 <= device.phase_ns < 10**10
        assert 0 <= device.seed < 2**64


def test_a_spread_is_even() -> None:
    """Of 10,000 devices, each tenth of the period has a tenth (5 sigma)."""
    tenths = [0] * 10
    for device in devices_of(10_000, 3, workload={"period": "10s"}):
        tenths[device.phase_ns // 10**9] += 1
    assert all(abs(count - 1000) < 150 for count in tenths)


def test_a_herd_acts_at_once() -> None:
    """Same start, same boundary for all."""
    herd = devices_of(
        50, 3, workload={"period": "10s", "phase": "herd"}, start_up={"phase": "herd"}
    )
    assert {(device.start_ns, device.phase_ns) for device in herd} == {(0, 0)}


def test_every_device_has_its_own_seed_and_clock() -> None:
    """Lives are independent; clock errors follow their distribution."""
    fleet = devices_of(1000, 3, clock={"skew": {"uniform": ["-5s", "5s"]}})
    assert len({device.seed for device in fleet}) == 1000
    assert -5 <= min(device.clock_skew_s for device in fleet) < -4
    assert 4 < max(device.clock_skew_s for device in fleet) <= 5


def test_client_keys_belong_to_security_high(plan_of: PlanOf) -> None:
    """Nobody else has a certificate."""
    high = plan_of(
        {"client_certificates": {"key": "p256", "unique_keys": True}},
        lab={"fronts": [{"security": "high"}]},
    ).cohorts[0]
    assert (high.client_key, high.unique_keys) == ("p256", True)
    assert plan_of().cohorts[0].client_key == ""


def test_the_default_table_is_the_first_of_the_profile(plan_of: PlanOf) -> None:
    """winc-ecdhe-last for canedge2; another by name."""
    assert plan_of().cohorts[0].cipher_table.name == "winc-ecdhe-last"
    other = plan_of({"cipher_table": "winc-nonecc"}).cohorts[0]
    assert other.cipher_table.name == "winc-nonecc"


def test_an_unchecked_scenario_is_refused() -> None:
    """A plan is never made from what does not fit together."""
    scenario = Scenario.model_validate(
        {"name": "x", "lab": {}, "cohorts": [{"name": "a", "count": 1, "front": "no"}]}
    )
    with pytest.raises(InputError, match="unknown cipher table, trust source or front"):
        make_cohort(scenario, 0, scenario.cohorts[0], catalog.load("canedge2").profile)


def test_seconds_become_whole_nanoseconds() -> None:
    """Rounded, not cut: 0.1 s is 100,000,000 ns."""
    assert to_ns(0.1) == 100_000_000
    assert to_ns(0.3) == 300_000_000
