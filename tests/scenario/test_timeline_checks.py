"""Times, names and permissions of timelines."""

from typing import Any

import pytest

from fleetsim.scenario.overriding import dotted
from fleetsim.scenario.schema import Scenario
from fleetsim.scenario.timeline_checks import check_timeline

TARGET = {"endpoint": "https://s3.example.org", "bucket": "b12", "ca_file": "x"}
COMMAND = {"argv": ["true"]}
RTC: dict[str, Any] = {"lose_rtc": {}}
RESET: dict[str, Any] = {"reset_connections": {}}


def found(
    *entries: dict[str, Any], allow_commands: bool = True, **top: Any
) -> dict[str, str]:
    """Findings by place."""
    data = {"name": "x", "cohorts": [{"name": "a", "count": 1}], **top}
    if "target" not in data:
        data.setdefault("lab", {})
    scenario = Scenario.model_validate({**data, "timeline": entries})
    return {
        dotted(each.at): each.what
        for each in check_timeline(scenario, allow_commands=allow_commands)
    }


GOOD: list[tuple[str, list[dict[str, Any]], dict[str, Any]]] = [
    ("nothing", [], {}),
    ("at", [{"at": "45s", **RTC}], {}),
    ("when", [{"when": "stranded > 0", "delay": 1, **RTC}], {}),
    ("after later", [{"after": "b", **RTC}, {"name": "b", "at": 1, **RTC}], {}),
    (
        "date",
        [{"date": "2027-01-02", **RTC}],
        {"calendar": {"start": "2027-01-01", "time_scale": 86400}},
    ),
    ("own command", [{"at": 1, "run_command": COMMAND}], {}),
    (
        "stand-in by action",
        [
            {"at": 1, **RESET},
            {"run_command": {**COMMAND, "replaces": "reset_connections"}},
        ],
        {"target": TARGET},
    ),
    (
        "stand-in by name",
        [
            {"name": "cut", "at": 1, **RESET},
            {"run_command": {**COMMAND, "replaces": "cut"}},
        ],
        {"target": TARGET},
    ),
    (
        "a fault before any server",
        [{"at": 1, "fault": {"kind": "reset", "duration": 1}}],
        {"target": TARGET},
    ),
    (
        "stand-in for a fault",
        [
            {"at": 1, "fault": {"kind": "reset", "duration": 1}},
            {"run_command": {**COMMAND, "replaces": "fault"}},
        ],
        {"target": TARGET},
    ),
    ("no server needed", [{"at": 1, **RTC}], {"target": TARGET}),
    ("a front named devices", [], {"lab": {"fronts": [{"name": "devices"}]}}),
]


@pytest.mark.parametrize("row", GOOD, ids=lambda row: str(row[0]))
def test_what_fits_is_let_be(
    row: tuple[str, list[dict[str, Any]], dict[str, Any]],
) -> None:
    """No finding."""
    assert found(*row[1], **row[2]) == {}


BAD: list[tuple[str, list[dict[str, Any]], dict[str, Any], str, str]] = [
    ("no time", [RTC], {}, "timeline[0].at", "exactly one of at, date, after, when"),
    (
        "two times",
        [{"at": 1, "when": "stranded > 0", **RTC}],
        {},
        "timeline[0].when",
        "exactly one of",
    ),
    (
        "delay of a fixed time",
        [{"at": 1, "delay": 1, **RTC}],
        {},
        "timeline[0].delay",
        "added to after or when",
    ),
    (
        "date without calendar",
        [{"date": "2027-01-02", **RTC}],
        {},
        "timeline[0].date",
        "has no calendar",
    ),
    (
        "before the calendar",
        [{"date": "2026-01-02", **RTC}],
        {"calendar": {"start": "2027-01-01"}},
        "timeline[0].date",
        "before the calendar starts",
    ),
    ("too late", [{"at": "46s", **RTC}], {}, "timeline[0].at", "ends after 45s"),
    (
        "too late by delay",
        [{"name": "b", "at": "40s", **RTC}, {"after": "b", "delay": "6s", **RTC}],
        {},
        "timeline[1].after",
        "due 46s into a run",
    ),
    ("no action", [{"at": 1}], {}, "timeline[0]", "one of issue_ca, cross_sign"),
    (
        "two actions",
        [{"at": 1, **RTC, **RESET}],
        {},
        "timeline[0].lose_rtc",
        "a second entry",
    ),
    (
        "same name",
        [{"name": "b", "at": 1, **RTC}, {"name": "b", "at": 2, **RTC}],
        {},
        "timeline[1].name",
        "another entry is named 'b'",
    ),
    (
        "name of the lab",
        [{"name": "root", "at": 1, "issue_ca": {}}],
        {},
        "timeline[0].name",
        "there from the start",
    ),
    (
        "front like an authority",
        [{"at": 1, **RTC}],
        {"lab": {"fronts": [{"name": "devices"}]}},
        "lab.fronts[0].name",
        "is an authority of the lab",
    ),
    (
        "unknown after",
        [{"name": "push", "at": 1, **RTC}, {"after": "pusch", **RTC}],
        {},
        "timeline[1].after",
        "did you mean 'push'?",
    ),
    (
        "cycle of one",
        [{"name": "b", "after": "b", **RTC}],
        {},
        "timeline[0].after",
        "waits for itself",
    ),
    (
        "cycle of two",
        [{"name": "b", "after": "c", **RTC}, {"name": "c", "after": "b", **RTC}],
        {},
        "timeline[1].after",
        "waits for itself: b after c",
    ),
    (
        "no control",
        [{"name": "cut", "at": 1, **RESET}],
        {"target": TARGET},
        "timeline[0].reset_connections",
        "replaces: cut",
    ),
    (
        "revoking needs control",
        [{"at": 1, "rotate_device_certificates": {"revoke_old": 1}}],
        {
            "target": TARGET,
            "cohorts": [
                {
                    "name": "a",
                    "count": 1,
                    "security": "high",
                    "client_certificates": {"pki": "x"},
                }
            ],
        },
        "timeline[0].rotate_device_certificates",
        "needs control of the server",
    ),
    (
        "stand-in with a time",
        [{"at": 1, **RESET}, {"at": 1, "run_command": {**COMMAND, "replaces": "cut"}}],
        {},
        "timeline[1].at",
        "leave the time out",
    ),
    (
        "stand-in for nobody",
        [{"at": 1, **RESET}, {"run_command": {**COMMAND, "replaces": "cut"}}],
        {},
        "timeline[1].run_command.replaces",
        "no entry that needs the server is called 'cut'",
    ),
    (
        "stand-in for what needs no server",
        [{"at": 1, **RTC}, {"run_command": {**COMMAND, "replaces": "lose_rtc"}}],
        {},
        "timeline[1].run_command.replaces",
        "no entry that needs the server",
    ),
    (
        "after a stand-in",
        [
            {"at": 1, **RESET},
            {
                "name": "b",
                "run_command": {**COMMAND, "replaces": "reset_connections"},
            },
            {"after": "b", **RTC},
        ],
        {},
        "timeline[2].after",
        "has no time of its own",
    ),
]


@pytest.mark.parametrize("row", BAD, ids=lambda row: str(row[0]))
def test_what_does_not_fit_is_found(
    row: tuple[str, list[dict[str, Any]], dict[str, Any], str, str],
) -> None:
    """At its place, with the words that help."""
    _, entries, top, place, words = row
    assert words in found(*entries, **top)[place]


def test_commands_need_the_operators_word() -> None:
    """Those that would run: a stand-in for the lab never does."""
    own = {"at": 1, "run_command": COMMAND}
    stand_in = {"run_command": {**COMMAND, "replaces": "reset_connections"}}
    entries = ({"at": 1, **RESET}, own, stand_in)
    on_lab = found(*entries, allow_commands=False)
    assert list(on_lab) == ["timeline[1].run_command"]
    assert "--allow-commands" in on_lab["timeline[1].run_command"]
    on_target = found(*entries, allow_commands=False, target=TARGET)
    assert list(on_target) == ["timeline[1].run_command", "timeline[2].run_command"]
