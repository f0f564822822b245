"""Episodes: what happened to single devices, in one pass over the records.

An *episode* of a device begins with the first attempt that fails after a success and
ends with the next attempt that succeeds. So climbing the cipher ladder after power-on
is none, falling back to a later group in the middle of the run is a short one.

* *Time to detect*, of an episode: from the last change (see
  :func:`fleetsim.report.journal.changes_of`) before it to the end of the failed attempt.
  An episode before the first change has none.
* *Time to recover*, of an episode: from the end of the attempt that failed to the end of
  the one that succeeded. An episode that the run ended has none.
* *Late*: a file whose upload succeeded more than one file period after it was planned.

Attempts that the simulation broke off itself (power, end of the run, no port left on
this machine) neither begin nor end an episode.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from fleetsim.core.commands import Operation
from fleetsim.core.failure import Kind
from fleetsim.recording.records_file import read_batches

_COLUMNS: Final = (
    "device",
    "cohort",
    "operation",
    "planned_ns",
    "ended_ns",
    "group",
    "suite",
    "resumed",
    "tls_ns",
    "kind",
    "phase",
    "body_bytes",
    "bytes_sent",
    "bytes_received",
)
_BROKEN_OFF: Final = (
    Kind.RUN_STOPPED,
    Kind.DEVICE_POWER_CYCLE,
    Kind.TCP_LOCAL_PORTS,
    Kind.TCP_LOCAL_FILES,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """A device lost its contact for a while.

    Attributes:
        device: Device id.
        cohort: Cohort name.
        kind: Failure kind of its first attempt.
        began_ns: End of that attempt, run time.
        ended_ns: End of the attempt that succeeded, -1 = none did.
    """

    device: str
    cohort: str
    kind: str
    began_ns: int
    ended_ns: int = -1

    def detected_ns(self, changes: Sequence[int]) -> int | None:
        """Time since the last change before it; ``None`` = there was none."""
        before = bisect_right(changes, self.began_ns)
        return self.began_ns - changes[before - 1] if before else None

    @property
    def recovered_ns(self) -> int | None:
        """How long it lasted; ``None`` = to the end of the run.

        Never negative, also where records of another tool overlap in time.
        """
        return max(0, self.ended_ns - self.began_ns) if self.ended_ns >= 0 else None


@dataclass(slots=True)
class Spent:
    """What a cohort spent on the wire.

    Attributes:
        handshakes: Completed TLS handshakes.
        resumed: Of these, by resuming a session.
        bytes_on_wire: Bytes both ways, TLS included.
        body_bytes: Request bodies of successful attempts.
    """

    handshakes: int = 0
    resumed: int = 0
    bytes_on_wire: int = 0
    body_bytes: int = 0

    def add(self, other: "Spent") -> None:
        """Add what another cohort spent."""
        self.handshakes += other.handshakes
        self.resumed += other.resumed
        self.bytes_on_wire += other.bytes_on_wire
        self.body_bytes += other.body_bytes


@dataclass(slots=True)
class Scan:
    """One pass over the records.

    Attributes:
        episodes: In the order in which they began.
        late: Late files by cohort.
        groups: (second, cohort, cipher group) to successful attempts that ended in it.
        failures: (number of changes before it, kind) to failed attempts.
        spent: By cohort.
    """

    episodes: list[Episode] = field(default_factory=list)
    late: Counter[str] = field(default_factory=Counter)
    groups: Counter[tuple[int, str, str]] = field(default_factory=Counter)
    failures: Counter[tuple[int, str]] = field(default_factory=Counter)
    spent: dict[str, Spent] = field(default_factory=dict)


def scan(
    folder: Path, *, changes: Sequence[int], periods_ns: Mapping[str, int]
) -> Scan:
    """Read the records of a run.

    Args:
        folder: Run folder, of a finished or a killed run.
        changes: Run times of the changes, sorted.
        periods_ns: File period by cohort; a cohort without one has no late files.

    Raises:
        InputError: If the records cannot be read.
    """
    total = Scan()
    follower = _Follower()
    for rows in read_batches(folder, _COLUMNS):
        broken_off = pc.is_in(rows["kind"], pa.array(_BROKEN_OFF))
        real = rows.filter(pc.invert(broken_off))
        _count_spent(total, rows)
        _count_late(total, real, periods_ns)
        _count_groups(total, real)
        _count_failures(total, real, changes)
        follower.follow(real)
    total.episodes = follower.episodes()
    return total


class _Follower:
    """Follows the devices that fail; those that do not cost one look per batch."""

    def __init__(self) -> None:
        self._reached: set[str] = set()
        self._open: dict[str, Episode] = {}
        self._over: list[Episode] = []

    def follow(self, rows: Any) -> None:
        is_failed = pc.not_equal(rows["kind"], "")
        concerned = {
            *self._open,
            *pc.unique(rows.filter(is_failed)["device"]).to_pylist(),
        }
        fine = set(pc.unique(rows.filter(pc.invert(is_failed))["device"]).to_pylist())
        if concerned:
            is_concerned = pc.is_in(rows["device"], pa.array(concerned, pa.string()))
            some = rows.filter(is_concerned).select(
                ["device", "cohort", "kind", "ended_ns"]
            )
            for device, cohort, kind, ended_ns in zip(
                *(column.to_pylist() for column in some.columns), strict=True
            ):
                self._step(device, cohort, kind, ended_ns)
        self._reached |= fine

    def _step(self, device: str, cohort: str, kind: str, ended_ns: int) -> None:
        is_open = device in self._open
        if not kind:
            self._reached.add(device)
            if is_open:
                episode = self._open.pop(device)
                self._over.append(
                    Episode(
                        device=device,
                        cohort=episode.cohort,
                        kind=episode.kind,
                        began_ns=episode.began_ns,
                        ended_ns=ended_ns,
                    )
                )
        elif not is_open and device in self._reached:
            self._open[device] = Episode(
                device=device, cohort=cohort, kind=kind, began_ns=ended_ns
            )

    def episodes(self) -> list[Episode]:
        every = [*self._over, *self._open.values()]
        return sorted(every, key=lambda each: (each.began_ns, each.device))


def _rows(table: Any) -> Any:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)


def _count_spent(total: Scan, rows: Any) -> None:
    is_complete = pc.and_(
        pc.and_(pc.greater_equal(rows["tls_ns"], 0), pc.not_equal(rows["suite"], "")),
        pc.not_equal(rows["phase"], "tls"),
    )
    is_ok = pc.equal(rows["kind"], "")
    table = pa.table(
        {
            "cohort": rows["cohort"],
            "handshakes": pc.cast(is_complete, pa.int64()),
            "resumed": pc.cast(pc.and_(is_complete, rows["resumed"]), pa.int64()),
            "wire": pc.add(rows["bytes_sent"], rows["bytes_received"]),
            "body": pc.if_else(is_ok, rows["body_bytes"], 0),
        }
    )
    names = ["handshakes", "resumed", "wire", "body"]
    sums = table.group_by(["cohort"]).aggregate([(name, "sum") for name in names])
    for cohort, *amounts in _rows(
        sums.select(["cohort", *(f"{name}_sum" for name in names)])
    ):
        total.spent.setdefault(cohort, Spent()).add(Spent(*amounts))


def _count_late(total: Scan, rows: Any, periods_ns: Mapping[str, int]) -> None:
    for cohort, period_ns in periods_ns.items():
        is_late = pc.and_(
            pc.and_(
                pc.equal(rows["kind"], ""),
                pc.equal(rows["operation"], Operation.UPLOAD.value),
            ),
            pc.and_(
                pc.equal(rows["cohort"], cohort),
                pc.greater(
                    pc.subtract(rows["ended_ns"], rows["planned_ns"]), period_ns
                ),
            ),
        )
        late = rows.filter(is_late)
        # A confirmation that got lost is uploaded again: still one late file.
        total.late[cohort] += (
            late.group_by(["device", "planned_ns"]).aggregate([]).num_rows
        )


def _count_groups(total: Scan, rows: Any) -> None:
    good = rows.filter(
        pc.and_(pc.equal(rows["kind"], ""), pc.not_equal(rows["group"], ""))
    )
    table = pa.table(
        {
            "second": pc.divide(good["ended_ns"], 1_000_000_000),
            "cohort": good["cohort"],
            "group": good["group"],
        }
    )
    keys = ["second", "cohort", "group"]
    counts = table.group_by(keys).aggregate([([], "count_all")])
    for second, cohort, group, count in _rows(counts.select([*keys, "count_all"])):
        total.groups[second, cohort, group] += count


def _count_failures(total: Scan, rows: Any, changes: Sequence[int]) -> None:
    failed = rows.filter(pc.not_equal(rows["kind"], "")).select(["ended_ns", "kind"])
    for ended_ns, kind in _rows(failed):
        total.failures[bisect_right(changes, ended_ns), kind] += 1
