"""Merging: shards put together say what one process would have said."""

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.contact import ContactState
from fleetsim.core.histogram import Histogram
from fleetsim.core.outcomes import ProcessHealth
from fleetsim.core.progress import STATES, BundleSeen, Progress, Stage, Survey
from fleetsim.core.sums import add_up
from fleetsim.engine.contacts import Tally
from fleetsim.engine.health import HealthReport
from fleetsim.engine.merging import (
    merge_health,
    merge_progress,
    silenced,
    silenced_tally,
)

ASLEEP = ContactState.ASLEEP.value
DEVICES = st.lists(
    st.tuples(st.sampled_from(["cars", "ships"]), st.sampled_from(STATES)),
    min_size=1,
    max_size=40,
)


def tally_of(devices: list[tuple[str, ContactState]]) -> Tally:
    """What these devices come to."""
    cohorts = {cohort for cohort, _ in devices}
    return Tally(
        cohorts={
            cohort: {s.value: devices.count((cohort, s)) for s in STATES}
            for cohort in sorted(cohorts)
        },
        backlog=len(devices),
        uploads=2 * len(devices),
        failed_attempts=3,
        files_lost=1,
    )


def progress_of(
    devices: list[tuple[str, ContactState]], first: int, n: int
) -> Progress:
    """Progress of the shard of these devices."""
    mine = devices[first::n]
    tally = tally_of(mine)
    return Progress(
        stage=Stage.LOAD,
        now_ns=5,
        devices=len(mine),
        powered=len(mine),
        failing=sum(state is ContactState.FAILING for _, state in mine),
        in_flight=1,
        backlog=2,
        states=tally.total(),
        cohorts=tally.cohorts,
        survey=Survey(
            first=first,
            stride=n,
            states=bytes(STATES.index(state) for _, state in mine),
            groups=bytes(len(mine)),
            bundles=bytes(len(mine)),
            bundles_seen=(BundleSeen(),),
        ),
        cpu_now_ratio=0.25,
    )


@given(DEVICES, st.integers(1, 4))
def test_progress_of_shards_is_that_of_the_whole(
    devices: list[tuple[str, ContactState]], shards: int
) -> None:
    """States, cohorts and the survey come out as if there were one shard."""
    count = min(shards, len(devices))
    parts = [progress_of(devices, first, count) for first in range(count)]
    merged = merge_progress(parts, now_ns=7, health=None)
    whole = progress_of(devices, 0, 1)
    assert merged == replace(
        whole,
        now_ns=7,
        in_flight=count,
        backlog=2 * count,
        cpu_now_ratio=0.25 * count,
    )


@given(DEVICES, st.integers(1, 4))
def test_figures_of_shards_are_those_of_the_whole(
    devices: list[tuple[str, ContactState]], shards: int
) -> None:
    """Shares are worked out from added counts, so a small shard weighs little."""
    count = min(shards, len(devices))
    parts = [tally_of(devices[first::count]) for first in range(count)]
    figures = add_up(parts).figures()
    whole = tally_of(devices).figures()
    for state in STATES:
        assert figures[f"{state.value}_share"] == whole[f"{state.value}_share"]
    assert figures["uploads"] == whole["uploads"]


@pytest.mark.parametrize(
    ("stages", "merged"),
    [
        ((Stage.LOAD, Stage.DRAIN), Stage.LOAD),
        ((Stage.OVER, Stage.DRAIN), Stage.DRAIN),
        ((Stage.OVER, Stage.OVER), Stage.OVER),
    ],
    ids=["one still loads", "one still drains", "all over"],
)
def test_the_fleet_is_where_its_last_shard_is(
    stages: tuple[Stage, ...], merged: Stage
) -> None:
    """A stage is left when the last shard has left it."""
    one = progress_of([("cars", ContactState.CONNECTED)], 0, 1)
    parts = [replace(one, stage=stage, survey=None) for stage in stages]
    assert merge_progress(parts, now_ns=0, health=None).stage is merged


def test_every_field_of_progress_is_merged() -> None:
    """A field that is added to Progress must be merged too, or shards would lose it."""
    assert {field.name for field in fields(Progress)} == {
        *("stage", "now_ns", "devices", "powered", "failing", "in_flight", "backlog"),
        *("states", "cohorts", "survey", "health", "cpu_now_ratio"),
    }


@given(DEVICES)
def test_a_shard_that_died(devices: list[tuple[str, ContactState]]) -> None:
    """Its devices are asleep, all of them and nowhere else; what was counted stays."""
    progress = silenced(progress_of(devices, 0, 1))
    assert {s: n for s, n in progress.states.items() if n} == {ASLEEP: len(devices)}
    assert sum(each[ASLEEP] for each in progress.cohorts.values()) == len(devices)
    assert progress.survey is not None
    assert set(progress.survey.states) == {STATES.index(ContactState.ASLEEP)}
    assert (progress.failing, progress.in_flight) == (0, 0)
    tally = silenced_tally(tally_of(devices))
    assert tally.total()[ASLEEP] == len(devices)
    assert tally.uploads == 2 * len(devices)


def report(name: str, lags_ns: list[int], *reasons: str) -> HealthReport:
    """Health of one process."""
    return HealthReport(
        name=name,
        reasons=reasons,
        cpu_ratio=0.5,
        rss_bytes=100,
        late_starts=1,
        starts=len(lags_ns),
        start_lag=Histogram.of(lags_ns),
        loop_lag=Histogram.of(lags_ns),
        seconds=3.0,
    )


@given(
    st.lists(
        st.lists(st.integers(0, 10**10), min_size=1, max_size=30),
        min_size=1,
        max_size=4,
    )
)
def test_lags_are_percentiles_of_all(parts: list[list[int]]) -> None:
    """The 99th percentile is that of all attempts, not a mean of percentiles."""
    health = merge_health([report("s", lags) for lags in parts], ())
    every = [lag for part in parts for lag in part]
    expected = Histogram.of(every).percentile(99.0)
    assert expected is not None
    assert health.start_lag_p99_ms == round(expected / 1e6, 3)
    assert health.starts == len(every)


def test_one_saturated_process_saturates_the_generator() -> None:
    """Its reason is told with its name; CPU and memory are those of all processes."""
    processes = (
        ProcessHealth(name="shard 1 of 2", devices=5, cpu_ratio=0.9, rss_bytes=300),
        ProcessHealth(name="shard 2 of 2", devices=5, cpu_ratio=0.2, rss_bytes=200),
        ProcessHealth(name="parent", devices=0, cpu_ratio=0.01, rss_bytes=100),
    )
    health = merge_health(
        [report("shard 1 of 2", [1], "too busy"), report("shard 2 of 2", [1])],
        processes,
    )
    assert health.saturated
    assert health.reasons == ("shard 1 of 2: too busy",)
    assert health.cpu_ratio == 1.11
    assert health.rss_bytes == 600
    assert health.devices_lost == 0


def test_a_lost_process() -> None:
    """It is named first, with its devices, the time and how it died."""
    lost = ProcessHealth(
        name="shard 2 of 2",
        devices=7,
        lost_at_ns=1_500_000_000,
        lost_reason="its process was ended by SIGKILL",
    )
    health = merge_health([report("shard 1 of 2", [1])], [lost])
    assert health.saturated
    assert health.devices_lost == 7
    assert health.reasons == (
        "shard 2 of 2 died at 1.5 s with its 7 devices: its process was ended by SIGKILL",
    )
