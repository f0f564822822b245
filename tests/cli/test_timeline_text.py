"""A timeline in words and as JSON."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from fleetsim.cli.plan_text import plan_data, print_plan
from fleetsim.cli.timeline_text import (
    calendar_data,
    calendar_text,
    print_timeline,
    timeline_data,
    when_text,
    whom_text,
)
from fleetsim.profiles import catalog
from fleetsim.scenario.plan import Plan, make_plan
from fleetsim.scenario.schema import Scenario

TIMELINE: list[dict[str, Any]] = [
    {"name": "ca", "at": "2s", "issue_ca": {"lifetime": "1d"}},
    {
        "name": "push",
        "after": "ca",
        "delay": "1s",
        "push_bundle": {
            "to": {"cohorts": ["a"]},
            "certificates": ["root", "ca"],
            "waves": {"share": "20%", "every": "3s"},
        },
    },
    {"when": "bundle_share >= 1", "delay": "1s", "lose_rtc": {"to": {"share": 0.1}}},
    {
        "run_command": {
            "argv": ["nginx", "-s", "reload"],
            "replaces": "reset_connections",
        }
    },
    {"at": "9s", "reset_connections": {}},
]


def plan_of(**top: Any) -> Plan:
    """A plan with the timeline above."""
    cohorts = [{"name": "a", "count": 20}, {"name": "b", "count": 10}]
    data: dict[str, Any] = {
        "name": "x",
        "cohorts": cohorts,
        "timeline": TIMELINE,
        **top,
    }
    if "target" not in data:
        data.setdefault("lab", {})
    return make_plan(
        Scenario.model_validate(data), lambda name: catalog.load(name).profile
    )


def text_of(plan: Plan) -> str:
    """What a person reads, at a width where nothing is folded."""
    file = io.StringIO()
    print_timeline(plan, Console(file=file, width=200, markup=False))
    return file.getvalue()


def test_when() -> None:
    """Times, chains with their earliest time, conditions, stand-ins."""
    plan = plan_of()
    assert [when_text(plan, entry) for entry in plan.timeline] == [
        "at 2s",
        "after ca + 1s\n  not before 3s",
        "when bundle_share >= 1 + 1s",
        "in place of others",
        "at 9s",
    ]


def test_when_in_a_calendar() -> None:
    """Both the run time and the date."""
    plan = plan_of(calendar={"start": "2027-03-02", "time_scale": 3600})
    assert when_text(plan, plan.timeline[0]) == "at 2s (2027-03-02T02:00:00Z)"


def test_whom() -> None:
    """Devices counted, cohorts named when not all are meant, waves with their end."""
    plan = plan_of()
    assert [whom_text(plan, entry) for entry in plan.timeline] == [
        "",
        "20 devices of a, 5 waves of 4 every 3s, the last after 12s",
        "3 devices",
        "",
        "",
    ]


def test_the_text_tells_content_and_needs() -> None:
    """What the scenario says of an action, programs and objects included."""
    text = text_of(plan_of())
    assert 'certificates: ["root", "ca"]' in text
    assert "lifetime: 86400.0" in text
    assert "Objects put for the devices to fetch: 20" in text
    assert "Runs programs" not in text  # the lab resets its connections itself
    target = {"endpoint": "https://s3.example.org", "bucket": "b12", "ca_file": "x"}
    on_target = text_of(plan_of(target=target))
    assert "(--allow-commands): nginx" in on_target
    assert "(done by the command of timeline[3])" in on_target


def test_no_timeline_prints_nothing() -> None:
    """And is an empty list."""
    plan = plan_of(timeline=[])
    assert text_of(plan) == ""
    assert timeline_data(plan) == []


def test_the_json_is_plain_data() -> None:
    """Every entry in order; what is unknown is null."""
    data = json.loads(json.dumps(timeline_data(plan_of())))
    assert [entry["action"] for entry in data] == [
        "issue_ca",
        "push_bundle",
        "lose_rtc",
        "run_command",
        "reset_connections",
    ]
    assert data[1] == {
        "index": 1,
        "name": "push",
        "action": "push_bundle",
        "content": {
            "to": {"cohorts": ["a"]},
            "certificates": ["root", "ca"],
            "waves": {"share": 0.2, "every": 3.0},
        },
        "at_s": None,
        "after": "ca",
        "when": None,
        "delay_s": 1.0,
        "earliest_s": 3.0,
        "devices": 20,
        "waves": {"count": 5, "devices": 4, "every_s": 3.0},
        "replaced_by": None,
    }
    assert data[2]["when"] == "bundle_share >= 1"
    assert data[2]["earliest_s"] is None


def test_the_calendar_in_words() -> None:
    """From and to, and how fast."""
    plan = plan_of(calendar={"start": "2027-03-02", "time_scale": 86400})
    assert calendar_text(plan) == (
        "2027-03-02T00:00:00Z to 2027-04-01T00:00:00Z, a second is 1d"
    )
    assert calendar_data(plan_of()) is None
    assert calendar_text(plan_of()) == ""


@pytest.mark.parametrize(
    ("top", "words"),
    [
        ({"shorten_by": 4}, "divided by 4"),
        ({"expect": "fail", "thresholds": ["stranded == 0"]}, "a failed verdict"),
        ({"calendar": {"start": "2027-03-02"}}, "2027-03-02T00:00:00Z to"),
    ],
)
def test_the_plan_opens_with_what_is_special(top: dict[str, Any], words: str) -> None:
    """Also in the JSON, where it is always there."""
    file = io.StringIO()
    print_plan(plan_of(**top), (), Console(file=file, width=110, markup=False))
    assert words in file.getvalue()
    data = plan_data(plan_of(**top))
    assert data["shortened_by"] == top.get("shorten_by", 1.0)
    assert data["expect"] == top.get("expect", "pass")
    assert (data["calendar"] is None) == ("calendar" not in top)
