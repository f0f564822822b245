"""Columns: the Arrow schema of records, and rows turned into columns.

Text that repeats (cohort, suites, failure kind …) is dictionary encoded: a row then
costs four bytes for each of them, in memory as on disk.
"""

from collections.abc import Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any, Final

import pyarrow as pa

from fleetsim.recording.record import Record

_TEXT: Final = pa.dictionary(pa.int32(), pa.string())

_SPECIAL: Final[dict[str, Any]] = {
    "key": pa.string(),
    "etag": pa.string(),
    "attempt": pa.int32(),
    "status": pa.int16(),
    "content": pa.uint64(),
}
_BY_PYTHON_TYPE: Final[dict[Any, Any]] = {
    str: _TEXT,
    int: pa.int64(),
    bool: pa.bool_(),
}

NAMES: Final[tuple[str, ...]] = tuple(field.name for field in fields(Record))

SCHEMA: Final = pa.schema(
    [
        pa.field(
            field.name,
            _SPECIAL.get(field.name, _BY_PYTHON_TYPE[field.type]),
            nullable=False,
        )
        for field in fields(Record)
    ]
)

PLAIN_SCHEMA: Final = pa.schema(
    [
        pa.field(
            field.name,
            pa.string() if field.type == _TEXT else field.type,
            nullable=False,
        )
        for field in SCHEMA
    ]
)
"""The same with plain text: what ``records.parquet`` promises to any reader."""

_row = attrgetter(*NAMES)


def to_batch(records: Sequence[Record]) -> Any:
    """Turn records into one Arrow record batch of :data:`SCHEMA`.

    Args:
        records: At least one record.
    """
    columns = zip(*map(_row, records), strict=True)
    arrays = [
        _to_array(column, field.type)
        for column, field in zip(columns, SCHEMA, strict=True)
    ]
    return pa.record_batch(arrays, schema=SCHEMA)


def _to_array(values: tuple[Any, ...], kind: Any) -> Any:
    if kind == _TEXT:
        return _text_array(values).dictionary_encode()
    if kind == pa.string():
        return _text_array(values)
    return pa.array(values, type=kind)


def _text_array(values: tuple[str, ...]) -> Any:
    try:
        return pa.array(values, type=pa.string())
    except UnicodeEncodeError:
        # words of a peer may hold lone surrogates, which no file format can take
        return pa.array(
            [text.encode("utf-8", "replace").decode("utf-8") for text in values],
            type=pa.string(),
        )
