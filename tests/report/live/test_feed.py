"""Feed: what happened in a second is the difference of two looks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.histogram import Histogram
from fleetsim.core.progress import Stage
from fleetsim.report.live.feed import Feed, bins_since, merge_intervals
from fleetsim.report.live.frame import EntryState, Interval
from tests.report.live.seconds import (
    NAMES,
    PLAN,
    S,
    frames,
    health,
    progress,
    snapshot,
    survey,
)


def test_rates_are_of_the_last_second_totals_of_the_run() -> None:
    """Counts add up, rates are differences over the time between two looks."""
    first, second = frames(
        (progress(1), snapshot(uploads=4, sent=100, failures={"tcp.refused": 1})),
        (
            progress(3, health=health(late_starts=2)),
            snapshot(uploads=10, sent=500, failures={"tcp.refused": 1, "tls.reset": 2}),
        ),
    )
    assert first.latest.uploads_per_s == 4
    assert second.latest.uploads_per_s == 3
    assert second.latest.sent_bytes_per_s == 200
    assert second.latest.attempts_per_s == 4
    assert second.latest.failures == {"tls.reset": 2}
    assert second.latest.late_starts == 2
    assert second.uploads == 10
    assert second.failed_attempts == 3
    assert second.top_failures(1) == (("tls.reset", 2),)
    assert second.recent.span_s == 3
    assert second.recent.uploads == 10
    assert (first.number, second.number) == (1, 2)


def test_recent_is_the_last_ten() -> None:
    """What is older than ten looks no longer counts as recent."""
    made = frames(*((progress(n), snapshot(uploads=100 + n)) for n in range(1, 15)))
    assert made[-1].recent.uploads == 10
    assert made[-1].uploads == 114


TIMES = st.lists(st.integers(0, 10**10), max_size=60)


@given(TIMES, TIMES)
def test_a_difference_of_histograms(before: list[int], after: list[int]) -> None:
    """The new values are there, bucket by bucket, and no others."""
    old, new = Histogram.of(before), Histogram.of([*before, *after])
    found = bins_since(new, old)
    expected = Histogram.of(after).bins()
    assert found.counts == expected.counts
    if after:
        assert found.sum_ns == sum(after)
        assert found.minimum_ns <= min(after)
        assert found.maximum_ns >= max(after)


@given(st.lists(TIMES, min_size=1, max_size=5))
def test_intervals_put_together(parts: list[list[int]]) -> None:
    """Times come from added counts, never from percentiles."""
    merged = merge_intervals(
        [
            Interval(
                at_s=place + 1.0,
                span_s=1,
                uploads=len(times),
                failures={"x": 1},
                response=Histogram.of(times).bins(),
            )
            for place, times in enumerate(parts)
        ]
    )
    everything = [each for times in parts for each in times]
    assert merged.response.counts == Histogram.of(everything).bins().counts
    assert merged.uploads == len(everything)
    assert merged.span_s == merged.at_s == merged.failures["x"] == len(parts)


def test_remaining_time() -> None:
    """Until the load ends; in the drain until its deadline, counted from its start."""
    made = frames(
        (progress(20), snapshot()),
        (progress(61, stage=Stage.DRAIN), snapshot()),
        (progress(64, stage=Stage.DRAIN), snapshot()),
        (progress(99, stage=Stage.DRAIN), snapshot()),
    )
    assert [frame.remaining_s for frame in made] == [40, 10, 7, 0]


def test_devices_by_cohort() -> None:
    """A cohort is its share of the survey; bundles count in the order of first use."""
    (frame,) = frames(
        (
            progress(
                1,
                seen=survey("cccfs", (1, 1, 3, 2, 0), (1, 1, 1, 2, 0)),
                cohorts={NAMES[0]: {"connected": 3}},
            ),
            snapshot(uploads=3, failures={"tls.reset": 1}, response_ms=[10, 20]),
        )
    )
    old, new = frame.cohorts
    assert (old.name, old.devices, old.uploads, old.failures) == (NAMES[0], 3, 3, 1)
    assert old.groups == {"group 1": 2, "group 3": 1}
    assert old.states == {"connected": 3}
    assert old.response.p99_ms == 20
    assert new.response.p50_ms is None
    assert new.groups == {"group 2": 1}
    assert old.bundles == {1: 3}
    assert new.bundles == {0: 1, 2: 1}
    assert [(each.number, each.devices) for each in frame.generations] == [
        (0, 1),
        (1, 3),
        (2, 1),
    ]
    assert frame.groups == {"group 1": 2, "group 2": 1, "group 3": 1}


def test_a_generation_keeps_its_number() -> None:
    """Also when nobody uses it any more."""
    _, last = frames(
        (progress(1, seen=survey(bundles=(1,) * 5)), snapshot()),
        (progress(2, seen=survey(bundles=(2,) * 5)), snapshot()),
    )
    assert [(each.number, each.devices) for each in last.generations] == [
        (1, 0),
        (2, 5),
    ]


def test_the_timeline_as_it_goes() -> None:
    """Waiting, running, how far, done; what waits for it has a time from then on."""
    feed = Feed(PLAN)
    root, cert, check = PLAN.timeline
    before = feed.frame(progress(1), snapshot()).timeline
    assert [entry.state for entry in before] == [EntryState.WAITING] * 3
    assert [entry.due_s for entry in before] == [5, None, None]
    assert [entry.trigger for entry in before] == [
        "at 5 s",
        "after root",
        "when failing > 3",
    ]
    when = {"planned_ns": 5 * S, "actual_ns": 6 * S}
    started = feed.acted(root, "start", when)
    assert (started.state, started.due_s, started.started_s) == ("running", 5, 6)
    note = feed.acted(root, "wave", {"wave": 1, "of": 3, "actual_ns": 7 * S}).note
    assert note == "wave 1 of 3"
    done = feed.acted(root, "end", {"outcome": "done", "actual_ns": 8 * S})
    assert (done.state, done.ended_s, done.touched_s) == ("done", 8, 8)
    frame = feed.frame(progress(9), snapshot())
    assert frame.next_entry is not None
    assert (frame.next_entry.index, frame.next_entry.due_s) == (cert.index, 8)
    feed.acted(cert, "end", {"outcome": "failed", "reason": "no", "actual_ns": S})
    frame = feed.frame(progress(10), snapshot())
    assert frame.timeline[1].note == "no"
    assert frame.next_entry is not None
    assert frame.next_entry.index == check.index
    feed.acted(check, "end", {"outcome": "skipped", "actual_ns": -1})
    assert feed.frame(progress(11), snapshot()).next_entry is None


def test_facts() -> None:
    """Everything that is known before the start, the ids by index."""
    facts = Feed(PLAN).facts(Path("results/x"), "lab https://localhost:1")
    assert facts.device_ids == tuple(device.device_id for device in PLAN.devices)
    assert facts.cohorts == ((NAMES[0], 3), (NAMES[1], 2))
    assert (facts.duration_s, facts.drain_s, facts.devices) == (60, 10, 5)


@pytest.mark.parametrize("missing", ["survey", "health"])
def test_what_nobody_asked_for_may_be_missing(missing: str) -> None:
    """A frame without a survey or without health is still a frame."""
    whole = progress(1, seen=survey(), health=health())
    nothing: dict[str, Any] = {missing: None}
    (frame,) = frames((replace(whole, **nothing), snapshot()))
    assert getattr(frame, missing) is None
