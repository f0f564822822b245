"""What a finding follows from."""

import pytest

from fleetsim.scenario.finding import Finding
from fleetsim.scenario.yaml_document import Loc


@pytest.mark.parametrize(
    ("finding", "broken", "follows"),
    [
        (Finding(("a", 0), "x"), ("a", 0), True),
        (Finding(("a", 0), "x"), ("a",), True),
        (Finding(("a", 0), "x"), ("a", 0, "b"), True),
        (Finding(("a", 0), "x"), ("a", 1), False),
        (Finding(("a", 0), "x", (("b",),)), ("b", "c"), True),
        (Finding(("a", 0), "x", (("b", "c"),)), ("b",), True),
        (Finding(("a", 0), "x", (("b", "c"),)), ("b", "d"), False),
        (Finding((), "x"), ("a",), False),
        (Finding((), "x", needs=(("a",),)), ("a",), True),
        (Finding((), "x", needs=(("a",),)), ("a", 0), False),
    ],
)
def test_a_finding_next_to_something_unreadable_may_only_repeat_it(
    finding: Finding, broken: Loc, follows: bool
) -> None:
    """Places above and below count; what must be present counts only as a whole."""
    assert finding.follows_from({broken}) == follows
    assert not finding.follows_from(frozenset())
