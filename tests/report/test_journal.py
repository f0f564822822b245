"""The lines of a timeline become its entries; what devices may notice becomes changes."""

import pytest

from fleetsim.report.journal import HARMLESS, OPEN, abort_reason, changes_of, entries_of
from fleetsim.scenario.timeline_schema import ACTIONS
from tests.recording.records import S
from tests.report.runs import step


def test_the_lines_of_an_entry_belong_together() -> None:
    """Start, waves and end of one entry are one entry, whatever runs beside it."""
    entries = entries_of(
        (
            step("push_bundle", "start", 5, name="push", entry=1),
            step("server_outage", "start", 6, entry=2),
            step("push_bundle", "wave", 7, name="push", entry=1),
            step("push_bundle", "end", 9, 5, name="push", entry=1, outcome="done"),
        )
    )
    assert [(each.label, each.outcome) for each in entries] == [
        ("push_bundle push", "done"),
        ("server_outage", OPEN),
    ]
    assert entries[0].noticed_ns == (5 * S, 7 * S, 9 * S)
    assert (entries[0].planned_ns, entries[0].ended_ns) == (5 * S, 9 * S)
    assert (entries[1].started_ns, entries[1].ended_ns) == (6 * S, -1)


def test_two_entries_of_one_action_are_told_apart() -> None:
    """The number of the entry counts, not its action."""
    lines = (
        step("power_cycle", "start", 1, entry=0),
        step("power_cycle", "start", 2, entry=1),
    )
    assert len(entries_of(lines)) == 2


def test_a_skipped_entry_changes_nothing() -> None:
    """What never started cannot be what a device noticed; its reason is kept."""
    (entry,) = entries_of(
        (step("swap_ciphers", "end", 9, -1e-9, outcome="skipped", reason="too late"),)
    )
    assert (entry.outcome, entry.reason, entry.started_ns) == (
        "skipped",
        "too late",
        -1,
    )
    assert changes_of((entry,)) == ()


@pytest.mark.parametrize("action", sorted(HARMLESS))
def test_devices_cannot_notice_preparations(action: str) -> None:
    """Making a certificate or looking at the figures is no change."""
    assert action in ACTIONS
    assert changes_of(entries_of((step(action, "start", 1),))) == ()


@pytest.mark.parametrize(
    "line",
    [
        {"action": "load_began", "planned_ns": 0, "actual_ns": 1},
        {"action": "x", "step": "start", "planned_ns": None, "actual_ns": 1},
        {"step": "start", "planned_ns": 1, "actual_ns": 1},
    ],
    ids=["note", "no time", "no action"],
)
def test_other_lines_are_no_entries(line: dict[str, object]) -> None:
    """Notes of the run, and lines of another version, are left out."""
    assert entries_of((line,)) == ()


def test_ending_a_run_early_is_no_entry() -> None:
    """The line of an abort has an outcome as entries have, and a reason."""
    lines = (step("abort", "end", 5, outcome="failed", reason="'x' does not hold"),)
    assert entries_of(lines) == ()
    assert abort_reason(lines) == "'x' does not hold"
    assert abort_reason(()) == ""
