"""Progress: surveys of shards put together are the survey of the whole fleet."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.contact import ContactState
from fleetsim.core.progress import (
    MOST_NAMES,
    STATES,
    BundleSeen,
    Survey,
    merge_surveys,
)

Look = tuple[int, str, int]
"""State, cipher group and number of certificates of one device."""


def surveyed(looks: list[Look], first: int = 0, stride: int = 1) -> Survey:
    """Survey of every ``stride``-th device; codes in the order of first sight."""
    mine = looks[first::stride]
    names = tuple(dict.fromkeys(("", *(group for _, group, _ in mine))))
    seen = tuple(dict.fromkeys((0, *(count for _, _, count in mine))))
    return Survey(
        first=first,
        stride=stride,
        states=bytes(state for state, _, _ in mine),
        groups=bytes(names.index(group) for _, group, _ in mine),
        bundles=bytes(seen.index(count) for _, _, count in mine),
        group_names=names,
        bundles_seen=tuple(BundleSeen(f"{n:012d}" if n else "", n) for n in seen),
    )


LOOKS = st.lists(
    st.tuples(
        st.integers(0, len(STATES) - 1),
        st.sampled_from(["", "group1", "group2", "group3"]),
        st.integers(0, 9),
    ),
    min_size=1,
    max_size=50,
)


@given(LOOKS, st.integers(1, 5), st.randoms(use_true_random=False))
def test_merging(looks: list[Look], shards: int, chance: object) -> None:
    """In any order of the shards every device says what it said to its shard."""
    count = min(shards, len(looks))
    parts = [surveyed(looks, first, count) for first in range(count)]
    chance.shuffle(parts)  # type: ignore[attr-defined]  # a random.Random
    merged = merge_surveys(parts)
    assert [
        (state, merged.group_names[group], merged.bundles_seen[bundle].certificates)
        for state, group, bundle in zip(
            merged.states, merged.groups, merged.bundles, strict=True
        )
    ] == looks
    whole = surveyed(looks)
    assert merged.by_group() == whole.by_group()
    assert merged.by_bundle() == whole.by_bundle()


@pytest.mark.parametrize(
    "shards", [[0], [0, 0], [1, 0, 1]], ids=["missing", "twice", "too many"]
)
def test_not_the_shards_of_one_plan(shards: list[int]) -> None:
    """A shard that is missing or given twice is refused."""
    looks: list[Look] = [(0, "", 0)] * 4
    with pytest.raises(ValueError, match="all shards"):
        merge_surveys([surveyed(looks, first, 2) for first in shards])


def test_sizes_must_fit() -> None:
    """Shards of different plans are refused."""
    long, short = surveyed([(0, "", 0)] * 8, 0, 2), surveyed([(0, "", 0)] * 2, 1, 2)
    with pytest.raises(ValueError, match="all shards"):
        merge_surveys([long, short])


def test_too_many_names() -> None:
    """Past the last code all further names are one."""
    size = MOST_NAMES
    one = Survey(
        first=0,
        stride=2,
        states=bytes(size),
        groups=bytes(range(size)),
        bundles=bytes(size),
        group_names=("", *(f"a{n}" for n in range(1, size))),
    )
    other = replace(one, first=1, group_names=("", *(f"b{n}" for n in range(1, size))))
    merged = merge_surveys([one, other])
    assert len(merged.group_names) == MOST_NAMES
    assert sum(merged.by_group().values()) == 2 * (size - 1)


def test_codes_are_written_to_results() -> None:
    """The order of the states is part of what live views keep: append, never reorder."""
    assert STATES[:7] == (
        ContactState.UNREACHED,
        ContactState.CONNECTED,
        ContactState.DEGRADED,
        ContactState.FAILING,
        ContactState.STRANDED,
        ContactState.RECOVERED,
        ContactState.ASLEEP,
    )
