"""Episodes of devices are what a person reading the records would say."""

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsim.recording.record import Record
from fleetsim.report.episodes import Episode, scan
from tests.recording.records import MS, S, record
from tests.report.runs import make_run

FAILED = {"kind": "tls.reset", "phase": "tls", "suite": "", "tls_ns": -1}
CUT = {"kind": "run.stopped", "phase": "run", "suite": "", "tls_ns": -1}


def scanned(tmp_path: Path, *records: Record, **kwargs: object) -> list[Episode]:
    """Episodes of a run with these records."""
    folder = make_run(tmp_path, records)
    changes = kwargs.get("changes", ())
    assert isinstance(changes, tuple)
    return scan(folder, changes=changes, periods_ns={}).episodes


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ("+++", []),
        ("--+", []),
        ("+-+", [(1, 2)]),
        ("+---+", [(1, 4)]),
        ("+-+-+", [(1, 2), (3, 4)]),
        ("+-", [(1, None)]),
        ("+o+", []),
        ("+-o+", [(1, 3)]),
        ("-o-", []),
    ],
)
def test_an_episode_is_from_a_failure_after_a_success_to_the_next_success(
    tmp_path: Path, outcomes: str, expected: list[tuple[int, int | None]]
) -> None:
    """Trouble before the first success is none; what was cut off says nothing."""
    changes = {"+": {}, "-": FAILED, "o": CUT}
    records = [record(n, **changes[sign]) for n, sign in enumerate(outcomes)]
    found = [
        (each.began_ns // S, each.ended_ns // S if each.ended_ns >= 0 else None)
        for each in scanned(tmp_path, *records)
    ]
    assert found == expected


def test_times_are_those_of_the_attempts_ends(tmp_path: Path) -> None:
    """Detected when the failure was seen, recovered when the success was."""
    (episode,) = scanned(tmp_path, record(0), record(1, **FAILED), record(2))
    assert episode.detected_ns((S // 2, 5 * S)) == S // 2 + 21 * MS
    assert episode.recovered_ns == 1 * S
    assert episode.detected_ns((5 * S,)) is None
    assert (episode.device, episode.cohort, episode.kind) == (
        "0000002A",
        "ordinary",
        "tls.reset",
    )


@pytest.mark.slow
@settings(max_examples=30)
@given(
    lives=st.lists(st.lists(st.booleans(), max_size=8), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
)
def test_devices_do_not_disturb_each_other(
    tmp_path_factory: pytest.TempPathFactory, lives: list[list[bool]], seed: int
) -> None:
    """However the attempts of devices interleave, each has the same episodes."""
    pending = {
        f"{n:08X}": [
            record(k, device=f"{n:08X}", **({} if is_ok else FAILED))
            for k, is_ok in enumerate(life)
        ]
        for n, life in enumerate(lives)
    }
    alone = [
        episode
        for device, records in sorted(pending.items())
        for episode in scanned(tmp_path_factory.mktemp(device), *records)
    ]
    draws = random.Random(seed)
    mixed = []
    while any(pending.values()):
        device = draws.choice([name for name, rest in pending.items() if rest])
        mixed.append(pending[device].pop(0))
    together = scanned(tmp_path_factory.mktemp("all"), *mixed)
    order = sorted(alone, key=lambda each: (each.began_ns, each.device))
    assert together == order


def test_late_is_more_than_a_period_after_the_plan(tmp_path: Path) -> None:
    """A period is in time, a repeated upload of one file is one late file."""
    late = {"ended_ns": 2 * S + 21 * MS}
    records = (
        record(0, ended_ns=1 * S),
        record(1, **late),
        record(1, **late),
        record(1, cohort="other", **late),
        record(1, operation="heartbeat", **late),
        record(1, **late, **FAILED),
    )
    total = scan(make_run(tmp_path, records), changes=(), periods_ns={"ordinary": S})
    assert total.late == {"ordinary": 1}


def test_what_was_spent_is_counted_by_cohort(tmp_path: Path) -> None:
    """Handshakes that completed, bytes of all attempts, bodies that arrived."""
    records = (
        record(0),
        record(1, resumed=True, cohort="high"),
        record(2, tls_ns=-1, suite="", reused=True),
        record(3, **FAILED),
        record(4, kind="http.reset", phase="wait"),
    )
    total = scan(make_run(tmp_path, records), changes=(), periods_ns={})
    ordinary, high = total.spent["ordinary"], total.spent["high"]
    assert (ordinary.handshakes, ordinary.resumed) == (2, 0)
    assert (high.handshakes, high.resumed) == (1, 1)
    assert ordinary.bytes_on_wire == 4 * 20_000
    assert ordinary.body_bytes == 2 * 16_384


def test_failures_belong_to_the_change_before_them(tmp_path: Path) -> None:
    """Number 0 is the time before the first change; a change counts from its moment."""
    ends = (1 * S - 1, 1 * S, 3 * S)
    records = [record(n, **FAILED, ended_ns=at) for n, at in enumerate(ends)]
    total = scan(make_run(tmp_path, records), changes=(1 * S, 2 * S), periods_ns={})
    assert total.failures == {
        (0, "tls.reset"): 1,
        (1, "tls.reset"): 1,
        (2, "tls.reset"): 1,
    }


def test_groups_are_counted_by_second(tmp_path: Path) -> None:
    """Plain HTTP has no group; failures have not reached one."""
    records = (
        record(0),
        record(0, group="group 3"),
        record(1, group=""),
        record(1, **FAILED),
    )
    total = scan(make_run(tmp_path, records), changes=(), periods_ns={})
    assert total.groups == {
        (0, "ordinary", "group 1"): 1,
        (0, "ordinary", "group 3"): 1,
    }
