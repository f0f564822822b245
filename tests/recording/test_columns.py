"""Rows become columns and nothing is lost on the way."""

from dataclasses import asdict, fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.recording.columns import NAMES, PLAIN_SCHEMA, SCHEMA, to_batch
from fleetsim.recording.record import Record
from tests.recording.records import record

_BY_TYPE: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    bool: st.booleans(),
    int: st.integers(-1, 2**62),
}
_SMALL = {
    "attempt": st.integers(1, 2**31 - 1),
    "status": st.integers(0, 999),
    "content": st.integers(0, 2**64 - 1),
}
records = st.builds(
    Record,
    **{
        field.name: _SMALL.get(field.name, _BY_TYPE[field.type])
        for field in fields(Record)
    },
)


@given(st.lists(records, min_size=1, max_size=5))
def test_every_field_of_every_record_comes_back(rows: list[Record]) -> None:
    """Columns hold exactly what the records held, content keys of 64 bits too."""
    assert to_batch(rows).to_pylist() == [asdict(row) for row in rows]


def test_the_schema_has_the_fields_of_a_record_in_order() -> None:
    """A new field of a record is a new column without further ado."""
    assert tuple(SCHEMA.names) == NAMES == tuple(PLAIN_SCHEMA.names)
    assert all(not field.nullable for field in SCHEMA)


@pytest.mark.parametrize("column", ["detail", "etag"])
def test_text_no_file_format_can_hold_is_replaced(column: str) -> None:
    """A peer's broken bytes cannot end a run."""
    broken: dict[str, Any] = {column: "caf\udce9"}
    fine: dict[str, Any] = {column: "fine"}
    batch = to_batch([record(**broken), record(**fine)])
    assert batch[column].to_pylist() == ["caf?", "fine"]
