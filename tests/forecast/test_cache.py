"""A cache keeps what was used last and no more than it may."""

from hypothesis import given
from hypothesis import strategies as st

from fleetsim.forecast.cache import Cache


def test_what_was_asked_for_stays() -> None:
    """The entry that was not asked for the longest goes first."""
    cache: Cache[str, int] = Cache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert ("a" in cache, "b" in cache, "c" in cache) == (True, False, True)
    assert cache.get("b") is None


@given(
    size=st.integers(1, 5),
    puts=st.lists(st.tuples(st.integers(0, 9), st.integers()), max_size=40),
)
def test_it_never_lies_and_never_grows(size: int, puts: list[tuple[int, int]]) -> None:
    """What it gives is what was put last; it holds the newest keys."""
    cache: Cache[int, int] = Cache(size)
    truth: dict[int, int] = {}
    for key, value in puts:
        cache.put(key, value)
        truth.pop(key, None)
        truth[key] = value
    newest = list(truth)[-size:]
    assert [key for key in truth if key in cache] == newest
    assert all(cache.get(key) == truth[key] for key in newest)
