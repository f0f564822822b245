"""A run over time: every attempt in one slot, percentiles from the counts of the slot."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.histogram import Histogram
from fleetsim.report.over_time import MAX_SLOTS, over_time, step_for
from tests.recording.records import MS, S, record
from tests.report.runs import make_run


def test_attempts_count_where_they_end_and_arrivals_where_they_were_planned(
    tmp_path: Path,
) -> None:
    """An upload planned in second 1 that ends in second 3 is one arrival, one upload."""
    late = record(1, ended_ns=3 * S + 5 * MS)
    folder = make_run(tmp_path, [late])
    found = over_time(folder, 3 * S + 5 * MS)
    assert found.slots == 4
    assert found.per_second(found.arrivals) == (0, 1, 0, 0)
    assert found.per_second(found.uploads) == (0, 0, 0, 1)
    assert found.body_bytes == {3: 16_384}
    assert found.wire_bytes == {3: 20_000}


def test_failures_are_told_by_kind_without_those_the_end_cut_off(
    tmp_path: Path,
) -> None:
    """``run.stopped`` is no failure of the target."""
    folder = make_run(
        tmp_path,
        [
            record(0, kind="tcp.refused", phase="tcp", suite="", tls_ns=-1),
            record(1, kind="run.stopped", phase="run"),
        ],
    )
    found = over_time(folder, 2 * S)
    assert {kind: dict(of) for kind, of in found.failures.items()} == {
        "tcp.refused": {0: 1}
    }


def test_full_and_resumed_handshakes_are_told_apart(tmp_path: Path) -> None:
    """A failed handshake is neither, a kept connection none."""
    folder = make_run(
        tmp_path,
        [
            record(0),
            record(0, resumed=True),
            record(0, kind="tls.reset", phase="tls", suite=""),
            record(0, tls_ns=-1, reused=True),
        ],
    )
    found = over_time(folder, 1 * S)
    assert (found.full.total(), found.resumed.total()) == (1, 1)


def test_percentiles_of_a_slot_are_those_of_its_values(tmp_path: Path) -> None:
    """No slot borrows from another; a slot without uploads has none."""
    taken = [5 * MS, 7 * MS, 90 * MS]
    rows = [
        record(0, planned_ns=0, ended_ns=each, device=f"{n:08X}")
        for n, each in enumerate(taken)
    ]
    folder = make_run(tmp_path, [*rows, record(2)])
    found = over_time(folder, 3 * S)
    p50 = found.quantile_ms(found.response, 50)
    assert p50[0] == (Histogram.of(taken).percentile(50) or 0) / 1e6
    assert p50[1] is None
    assert p50[2] == pytest.approx(21)


@given(st.integers(0, 10**18))
def test_a_run_has_never_more_slots_than_a_chart_can_show(end_ns: int) -> None:
    """However long it was."""
    step_s = step_for(end_ns)
    assert step_s >= 1
    assert end_ns / 1e9 / step_s <= MAX_SLOTS


def test_a_run_without_records_has_no_slots(tmp_path: Path) -> None:
    """Nothing to show is no error."""
    assert over_time(make_run(tmp_path, []), 0).slots == 0
