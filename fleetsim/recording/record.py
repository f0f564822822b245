"""Record: one attempt, the contract between a run and every report of it.

One row per attempt, failed ones too. An operation (one upload, one heartbeat …) that
needed three attempts is three rows with the same ``device`` and ``planned_ns`` and
``attempt`` 1, 2, 3.

All ``*_ns`` fields are integers on the run's own clock (0 = start of the run) or
durations; a phase that did not happen is -1. Response time of an operation is
``ended_ns - planned_ns`` of its last row, service time ``ended_ns - started_ns``; the
generator's own lateness is ``started_ns - due_ns``.
"""

from dataclasses import dataclass


@dataclass(slots=True, kw_only=True)
class Record:
    """One attempt.

    Attributes:
        device: Device id, 8 hex digits.
        cohort: Cohort name.
        operation: Value of :class:`fleetsim.core.commands.Operation`.
        key: Object key.
        attempt: Number of the attempt within its operation, from 1.
        planned_ns: When the plan wanted the operation to start.
        due_ns: When the device wanted this attempt to start.
        started_ns: When it did start.
        ended_ns: When it was over.
        dns_ns: Name resolution; -1 = none (address literal, reused connection).
        tcp_ns: TCP connect.
        tls_ns: TLS handshake.
        send_ns: From first request byte handed over to last byte handed over.
        wait_ns: From last request byte to last response byte.
        reused: Whether an open connection was used.
        endpoint: ``host:port``.
        group: Cipher group offered, empty on plain HTTP.
        suites_offered: Suites of the group, OpenSSL names joined by ``:``.
        tls_version: Negotiated version, empty when there is none.
        suite: Negotiated suite (OpenSSL name), empty when there is none.
        resumed: Whether a TLS session was resumed.
        alert: IANA name of the alert the peer sent, empty when none.
        status: HTTP status, 0 = no response.
        kind: Failure kind, empty = success.
        phase: Phase in which it failed, empty = success.
        detail: Words of the peer or the OS, cut to 200 characters.
        body_bytes: Request body size.
        content: Content key of the body (see ``fleetsim.core.payload``).
        etag: ETag of the response without quotes, empty when none.
        bytes_sent: Bytes written to the socket, TLS included.
        bytes_received: Bytes read from the socket, TLS included.
        device_unix_s: The device's wall clock at the start, whole seconds.
    """

    device: str
    cohort: str
    operation: str
    key: str
    attempt: int
    planned_ns: int
    due_ns: int
    started_ns: int
    ended_ns: int
    dns_ns: int = -1
    tcp_ns: int = -1
    tls_ns: int = -1
    send_ns: int = -1
    wait_ns: int = -1
    reused: bool = False
    endpoint: str = ""
    group: str = ""
    suites_offered: str = ""
    tls_version: str = ""
    suite: str = ""
    resumed: bool = False
    alert: str = ""
    status: int = 0
    kind: str = ""
    phase: str = ""
    detail: str = ""
    body_bytes: int = 0
    content: int = 0
    etag: str = ""
    bytes_sent: int = 0
    bytes_received: int = 0
    device_unix_s: int = 0
