import pytest

from fleetsim.exceptions import InputError, Problem
from fleetsim.pki.problems import refuse


def test_no_problems_pass() -> None:
    """Nothing wrong, nothing raised."""
    refuse([])


@pytest.mark.parametrize(
    ("count", "shown", "last"),
    [
        pytest.param(1, 1, "0", id="one"),
        pytest.param(20, 20, "19", id="all-shown"),
        pytest.param(21, 21, "1 more problems of this kind", id="one-cut"),
        pytest.param(10_000, 21, "9980 more problems of this kind", id="many"),
    ],
)
def test_long_lists_are_cut_and_counted(count: int, shown: int, last: str) -> None:
    """At most 20 problems are spelled out; the others are a number."""
    with pytest.raises(InputError) as caught:
        refuse([Problem("", str(number)) for number in range(count)])
    assert len(caught.value.problems) == shown
    assert str(caught.value.problems[-1]) == last
