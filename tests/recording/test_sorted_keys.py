"""A prefix takes exactly the rows whose key starts with it."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.recording.sorted_keys import SortedKeys

TEXT = st.text(st.sampled_from("aAB/0é\U0010ffff"), max_size=6)


@given(keys=st.lists(TEXT, max_size=30), prefix=TEXT)
def test_a_prefix_is_a_slice(keys: list[str], prefix: str) -> None:
    """With whatever keys, in whatever order: as str.startswith, in key order."""
    rows = SortedKeys(
        pa.table({"key": pa.array(keys, pa.string()), "n": pa.array(range(len(keys)))})
    )
    expected = sorted(key for key in keys if key.startswith(prefix))
    below = rows.below(prefix)
    assert below["key"].to_pylist() == expected
    assert rows.count(prefix) == len(expected)
    assert [keys[n] for n in below["n"].to_pylist()] == expected
    assert rows.rows == len(keys)
