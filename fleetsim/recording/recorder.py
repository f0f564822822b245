"""Recorder: every attempt to disk while the run goes on, at a few microseconds each.

The hot path is a list append. Rows become an Arrow record batch of
:data:`BATCH_ROWS` rows (or of whatever there is at a flush) in ``records.arrows``, an
Arrow IPC stream: each batch is complete in itself, so a killed run can be read up to
its last flush. Batches are small on purpose: counting rows and turning them into columns
stops the event loop for about 6 µs a row, so 500 rows keep a stop at 3 ms; longer ones
would show in the latencies being measured. At the end the stream becomes
``records.parquet``.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol, Self

import pyarrow as pa

from fleetsim.core.commands import Operation
from fleetsim.core.histogram import Histogram
from fleetsim.exceptions import RecordingError
from fleetsim.recording.columns import SCHEMA, to_batch
from fleetsim.recording.hlog import HistogramLog
from fleetsim.recording.latency import PHASES, bin_records
from fleetsim.recording.names import LATENCY_LOG, RECORDS_STREAM
from fleetsim.recording.record import Record
from fleetsim.recording.records_file import stream_to_parquet

BATCH_ROWS: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Running totals up to the last flush, for live views.

    Attributes:
        attempts: Attempts by operation.
        failures: Failed attempts by failure kind.
        acknowledged: Successful uploads.
        bytes_sent: Bytes written to sockets, TLS included.
        bytes_received: Bytes read from sockets, TLS included.
        latency: Phase to everything counted so far (see ``recording.latency``).
        cohorts: Cohort to phase to the same.
        by_cohort: Attempts by cohort, operation and failure kind (empty = success).
    """

    attempts: Mapping[str, int]
    failures: Mapping[str, int]
    acknowledged: int
    bytes_sent: int
    bytes_received: int
    latency: Mapping[str, Histogram]
    cohorts: Mapping[str, Mapping[str, Histogram]]
    by_cohort: Mapping[tuple[str, str, str], int] = field(default_factory=dict)


class LatencyLog(Protocol):
    """Where latency intervals go: :class:`fleetsim.recording.hlog.HistogramLog`."""

    def append(
        self, start_ns: int, end_ns: int, intervals: Mapping[str, Histogram]
    ) -> None:
        """Take what was counted from ``start_ns`` to ``end_ns``, by phase."""

    def close(self) -> None:
        """Nothing more will come."""


class Recorder:
    """Writes the records of one run (or of one shard of it).

    Memory is bounded by :data:`BATCH_ROWS` waiting rows and the histograms.

    Args:
        folder: Existing run folder.
        clock: Run time now, ns; asked once a flush.
        warm_up_ns: Operations planned before this stay out of the latencies.
        started_unix_s: Wall clock at run time 0.
        log: Where latency intervals go; ``None`` = ``latency.hlog`` in the folder.

    Raises:
        RecordingError: If a file cannot be created.
    """

    __slots__ = (
        "_attempts",
        "_bytes_received",
        "_bytes_sent",
        "_clock",
        "_cohorts",
        "_flushed_ns",
        "_folder",
        "_interval",
        "_log",
        "_rows",
        "_sink",
        "_stream",
        "_total",
        "_warm_up_ns",
    )

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], int],
        *,
        warm_up_ns: int = 0,
        started_unix_s: float = 0.0,
        log: LatencyLog | None = None,
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._warm_up_ns = warm_up_ns
        self._flushed_ns = 0
        self._rows: list[Record] = []
        self._attempts: Counter[tuple[str, str, str]] = Counter()
        self._bytes_sent = 0
        self._bytes_received = 0
        self._total = {phase: Histogram() for phase in PHASES}
        self._interval = {phase: Histogram() for phase in PHASES}
        self._cohorts: dict[str, dict[str, Histogram]] = {}
        self._log: LatencyLog = log or HistogramLog(
            folder / LATENCY_LOG, started_unix_s
        )
        path = folder / RECORDS_STREAM
        self._sink: Any = None
        try:
            self._sink = pa.OSFile(str(path), "wb")
            self._stream: Any = pa.ipc.new_stream(
                self._sink, SCHEMA, options=pa.ipc.IpcWriteOptions(compression="lz4")
            )
        except OSError as exc:
            if self._sink is not None:
                self._sink.close()
            self._log.close()
            raise RecordingError(str(path), _words(exc)) from exc

    def add(self, record: Record) -> None:
        """Take one attempt.

        Raises:
            RecordingError: If the disk refuses a full batch.
        """
        rows = self._rows
        rows.append(record)
        if len(rows) >= BATCH_ROWS:
            self._write_batch()

    def flush(self) -> None:
        """Write what is waiting and one latency interval; call once a second.

        Raises:
            RecordingError: If the disk refuses; the folder stays readable up to the
                flush before.
        """
        self._write_batch()
        now_ns = self._clock()
        interval, self._interval = (
            self._interval,
            {phase: Histogram() for phase in PHASES},
        )
        self._log.append(self._flushed_ns, now_ns, interval)
        self._flushed_ns = now_ns

    def snapshot(self) -> Snapshot:
        """Copy the running totals."""
        attempts: Counter[str] = Counter()
        failures: Counter[str] = Counter()
        for (_, operation, kind), count in self._attempts.items():
            attempts[operation] += count
            if kind:
                failures[kind] += count
        return Snapshot(
            attempts=dict(attempts),
            failures=dict(failures),
            acknowledged=sum(
                count
                for (_, operation, kind), count in self._attempts.items()
                if operation == Operation.UPLOAD and not kind
            ),
            bytes_sent=self._bytes_sent,
            bytes_received=self._bytes_received,
            latency={phase: seen.copy() for phase, seen in self._total.items()},
            cohorts={
                cohort: {phase: seen.copy() for phase, seen in phases.items()}
                for cohort, phases in self._cohorts.items()
            },
            by_cohort=dict(self._attempts),
        )

    def finish(self) -> None:
        """Flush, close, and turn the stream into ``records.parquet``.

        Raises:
            RecordingError: If the disk refuses; the stream is kept then.
        """
        self.flush()
        self.close()
        stream_to_parquet(self._folder)

    def close(self) -> None:
        """Close the files without a last flush; safe to call again."""
        sink, self._sink = self._sink, None
        if sink is None:
            return
        try:
            self._stream.close()
        except OSError as exc:
            raise RecordingError(
                str(self._folder / RECORDS_STREAM), _words(exc)
            ) from exc
        finally:
            sink.close()
            self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write_batch(self) -> None:
        rows = self._rows
        if not rows:
            return
        try:
            self._stream.write_batch(to_batch(rows))
        except OSError as exc:
            raise RecordingError(
                str(self._folder / RECORDS_STREAM), _words(exc)
            ) from exc
        self._count(rows)
        rows.clear()

    def _count(self, rows: list[Record]) -> None:
        self._attempts.update([(r.cohort, r.operation, r.kind) for r in rows])
        self._bytes_sent += sum([r.bytes_sent for r in rows])
        self._bytes_received += sum([r.bytes_received for r in rows])
        for cohort, phases in bin_records(rows, self._warm_up_ns).items():
            mine = self._cohorts.setdefault(cohort, {})
            for phase, bins in phases.items():
                mine.setdefault(phase, Histogram()).add(bins)
                self._total[phase].add(bins)
                self._interval[phase].add(bins)


def _words(exc: OSError) -> str:
    return exc.strerror or str(exc)
