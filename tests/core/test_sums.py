"""Sums: what is put together from parts is what it would have been in one piece."""

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.histogram import Histogram
from fleetsim.core.sums import add_up

PARTS = st.lists(
    st.dictionaries(
        st.sampled_from("abc"), st.lists(st.integers(0, 10**13), max_size=20)
    ),
    min_size=1,
    max_size=5,
)


@dataclass(frozen=True)
class Totals:
    """Everything that adds up, nested."""

    count: int
    share: float
    seen: dict[str, Histogram]


@given(PARTS)
def test_histograms_are_added_count_by_count(parts: list[dict[str, list[int]]]) -> None:
    """The sum of histograms is the histogram of all values, whoever saw them."""
    totals = [
        Totals(
            count=sum(map(len, part.values())),
            share=0.5,
            seen={name: Histogram.of(values) for name, values in part.items()},
        )
        for part in parts
    ]
    before = [dict(total.seen) for total in totals]
    whole = add_up(totals)
    assert whole.count == sum(len(v) for part in parts for v in part.values())
    assert whole.share == len(parts) * 0.5
    for name in {name for part in parts for name in part}:
        together = [value for part in parts for value in part.get(name, ())]
        assert whole.seen[name] == Histogram.of(together)
    assert [dict(total.seen) for total in totals] == before


@given(st.lists(st.dictionaries(st.text(max_size=2), st.integers()), min_size=1))
def test_maps_are_added_key_by_key(parts: list[dict[str, int]]) -> None:
    """A key that one part lacks is nothing there; the order of the parts is no matter."""
    expected: Counter[str] = Counter()
    for part in parts:
        expected.update(part)
    assert add_up(parts) == dict(expected)
    assert add_up(parts[::-1]) == dict(expected)


@pytest.mark.parametrize(
    "value",
    [True, "name", None, ("a",), Totals],
    ids=["flag", "text", "none", "tuple", "class"],
)
def test_what_does_not_add_up(value: object) -> None:
    """Names, flags and tuples are refused: a wrong total would be silent."""
    with pytest.raises(TypeError, match="add up"):
        add_up([value, value])


def test_nothing() -> None:
    """There is no total of nothing: of which kind would it be?"""
    with pytest.raises(ValueError, match="nothing"):
        add_up([])
