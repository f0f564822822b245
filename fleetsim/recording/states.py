"""States: the history of every device's contact, written while the run goes on.

``states.arrows`` is an Arrow IPC stream of small batches, so that a killed run can be
read up to its last flush; at the end it becomes ``states.parquet``. One row is one
change::

    device · cohort · at_ns · was · state · reason

The first row of a device has an empty ``was``: it says in which state it began. So the
file is complete in itself, and counts over time follow from it alone.
"""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from fleetsim.core.contact import Change
from fleetsim.exceptions import InputError, Problem, RecordingError
from fleetsim.recording.arrow_stream import stream_tables, streams_of, to_parquet
from fleetsim.recording.names import STATES, STATES_STREAM

BATCH_ROWS: Final = 500
"""Rows turned into columns at once: bounds what a flush costs the event loop."""

_NAMES: Final = ("device", "cohort", "at_ns", "was", "state", "reason")
_REPEATED: Final = pa.dictionary(pa.int32(), pa.string())

PLAIN_SCHEMA: Final = pa.schema(
    [
        pa.field(name, pa.int64() if name == "at_ns" else pa.string(), nullable=False)
        for name in _NAMES
    ]
)
"""What ``states.parquet`` promises to any reader."""

_SCHEMA: Final = pa.schema(
    [
        field.with_type(_REPEATED)
        if field.name in {"cohort", "was", "state", "reason"}
        else field
        for field in PLAIN_SCHEMA
    ]
)

_Row = tuple[str, str, int, str, str, str]


class StateRecorder:
    """Writes the contact histories of one run (or of one shard of it).

    Args:
        folder: Existing run folder.

    Raises:
        RecordingError: If the file cannot be created.
    """

    __slots__ = ("_folder", "_rows", "_sink", "_stream")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: list[_Row] = []
        self._sink: Any = None
        try:
            self._sink = pa.OSFile(str(folder / STATES_STREAM), "wb")
            self._stream: Any = pa.ipc.new_stream(
                self._sink, _SCHEMA, options=pa.ipc.IpcWriteOptions(compression="lz4")
            )
        except OSError as exc:
            if self._sink is not None:
                self._sink.close()
            raise self._refused(exc) from exc

    def add(self, device: str, cohort: str, change: Change) -> None:
        """Take one change.

        Raises:
            RecordingError: If the disk refuses a full batch.
        """
        was = change.was.value if change.was is not None else ""
        self._rows.append(
            (device, cohort, change.at_ns, was, change.now.value, change.reason)
        )
        if len(self._rows) >= BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting.

        Raises:
            RecordingError: If the disk refuses; the file stays readable up to the
                flush before.
        """
        if not self._rows:
            return
        arrays = [
            pa.array(column, type=pa.int64())
            if field.name == "at_ns"
            else _text(column, field.type)
            for column, field in zip(
                zip(*self._rows, strict=True), _SCHEMA, strict=True
            )
        ]
        try:
            self._stream.write_batch(pa.record_batch(arrays, schema=_SCHEMA))
        except OSError as exc:
            raise self._refused(exc) from exc
        self._rows.clear()

    def finish(self) -> None:
        """Flush, close, and turn the stream into ``states.parquet``.

        Raises:
            RecordingError: If the disk refuses; the stream is kept then.
        """
        self.flush()
        self.close()
        streams = streams_of(self._folder, STATES_STREAM)
        to_parquet(streams, self._folder / STATES, PLAIN_SCHEMA)

    def close(self) -> None:
        """Close the file without a last flush; safe to call again."""
        sink, self._sink = self._sink, None
        if sink is None:
            return
        try:
            self._stream.close()
        except OSError as exc:
            raise self._refused(exc) from exc
        finally:
            sink.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refused(self, exc: OSError) -> RecordingError:
        return RecordingError(
            str(self._folder / STATES_STREAM), exc.strerror or str(exc)
        )


def read_states(folder: Path) -> Any | None:
    """Read the histories of a run, finished or killed; ``None`` = it kept none.

    Returns:
        A ``pyarrow.Table`` of :data:`PLAIN_SCHEMA`, in the order of the changes.

    Raises:
        InputError: If the file is damaged.
    """
    path = folder / STATES
    try:
        if path.exists():
            return pq.read_table(path).select(list(_NAMES)).cast(PLAIN_SCHEMA)
        streams = streams_of(folder, STATES_STREAM)
        tables = []
        for path in streams:
            tables += [table.cast(PLAIN_SCHEMA) for table in stream_tables(path)]
        if streams:
            return pa.concat_tables(tables) if tables else PLAIN_SCHEMA.empty_table()
    except (OSError, KeyError, ValueError, pa.ArrowException) as exc:
        raise InputError(Problem(str(path), f"cannot be read: {exc}")) from exc
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class StateCounts:
    """How many devices were in which state at one time.

    Attributes:
        at_ns: Run time.
        cohort: Cohort name.
        counts: Devices by state; states without a device are left out.
    """

    at_ns: int
    cohort: str
    counts: dict[str, int]


def counts_over_time(
    states: Any, *, until_ns: int, step_ns: int = 1_000_000_000
) -> tuple[StateCounts, ...]:
    """Count devices by state at 0, ``step_ns``, 2 ``step_ns``, … and at ``until_ns``.

    Args:
        states: Table of :func:`read_states`.
        until_ns: Last time, run time, >= 0.
        step_ns: Distance of the times, > 0.

    Returns:
        By time, then by cohort name. A change counts from its own time on.
    """
    times = [*range(0, until_ns, step_ns), until_ns]
    # Per slot between two times, what changed: (cohort, state) -> devices more or less.
    deltas: list[Counter[tuple[str, str]]] = [Counter() for _ in times]
    columns = {name: states[name].to_pylist() for name in _NAMES if name != "device"}
    for cohort, at_ns, was, state in zip(
        columns["cohort"],
        columns["at_ns"],
        columns["was"],
        columns["state"],
        strict=True,
    ):
        slot = bisect_left(times, at_ns)
        if slot == len(times):
            continue
        deltas[slot][cohort, state] += 1
        if was:
            deltas[slot][cohort, was] -= 1
    now: Counter[tuple[str, str]] = Counter()
    cohorts = sorted(set(columns["cohort"]))
    found: list[StateCounts] = []
    for at_ns, delta in zip(times, deltas, strict=True):
        now.update(delta)
        found.extend(
            StateCounts(
                at_ns=at_ns,
                cohort=cohort,
                counts={
                    state: count
                    for (of, state), count in sorted(now.items())
                    if of == cohort and count
                },
            )
            for cohort in cohorts
        )
    return tuple(found)


def _text(values: tuple[str, ...], kind: Any) -> Any:
    try:
        array = pa.array(values, type=pa.string())
    except UnicodeEncodeError:
        # words of a peer may hold lone surrogates, which no file format can take
        array = pa.array(
            [text.encode("utf-8", "replace").decode("utf-8") for text in values],
            type=pa.string(),
        )
    return array.dictionary_encode() if kind == _REPEATED else array
