"""Records made up for tests: a plain successful upload, changed where it matters."""

from dataclasses import replace
from typing import Any

from fleetsim.recording.record import Record

MS = 1_000_000
S = 1_000_000_000
SUITE = "ECDHE-RSA-AES128-GCM-SHA256"
DEVICE = "0000002A"


def record(number: int = 0, **changes: Any) -> Record:
    """Make the record of the ``number``-th upload: planned at that second."""
    start = number * S
    plain = Record(
        device=DEVICE,
        cohort="ordinary",
        operation="upload",
        key=f"{DEVICE}/00000001/{number + 1:08d}-5E0BE100.MF4",
        attempt=1,
        planned_ns=start,
        due_ns=start,
        started_ns=start + 1 * MS,
        ended_ns=start + 21 * MS,
        tcp_ns=1 * MS,
        tls_ns=9 * MS,
        send_ns=2 * MS,
        wait_ns=8 * MS,
        endpoint="127.0.0.1:9443",
        group="group 1",
        suites_offered=f"{SUITE}:AES128-SHA",
        tls_version="TLSv1.2",
        suite=SUITE,
        status=200,
        body_bytes=16_384,
        content=number + 1,
        etag="d41d8cd98f00b204e9800998ecf8427e",
        bytes_sent=17_000,
        bytes_received=3_000,
        device_unix_s=1_577_836_800 + number,
    )
    return replace(plain, **changes)
