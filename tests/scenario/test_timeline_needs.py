"""What of a timeline will not work as its author may think."""

from collections.abc import Callable
from typing import Any

import pytest

from fleetsim.scenario.plan import Plan
from fleetsim.scenario.timeline_needs import (
    selector_of,
    spread_ns,
    wave_count,
    waves_of_entry,
)
from fleetsim.scenario.timeline_schema import Waves

MakePlan = Callable[..., Plan]
S = 1_000_000_000
PUSH: dict[str, Any] = {"at": "10s", "push_bundle": {"certificates": ["root"]}}
QUICK = {"ota": "5s", "count": 100, "workload": {"upload_delay": 0}}


def about_the_timeline(plan: Plan) -> list[str]:
    """Warnings that begin with an action."""
    return [w for w in plan.needs.warnings if w.startswith(("push_", "lose_"))]


def push(**more: Any) -> dict[str, Any]:
    """A push with more in it."""
    return {**PUSH, "push_bundle": {**PUSH["push_bundle"], **more}}


@pytest.mark.parametrize(
    "entry",
    [
        PUSH,
        {**PUSH, "at": "25s"},
        push(waves={"share": "25%", "every": "5s"}),
        {"when": "elapsed_s > 1", "push_bundle": {"fault": "empty"}},
    ],
    ids=str,
)
def test_what_arrives_in_time_is_no_warning(
    plan_of: MakePlan, entry: dict[str, Any]
) -> None:
    """Every device still looks once after the last wave."""
    assert about_the_timeline(plan_of(QUICK, timeline=[entry])) == []


@pytest.mark.parametrize(
    ("entry", "cohort", "words"),
    [
        (push(waves={"share": "10%", "every": "3s"}), {}, "its last wave at 37s"),
        (
            push(waves={"share": "25%", "every": "6s"}),
            {},
            "look every 5s, the load goes on for 2s",
        ),
        ({**PUSH, "at": "26s"}, {}, "look every 5s, the load goes on for 4s"),
        (PUSH, {"ota": 0}, "never reaches cohort c0"),
        (PUSH, {"ota": "21s"}, "look every 21s, the load goes on for 20s"),
        (
            {"at": 1, "lose_rtc": {"to": {"devices": ["00000000"]}}},
            {},
            "not in this plan: 00000000",
        ),
        (
            {"name": "up", "at": 1, "push_config": {"front": "mutual"}},
            {},
            "push_config up sends cohort c0 to front mutual",
        ),
    ],
)
def test_what_will_not_arrive_is_a_warning(
    plan_of: MakePlan, entry: dict[str, Any], cohort: dict[str, Any], words: str
) -> None:
    """Exactly one, with the figures."""
    lab = {"fronts": [{"name": "main"}, {"name": "mutual", "security": "high"}]}
    plan = plan_of({**QUICK, **cohort}, timeline=[entry], lab=lab)
    [warning] = about_the_timeline(plan)
    assert words in warning


def test_other_cohorts_are_not_meant(plan_of: MakePlan) -> None:
    """Only those a push is for."""
    plan = plan_of(QUICK, {"ota": 0}, timeline=[push(to={"cohorts": ["c0"]})])
    assert about_the_timeline(plan) == []


def test_a_pushed_timer_is_not_guessed(plan_of: MakePlan) -> None:
    """Once the timeline changes how often devices look, the old period is no news."""
    slow = {**QUICK, "ota": "25s"}
    changing = {"at": 0, "push_config": {"ota": "1s"}}
    assert about_the_timeline(plan_of(slow, timeline=[PUSH]))
    assert about_the_timeline(plan_of(slow, timeline=[PUSH, changing])) == []


def test_certificates_may_come_first(plan_of: MakePlan) -> None:
    """The upgrade to security high, in order."""
    lab = {"fronts": [{"name": "main"}, {"name": "mutual", "security": "high"}]}
    timeline = [
        {"name": "certificates", "at": 1, "rotate_device_certificates": {}},
        {"after": "certificates", "push_config": {"front": "mutual"}},
    ]
    plan = plan_of(QUICK, timeline=timeline, lab=lab)
    assert about_the_timeline(plan) == []


@pytest.mark.parametrize(
    ("share", "devices", "count", "last_s"),
    [(0.1, 100, 10, 27), (0.3, 10, 4, 9), (1.0, 10, 1, 0), (0.1, 0, 0, 0)],
)
def test_waves(share: float, devices: int, count: int, last_s: int) -> None:
    """How many, and how long from the first to the last."""
    waves = Waves(share=share, every=3.0)
    assert wave_count(waves, devices) == count
    assert spread_ns(waves, devices) == last_s * S
    assert spread_ns(None, devices) == 0


def test_who_and_in_which_waves(plan_of: MakePlan) -> None:
    """Of entries that are for devices, and of those that are not."""
    waves = {"share": 0.5, "every": 1.0}
    timeline = [push(waves=waves), {"at": 1, "reset_connections": {}}]
    plan = plan_of(QUICK, timeline=timeline)
    assert selector_of(plan.timeline[0]) is not None
    assert waves_of_entry(plan.timeline[0]) == Waves(share=0.5, every=1.0)
    assert selector_of(plan.timeline[1]) is None
    assert waves_of_entry(plan.timeline[1]) is None
