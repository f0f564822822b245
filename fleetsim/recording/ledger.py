"""Ledger: what the fleet sent and what it was told, from the records of a run.

The truth check asks for one key prefix at a time; all attempts of a key have been put
together by then. The ledger itself stays in Arrow columns (about 80 bytes an upload).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from fleetsim.core.commands import Operation
from fleetsim.core.outcomes import Upload
from fleetsim.recording.columns import PLAIN_SCHEMA
from fleetsim.recording.records_file import read_batches
from fleetsim.recording.sorted_keys import SortedKeys

_COLUMNS = ("device", "key", "body_bytes", "content", "kind")


class Ledger:
    """The uploads of one run.

    Args:
        folder: Run folder, of a finished or a killed run.

    Attributes:
        devices: Ids of the devices that attempted anything.
        attempts: Number of upload attempts.

    Raises:
        InputError: If the records cannot be read.
    """

    __slots__ = ("_rows", "attempts", "devices")

    def __init__(self, folder: Path) -> None:
        devices: set[str] = set()
        kept: list[Any] = []
        for piece in read_batches(folder, (*_COLUMNS, "operation")):
            devices.update(pc.unique(piece["device"]).to_pylist())
            is_upload = pc.equal(piece["operation"], Operation.UPLOAD.value)
            uploads = piece.filter(is_upload)
            kept.append(
                pa.table(
                    {
                        "key": uploads["key"],
                        "size_bytes": uploads["body_bytes"],
                        "content": uploads["content"],
                        "acknowledged": pc.equal(uploads["kind"], ""),
                    }
                )
            )
        self.devices = frozenset(devices)
        self._rows = SortedKeys(pa.concat_tables(kept) if kept else _empty())
        self.attempts: int = self._rows.rows

    def count(self, prefix: str) -> int:
        """Number of upload attempts whose key starts with ``prefix``."""
        return self._rows.count(prefix)

    def uploads(self, prefix: str) -> Iterator[Upload]:
        """Give every upload whose key starts with ``prefix``, one per key."""
        by_key = (
            self._rows.below(prefix)
            .group_by(["key"])
            .aggregate(
                [("size_bytes", "max"), ("content", "max"), ("acknowledged", "max")]
            )
        )
        for batch in by_key.to_batches(max_chunksize=8192):
            columns = batch.to_pydict()
            for key, size_bytes, content, acknowledged in zip(
                columns["key"],
                columns["size_bytes_max"],
                columns["content_max"],
                columns["acknowledged_max"],
                strict=True,
            ):
                yield Upload(
                    key=key,
                    size_bytes=size_bytes,
                    content=content,
                    acknowledged=acknowledged,
                )


def _empty() -> Any:
    return pa.table(
        {
            "key": pa.array([], PLAIN_SCHEMA.field("key").type),
            "size_bytes": pa.array([], pa.int64()),
            "content": pa.array([], pa.uint64()),
            "acknowledged": pa.array([], pa.bool_()),
        }
    )
