"""The vocabulary of timelines."""

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from pydantic import ValidationError

from fleetsim.core.settings import DeviceProfile
from fleetsim.scenario.parse import parse_scenario
from fleetsim.scenario.schema import Scenario, json_schema
from fleetsim.scenario.timeline_schema import (
    ACTIONS,
    CalendarSpec,
    Selector,
    TimelineEntry,
)

EXAMPLES: dict[str, Any] = {
    "issue_ca": {"key": "p256", "lifetime": "2d", "under": "root", "common_name": "X"},
    "cross_sign": {"ca": "intermediate", "by": "root"},
    "issue_server_certificate": {
        "lifetime": "30s",
        "starts": "5s",
        "names": ["*.example.org", "::1"],
        "with_common_name": False,
        "with_key_encipherment": False,
    },
    "swap_server_certificate": {
        "certificate": "main",
        "chain": "wrong_order",
        "also_send": ["root"],
    },
    "swap_ciphers": {"front": "main", "ciphers": "ECDHE+AESGCM"},
    "swap_tls_versions": {"versions": ["TLSv1.3"]},
    "push_bundle": {
        "to": {"share": "10%"},
        "certificates": ["root"],
        "waves": {"share": 0.1, "every": "30s"},
        "pause_when": "failing_share > 5%",
    },
    "push_config": {"front": "main", "heartbeat": "5s", "ota": 0},
    "push_firmware": {"version": "01.09.02"},
    "rotate_device_certificates": {"revoke_old": "5s"},
    "revoke_devices": {"to": {"share": 0.1}},
    "unrevoke": {},
    "expire_crl": {},
    "rotate_credentials": {"overlap": "10s"},
    "server_outage": {"duration": "5s"},
    "slow_server": {"delay": "1s", "duration": "5s"},
    "reset_connections": {},
    "dns_change": {"front": "main"},
    "fault": {"kind": "reset", "duration": "5s", "after_bytes": "1KiB", "share": 0.5},
    "power_cycle": {"over": "1s"},
    "sleep_devices": {"to": {"devices": ["0000000A"]}},
    "wake_devices": {},
    "skew_clock": {"by": "20m", "backwards": True},
    "set_clock": {"time": "2031-01-01T00:00Z"},
    "lose_rtc": {},
    "network_down": {},
    "network_up": {},
    "run_command": {"argv": ["nginx", "-s", "reload"], "timeout": "5s"},
    "wait_for": {"condition": "stranded == 0", "timeout": "5s"},
    "assert": {"condition": "stranded == 0", "reason": "why"},
}


@pytest.mark.parametrize("key", ACTIONS)
def test_every_action_survives_writing_and_reading(
    key: str, load_profile: Callable[[str], DeviceProfile]
) -> None:
    """Scenario, its data, the published schema and the scenario again agree."""
    high = {"fronts": [{"security": "high"}]}
    data = {
        "name": "x",
        "lab": high,
        "cohorts": [{"name": "a", "count": 3}],
        "timeline": [{"name": "it", "at": "1s", key: EXAMPLES[key]}],
    }
    scenario = Scenario.model_validate(data)
    written = scenario.to_data()
    jsonschema.Draft202012Validator(json_schema()).validate(data)
    jsonschema.Draft202012Validator(json_schema()).validate(written)
    text = json.dumps(written)  # JSON is YAML
    assert parse_scenario(text, "x.yaml", load_profile) == scenario
    found, action = scenario.timeline[0].action
    assert found == key
    assert type(action) is ACTIONS[key]


def test_an_action_without_settings_needs_no_braces() -> None:
    """`issue_ca:` means `issue_ca: {}`."""
    entry = TimelineEntry.model_validate({"name": "a", "at": 1, "issue_ca": None})
    assert (
        entry.action
        == TimelineEntry.model_validate({"name": "a", "at": 1, "issue_ca": {}}).action
    )


def test_an_entry_without_action_has_none() -> None:
    """It is refused by the checks; nothing is made up before."""
    entry = TimelineEntry.model_validate({"at": 1})
    assert all(entry.content(key) is None for key in ACTIONS)
    with pytest.raises(ValueError, match="without an action"):
        _ = entry.action


SEEN_BY_EDITORS: list[dict[str, Any]] = [
    {"at": -1, "lose_rtc": {}},
    {"date": "tomorrow", "lose_rtc": {}},
    {"at": 1, "server_outage": {}},
    {"at": 1, "lose_rtc": {"to": {"share": 1.1}}},
    {"at": 1, "lose_rtc": {"to": {"devices": ["12345"]}}},
    {"at": 1, "push_firmware": {"version": "1.9"}},
    {"at": 1, "issue_server_certificate": {"names": []}},
    {"at": 1, "run_command": {"argv": []}},
    {"at": 1, "run_command": {"argv": "reboot now"}},
    {"at": 1, "reboot": {}},
]
"""Wrong by structure."""
SEEN_BY_THE_PROGRAM: list[dict[str, Any]] = [
    {"at": 1, "when": "x", "lose_rtc": {}},
    {"date": "2027-02-29", "lose_rtc": {}},
    {"at": 1, "server_outage": {"duration": 0}},
    {"at": 1, "issue_ca": {"lifetime": "10ms"}},
    {"at": 1, "issue_server_certificate": {"names": ["a b"]}},
    {"at": 1, "lose_rtc": {"to": {"share": 0}}},
    {"at": 1, "push_config": {"ota": "2d"}},
    {"at": 1, "push_bundle": {"waves": {"share": 0, "every": 1}}},
    {"at": 1, "swap_ciphers": {"ciphers": "`reboot`"}},
]
"""Wrong by value: quantities and grammars are beyond a JSON Schema."""


@pytest.mark.parametrize("entry", [*SEEN_BY_EDITORS, *SEEN_BY_THE_PROGRAM], ids=str)
def test_what_makes_no_sense_by_itself_is_refused(entry: dict[str, Any]) -> None:
    """Field by field, before anything is compared."""
    with pytest.raises(ValidationError):
        TimelineEntry.model_validate(entry)


@pytest.mark.parametrize(
    "entry",
    [*SEEN_BY_EDITORS, {"at": 1}, {"at": 1, "lose_rtc": {}, "unrevoke": {}}],
    ids=str,
)
def test_an_editor_marks_wrong_structure(entry: dict[str, Any]) -> None:
    """An independent validator refuses it by the published schema."""
    cohorts = [{"name": "a", "count": 3}]
    data = {"name": "x", "lab": {}, "cohorts": cohorts, "timeline": [entry]}
    assert not jsonschema.Draft202012Validator(json_schema()).is_valid(data)


def test_the_scale_of_a_calendar_is_bounded() -> None:
    """It passes at least as fast as the run."""
    with pytest.raises(ValidationError):
        CalendarSpec(start="2027-01-01", time_scale=0.5)


def test_nothing_is_selected_by_default_means_all() -> None:
    """The empty selector narrows nothing."""
    assert Selector() == Selector(cohorts=(), share=None, devices=())
