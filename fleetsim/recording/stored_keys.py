"""Stored keys: every key that a run wrote, or may have written, from its folder.

Devices' requests are in the records; what the control plane put for them (bundles,
configurations, firmware) is in ``pushed.jsonl``, one line an object, appended as it
happens. Both are readable after a run was killed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from fleetsim.core.commands import Operation
from fleetsim.core.failure import Kind, Phase
from fleetsim.core.outcomes import SentKey, StoredKey
from fleetsim.exceptions import InputError, Problem, RecordingError
from fleetsim.recording.names import PUSHED
from fleetsim.recording.records_file import read_batches
from fleetsim.recording.sorted_keys import SortedKeys

_PUTS: Final = (
    Operation.UPLOAD,
    Operation.HEARTBEAT,
    Operation.SCHEMA,
    Operation.CONFIG,
)
_SENDING: Final = [Phase.SEND.value, Phase.WAIT.value, Phase.RUN.value]
_COLUMNS: Final = (
    "device",
    "operation",
    "key",
    "kind",
    "phase",
    "status",
    "etag",
    "ended_ns",
)
_SCHEMA: Final = pa.schema(
    [("key", pa.string()), ("etag", pa.string()), ("told", pa.bool_())]
)


def note_push(folder: Path, stored: StoredKey) -> None:
    """Append an object that the control plane stored.

    Raises:
        RecordingError: If it cannot be written.
    """
    path = folder / PUSHED
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": stored.key, "etag": stored.etag}) + "\n")
    except OSError as exc:
        raise RecordingError(str(path), exc.strerror or str(exc)) from exc


class StoredKeys:
    """The keys a run wrote.

    Args:
        folder: Run folder, of a finished or a killed run.

    Attributes:
        devices: Ids of the devices that wrote anything, or had anything put for them.
        last_ns: End of the last attempt, run time.

    Raises:
        InputError: If the records cannot be read.
    """

    __slots__ = ("_rows", "devices", "last_ns")

    def __init__(self, folder: Path) -> None:
        devices: set[str] = set()
        kept: list[Any] = []
        self.last_ns = 0
        for piece in read_batches(folder, _COLUMNS):
            self.last_ns = max(self.last_ns, pc.max(piece["ended_ns"]).as_py() or 0)
            rows = piece.filter(_may_have_stored(piece))
            devices.update(pc.unique(rows["device"]).to_pylist())
            # a server that confirms without an ETag says nothing of what lies there
            told = pc.and_(pc.equal(rows["kind"], ""), pc.not_equal(rows["etag"], ""))
            table = pa.table({"key": rows["key"], "etag": rows["etag"], "told": told})
            kept.append(table.group_by(["key", "etag", "told"]).aggregate([]))
        pushed = _pushes(folder)
        devices.update(each.key.partition("/")[0] for each in pushed)
        kept.append(
            pa.table(
                {
                    "key": [each.key for each in pushed],
                    "etag": [each.etag for each in pushed],
                    "told": [each.etag != "" for each in pushed],
                },
                schema=_SCHEMA,
            )
        )
        self.devices = frozenset(devices)
        self._rows = SortedKeys(
            pa.concat_tables(
                [each.select(_SCHEMA.names).cast(_SCHEMA) for each in kept]
            )
        )

    def count(self, prefix: str) -> int:
        """Number of keys that start with ``prefix``, or more."""
        return self._rows.count(prefix)

    def sent(self, prefix: str) -> Iterator[SentKey]:
        """Give every key that starts with ``prefix``, once."""
        by_key = (
            self._rows.below(prefix)
            .group_by(["key"])
            .aggregate([("etag", "distinct"), ("told", "min")])
        )
        for batch in by_key.to_batches(max_chunksize=8192):
            columns = batch.to_pydict()
            for key, etags, all_told in zip(
                columns["key"],
                columns["etag_distinct"],
                columns["told_min"],
                strict=True,
            ):
                yield SentKey(
                    key=key, etags=frozenset(etags) - {""}, unsure=not all_told
                )


def _may_have_stored(piece: Any) -> Any:
    """Rows of PUTs that were confirmed, or sent and not refused by the store itself.

    A 5xx proves nothing: a front may have given up on a server that had stored it.
    """
    is_put = pc.is_in(piece["operation"], pa.array([each.value for each in _PUTS]))
    is_done = pc.equal(piece["kind"], "")
    was_sent = pc.or_(
        pc.is_in(piece["phase"], pa.array(_SENDING)),
        pc.equal(piece["kind"], Kind.DEVICE_POWER_CYCLE),
    )
    is_open = pc.or_(
        pc.equal(piece["status"], 0), pc.greater_equal(piece["status"], 500)
    )
    return pc.and_(is_put, pc.or_(is_done, pc.and_(was_sent, is_open)))


def _pushes(folder: Path) -> list[StoredKey]:
    path = folder / PUSHED
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(Problem(str(path), f"cannot be read: {exc}")) from exc
    try:
        # a last line without its end was cut short by a kill
        lines = [json.loads(line) for line in text.split("\n")[:-1]]
        return [StoredKey(str(line["key"]), str(line["etag"])) for line in lines]
    except (ValueError, KeyError, TypeError) as exc:
        raise InputError(Problem(str(path), f"holds a damaged line: {exc!r}")) from exc
