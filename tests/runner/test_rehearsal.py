"""Rehearsal: what stands beside the fleet before and at run time 0.

Whole rehearsals are in ``tests/integration/test_timeline_*.py``.
"""

import time
from pathlib import Path
from typing import Any

import pytest

from fleetsim.exceptions import InputError
from fleetsim.recording.run_folder import RunFolder
from fleetsim.runner.rehearsal import FleetClock, Rehearsal, first_error, prepare
from fleetsim.scenario.plan import Plan
from tests.runner.plans import plan_of
from tests.runner.stage import Stage, staged_plan


def rehearsal(plan: Plan, folder: Path) -> Rehearsal:
    """A rehearsal that has not begun."""
    target: Any = None
    return Rehearsal(
        plan,
        prepare(plan, folder),
        target,
        (),
        authorities={},
        folder=RunFolder(folder),
        keys_folder=folder,
        noted=lambda *_: None,
    )


def test_what_is_prepared(tmp_path: Path) -> None:
    """Keys and files that the timeline will need, before the load begins."""
    (tmp_path / "b.p7b").write_bytes(b"bundle")
    plan = staged_plan(
        {"count": 3, "security": "high", "client_certificates": {"key": "p256"}},
        {"name": "ca", "at": "1s", "issue_ca": {"key": "p256"}},
        {"name": "r", "at": "1s", "rotate_device_certificates": {}},
        {"name": "p", "at": "1s", "push_bundle": {"file": "b.p7b"}},
        lab={"fronts": [{"security": "high"}]},
    )
    prepared = prepare(plan, tmp_path)
    assert set(prepared.keys) == {0}
    assert {key: len(pool) for key, pool in prepared.pools.items()} == {(1, 0): 3}
    assert prepared.files == {"b.p7b": b"bundle"}


def test_a_file_that_is_missing_stops_the_run_before_it_begins(tmp_path: Path) -> None:
    """Nothing is half done."""
    plan = staged_plan({}, {"name": "p", "at": "1s", "push_bundle": {"file": "gone"}})
    with pytest.raises(InputError, match="gone"):
        prepare(plan, tmp_path)


def test_without_a_calendar_the_devices_have_the_time_of_day(tmp_path: Path) -> None:
    """Run time 0 may lie a little back."""
    clock = rehearsal(plan_of({}), tmp_path).wall_clock(
        time.monotonic_ns() - 5_000_000_000
    )
    assert abs(clock.unix_s(5_000_000_000) - time.time_ns() / 1e9) < 2
    assert clock.scale == 1.0


def test_a_calendar_starts_at_its_date_and_runs_at_its_pace(tmp_path: Path) -> None:
    """Whatever the time of day and however long preparing took."""
    plan = plan_of({}, calendar={"start": "2031-01-01", "time_scale": 3600})
    clock = rehearsal(plan, tmp_path).wall_clock(123)
    assert clock.unix_s(0) == 1924992000
    assert clock.unix_s(2_000_000_000) == 1924992000 + 7200


def test_a_rehearsal_that_never_began_leaves_nothing(tmp_path: Path) -> None:
    """A fleet that could not start has no timeline to settle."""
    fleet: Any = None
    rehearsal(plan_of({}), tmp_path).close(fleet)
    assert not any(tmp_path.iterdir())


def test_fleet_clock_never_wakes_early() -> None:
    """A timer of the loop may: what is left is slept once more."""
    stage = Stage()
    woken: list[int] = []

    def early_ns() -> int:
        # Run time that is behind the loop's own.
        return stage.now_ns() - 700_000_000

    async def sleep() -> None:
        await FleetClock(early_ns).sleep_until(2_000_000_000)
        woken.append(early_ns())
        await FleetClock(early_ns).sleep_until(1)

    stage.complete(sleep())
    assert woken[0] >= 2_000_000_000


def test_first_error() -> None:
    """The cause, out of however many groups."""
    cause = ValueError("cause")
    group = ExceptionGroup("a", [ExceptionGroup("b", [cause]), KeyError("later")])
    assert first_error(group) is cause
