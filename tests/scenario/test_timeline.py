"""Entries, decided: when each is due and what it does."""

from collections.abc import Callable
from typing import Any

import pytest

from fleetsim.exceptions import InputError
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.schema import Scenario
from fleetsim.scenario.timeline import (
    SERVER_ACTIONS,
    due_ns,
    make_timeline,
    needs_server,
    run_time_s,
    stand_in_of,
    stand_ins_of,
)
from fleetsim.scenario.timeline_schema import (
    ACTIONS,
    CalendarSpec,
    RotateDeviceCertificates,
    RunCommand,
    TimelineEntry,
)

MakePlan = Callable[..., Plan]
S = 1_000_000_000
ENTRIES: list[dict[str, Any]] = [
    {"name": "ca", "at": "5s", "issue_ca": {}},
    {"name": "push", "after": "ca", "push_bundle": {"certificates": ["root", "ca"]}},
    {"name": "late", "after": "push", "delay": "2s", "reset_connections": None},
    {"when": "bundle_share >= 1", "delay": "1s", "reset_connections": {}},
    {"after": "late", "delay": "500ms", "lose_rtc": {}},
]


def test_entries_keep_the_order_of_the_scenario(plan_of: MakePlan) -> None:
    """Names become positions, times nanoseconds."""
    timeline = plan_of(timeline=ENTRIES).timeline
    assert [entry.index for entry in timeline] == [0, 1, 2, 3, 4]
    assert [entry.name for entry in timeline] == ["ca", "push", "late", "", ""]
    assert [entry.at_ns for entry in timeline] == [5 * S, None, None, None, None]
    assert [entry.after for entry in timeline] == [None, 0, 1, None, 2]
    assert [entry.delay_ns for entry in timeline] == [0, 0, 2 * S, S, S // 2]
    assert str(timeline[3].when) == "bundle_share >= 1"
    assert timeline[0].label == "issue_ca ca"
    assert timeline[4].label == "lose_rtc"
    assert not any(entry.is_stand_in for entry in timeline)


def test_the_earliest_time_of_a_chain(plan_of: MakePlan) -> None:
    """Delays add up; behind a condition nothing is known."""
    timeline = plan_of(timeline=ENTRIES).timeline
    due = [due_ns(timeline, index) for index in range(5)]
    assert due == [5 * S, 5 * S, 7 * S, None, 7 * S + S // 2]


def test_dates_become_run_times(plan_of: MakePlan) -> None:
    """By the start and the scale of the calendar."""
    plan = plan_of(
        calendar={"start": "2027-03-02", "time_scale": 3600},
        timeline=[{"date": "2027-03-02T12:00Z", "lose_rtc": {}}],
    )
    assert plan.timeline[0].at_ns == 12 * S
    assert plan.calendar_epoch_unix_s == 1_803_945_600
    assert plan.time_scale == 3600.0


@pytest.mark.parametrize(
    ("date", "seconds"),
    [("2027-03-02", 0.0), ("2027-03-03", 24.0), ("2027-03-01", -24.0)],
)
def test_run_time_of_a_date(date: str, seconds: float) -> None:
    """Negative before the calendar starts."""
    calendar = CalendarSpec(start="2027-03-02T00:00Z", time_scale=3600)
    assert run_time_s(date, calendar) == seconds


def test_without_a_timeline_there_is_none(plan_of: MakePlan) -> None:
    """And no calendar, no shortening, a verdict that should pass."""
    plan = plan_of()
    assert plan.timeline == ()
    assert plan.calendar_epoch_unix_s is None
    assert (plan.time_scale, plan.shortened_by, plan.expect) == (1.0, 1.0, "pass")


def test_the_timeline_is_part_of_the_digest(plan_of: MakePlan) -> None:
    """Another action, another time: another plan; the same: the same bytes."""
    plans = [
        plan_of(timeline=[{"at": at, key: {}}])
        for at, key in (("1s", "lose_rtc"), ("2s", "lose_rtc"), ("1s", "network_down"))
    ]
    assert len({plan.digest for plan in plans}) == 3
    again = plan_of(timeline=[{"at": "1s", "lose_rtc": {}}])
    assert again.to_bytes() == plans[0].to_bytes()
    assert plans[0].shard(0, 2).timeline == plans[0].timeline


def test_an_unchecked_scenario_is_refused_not_misread() -> None:
    """A name nobody has, an entry that does nothing."""
    base = {"name": "x", "lab": {}, "cohorts": [{"name": "a", "count": 1}]}
    for entry, what in (
        ({"after": "b", "lose_rtc": {}}, "no entry 'b'"),
        ({"at": 1}, "has no action"),
    ):
        scenario = Scenario.model_validate({**base, "timeline": [entry]})
        with pytest.raises(InputError, match=what):
            make_timeline(scenario)


COMMAND = {"argv": ["systemctl", "reload", "nginx"]}


def entries(*data: dict[str, Any]) -> tuple[TimelineEntry, ...]:
    """Entries as the scenario writes them."""
    return tuple(TimelineEntry.model_validate(each) for each in data)


def test_a_command_stands_in_by_name_before_action() -> None:
    """The more exact one wins; what needs no server is never replaced."""
    made = entries(
        {"name": "one", "at": 1, "swap_ciphers": {"ciphers": "ALL"}},
        {"name": "two", "at": 1, "swap_ciphers": {"ciphers": "ALL"}},
        {"run_command": {**COMMAND, "replaces": "swap_ciphers"}},
        {"run_command": {**COMMAND, "replaces": "two"}},
        {"name": "lose_rtc", "at": 1, "lose_rtc": {}},
    )
    stand_ins = stand_ins_of(made)
    assert [stand_in_of(entry, stand_ins) for entry in made] == [2, 3, None, None, None]


def test_commands_stand_in_for_a_real_server_only(plan_of: MakePlan) -> None:
    """The lab does it itself; the command is then never due."""
    timeline = [
        {"at": "1s", "reset_connections": {}},
        {"run_command": {**COMMAND, "replaces": "reset_connections"}},
    ]
    on_lab = plan_of(timeline=timeline).timeline
    assert [entry.replaced_by for entry in on_lab] == [None, None]
    target = {"endpoint": "https://s3.example.org", "bucket": "b12", "ca_file": "x"}
    on_target = plan_of(timeline=timeline, target=target).timeline
    assert [entry.replaced_by for entry in on_target] == [1, None]
    for planned in (on_lab, on_target):
        assert isinstance(planned[1].action, RunCommand)
        assert planned[1].is_stand_in


def test_what_needs_the_server_is_an_action() -> None:
    """No name in the list is misspelt; revoking old certificates needs it too."""
    assert set(ACTIONS) >= SERVER_ACTIONS
    assert not needs_server("rotate_device_certificates", RotateDeviceCertificates())
    revoking = RotateDeviceCertificates(revoke_old=5.0)
    assert needs_server("rotate_device_certificates", revoking)
