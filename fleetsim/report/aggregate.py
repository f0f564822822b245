"""Aggregate: one pass over the records, column by column.

Everything a summary or a threshold can ask is counted per (cohort, operation), so any
cut of it is an addition afterwards. Memory: one batch of rows, the histograms, and two
figures a device; millions of rows do not change that.

What counts where:

* *attempts* and *failures*: all rows, warm-up included: a failure is a failure;
* attempts that the end of the run cut off (``run.stopped``) are listed among the
  failure kinds but are neither successes nor failures of the target;
* *times*: successful attempts of operations planned after the warm-up;
* *handshakes*: rows with a completed or failed TLS handshake, whatever the request on
  top of it became.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from fleetsim.core.commands import Operation
from fleetsim.core.failure import Kind, Phase
from fleetsim.core.histogram import HIGHEST_NS, SUB_BUCKET_BITS, Bins, Histogram
from fleetsim.recording.records_file import read_batches

HANDSHAKE: Final = "handshake"  # takes the place of an operation
_COLUMNS: Final = (
    "device",
    "cohort",
    "operation",
    "attempt",
    "planned_ns",
    "started_ns",
    "ended_ns",
    "dns_ns",
    "tcp_ns",
    "tls_ns",
    "send_ns",
    "wait_ns",
    "group",
    "suite",
    "kind",
    "phase",
    "body_bytes",
    "bytes_sent",
    "bytes_received",
)


@dataclass(slots=True)
class Attempts:
    """Attempts at one operation in one cohort.

    Attributes:
        count: All attempts.
        operations: Operations, that is first attempts.
        kinds: Attempts that did not succeed, by failure kind.
        body_bytes: Request bodies of successful attempts.
        bytes_sent: Bytes written to sockets, TLS included.
        bytes_received: Bytes read from sockets, TLS included.
    """

    count: int = 0
    operations: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    body_bytes: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0

    @property
    def ok(self) -> int:
        """Attempts that succeeded."""
        return self.count - self.kinds.total()

    @property
    def failed(self) -> int:
        """Attempts that failed; those the end of the run cut off are not among them."""
        return self.kinds.total() - self.kinds[Kind.RUN_STOPPED]

    def add(self, other: "Attempts") -> None:
        """Add the figures of another cut."""
        self.count += other.count
        self.operations += other.operations
        self.kinds += other.kinds
        self.body_bytes += other.body_bytes
        self.bytes_sent += other.bytes_sent
        self.bytes_received += other.bytes_received


@dataclass(slots=True)
class Aggregate:
    """The records of one run, counted.

    Attributes:
        attempts: (cohort, operation) to attempts; ``handshake`` is an operation here.
        times: (cohort, operation, phase) to durations.
        suites: (cohort, suite) to completed handshakes; OpenSSL names.
        resumed: Completed handshakes by cohort that resumed a session.
        newest: Device to the planned time of its newest acknowledged upload, ns.
        groups: Device to the cipher group of its last success.
        cohort_of: Device to its cohort.
        last_ns: End of the last attempt, run time; 0 when there is none.
    """

    attempts: dict[tuple[str, str], Attempts] = field(default_factory=dict)
    times: dict[tuple[str, str, str], Histogram] = field(default_factory=dict)
    suites: Counter[tuple[str, str]] = field(default_factory=Counter)
    newest: dict[str, int] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    cohort_of: dict[str, str] = field(default_factory=dict)
    last_ns: int = 0

    def cohorts(self) -> tuple[str, ...]:
        """Names of the cohorts that attempted anything, sorted."""
        return tuple(sorted({cohort for cohort, _ in self.attempts}))

    def operations(self) -> tuple[str, ...]:
        """Operations that were attempted, sorted; without ``handshake``."""
        found = {operation for _, operation in self.attempts}
        return tuple(sorted(found - {HANDSHAKE}))

    def attempts_at(
        self, operations: Iterable[str] | None = None, cohort: str | None = None
    ) -> Attempts:
        """Add up attempts.

        Args:
            operations: Which operations; ``None`` = all, handshakes apart.
            cohort: Which cohort; ``None`` = all.
        """
        wanted = frozenset(self.operations() if operations is None else operations)
        total = Attempts()
        for (in_cohort, operation), attempts in self.attempts.items():
            if operation in wanted and cohort in {None, in_cohort}:
                total.add(attempts)
        return total

    def times_of(
        self,
        phase: str,
        operations: Iterable[str] | None = None,
        cohort: str | None = None,
    ) -> Histogram:
        """Merge the durations of a phase; arguments as in :meth:`attempts_at`."""
        wanted = frozenset(self.operations() if operations is None else operations)
        total = Histogram()
        for (in_cohort, operation, of_phase), seen in self.times.items():
            if (
                of_phase == phase
                and operation in wanted
                and cohort in {None, in_cohort}
            ):
                total.merge(seen)
        return total


def aggregate(folder: Path, warm_up_ns: int) -> Aggregate:
    """Count the records of a run folder, of a finished or a killed run.

    Args:
        folder: Run folder.
        warm_up_ns: Operations planned before this run time have no times.

    Raises:
        InputError: If the records cannot be read.
    """
    total = Aggregate()
    for rows in read_batches(folder, _COLUMNS):
        _count_attempts(total, rows)
        _count_handshakes(total, rows, warm_up_ns)
        _count_times(total, rows, warm_up_ns)
        _count_devices(total, rows)
        total.last_ns = max(total.last_ns, pc.max(rows["ended_ns"]).as_py())
    return total


def _rows(table: Any) -> Iterator[tuple[Any, ...]]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _count_attempts(total: Aggregate, rows: Any) -> None:
    is_ok = pc.equal(rows["kind"], "")
    is_first = pc.equal(rows["attempt"], 1)
    table = pa.table(
        {
            "cohort": rows["cohort"],
            "operation": rows["operation"],
            "kind": rows["kind"],
            "first": pc.cast(is_first, pa.int64()),
            "body": pc.if_else(is_ok, rows["body_bytes"], 0),
            "sent": rows["bytes_sent"],
            "received": rows["bytes_received"],
        }
    )
    sums = table.group_by(["cohort", "operation", "kind"]).aggregate(
        [
            ("first", "count"),
            ("first", "sum"),
            ("body", "sum"),
            ("sent", "sum"),
            ("received", "sum"),
        ]
    )
    names = ["cohort", "operation", "kind", "first_count", "first_sum"]
    for cohort, operation, kind, count, first, body, sent, received in _rows(
        sums.select([*names, "body_sum", "sent_sum", "received_sum"])
    ):
        attempts = total.attempts.setdefault((cohort, operation), Attempts())
        attempts.add(
            Attempts(
                count=count,
                operations=first,
                kinds=Counter({kind: count} if kind else {}),
                body_bytes=body,
                bytes_sent=sent,
                bytes_received=received,
            )
        )


def _count_handshakes(total: Aggregate, rows: Any, warm_up_ns: int) -> None:
    has_failed = pc.equal(rows["phase"], Phase.TLS.value)
    is_complete = pc.and_(
        pc.and_(pc.greater_equal(rows["tls_ns"], 0), pc.not_equal(rows["suite"], "")),
        pc.invert(has_failed),
    )
    failed = rows.filter(has_failed)
    counts = failed.group_by(["cohort", "kind"]).aggregate([("kind", "count")])
    for cohort, kind, count in _rows(counts.select(["cohort", "kind", "kind_count"])):
        attempts = total.attempts.setdefault((cohort, HANDSHAKE), Attempts())
        attempts.add(Attempts(count=count, kinds=Counter({kind: count})))
    complete = rows.filter(is_complete)
    counts = complete.group_by(["cohort", "suite"]).aggregate([("suite", "count")])
    for cohort, suite, count in _rows(
        counts.select(["cohort", "suite", "suite_count"])
    ):
        attempts = total.attempts.setdefault((cohort, HANDSHAKE), Attempts())
        attempts.add(Attempts(count=count))
        total.suites[cohort, suite] += count
    counted = complete.filter(pc.greater_equal(complete["planned_ns"], warm_up_ns))
    if not counted.num_rows:
        return
    done_ns = counted["started_ns"]
    for phase in ("dns_ns", "tcp_ns", "tls_ns"):
        done_ns = pc.add(done_ns, pc.max_element_wise(counted[phase], 0))
    cohort = counted["cohort"]
    operation = pa.array([HANDSHAKE] * counted.num_rows)
    waited = pc.max_element_wise(pc.subtract(done_ns, counted["planned_ns"]), 0)
    _add_times(total, cohort, operation, "total", counted["tls_ns"])
    _add_times(total, cohort, operation, "response", waited)


def _count_times(total: Aggregate, rows: Any, warm_up_ns: int) -> None:
    counted = rows.filter(
        pc.and_(
            pc.equal(rows["kind"], ""),
            pc.greater_equal(rows["planned_ns"], warm_up_ns),
        )
    )
    if not counted.num_rows:
        return
    durations = {
        phase: counted[f"{phase}_ns"] for phase in ("dns", "tcp", "tls", "send", "wait")
    }
    for phase, since in (("total", "started_ns"), ("response", "planned_ns")):
        taken = pc.subtract(counted["ended_ns"], counted[since])
        durations[phase] = pc.max_element_wise(taken, 0)
    for phase, values in durations.items():
        _add_times(total, counted["cohort"], counted["operation"], phase, values)


def _add_times(
    total: Aggregate, cohorts: Any, operations: Any, phase: str, values_ns: Any
) -> None:
    table = pa.table({"cohort": cohorts, "operation": operations, "ns": values_ns})
    table = table.filter(pc.greater_equal(table["ns"], 0))
    if not table.num_rows:
        return
    keys = ["cohort", "operation"]
    table = table.append_column("bucket", buckets_of(table["ns"]))
    counts: dict[tuple[str, str], dict[int, int]] = {}
    grouped = table.group_by([*keys, "bucket"]).aggregate([("ns", "count")])
    for cohort, operation, bucket, count in _rows(
        grouped.select([*keys, "bucket", "ns_count"])
    ):
        counts.setdefault((cohort, operation), {})[bucket] = count
    grouped = table.group_by(keys).aggregate(
        [("ns", "min"), ("ns", "max"), ("ns", "sum")]
    )
    for cohort, operation, low, high, sum_ns in _rows(
        grouped.select([*keys, "ns_min", "ns_max", "ns_sum"])
    ):
        seen = total.times.setdefault((cohort, operation, phase), Histogram())
        seen.add(
            Bins(
                counts=counts[cohort, operation],
                minimum_ns=low,
                maximum_ns=high,
                sum_ns=sum_ns,
            )
        )


def buckets_of(values_ns: Any) -> Any:
    """Give :func:`fleetsim.core.histogram.bucket_index` for a whole column."""
    # A float holds every integer up to
    # 2**53 and the base-2 logarithm of 2**k - 1 is told apart from k up to k = 45.
    values = pc.min_element_wise(values_ns, HIGHEST_NS)
    exponents = pc.floor(pc.log2(pc.cast(pc.max_element_wise(values, 1), pa.float64())))
    shifts = pc.max_element_wise(
        pc.subtract(pc.cast(exponents, pa.int64()), SUB_BUCKET_BITS), 0
    )
    return pc.add(
        pc.shift_left(shifts, SUB_BUCKET_BITS), pc.shift_right(values, shifts)
    )


def _count_devices(total: Aggregate, rows: Any) -> None:
    pairs = rows.group_by(["device", "cohort"]).aggregate([])
    total.cohort_of.update(dict(_rows(pairs.select(["device", "cohort"]))))
    good = rows.filter(pc.equal(rows["kind"], ""))
    uploads = good.filter(pc.equal(good["operation"], Operation.UPLOAD.value))
    newest = uploads.group_by(["device"]).aggregate([("planned_ns", "max")])
    for device, planned_ns in _rows(newest.select(["device", "planned_ns_max"])):
        total.newest[device] = max(total.newest.get(device, 0), planned_ns)
    last = (
        good.filter(pc.not_equal(good["group"], ""))
        .group_by(["device"], use_threads=False)  # "last" needs the order of writing
        .aggregate([("group", "last")])
    )
    total.groups.update(dict(_rows(last.select(["device", "group_last"]))))
