"""The same rehearsal in less time."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.draws import Draws
from fleetsim.core.settings import DeviceProfile
from fleetsim.profiles import catalog
from fleetsim.scenario.distributions import parse_distribution
from fleetsim.scenario.model import Part
from fleetsim.scenario.plan import Plan, make_plan
from fleetsim.scenario.schema import Scenario
from fleetsim.scenario.shortening import (
    shortened,
    shortened_profile,
    shortening_problems,
)
from fleetsim.scenario.timeline_schema import ACTIONS

PROFILE = catalog.load("canedge2").profile
REHEARSAL: dict[str, Any] = {
    "name": "x",
    "duration": "10m",
    "warm_up": "30s",
    "drain": "1m",
    "lab": {
        "fronts": [
            {"name": "main", "tls": {"certificate": {"lifetime": "5m"}}},
            {"name": "mutual", "security": "high"},
        ]
    },
    "cohorts": [
        {
            "name": "a",
            "count": 20,
            "heartbeat": "40s",
            "ota": "1m",
            "start_up": {"over": "20s"},
            "clock": {"skew": "5m"},
            "workload": {
                "period": "50s",
                "jitter": {"uniform": ["-1s", "1s"]},
                "upload_delay": "3s",
            },
            "overrides": {
                "fallback": {"delay": "2s"},
                "retry": {"first": "4s", "max": "40s"},
                "deadlines": {"connect": "6s"},
            },
        },
        {"name": "b", "count": 5, "front": "mutual"},
    ],
    "timeline": [
        {"name": "ca", "at": "1m", "issue_ca": {"lifetime": "100s"}},
        {
            "name": "leaf",
            "after": "ca",
            "delay": "20s",
            "issue_server_certificate": {
                "ca": "ca",
                "lifetime": "50s",
                "starts": "10s",
            },
        },
        {
            "after": "ca",
            "push_bundle": {
                "certificates": ["ca"],
                "waves": {"share": "10%", "every": "30s"},
                "pause_when": "elapsed_s > 200s",
            },
        },
        {"when": "elapsed_s > 2m", "push_config": {"heartbeat": "80s", "ota": "90s"}},
        {"at": "3m", "server_outage": {"duration": "30s"}},
        {"at": "3m", "slow_server": {"delay": "20s", "duration": "30s"}},
        {"at": "3m", "fault": {"kind": "delay", "delay": "20s", "duration": "30s"}},
        {"at": "3m", "power_cycle": {"over": "30s"}},
        {"at": "3m", "rotate_credentials": {"overlap": "30s"}},
        {
            "at": "3m",
            "rotate_device_certificates": {"revoke_old": "30s", "lifetime": "200s"},
        },
        {"at": "3m", "skew_clock": {"by": "20m"}},
        {"at": "3m", "wait_for": {"condition": "stranded == 0", "timeout": "30s"}},
        {"at": "3m", "run_command": {"argv": ["true"], "timeout": "30s"}},
    ],
    "thresholds": [
        "freshness.max < 2m",
        "time_to_recover <= 30s",
        "upload.response_time.p99 < 2s",
        "stranded == 0",
    ],
}


def times_of(part: Any, path: str = "") -> dict[str, float]:
    """Every number in a scenario, by its place."""
    if isinstance(part, Part):
        inner = [(name, getattr(part, name)) for name in type(part).model_fields]
    elif isinstance(part, tuple):
        inner = [(str(number), value) for number, value in enumerate(part)]
    elif hasattr(type(part), "__dataclass_fields__"):
        inner = [(field.name, getattr(part, field.name)) for field in fields(part)]
    elif isinstance(part, int | float) and not isinstance(part, bool):
        return {path: float(part)}
    else:
        return {}
    found: dict[str, float] = {}
    for name, value in inner:
        found |= times_of(value, f"{path}.{name}" if path else name)
    return found


def changed(scenario: Scenario) -> dict[str, float]:
    """What shortening did: new per old value, where they differ."""
    old, new = times_of(scenario), times_of(shortened(scenario))
    assert old.keys() - new.keys() == set()
    return {k: new[k] / v for k, v in old.items() if new[k] != v and k != "shorten_by"}


KEPT_DURATIONS = {
    "cohorts.0.overrides.deadlines.connect",
    "cohorts.0.clock.skew.value",
    "timeline.5.slow_server.delay",
    "timeline.6.fault.delay",
    "timeline.10.skew_clock.by",
    "timeline.12.run_command.timeout",
    "thresholds.2.value",
}


def test_all_times_of_the_run_get_shorter_by_one_factor() -> None:
    """What is not divided stays exactly as it was; nothing is in between."""
    ratios = changed(Scenario.model_validate({**REHEARSAL, "shorten_by": 4}))
    assert all(ratio == pytest.approx(0.25) for ratio in ratios.values())
    assert {
        "duration",
        "warm_up",
        "drain",
        "lab.authorities.root.lifetime",
        "lab.authorities.intermediate.lifetime",
        "lab.authorities.devices.lifetime",
        "lab.fronts.0.tls.certificate.lifetime",
        "cohorts.0.heartbeat",
        "cohorts.0.ota",
        "cohorts.0.start_up.over",
        "cohorts.0.workload.period",
        "cohorts.0.workload.jitter.low",
        "cohorts.0.workload.jitter.high",
        "cohorts.0.workload.upload_delay.value",
        "cohorts.0.overrides.fallback.delay",
        "cohorts.0.overrides.retry.first",
        "cohorts.0.overrides.retry.max",
        "cohorts.1.workload.period",
        "timeline.0.at",
        "timeline.0.issue_ca.lifetime",
        "timeline.1.delay",
        "timeline.1.issue_server_certificate.lifetime",
        "timeline.1.issue_server_certificate.starts",
        "timeline.2.push_bundle.waves.every",
        "timeline.2.push_bundle.pause_when.value",
        "timeline.3.when.value",
        "timeline.3.push_config.heartbeat",
        "timeline.3.push_config.ota",
        "timeline.4.server_outage.duration",
        "timeline.5.slow_server.duration",
        "timeline.6.fault.duration",
        "timeline.7.power_cycle.over",
        "timeline.8.rotate_credentials.overlap",
        "timeline.9.rotate_device_certificates.revoke_old",
        "timeline.9.rotate_device_certificates.lifetime",
        "timeline.11.wait_for.timeout",
        "thresholds.0.value",
        "thresholds.1.value",
    } == {key for key in ratios if not key.endswith(".at") or key == "timeline.0.at"}
    assert [key for key in ratios if key.endswith(".at")] == [
        f"timeline.{number}.at" for number in (0, *range(4, 13))
    ]
    assert not KEPT_DURATIONS & ratios.keys()
    assert times_of(Scenario.model_validate(REHEARSAL)).keys() >= KEPT_DURATIONS


def test_no_action_is_forgotten() -> None:
    """Every duration of every action is known to be divided or to be kept."""
    durations = {
        f"{key}.{name}"
        for key, action in ACTIONS.items()
        for name, field in action.model_fields.items()
        if "parse_duration" in f"{field.annotation}{field.metadata}"
    }
    seen = {
        key.partition(".")[2].partition(".")[2]
        for key in times_of(Scenario.model_validate(REHEARSAL))
        if key.startswith("timeline.")
    }
    assert durations - {"cross_sign.lifetime"} <= seen  # like issue_ca.lifetime
    assert "cross_sign.lifetime" in durations


def test_a_calendar_passes_faster_instead() -> None:
    """Dates and lifetimes stay; the run reaches them sooner."""
    calendar = {"start": "2027-01-01", "time_scale": 60}
    data = {**REHEARSAL, "calendar": calendar, "shorten_by": 4}
    scenario = Scenario.model_validate(data)
    ratios = changed(scenario)
    assert ratios["calendar.time_scale"] == 4
    assert not [key for key in ratios if key.endswith((".lifetime", ".starts"))]
    assert ratios["duration"] == 0.25


def test_expressions_tell_the_new_value() -> None:
    """What a report prints is what was asked."""
    short = shortened(Scenario.model_validate({**REHEARSAL, "shorten_by": 4}))
    assert [each.expression for each in short.thresholds] == [
        "freshness.max < 30s",
        "time_to_recover <= 7.5s",
        "upload.response_time.p99 < 2s",
        "stranded == 0",
    ]
    assert str(short.timeline[3].when) == "elapsed_s > 30s"


def test_one_is_nothing() -> None:
    """Not even a copy is made."""
    scenario = Scenario.model_validate(REHEARSAL)
    assert shortened(scenario) is scenario
    assert shortened_profile(PROFILE, 1) is PROFILE
    assert list(shortening_problems(scenario, {})) == []


@given(first=st.integers(1, 50), second=st.integers(1, 50))
def test_twice_is_once_by_the_product(first: int, second: int) -> None:
    """Up to rounding."""
    scenario = Scenario.model_validate({**REHEARSAL, "shorten_by": first})
    twice = shortened(shortened(scenario).model_copy(update={"shorten_by": second}))
    once = shortened(scenario.model_copy(update={"shorten_by": first * second}))
    assert times_of(twice) == pytest.approx(times_of(once))


def test_the_timers_of_the_device_model_follow() -> None:
    """Those that the cohort does not set; deadlines and sizes stay."""
    short = shortened_profile(PROFILE, 10)
    assert short.heartbeat_s == PROFILE.heartbeat_s / 10
    assert short.ota_s == PROFILE.ota_s / 10
    assert short.retry.first_s == PROFILE.retry.first_s / 10
    assert short.retry.max_s == PROFILE.retry.max_s / 10
    assert short.deadlines == PROFILE.deadlines
    assert short.card == PROFILE.card


def plan_of(**more: Any) -> Plan:
    """The rehearsal as a plan."""
    scenario = Scenario.model_validate({**REHEARSAL, **more})
    return make_plan(scenario, lambda name: catalog.load(name).profile)


@pytest.mark.parametrize("factor", [2, 3.7, 25])
def test_a_shortened_plan_does_the_same_things(factor: float) -> None:
    """As many files, heartbeats and requests, for the same devices, in order."""
    whole, short = plan_of(), plan_of(shorten_by=factor)
    assert short.shortened_by == factor
    assert short.needs.uploads == whole.needs.uploads
    assert short.needs.requests == whole.needs.requests
    assert short.duration_ns == pytest.approx(whole.duration_ns / factor)
    for ours, theirs in zip(short.devices, whole.devices, strict=True):
        assert ours.device_id == theirs.device_id
        assert ours.seed == theirs.seed
        assert ours.start_ns == pytest.approx(theirs.start_ns / factor, abs=2)
        assert ours.phase_ns == pytest.approx(theirs.phase_ns / factor, abs=2)
        assert ours.clock_skew_s == theirs.clock_skew_s
    for entry, other in zip(short.timeline, whole.timeline, strict=True):
        assert (entry.key, entry.after) == (other.key, other.after)
        assert (entry.at_ns or 0) == pytest.approx((other.at_ns or 0) / factor, abs=1)


@pytest.mark.parametrize(
    ("change", "factor", "words"),
    [
        ({}, 5001, "the period of cohort a would be 9.998ms"),
        ({}, 401, "the first retry of cohort a would be 9.975062ms"),
        ({}, 51, "the certificate of timeline[1] would be 980.392157ms"),
        ({}, 301, "the certificate of front main would be 996.677741ms"),
    ],
)
def test_too_short_is_refused_with_the_largest_factor(
    change: dict[str, Any], factor: float, words: str
) -> None:
    """Timers need 10 ms, certificates a second."""
    scenario = Scenario.model_validate({**REHEARSAL, **change, "shorten_by": factor})
    problems = list(shortening_problems(scenario, {"canedge2": PROFILE}))
    mine = [problem for problem in problems if problem.startswith(words)]
    assert len(mine) == 1
    most = float(mine[0].rpartition("at most ")[2].partition(" ")[0])
    assert most == pytest.approx(factor - 1, rel=1e-3)


def test_it_can_be_shortened_as_far_as_it_says() -> None:
    """The least of the largest factors is accepted."""
    scenario = Scenario.model_validate({**REHEARSAL, "shorten_by": 50})
    assert list(shortening_problems(scenario, {"canedge2": PROFILE})) == []


def test_a_scenario_that_is_too_short_is_not_parsed(
    scenario_of: Callable[..., Scenario],
) -> None:
    """The checks ask."""
    with pytest.raises(Exception, match="shorten_by: the period of cohort c0"):
        scenario_of({"workload": {"period": "1s"}}, shorten_by=200)


LAWS: list[Any] = [
    3.0,
    {"uniform": [1, 2]},
    {"normal": {"mean": 5, "stddev": 2, "min": 1, "max": 8}},
    {"lognormal": {"median": 5, "sigma": 0.5, "max": 9}},
    {"exponential": {"mean": 3, "min": 1, "max": 7}},
    {"empirical": {"values": [1, 2, 9], "weights": [1, 2, 3]}},
]


@pytest.mark.parametrize("data", LAWS, ids=str)
@given(seed=st.integers(0, 2**64 - 1), factor=st.floats(0.001, 1))
def test_a_scaled_law_draws_scaled_samples(data: Any, seed: int, factor: float) -> None:
    """Sample by sample from the same random numbers; mean and bounds too."""
    law = parse_distribution(data)
    scaled = law.scaled(factor)
    ours, theirs = scaled.sample(Draws(seed)), law.sample(Draws(seed))
    assert ours == pytest.approx(theirs * factor)
    assert scaled.mean() == pytest.approx(law.mean() * factor)
    assert scaled.lowest == pytest.approx(law.lowest * factor)
    assert scaled.highest == pytest.approx(law.highest * factor)


def test_a_law_of_somebody_else_is_kept() -> None:
    """Nothing is known of it but its samples."""

    class Odd:
        fixed = None

        def sample(self, draws: Draws) -> float:
            return draws.uniform()

    values = {f.name: getattr(PROFILE, f.name) for f in fields(PROFILE)}
    odd = Odd()
    profile = DeviceProfile(**{**values, "upload_delay": odd})
    assert shortened_profile(profile, 2).upload_delay is odd
