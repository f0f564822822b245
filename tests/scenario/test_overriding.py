"""``--set path=value``."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.scenario.overriding import apply_overrides, dotted

DATA: dict[str, Any] = {
    "name": "x",
    "cohorts": [{"name": "a", "count": 1}, {"name": "b", "count": 2}],
}


def applied(*overrides: str) -> Any:
    """The data after overrides that must all work."""
    data, _, problems = apply_overrides(DATA, overrides)
    assert problems == ()
    return data


@pytest.mark.parametrize(
    "path",
    ["cohorts.1.count", "cohorts[1].count", "cohorts[b].count", "cohorts.b.count"],
)
def test_list_entries_go_by_position_or_name(path: str) -> None:
    """Four ways to write the same place."""
    assert applied(f"{path}=50")["cohorts"][1] == {"name": "b", "count": 50}


def test_a_star_is_all_entries() -> None:
    """One override for the whole fleet."""
    counts = [c["count"] for c in applied("cohorts[*].count=7")["cohorts"]]
    assert counts == [7, 7]


def test_values_are_yaml() -> None:
    """Numbers, texts and mappings as in the file; `=` may be in the value."""
    data = applied("a.b={uniform: [1s, 2s]}", "t=[unaccounted == 0]", "d=2m")
    assert data["a"] == {"b": {"uniform": ["1s", "2s"]}}
    assert data["t"] == ["unaccounted == 0"]
    assert data["d"] == "2m"


def test_nothing_removes_and_one_past_the_end_appends() -> None:
    """`key=` gives the default back; a list grows by one entry."""
    assert "name" not in applied("name=")
    assert applied("cohorts.2={name: c}")["cohorts"][2] == {"name": "c"}


def test_later_overrides_win_and_the_input_stays() -> None:
    """Order is that of the command line; the data given is never changed."""
    before = copy.deepcopy(DATA)
    assert applied("name=y", "name=z")["name"] == "z"
    assert before == DATA


def test_places_know_the_option_that_set_them() -> None:
    """So that a later problem names the option and not a line."""
    _, origins, _ = apply_overrides(DATA, ["cohorts[b].count=5"])
    assert origins == {("cohorts", 1, "count"): "--set cohorts[b].count"}


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("name", "expected path=value"),
        ("=3", "is no path"),
        ("a..b=3", "is no path"),
        ("[0]=3", "is no path"),
        ("a.=3", "is no path"),
        ("cohorts.9.count=3", "cohorts has 2 entries, no 9"),
        ("cohorts.2.count=3", "cohorts has 2 entries, no 2"),
        ("cohorts[bb].count=3", "no entry named 'bb' (did you mean 'b'?)"),
        ("name.x=3", "name is a single value"),
        ("name=[1", "not YAML"),
        (f"{'a.' * 40}b=1", "at most 32 steps"),
    ],
    ids=lambda value: value[:20],
)
def test_unusable_overrides_are_problems(override: str, says: str) -> None:
    """Each says what is wrong with which option; the others are still applied."""
    data, _, problems = apply_overrides(DATA, [override, "seed=3"])
    assert data["seed"] == 3
    assert len(problems) == 1
    assert problems[0].where.startswith("--set")
    assert says in problems[0].what


def test_there_is_a_bound_to_overrides() -> None:
    """Nobody types a thousand options."""
    _, _, problems = apply_overrides(DATA, ["seed=3"] * 1001)
    assert [problem.what for problem in problems] == ["more than 1000 overrides"]


@given(st.lists(st.text(max_size=30), max_size=5))
def test_random_overrides_never_raise(overrides: list[str]) -> None:
    """A typing error is a problem, not a crash."""
    apply_overrides(DATA, overrides)


def test_places_are_written_as_people_do() -> None:
    """Keys by dots, positions in brackets."""
    assert dotted(("cohorts", 0, "workload", "period")) == "cohorts[0].workload.period"
    assert dotted(()) == ""
