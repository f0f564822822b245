"""What is certain to come before what."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.scenario.entry_order import EntryOrder, Made, Product, actions_of
from fleetsim.scenario.schema import Scenario


def order_of(*entries: dict[str, Any], **top: Any) -> EntryOrder:
    """Order of entries; those without an action get a harmless one."""
    data = {"name": "x", "cohorts": [{"name": "a", "count": 1}], **top}
    if "target" not in data:
        data.setdefault("lab", {})
    times = {"name", "at", "date", "after", "when", "delay"}
    data["timeline"] = [e if set(e) - times else {**e, "lose_rtc": {}} for e in entries]
    return EntryOrder(Scenario.model_validate(data))


def test_chains_are_followed_to_their_start() -> None:
    """Nearest first; delays add up."""
    order = order_of(
        {"name": "a", "at": 3},
        {"name": "b", "after": "a", "delay": 2},
        {"name": "c", "after": "b", "delay": 1},
        {"name": "d", "when": "stranded > 0", "delay": 1},
        {"after": "d"},
        {"after": "nobody"},
    )
    assert [order.previous(n) for n in range(6)] == [(), (0,), (1, 0), (), (3,), ()]
    assert [order.due_s(n) for n in range(6)] == [3, 5, 6, None, None, None]


@pytest.mark.parametrize(
    ("entries", "previous"),
    [
        ([{"name": "a", "after": "a"}], (0,)),
        ([{"name": "a", "after": "b"}, {"name": "b", "after": "a"}], (1, 0)),
        (
            [
                {"name": "a", "after": "b"},
                {"name": "b", "after": "c"},
                {"name": "c", "after": "b"},
            ],
            (1, 2),
        ),
    ],
)
def test_cycles_end(entries: list[dict[str, Any]], previous: tuple[int, ...]) -> None:
    """An entry that waits for itself is in its own chain, and is never due."""
    order = order_of(*entries)
    assert order.previous(0) == previous
    assert order.due_s(0) is None


ORDER: list[dict[str, Any]] = [
    {"name": "early", "at": 1},
    {"name": "same", "at": 5},
    {"name": "late", "at": 5},
    {"name": "behind", "after": "late", "delay": 1},
    {"name": "some-time", "when": "stranded > 0"},
    {"name": "then", "after": "some-time"},
]


@pytest.mark.parametrize(
    ("first", "second", "is_before"),
    [
        (0, 1, True),
        (1, 0, False),
        (1, 2, True),
        (2, 1, False),
        (2, 3, True),
        (3, 2, False),
        (0, 4, True),
        (4, 0, False),
        (4, 5, True),
        (5, 4, False),
        (4, 3, False),
        (1, 1, False),
    ],
)
def test_order(first: int, second: int, is_before: bool) -> None:
    """By time, then by place; behind a condition only by `after`."""
    assert order_of(*ORDER).is_before(first, second) == is_before


@given(
    st.lists(
        st.tuples(st.sampled_from(["at", "after", "when"]), st.integers(0, 7)),
        min_size=1,
        max_size=8,
    )
)
def test_order_is_never_both_ways(drawn: list[tuple[str, int]]) -> None:
    """Whatever waits for whatever, cycles included: at most one is certainly first."""
    entries: list[dict[str, Any]] = []
    for index, (kind, number) in enumerate(drawn):
        entry: dict[str, Any] = {"name": f"e{index}"}
        match kind:
            case "at":
                entry["at"] = number
            case "after":
                entry["after"] = f"e{number}"
            case _:
                entry["when"] = f"stranded > {number}"
        entries.append(entry)
    order = order_of(*entries)
    for first in range(len(entries)):
        assert not order.is_before(first, first)
        for second in range(len(entries)):
            both = order.is_before(first, second) and order.is_before(second, first)
            assert not both


def test_names_of_the_lab() -> None:
    """Its authorities and the certificate of each TLS front."""
    fronts = [{"name": "main"}, {"name": "plain", "security": "low"}]
    made = order_of(lab={"fronts": fronts}).made
    assert made == {
        "main": Made(Product.SERVER),
        "root": Made(Product.CA),
        "intermediate": Made(Product.CA),
        "devices": Made(Product.CA),
    }


def test_names_that_the_timeline_makes() -> None:
    """By the entry that makes them; the first of two with the same name counts."""
    order = order_of(
        {"name": "ca", "at": 1, "issue_ca": {}},
        {"name": "x", "at": 1, "cross_sign": {"ca": "ca", "by": "root"}},
        {"name": "leaf", "at": 1, "issue_server_certificate": {}},
        {"name": "ca", "at": 1, "issue_server_certificate": {}},
        {"name": "nothing", "at": 1},
    )
    assert order.made["ca"] == Made(Product.CA, 0)
    assert order.made["x"] == Made(Product.CROSS, 1)
    assert order.made["leaf"] == Made(Product.SERVER, 2)
    assert "nothing" not in order.made
    assert order.by_name["ca"] == 0


def test_with_a_real_target_only_the_operators_device_ca_is_known() -> None:
    """And only when the cohorts bring one."""
    target = {"endpoint": "https://s3.example.org", "bucket": "b12"}
    assert order_of(target=target).made == {}
    cohort = {"name": "a", "count": 1, "security": "high"}
    cohort["client_certificates"] = {"pki": "x"}
    made = order_of(target=target, cohorts=[cohort]).made
    assert made == {"devices": Made(Product.CA)}


def test_actions_of_an_entry() -> None:
    """In the order of the vocabulary."""
    order = order_of({"at": 1, "unrevoke": {}, "issue_ca": {}})
    assert actions_of(order.entries[0]) == ("issue_ca", "unrevoke")
