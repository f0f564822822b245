"""Histories add up to counts over time, by cohort and for the fleet."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.contact import Change, ContactState
from fleetsim.recording.states import StateRecorder, counts_over_time, read_states
from fleetsim.report.contacts import Contacts, follow
from tests.recording.records import S
from tests.report.runs import change

STATES = [state.value for state in ContactState]


def followed(
    folder: Path, *histories: tuple[str, str, Change], step_s: int = 1, end_s: int = 5
) -> dict[str | None, Contacts]:
    """Write histories and follow them."""
    with StateRecorder(folder) as recorder:
        for device, cohort, each in histories:
            recorder.add(device, cohort, each)
        recorder.finish()
    return follow(read_states(folder), step_s, end_s * S)


def test_a_fleet_that_is_lost_and_heals(tmp_path: Path) -> None:
    """Start, worst and end are those of the histories; who healed is not stranded."""
    found = followed(
        tmp_path,
        ("A", "x", change(0, "", "unreached")),
        ("B", "x", change(0, "", "unreached")),
        ("C", "y", change(0, "", "connected")),
        ("A", "x", change(0.5, "unreached", "connected")),
        ("A", "x", change(2, "connected", "failing", "3 tries")),
        ("B", "x", change(2, "unreached", "stranded", "no trust")),
        ("A", "x", change(3, "failing", "stranded", "no way")),
        ("B", "x", change(4, "stranded", "recovered")),
    )
    fleet = found[None]
    assert fleet.series == [
        {"unreached": 2, "connected": 1},
        {"unreached": 1, "connected": 2},
        {"connected": 1, "failing": 1, "stranded": 1},
        {"connected": 1, "stranded": 2},
        {"connected": 1, "stranded": 1, "recovered": 1},
        {"connected": 1, "stranded": 1, "recovered": 1},
    ]
    assert (fleet.worst, fleet.at_worst) == ((2, 2 * S), fleet.series[2])
    assert fleet.stranded_peak == (2, 3 * S)
    assert (fleet.stranded_ever, fleet.final["stranded"]) == (2, 1)
    (stranded,) = fleet.stranded
    assert (stranded.device, stranded.since_ns, stranded.reason) == (
        "A",
        3 * S,
        "no way",
    )
    assert found["y"].worst == (0, 0)
    assert found["y"].final == {"connected": 1}


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[str, str, Change]]:
    """Histories of a few devices, in the order of time."""
    found = []
    for number in range(draw(st.integers(1, 5))):
        cohort = draw(st.sampled_from(["x", "y"]))
        was, at_s = "", 0
        for state in draw(st.lists(st.sampled_from(STATES), min_size=1, max_size=6)):
            if state != was:
                found.append((f"{number}", cohort, change(at_s, was, state)))
                was = state
            at_s += draw(st.integers(0, 2))
    return sorted(found, key=lambda row: row[2].at_ns)


@pytest.mark.slow
@given(rows=histories(), step_s=st.integers(1, 3))
def test_series_agree_with_the_recorders_own_count(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, Change]],
    step_s: int,
) -> None:
    """Two independent countings of the same histories agree; cohorts make the fleet."""
    folder = tmp_path_factory.mktemp("run")
    found = followed(folder, *rows, step_s=step_s, end_s=12)
    oracle = counts_over_time(read_states(folder), until_ns=12 * S, step_ns=step_s * S)
    for cohort, contacts in found.items():
        if cohort is None:
            continue
        theirs = [dict(each.counts) for each in oracle if each.cohort == cohort]
        assert contacts.series == theirs
    for point in range(len(found[None].series)):
        total: Counter[str] = Counter()
        for cohort, contacts in found.items():
            if cohort is not None:
                total.update(contacts.series[point])
        assert found[None].series[point] == total


@pytest.mark.slow
@given(rows=histories())
def test_nothing_is_worse_than_the_worst(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, Change]]
) -> None:
    """No point of the series has more devices stranded or out of touch."""
    for contacts in followed(tmp_path_factory.mktemp("run"), *rows, end_s=12).values():
        for point in contacts.series:
            assert point.get("stranded", 0) <= contacts.stranded_peak[0]
            out = point.get("stranded", 0) + point.get("failing", 0)
            assert out <= contacts.worst[0]
