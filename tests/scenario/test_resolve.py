"""What "left out" means."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from fleetsim.core.settings import (
    AdvanceOn,
    DeviceProfile,
    RequestStyle,
    Security,
)
from fleetsim.profiles import catalog
from fleetsim.scenario import resolve
from fleetsim.scenario.schema import Scenario
from fleetsim.scenario.specs import (
    EmptyTrust,
    EnvCredentials,
    FileTrust,
    LabCredentials,
    LabTrust,
)

TARGET = {"endpoint": "https://s3.example.org:9000", "bucket": "fleet"}
ScenarioOf = Callable[..., Scenario]


@pytest.fixture
def profile() -> DeviceProfile:
    """A real profile."""
    return catalog.load("canedge2").profile


@pytest.mark.parametrize(
    ("top", "security", "trust", "credentials"),
    [
        ({}, Security.MEDIUM, LabTrust(), LabCredentials()),
        (
            {"lab": {"fronts": [{"security": "high"}]}},
            Security.HIGH,
            LabTrust(),
            LabCredentials(),
        ),
        (
            {"lab": {"fronts": [{"security": "low"}]}},
            Security.LOW,
            EmptyTrust(),
            LabCredentials(),
        ),
        (
            {"target": {**TARGET, "ca_file": "ca.pem"}},
            Security.MEDIUM,
            FileTrust("ca.pem"),
            EnvCredentials(),
        ),
        (
            {"target": {"endpoint": "http://h", "bucket": "fleet"}},
            Security.LOW,
            EmptyTrust(),
            EnvCredentials(),
        ),
        (
            {"target": {"bucket": "fleet", "ca_file": "ca.pem"}},
            Security.MEDIUM,
            FileTrust("ca.pem"),
            EnvCredentials(),
        ),
    ],
    ids=["lab", "high", "low", "https", "http", "environment"],
)
def test_defaults_follow_the_target(
    scenario_of: ScenarioOf,
    top: dict[str, Any],
    security: Security,
    trust: object,
    credentials: object,
) -> None:
    """Security, trust and credentials are what the front or the endpoint suggests."""
    scenario = scenario_of(**top)
    cohort = scenario.cohorts[0]
    assert resolve.security_of(scenario, cohort) is security
    assert resolve.trust_of(scenario, cohort) == trust
    assert resolve.credentials_of(scenario, cohort) == credentials


def test_overrides_replace_single_figures(
    scenario_of: ScenarioOf, profile: DeviceProfile
) -> None:
    """What is not written stays as in the profile."""
    scenario = scenario_of(
        {
            "heartbeat": "7s",
            "ota": 0,
            "overrides": {
                "fallback": {"advance_on": "never", "delay": "1s"},
                "retry": {"first": "2s", "factor": 3, "max": "9s", "jitter": "50%"},
                "deadlines": {"dns": "1s", "response": "2s"},
                "card": {"size": "1MiB"},
                "bundle": {"max_size": "1KiB"},
                "signed_payload": True,
            },
        }
    )
    got = resolve.profile_of(scenario, scenario.cohorts[0], profile)
    assert got.fallback.advance_on is AdvanceOn.NEVER
    assert got.fallback.delay_s == 1.0
    assert got.fallback.memory is profile.fallback.memory
    assert (got.retry.first_s, got.retry.factor) == (2.0, 3.0)
    assert (got.retry.max_s, got.retry.jitter_ratio) == (9.0, 0.5)
    assert (got.deadlines.dns_s, got.deadlines.response_s) == (1.0, 2.0)
    assert got.deadlines.connect_s == profile.deadlines.connect_s
    assert got.card.size_bytes == 2**20
    assert got.bundle.max_bytes == 1024
    assert got.signed_payload is True
    assert (got.heartbeat_s, got.ota_s) == (7.0, 0.0)


def test_every_override_reaches_a_setting(
    scenario_of: ScenarioOf, profile: DeviceProfile
) -> None:
    """No key of the format is accepted and then ignored: all keys, all changed."""
    overrides: dict[str, Any] = {
        "fallback": {
            "advance_on": "cipher_failure",
            "memory": "forever",
            "step_back": "after_success",
            "delay": 11,
        },
        "retry": {"first": 11, "factor": 11, "max": 111, "jitter": 0.11},
        "deadlines": dict.fromkeys(
            ["dns", "connect", "handshake", "send", "response"], 11
        ),
        "tls": {
            "resumption": True,
            "check_host": False,
            "check_ip": False,
            "send_sni": False,
            "min_version": "TLSv1.3",
            "max_version": "TLSv1.3",
            "security_level": 2,
        },
        "card": {"size": 11, "cyclic": False},
        "bundle": {
            "on_bad": "clear",
            "max_certificates": 11,
            "max_size": 11,
            "distinct_by": "nothing",
            "require_ca": True,
        },
        "clock": {"sync": "when_connected", "tolerance": 11},
        "signed_payload": True,
        "style": "virtual",
        "change_detection": "head_then_get",
        "boot_uploads_schema": False,
    }
    scenario = scenario_of({"overrides": overrides})
    got = resolve.profile_of(scenario, scenario.cohorts[0], profile)
    for name, value in overrides.items():
        old, new = getattr(profile, name), getattr(got, name)
        if not isinstance(value, dict):
            assert new != old, name
            continue
        changed = [
            f.name for f in fields(new) if getattr(new, f.name) != getattr(old, f.name)
        ]
        assert len(changed) == len(value), name


def test_the_request_style_is_that_of_the_target(
    scenario_of: ScenarioOf, profile: DeviceProfile
) -> None:
    """target.style applies to all, a cohort's own override wins."""
    target = {**TARGET, "style": "virtual", "ca_file": "x"}
    plain = scenario_of(target=target)
    own = scenario_of({"overrides": {"style": "path"}}, target=target)
    styles = [
        resolve.profile_of(each, each.cohorts[0], profile).style
        for each in (plain, own)
    ]
    assert styles == [RequestStyle.VIRTUAL, RequestStyle.PATH]


@pytest.mark.parametrize(
    ("cohort", "duration", "over_s"),
    [
        ({}, 30, 5.0),
        ({}, 8, 2.0),
        ({"start_up": {"phase": "herd"}}, 30, 0.0),
        ({"start_up": {"over": "12s"}}, 30, 12.0),
    ],
)
def test_start_up_takes_five_seconds_unless_told(
    scenario_of: ScenarioOf, cohort: dict[str, Any], duration: float, over_s: float
) -> None:
    """5 s, at most a quarter of the load; a herd starts at once."""
    scenario = scenario_of(cohort, duration=duration)
    assert resolve.start_over_s(scenario, scenario.cohorts[0]) == over_s


def test_the_upload_delay_of_the_profile_is_the_default(
    scenario_of: ScenarioOf, profile: DeviceProfile
) -> None:
    """A workload that says nothing waits as the device does."""
    silent = scenario_of().cohorts[0]
    told = scenario_of({"workload": {"upload_delay": "1s"}}).cohorts[0]
    assert resolve.workload_of(silent, profile).upload_delay == profile.upload_delay
    assert resolve.workload_of(told, profile).upload_delay != profile.upload_delay
