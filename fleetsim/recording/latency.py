"""Latency: which durations of a record count, and under which name.

One rule for the live view, the histogram log and the summary: only *successful*
attempts of operations *planned after the warm-up* count.

* ``dns tcp tls`` over all operations: a property of the connection, whatever it then
  carried;
* ``send wait total response`` over uploads: ``total`` is the service time
  (``ended - started``), ``response`` the response time (``ended - planned``), which
  also holds earlier failed attempts, retry pauses and the lateness of the generator.
"""

from collections.abc import Sequence
from typing import Final

from fleetsim.core.commands import Operation
from fleetsim.core.histogram import Bins, bin_values
from fleetsim.recording.record import Record

PHASES: Final = ("dns", "tcp", "tls", "send", "wait", "total", "response")
CONNECTION_PHASES: Final = ("dns", "tcp", "tls")


def bin_records(
    records: Sequence[Record], warm_up_ns: int
) -> dict[str, dict[str, Bins]]:
    """Sort the durations of records into buckets.

    Args:
        records: Any records.
        warm_up_ns: Operations planned before this run time are left out.

    Returns:
        Cohort to phase to bins; cohorts and phases without a value are left out.
    """
    by_cohort: dict[str, list[Record]] = {}
    for record in records:
        if not record.kind and record.planned_ns >= warm_up_ns:
            by_cohort.setdefault(record.cohort, []).append(record)
    return {cohort: _bin(counted) for cohort, counted in by_cohort.items()}


def _bin(records: Sequence[Record]) -> dict[str, Bins]:
    uploads = [r for r in records if r.operation == Operation.UPLOAD]
    durations = {
        "dns": [r.dns_ns for r in records if r.dns_ns >= 0],
        "tcp": [r.tcp_ns for r in records if r.tcp_ns >= 0],
        "tls": [r.tls_ns for r in records if r.tls_ns >= 0],
        "send": [r.send_ns for r in uploads if r.send_ns >= 0],
        "wait": [r.wait_ns for r in uploads if r.wait_ns >= 0],
        "total": [max(0, r.ended_ns - r.started_ns) for r in uploads],
        "response": [max(0, r.ended_ns - r.planned_ns) for r in uploads],
    }
    return {phase: bin_values(values) for phase, values in durations.items() if values}
