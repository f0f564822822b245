"""Sorted keys: an Arrow table in key order, asked by key prefix.

The truth check and the clean-up work prefix by prefix, over hundreds of prefixes. In key
order a prefix is one slice, found by bisection, so that asking costs no scan of the
whole table and a slice no copy.
"""

from bisect import bisect_left, bisect_right
from typing import Any, Final

import pyarrow as pa

KEY: Final = "key"


class SortedKeys:
    """A table with a column ``key``, in key order (UTF-8 order, as S3 lists).

    Args:
        table: In any order. Keys together may pass 2 GiB: they are kept as
            ``large_string``.
    """

    __slots__ = ("_keys", "_table")

    def __init__(self, table: Any) -> None:
        at = table.schema.get_field_index(KEY)
        wide = table.set_column(at, KEY, table[KEY].cast(pa.large_string()))
        self._table = wide.sort_by(KEY).combine_chunks()
        self._keys = self._table[KEY]
        # sorting takes some three times the table; the pool would keep it
        pa.default_memory_pool().release_unused()

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self._table.num_rows)

    def count(self, prefix: str) -> int:
        """Number of rows whose key starts with ``prefix``."""
        start, end = self._range(prefix)
        return end - start

    def below(self, prefix: str) -> Any:
        """Rows whose key starts with ``prefix``, as a slice without a copy."""
        start, end = self._range(prefix)
        return self._table.slice(start, end - start)

    def _range(self, prefix: str) -> tuple[int, int]:
        def start_of(row: int) -> str:
            return str(self._keys[row].as_py())[: len(prefix)]

        numbers = range(self.rows)
        start = bisect_left(numbers, prefix, key=start_of)
        return start, bisect_right(numbers, prefix, lo=start, key=start_of)
