"""What does not fit together in cohorts with client: sdk."""

from typing import Any

import pytest

from fleetsim.core.sdk_settings import SDK_TABLE
from fleetsim.core.settings import ConnectionUse
from fleetsim.profiles import catalog
from fleetsim.scenario.checks import check
from fleetsim.scenario.overriding import dotted
from fleetsim.scenario.plan import Plan, make_plan
from fleetsim.scenario.schema import Scenario

SDK: dict[str, Any] = {"name": "a", "count": 2, "client": "sdk"}


def scenario(cohort: dict[str, Any], **top: Any) -> Scenario:
    """A scenario of one cohort on the lab."""
    return Scenario.model_validate({"name": "x", "lab": {}, "cohorts": [cohort], **top})


def plan_of(cohort: dict[str, Any], **top: Any) -> Plan:
    """Its plan."""
    return make_plan(scenario(cohort, **top), lambda name: catalog.load(name).profile)


@pytest.mark.parametrize(
    ("cohort", "top", "place", "what"),
    [
        ({"client": "device", "sdk": {}}, {}, "cohorts[0].sdk", "write client: sdk"),
        ({"clock": {"skew": "1h"}}, {}, "cohorts[0].clock.skew", "machine's clock"),
        (
            {},
            {"calendar": {"start": "2027-01-01", "time_scale": 60}},
            "cohorts[0].client",
            "use client: device",
        ),
    ],
    ids=["settings without it", "skew", "calendar"],
)
def test_what_cannot_work_is_found(
    cohort: dict[str, Any], top: dict[str, Any], place: str, what: str
) -> None:
    """With its place and what to write instead."""
    made = scenario({**SDK, **cohort}, **top)
    profiles = {"canedge2": catalog.load("canedge2").profile}
    found = {dotted(each.at): each.what for each in check(made, profiles)}
    assert list(found) == [place]
    assert what in found[place]


def test_larger_files_than_one_put_are_no_problem() -> None:
    """The SDK uploads them in parts; firmware cannot."""
    profiles = {"canedge2": catalog.load("canedge2").profile}
    large = {"workload": {"file_size": "6GiB"}}
    assert check(scenario({**SDK, **large}), profiles) == ()
    assert check(scenario({**SDK, **large, "client": "device"}), profiles) != ()


@pytest.mark.parametrize(
    ("cohort", "top", "words"),
    [
        ({"cipher_table": "winc-ecdhe-last"}, {}, "cipher_table has no effect"),
        (
            {"overrides": {"tls": {"resumption": True}, "signed_payload": True}},
            {},
            "overrides.tls, overrides.signed_payload have no effect",
        ),
        (
            {},
            {"timeline": [{"at": "1s", "skew_clock": {"by": "1h"}}]},
            "changing the clocks",
        ),
    ],
    ids=["cipher table", "overrides", "clock action"],
)
def test_what_has_no_effect_is_said(
    cohort: dict[str, Any], top: dict[str, Any], words: str
) -> None:
    """As a warning of the plan: cohorts may share such lines with firmware."""
    assert any(
        words in each for each in plan_of({**SDK, **cohort}, **top).needs.warnings
    )
    firmware = plan_of({**SDK, **cohort, "client": "device"}, **top)
    assert not any(words in each for each in firmware.needs.warnings)


def test_a_clock_action_for_others_is_not_mentioned() -> None:
    """Only cohorts that an action selects are concerned."""
    entry = {"at": "1s", "skew_clock": {"by": "1h", "to": {"cohorts": ["b"]}}}
    other = {"name": "b", "count": 1}
    made = Scenario.model_validate(
        {"name": "x", "lab": {}, "cohorts": [SDK, other], "timeline": [entry]}
    )
    plan = make_plan(made, lambda name: catalog.load(name).profile)
    assert not any("clocks" in each for each in plan.needs.warnings)


def test_a_plan_has_the_network_side_of_the_sdk() -> None:
    """One group, kept connections unless written otherwise, more CPU and memory."""
    sdk, firmware = plan_of(SDK), plan_of({**SDK, "client": "device"})
    assert sdk.cohorts[0].cipher_table == SDK_TABLE
    assert sdk.cohorts[0].workload.connection is ConnectionUse.KEEP_ALIVE
    assert firmware.cohorts[0].workload.connection is ConnectionUse.PER_UPLOAD
    assert firmware.cohorts[0].sdk is None
    assert sdk.needs.cpu_ratio > firmware.needs.cpu_ratio
    assert sdk.needs.memory_bytes > firmware.needs.memory_bytes
    closing = plan_of({**SDK, "workload": {"connection": "per_upload"}})
    assert closing.cohorts[0].workload.connection is ConnectionUse.PER_UPLOAD


def test_parts_need_a_connection_each() -> None:
    """A device that uploads in parts may open as many as its pool allows."""
    small = plan_of(SDK).needs.file_descriptors
    large = plan_of({**SDK, "workload": {"file_size": "9MiB"}}).needs.file_descriptors
    assert large - small == 2 * 9
