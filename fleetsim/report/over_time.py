"""Over time: the records of a run in slots of one second or more, for charts.

One pass, column by column; memory is a few figures a slot, whatever the number of rows.
An attempt counts in the slot in which it *ended* (when somebody watching would have seen
it), an arrival in the slot for which it was *planned*. Nothing is trimmed: the warm-up
is part of what happened. Percentiles come from the counts of the slot
(:mod:`fleetsim.core.histogram`), they are never averaged.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from fleetsim.core.commands import Operation
from fleetsim.core.failure import Kind, Phase
from fleetsim.core.histogram import Bins, Histogram
from fleetsim.recording.records_file import read_batches
from fleetsim.report.aggregate import buckets_of

MAX_SLOTS: Final = 300
"""Most slots of a series: more points than that no chart can show."""

_NS_PER_S: Final = 1_000_000_000
_COLUMNS: Final = (
    "operation",
    "attempt",
    "planned_ns",
    "ended_ns",
    "tls_ns",
    "suite",
    "resumed",
    "group",
    "kind",
    "phase",
    "body_bytes",
    "bytes_sent",
    "bytes_received",
)


@dataclass(slots=True)
class OverTime:
    """Figures of the fleet by slot; a slot without any is 0 or missing.

    Attributes:
        step_s: Length of a slot in seconds, >= 1.
        slots: Number of slots.
        arrivals: Uploads planned for the slot, of those that were attempted.
        uploads: Uploads acknowledged.
        body_bytes: Bytes of their files.
        wire_bytes: Bytes both ways of all operations, TLS included.
        full: Completed full TLS handshakes.
        resumed: Completed TLS handshakes that resumed a session.
        response: Response times of acknowledged uploads.
        handshake: Durations of completed TLS handshakes.
        failures: Kind to failed attempts by slot; those that the end of the run cut off
            are left out.
        groups: Cipher group to successful attempts by slot.
    """

    step_s: int = 1
    slots: int = 0
    arrivals: Counter[int] = field(default_factory=Counter)
    uploads: Counter[int] = field(default_factory=Counter)
    body_bytes: Counter[int] = field(default_factory=Counter)
    wire_bytes: Counter[int] = field(default_factory=Counter)
    full: Counter[int] = field(default_factory=Counter)
    resumed: Counter[int] = field(default_factory=Counter)
    response: dict[int, Histogram] = field(default_factory=dict)
    handshake: dict[int, Histogram] = field(default_factory=dict)
    failures: defaultdict[str, Counter[int]] = field(
        default_factory=lambda: defaultdict(Counter)
    )
    groups: defaultdict[str, Counter[int]] = field(
        default_factory=lambda: defaultdict(Counter)
    )

    def per_second(self, counts: Mapping[int, int]) -> tuple[float, ...]:
        """Rates of a count, one a slot."""
        return tuple(counts.get(slot, 0) / self.step_s for slot in range(self.slots))

    def quantile_ms(
        self, times: Mapping[int, Histogram], percent: float
    ) -> tuple[float | None, ...]:
        """Percentile of each slot in milliseconds; ``None`` where nothing ended."""
        found = (
            times[slot].percentile(percent) if slot in times else None
            for slot in range(self.slots)
        )
        return tuple(None if value is None else value / 1e6 for value in found)

    def starts_s(self) -> tuple[int, ...]:
        """Where each slot starts, seconds of the run."""
        return tuple(slot * self.step_s for slot in range(self.slots))


def step_for(end_ns: int) -> int:
    """Length of a slot, in seconds, for a run that ended at this run time."""
    return max(1, math.ceil(end_ns / _NS_PER_S / MAX_SLOTS))


def over_time(folder: Path, end_ns: int, step_s: int | None = None) -> OverTime:
    """Count the records of a run by slot.

    Args:
        folder: Run folder, of a finished or a killed run.
        end_ns: End of the last attempt, run time.
        step_s: Length of a slot, >= 1; left out = :func:`step_for` that end.

    Raises:
        InputError: If the records cannot be read.
    """
    total = OverTime(step_s=step_s or step_for(end_ns))
    total.slots = math.ceil((end_ns + 1) / _NS_PER_S / total.step_s) if end_ns else 0
    step_ns = total.step_s * _NS_PER_S
    for rows in read_batches(folder, _COLUMNS):
        ended = pc.divide(rows["ended_ns"], step_ns)
        planned = pc.divide(rows["planned_ns"], step_ns)
        table = rows.append_column("slot", ended).append_column("planned", planned)
        _count(total, table)
        _measure(total, table)
    return total


def _count(total: OverTime, rows: Any) -> None:
    is_upload = pc.equal(rows["operation"], Operation.UPLOAD.value)
    is_ok = pc.equal(rows["kind"], "")
    _add(
        total.arrivals,
        rows.filter(pc.and_(is_upload, pc.equal(rows["attempt"], 1))),
        slot="planned",
    )
    stored = rows.filter(pc.and_(is_upload, is_ok))
    _add(total.uploads, stored)
    _add_sum(total.body_bytes, stored["slot"], stored["body_bytes"])
    _add_sum(
        total.wire_bytes,
        rows["slot"],
        pc.add(rows["bytes_sent"], rows["bytes_received"]),
    )
    failed = rows.filter(
        pc.and_(pc.invert(is_ok), pc.not_equal(rows["kind"], Kind.RUN_STOPPED))
    )
    for slot, kind, count in _grouped(failed, ["slot", "kind"]):
        total.failures[kind][slot] += count
    grouped = rows.filter(pc.and_(is_ok, pc.not_equal(rows["group"], "")))
    for slot, group, count in _grouped(grouped, ["slot", "group"]):
        total.groups[group][slot] += count


def _measure(total: OverTime, rows: Any) -> None:
    complete = rows.filter(is_complete_handshake(rows))
    _add(total.full, complete.filter(pc.invert(complete["resumed"])))
    _add(total.resumed, complete.filter(complete["resumed"]))
    _time(total.handshake, complete["slot"], complete["tls_ns"])
    stored = rows.filter(
        pc.and_(
            pc.equal(rows["operation"], Operation.UPLOAD.value),
            pc.equal(rows["kind"], ""),
        )
    )
    taken = pc.subtract(stored["ended_ns"], stored["planned_ns"])
    _time(total.response, stored["slot"], pc.max_element_wise(taken, 0))


def is_complete_handshake(rows: Any) -> Any:
    """Which rows completed a TLS handshake, whatever the request became.

    Args:
        rows: Table with ``tls_ns``, ``suite`` and ``phase``.
    """
    return pc.and_(
        pc.and_(pc.greater_equal(rows["tls_ns"], 0), pc.not_equal(rows["suite"], "")),
        pc.not_equal(rows["phase"], Phase.TLS.value),
    )


def rows_of(table: Any) -> Iterator[tuple[Any, ...]]:
    """Walk a (small) table row by row."""
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _grouped(table: Any, keys: list[str]) -> Iterable[tuple[Any, ...]]:
    counts = table.group_by(keys).aggregate([([], "count_all")])
    return rows_of(counts.select([*keys, "count_all"]))


def _add(counts: Counter[int], table: Any, slot: str = "slot") -> None:
    for at, count in _grouped(table, [slot]):
        counts[at] += count


def _add_sum(sums: Counter[int], slots: Any, values: Any) -> None:
    table = pa.table({"slot": slots, "value": values})
    found = table.group_by(["slot"]).aggregate([("value", "sum")])
    for slot, amount in rows_of(found.select(["slot", "value_sum"])):
        sums[slot] += amount


def _time(times: dict[int, Histogram], slots: Any, values_ns: Any) -> None:
    for slot, bins in bins_by(slots, values_ns):
        times.setdefault(slot, Histogram()).add(bins)


def bins_by(keys: Any, values_ns: Any) -> Iterator[tuple[Any, Bins]]:
    """Sort durations into buckets, apart by a key.

    Args:
        keys: Column of what to keep apart.
        values_ns: Column of durations; negative ones (there was none) are left out.
    """
    table = pa.table({"key": keys, "ns": values_ns})
    table = table.filter(pc.greater_equal(table["ns"], 0))
    if not table.num_rows:
        return
    table = table.append_column("bucket", buckets_of(table["ns"]))
    counts: defaultdict[Any, dict[int, int]] = defaultdict(dict)
    for key, bucket, count in _grouped(table, ["key", "bucket"]):
        counts[key][bucket] = count
    ranges = table.group_by(["key"]).aggregate(
        [("ns", "min"), ("ns", "max"), ("ns", "sum")]
    )
    for key, low, high, sum_ns in rows_of(
        ranges.select(["key", "ns_min", "ns_max", "ns_sum"])
    ):
        yield (
            key,
            Bins(counts=counts[key], minimum_ns=low, maximum_ns=high, sum_ns=sum_ns),
        )
