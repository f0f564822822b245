"""Blocks: the records of a run by block of planned time, as arrays to resample."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fleetsim.core.commands import Operation
from fleetsim.core.failure import Kind, Phase
from fleetsim.core.histogram import BUCKETS, bucket_range
from fleetsim.recording.records_file import read_batches
from fleetsim.report.aggregate import buckets_of
from fleetsim.report.compare.bootstrap import Numbers
from fleetsim.report.over_time import is_complete_handshake, rows_of

MOST_BLOCKS: Final = 60
"""Blocks a run is cut into at most; none is shorter than a second."""

FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "upload": (Operation.UPLOAD.value,),
    "heartbeat": (Operation.HEARTBEAT.value,),
    "ota": (
        Operation.OTA_BUNDLE.value,
        Operation.OTA_CONFIG.value,
        Operation.OTA_FIRMWARE.value,
    ),
}

UPPERS_S: Final[Numbers] = np.array(
    [bucket_range(index)[1] / 1e9 for index in range(BUCKETS)]
)
"""Largest value of each bucket, seconds."""

_NS_PER_S: Final = 1_000_000_000
_COLUMNS: Final = (
    "operation",
    "attempt",
    "planned_ns",
    "due_ns",
    "started_ns",
    "ended_ns",
    "tcp_ns",
    "tls_ns",
    "send_ns",
    "wait_ns",
    "suite",
    "kind",
    "phase",
    "body_bytes",
    "bytes_sent",
    "bytes_received",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """How a run is cut into blocks.

    Attributes:
        start_ns: Start of the first block: the end of the warm-up.
        block_ns: Length of a block.
        count: Blocks; what was planned later is left out.
    """

    start_ns: int
    block_ns: int
    count: int

    @property
    def seconds(self) -> float:
        """Length of a block in seconds."""
        return self.block_ns / _NS_PER_S


def cut(warm_up_ns: int, end_ns: int) -> Cut:
    """Cut the time from the warm-up to ``end_ns`` into blocks of whole seconds.

    The last, incomplete block is left out: its attempts had less time to be planned.
    """
    span_s = max(0, end_ns - warm_up_ns) // _NS_PER_S
    block_s = max(1, -(-span_s // MOST_BLOCKS))
    return Cut(
        start_ns=warm_up_ns,
        block_ns=block_s * _NS_PER_S,
        count=int(span_s // block_s),
    )


@dataclass(slots=True)
class Blocks:
    """A run, block by block.

    Attributes:
        cut: How it was cut.
        times: Name to counts, blocks by buckets of :mod:`fleetsim.core.histogram`.
        sums: Name to a figure of each block.
    """

    cut: Cut
    times: dict[str, Numbers] = field(default_factory=dict)
    sums: dict[str, Numbers] = field(default_factory=dict)

    def sum_of(self, name: str) -> Numbers:
        """A figure of each block; 0 where there is none."""
        return self.sums.get(name, np.zeros(self.cut.count))


def read_blocks(folder: Path, how: Cut) -> Blocks:
    """Read the records of a run.

    Args:
        folder: Run folder, of a finished or a killed run.
        how: How to cut it.

    Raises:
        InputError: If the records cannot be read.
    """
    found = Blocks(how)
    if not how.count:
        return found
    for rows in read_batches(folder, _COLUMNS):
        block = pc.divide(pc.subtract(rows["planned_ns"], how.start_ns), how.block_ns)
        inside = pc.and_(
            pc.greater_equal(rows["planned_ns"], how.start_ns),
            pc.less(block, how.count),
        )
        kept = rows.append_column("block", block).filter(
            pc.and_(inside, pc.not_equal(rows["kind"], Kind.RUN_STOPPED))
        )
        if kept.num_rows:
            _count(found, kept)
            _measure(found, kept)
    return found


def _count(found: Blocks, rows: Any) -> None:
    is_ok = pc.equal(rows["kind"], "")
    for family, operations in FAMILIES.items():
        mine = rows.filter(pc.is_in(rows["operation"], pa.array(operations)))
        failed = mine.filter(pc.not_equal(mine["kind"], ""))
        first = mine.filter(pc.equal(mine["attempt"], 1))
        _add(found, f"{family}.attempts", mine["block"])
        _add(found, f"{family}.failed", failed["block"])
        _add(found, f"{family}.operations", first["block"])
    good = rows.filter(is_ok)
    uploads = good.filter(pc.equal(good["operation"], Operation.UPLOAD.value))
    _add(found, "upload.ok", uploads["block"])
    _add(found, "upload.body_bytes", uploads["block"], uploads["body_bytes"])
    wire = pc.add(rows["bytes_sent"], rows["bytes_received"])
    _add(found, "wire_bytes", rows["block"], wire)
    complete = rows.filter(is_complete_handshake(rows))
    failed = rows.filter(pc.equal(rows["phase"], Phase.TLS.value))
    _add(found, "handshake.attempts", complete["block"])
    _add(found, "handshake.attempts", failed["block"])
    _add(found, "handshake.failed", failed["block"])


def _measure(found: Blocks, rows: Any) -> None:
    lag = pc.max_element_wise(pc.subtract(rows["started_ns"], rows["due_ns"]), 0)
    _time(found, "generator.start_lag", rows["block"], lag)
    good = rows.filter(pc.equal(rows["kind"], ""))
    for family, operations in FAMILIES.items():
        mine = good.filter(pc.is_in(good["operation"], pa.array(operations)))
        for name, since in (("response", "planned_ns"), ("service", "started_ns")):
            taken = pc.max_element_wise(pc.subtract(mine["ended_ns"], mine[since]), 0)
            _time(found, f"{family}.{name}_time", mine["block"], taken)
        if family == "upload":
            for phase in ("send", "wait"):
                _time(found, phase, mine["block"], mine[f"{phase}_ns"])
    for phase in ("tcp", "tls"):
        _time(found, phase, good["block"], good[f"{phase}_ns"])


def _add(found: Blocks, name: str, block: Any, values: Any = None) -> None:
    into = found.sums.setdefault(name, np.zeros(found.cut.count))
    if values is None:
        numbers = Counter(block.to_pylist())
        for at, count in numbers.items():
            into[at] += count
        return
    table = pa.table({"block": block, "value": values})
    sums = table.group_by(["block"]).aggregate([("value", "sum")])
    for at, total in rows_of(sums.select(["block", "value_sum"])):
        into[at] += total


def _time(found: Blocks, name: str, block: Any, values_ns: Any) -> None:
    table = pa.table({"block": block, "ns": values_ns})
    table = table.filter(pc.greater_equal(table["ns"], 0))
    into = found.times.setdefault(name, np.zeros((found.cut.count, BUCKETS)))
    table = table.append_column("bucket", buckets_of(table["ns"]))
    counts = table.group_by(["block", "bucket"]).aggregate([("ns", "count")])
    for at, bucket, count in rows_of(counts.select(["block", "bucket", "ns_count"])):
        into[at, bucket] += count
