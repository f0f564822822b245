"""Sums: figures of several shards put together, exactly.

Whatever is counted adds up: numbers, histograms (count by count, never percentile by
percentile), maps key by key, and records of these field by field. What does not add up
(a name, a flag, a time) is refused rather than guessed at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from fleetsim.core.histogram import Histogram

_ValueT = TypeVar("_ValueT")


def add_up(values: Sequence[_ValueT]) -> _ValueT:
    """Add values of one kind up; the order does not matter (that of keys is kept).

    Args:
        values: At least one; none is changed.

    Raises:
        TypeError: They are of a kind that does not add up.
        ValueError: There are none.
    """
    if not values:
        raise ValueError("nothing to add up")
    total: Any = _add(values)
    return total  # type: ignore[no-any-return]  # of the kind of the values


def _add(values: Sequence[Any]) -> Any:
    first = values[0]
    if isinstance(first, bool):
        raise TypeError("a flag does not add up")
    if isinstance(first, int | float):
        return sum(values)
    if isinstance(first, Histogram):
        total = Histogram()
        for each in values:
            total.merge(each)
        return total
    if isinstance(first, Mapping):
        keys = dict.fromkeys(key for each in values for key in each)
        return {
            key: _add([each[key] for each in values if key in each]) for key in keys
        }
    if is_dataclass(first) and not isinstance(first, type):
        return type(first)(
            **{
                field.name: _add([getattr(each, field.name) for each in values])
                for field in fields(first)
            }
        )
    raise TypeError(f"{type(first).__name__} does not add up")
