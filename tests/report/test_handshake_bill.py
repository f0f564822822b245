"""The handshake bill: counts, flights by the specifications, bytes besides the files."""

from pathlib import Path

import pytest

from fleetsim.report.handshake_bill import Negotiated, handshake_bill
from tests.recording.records import MS, SUITE, record
from tests.report.runs import make_run


def test_lines_are_what_was_negotiated(tmp_path: Path) -> None:
    """Full and resumed handshakes of one suite are two lines, most first."""
    folder = make_run(
        tmp_path, [record(0), record(1), record(2, resumed=True, tls_ns=2 * MS)]
    )
    bill = handshake_bill(folder)
    (full, line), (resumed, other) = bill.lines.items()
    assert full == Negotiated(
        version="TLSv1.2", suite=SUITE, group="group 1", resumed=False
    )
    assert (line.count, other.count) == (2, 1)
    assert resumed.resumed
    assert other.times.maximum_ns == 2 * MS
    assert (bill.completed, bill.resumed) == (3, 1)


def test_bytes_besides_the_file_are_told_of_puts_that_opened_their_connection(
    tmp_path: Path,
) -> None:
    """A GET, a failed request and a kept connection stay out of it."""
    folder = make_run(
        tmp_path,
        [
            record(0),
            record(1, operation="ota_bundle", bytes_received=500_000),
            record(2, kind="http.timeout", phase="wait"),
            record(3, reused=True, tls_ns=-1, bytes_sent=16_500, bytes_received=200),
        ],
    )
    bill = handshake_bill(folder)
    opened = bill.overhead()
    assert (opened.count, opened.sent, opened.received) == (1, 17_000 - 16_384, 3_000)
    assert (bill.kept.count, bill.kept.each) == (1, 16_500 - 16_384 + 200)
    assert bill.completed == 3


def test_failed_handshakes_cost_all_their_bytes(tmp_path: Path) -> None:
    """Nothing else was sent on such a connection."""
    failed = record(
        0, kind="tls.reset", phase="tls", suite="", bytes_sent=200, bytes_received=7
    )
    bill = handshake_bill(make_run(tmp_path, [failed]))
    assert (bill.failed, bill.failed_sent, bill.failed_received) == (1, 200, 7)
    assert bill.completed == 0


@pytest.mark.parametrize(
    ("version", "resumed", "flights", "round_trips"),
    [
        pytest.param("TLSv1.2", False, 4, 2, id="RFC 5246 figure 1"),
        pytest.param("TLSv1.2", True, 3, 1, id="RFC 5246 figure 2"),
        pytest.param("TLSv1.3", False, 3, 1, id="RFC 8446 figure 1"),
        pytest.param("TLSv1.3", True, 3, 1, id="RFC 8446 figure 3"),
        pytest.param("SSLv2", False, 0, 0, id="unknown"),
    ],
)
def test_flights_are_those_of_the_specification(
    version: str, resumed: bool, flights: int, round_trips: int
) -> None:
    """And the round trips before the first request byte follow from them."""
    found = Negotiated(version=version, suite="", group="", resumed=resumed)
    assert (found.flights, found.round_trips) == (flights, round_trips)
