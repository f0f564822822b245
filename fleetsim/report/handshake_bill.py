"""Handshake bill: what TLS costs the fleet, by what was negotiated.

*Flights* are those of the specifications: a full TLS 1.2 handshake takes four, one with
session resumption three (RFC 5246 section 7.3); TLS 1.3 takes three, with or without a
pre-shared key (RFC 8446 section 2). What a device waits for are the round trips before
its first request byte: two, one, and one.

*Bytes* of a failed handshake are exact: nothing else was sent on that connection. Those
of a completed one are not counted apart from the request on top of it. So the bill
gives, per new connection, all bytes that are no file: handshake, record and HTTP
headers and the answer. Only PUTs that opened their connection are looked at, because
the answer to a GET may be long. Where the fleet also made PUTs on kept connections, the
difference between the two is the handshake.

*CPU* of the client is known for the generator as a whole only: it is told in the
honesty box of a report, never as the cost of a device.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from fleetsim.core.commands import Operation
from fleetsim.core.failure import Phase
from fleetsim.core.histogram import Histogram
from fleetsim.recording.records_file import read_batches
from fleetsim.report.over_time import bins_by, is_complete_handshake, rows_of

_NEGOTIATED: Final = ("tls_version", "suite", "group", "resumed")
_PUTS: Final = (
    Operation.UPLOAD.value,
    Operation.HEARTBEAT.value,
    Operation.SCHEMA.value,
)
_COLUMNS: Final = (
    *_NEGOTIATED,
    "cohort",
    "operation",
    "reused",
    "tls_ns",
    "kind",
    "phase",
    "body_bytes",
    "bytes_sent",
    "bytes_received",
)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Negotiated:
    """What two ends agreed on.

    Attributes:
        version: TLS version as recorded, for example ``TLSv1.2``.
        suite: OpenSSL name of the cipher suite.
        group: Cipher group the device offered.
        resumed: Whether a session was resumed.
    """

    version: str
    suite: str
    group: str
    resumed: bool

    @property
    def flights(self) -> int:
        """Flights of the handshake; 0 = the version has no number here."""
        match self.version:
            case "TLSv1.3":
                return 3
            case "TLSv1.2" | "TLSv1.1" | "TLSv1":
                return 3 if self.resumed else 4
            case _:
                return 0

    @property
    def round_trips(self) -> int:
        """Round trips before the first request byte; 0 = unknown version."""
        return self.flights // 2


@dataclass(slots=True)
class Overhead:
    """Bytes of successful PUTs that are no file.

    Attributes:
        count: PUTs.
        sent: Bytes sent besides the bodies.
        received: Bytes received.
    """

    count: int = 0
    sent: int = 0
    received: int = 0

    @property
    def each(self) -> float | None:
        """Bytes both ways for one PUT; ``None`` = there was none."""
        return (self.sent + self.received) / self.count if self.count else None


@dataclass(slots=True)
class Line:
    """A line of the bill.

    Attributes:
        count: Completed handshakes.
        times: How long they took.
        overhead: PUTs that opened their connection with such a handshake.
    """

    count: int = 0
    times: Histogram = field(default_factory=Histogram)
    overhead: Overhead = field(default_factory=Overhead)


@dataclass(slots=True)
class Bill:
    """The bill of a run.

    Attributes:
        lines: What was negotiated to its line.
        failed: Handshakes that failed.
        failed_sent: Bytes sent for them.
        failed_received: Bytes received for them.
        failed_times: How long they took, where that was measured.
        kept: PUTs on connections that were open already.
    """

    lines: dict[Negotiated, Line] = field(default_factory=dict)
    failed: int = 0
    failed_sent: int = 0
    failed_received: int = 0
    failed_times: Histogram = field(default_factory=Histogram)
    kept: Overhead = field(default_factory=Overhead)

    @property
    def completed(self) -> int:
        """Completed handshakes."""
        return sum(line.count for line in self.lines.values())

    @property
    def resumed(self) -> int:
        """Of these, by resuming a session."""
        return sum(line.count for key, line in self.lines.items() if key.resumed)

    def overhead(self) -> Overhead:
        """PUTs that opened their connection, all lines together."""
        total = Overhead()
        for line in self.lines.values():
            total.count += line.overhead.count
            total.sent += line.overhead.sent
            total.received += line.overhead.received
        return total


def handshake_bill(folder: Path) -> Bill:
    """Read the handshakes of a run, warm-up included.

    Args:
        folder: Run folder, of a finished or a killed run.

    Raises:
        InputError: If the records cannot be read.
    """
    bill = Bill()
    for rows in read_batches(folder, _COLUMNS):
        _add_failed(bill, rows.filter(pc.equal(rows["phase"], Phase.TLS.value)))
        complete = rows.filter(is_complete_handshake(rows))
        if complete.num_rows:
            _add_complete(bill, complete)
        is_kept = pc.and_(rows["reused"], _is_good_put(rows))
        for _, overhead in _overheads(rows.filter(is_kept), ()):
            _merge(bill.kept, overhead)
    bill.lines = dict(
        sorted(bill.lines.items(), key=lambda item: (-item[1].count, item[0]))
    )
    return bill


def _add_failed(bill: Bill, failed: Any) -> None:
    if not failed.num_rows:
        return
    bill.failed += failed.num_rows
    bill.failed_sent += pc.sum(failed["bytes_sent"]).as_py()
    bill.failed_received += pc.sum(failed["bytes_received"]).as_py()
    nothing = pa.array([0] * failed.num_rows)
    for _, bins in bins_by(nothing, failed["tls_ns"]):
        bill.failed_times.add(bins)


def _add_complete(bill: Bill, complete: Any) -> None:
    keys = list(_NEGOTIATED)
    counts = complete.group_by(keys).aggregate([([], "count_all")])
    numbers: dict[Negotiated, int] = {}
    for *negotiated, count in rows_of(counts.select([*keys, "count_all"])):
        key = _negotiated(negotiated)
        bill.lines.setdefault(key, Line()).count += count
        numbers[key] = len(numbers)
    # a column of numbers to keep the lines apart: cheaper than four columns of text
    for key, number in numbers.items():
        same = pc.equal(complete["tls_version"], key.version)
        for name, value in (
            ("suite", key.suite),
            ("group", key.group),
            ("resumed", key.resumed),
        ):
            same = pc.and_(same, pc.equal(complete[name], value))
        chosen = complete.filter(same)
        for _, bins in bins_by(pa.array([number] * chosen.num_rows), chosen["tls_ns"]):
            bill.lines[key].times.add(bins)
    opened = complete.filter(_is_good_put(complete))
    for agreed, overhead in _overheads(opened, _NEGOTIATED):
        _merge(bill.lines[_negotiated(agreed)].overhead, overhead)


def _negotiated(values: Iterable[Any]) -> Negotiated:
    version, suite, group, resumed = values
    return Negotiated(version=version, suite=suite, group=group, resumed=resumed)


def _is_good_put(rows: Any) -> Any:
    return pc.and_(
        pc.equal(rows["kind"], ""), pc.is_in(rows["operation"], pa.array(_PUTS))
    )


def _overheads(
    rows: Any, keys: tuple[str, ...]
) -> Iterable[tuple[tuple[Any, ...], Overhead]]:
    if not rows.num_rows:
        return
    table = pa.table(
        {name: rows[name] for name in keys}
        | {
            "sent": pc.subtract(rows["bytes_sent"], rows["body_bytes"]),
            "received": rows["bytes_received"],
        }
    )
    sums = table.group_by(list(keys)).aggregate(
        [("sent", "count"), ("sent", "sum"), ("received", "sum")]
    )
    names = [*keys, "sent_count", "sent_sum", "received_sum"]
    for *key, count, sent, received in rows_of(sums.select(names)):
        yield tuple(key), Overhead(count=count, sent=sent, received=received)


def _merge(total: Overhead, other: Overhead) -> None:
    total.count += other.count
    total.sent += other.sent
    total.received += other.received
