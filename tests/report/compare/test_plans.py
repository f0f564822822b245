"""Which runs may be compared: same fleet, same work, wherever it was done."""

from copy import deepcopy
from typing import Any

import pytest

from fleetsim.report.compare.plans import differences, refusals

BASE: dict[str, Any] = {
    "run": "a",
    "seed": 42,
    "plan_sha256": "aa",
    "versions": {"fleetsim": "1"},
    "scenario": {
        "name": "x",
        "seed": 42,
        "duration": 30.0,
        "target": {"endpoint": "https://one"},
        "timeline": [],
        "thresholds": ["failures == 0"],
        "cohorts": [
            {"name": "c", "count": 5, "front": "main"},
            {"name": "d", "count": 1},
        ],
    },
}


def other(changes: dict[str, Any], **manifest: Any) -> dict[str, Any]:
    """The manifest of another run: its scenario changed by path."""
    made = deepcopy(BASE) | {"run": "b", "plan_sha256": "bb"} | manifest
    for path, value in changes.items():
        at = made["scenario"]
        *way, last = path.split(".")
        for part in way:
            at = at[int(part) if part.isdigit() else part]
        at[int(last) if last.isdigit() else last] = value
    return made


@pytest.mark.parametrize(
    ("second", "paths", "refused"),
    [
        pytest.param(deepcopy(BASE), [], False, id="the same plan"),
        pytest.param(
            other({"target.endpoint": "https://two"}),
            ["target.endpoint"],
            False,
            id="another endpoint",
        ),
        pytest.param(
            other({"lab": {"bucket": "x"}, "name": "y", "thresholds": []}),
            ["name", "thresholds", "lab"],
            False,
            id="where and how it is judged",
        ),
        pytest.param(
            other({"cohorts.0.front": "new"}), ["cohorts[c].front"], False, id="front"
        ),
        pytest.param(
            other({"cohorts.0.count": 6}), ["cohorts[c].count"], True, id="more devices"
        ),
        pytest.param(
            other({"duration": 60.0}), ["duration"], True, id="another length"
        ),
        pytest.param(other({}, seed=7), ["seed"], True, id="--seed"),
        pytest.param(
            other({"timeline": [{"at": 1}]}), ["timeline"], True, id="another timeline"
        ),
        pytest.param(
            other({}),
            ["plan (a profile or the program changed)"],
            True,
            id="a profile changed",
        ),
    ],
)
def test_what_differs_is_named(
    second: dict[str, Any], paths: list[str], refused: bool
) -> None:
    """By its path; what changes the load is a reason to refuse."""
    assert [each.path for each in differences(BASE, second)] == paths
    problems = refusals(BASE, second)
    assert bool(problems) is refused
    if refused:
        assert "--force" in problems[-1].what


def test_a_timeline_leaves_the_pairs_together() -> None:
    """It acts upon the fleet; the plan of the fleet is the same."""
    (found,) = differences(BASE, other({"timeline": [1]}))
    assert found.is_load
    assert not found.parts_pairs
    (found,) = differences(BASE, other({"duration": 9}))
    assert found.parts_pairs


def test_cohorts_are_told_by_name() -> None:
    """A cohort more is one difference, whatever its place."""
    second = other({})
    second["scenario"]["cohorts"].insert(0, {"name": "new", "count": 9})
    (found,) = differences(BASE, second)
    assert (found.path, found.first) == ("cohorts[new]", "absent")


def test_a_long_list_of_reasons_is_cut() -> None:
    """And says so."""
    second = other({f"setting_{n}": n for n in range(30)})
    assert "10 more differences" in refusals(BASE, second)[-1].what
