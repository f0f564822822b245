"""Did you mean."""

import pytest

from fleetsim.scenario.suggest import did_you_mean


@pytest.mark.parametrize(
    ("word", "known", "hint"),
    [
        ("cuont", ["count", "name"], " (did you mean 'count'?)"),
        ("COUNT", ["count"], " (did you mean 'count'?)"),
        ("canedge2", ["CANedge2"], " (did you mean 'CANedge2'?)"),
        ("zebra", ["count"], ""),
        ("", ["count"], ""),
        ("x", [], ""),
        ("c" * 10_000, ["count"], ""),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_the_nearest_name_is_offered(word: str, known: list[str], hint: str) -> None:
    """Near names are offered, far ones are not, long ones are not compared."""
    assert did_you_mean(word, known) == hint
