from dataclasses import replace

import pytest

from fleetsim.core.failure import Failure, Kind, Phase, verify
from fleetsim.lab.handshake_log import HandshakeEntry, HandshakeLog, alert_sent


def entry(number: int, result: str = "ok") -> HandshakeEntry:
    """A handshake of which only number and result matter."""
    return HandshakeEntry(
        number=number, unix_s=0.0, duration_s=0.0, peer="127.0.0.1:1", result=result
    )


def filled(count: int, max_entries: int) -> HandshakeLog:
    """A log that has seen ``count`` handshakes, every third one failed."""
    log = HandshakeLog(max_entries)
    for _ in range(count):
        number = log.next_number
        log.add(entry(number, "tls.reset" if number % 3 == 0 else "ok"))
    return log


def test_old_entries_go_but_stay_counted() -> None:
    """The log is bounded; its counts are not."""
    log = filled(10, 4)
    assert [each.number for each in log.after()] == [7, 8, 9, 10]
    assert log.by_result() == {"ok": 7, "tls.reset": 3}
    assert log.total == 10


def test_resumed_handshakes_are_counted() -> None:
    """Also those whose entries are gone."""
    log = HandshakeLog(1)
    for number, resumed in enumerate((True, False, True), 1):
        log.add(replace(entry(number), resumed=resumed))
    assert (log.resumed, log.total) == (2, 3)


def test_who_was_refused_is_counted_by_name() -> None:
    """Also those whose entries are gone; without a certificate there is no name."""
    log = HandshakeLog(1)
    for number, (subject, result) in enumerate(
        [
            ("CN=b", "tls.reset"),
            ("CN=a", "tls.verify.cert_revoked"),
            ("", "tls.reset"),
            ("CN=a", "ok"),
            ("CN=a", "tls.verify.cert_revoked"),
        ],
        1,
    ):
        log.add(replace(entry(number, result), client_subject=subject))
    assert log.refused == (
        ("CN=a", "tls.verify.cert_revoked", 2),
        ("CN=b", "tls.reset", 1),
    )


def test_reading_in_pages_misses_nothing() -> None:
    """Asking again with the last number seen gives exactly the rest."""
    log = filled(10, 100)
    seen: list[int] = []
    while page := log.after(seen[-1] if seen else 0, 3):
        seen += [each.number for each in page]
    assert seen == [*range(1, 11)]


NO_CIPHER = Failure(Kind.TLS_NO_SHARED_CIPHER, Phase.TLS)
HELLO = b"\x16\x03\x03\x00\x02ab"
ENCRYPTED = b"\x17\x03\x03\x00\x13" + b"x" * 19


@pytest.mark.parametrize(
    ("failure", "flight", "expected"),
    [
        pytest.param(
            NO_CIPHER, b"\x15\x03\x03\0\2\2\x28", "handshake_failure", id="cl"
        ),
        pytest.param(
            NO_CIPHER,
            HELLO + b"\x15\x03\x03\0\2\2\x46",
            "protocol_version",
            id="behind",
        ),
        pytest.param(
            verify("cert_revoked"), ENCRYPTED, "certificate_revoked", id="tls13"
        ),
        pytest.param(verify("new"), ENCRYPTED, "certificate_unknown", id="new-verdict"),
        pytest.param(verify("cert_revoked"), b"", "", id="nothing-sent"),
        pytest.param(NO_CIPHER, ENCRYPTED, "", id="cannot-be-known"),
        pytest.param(NO_CIPHER, b"\x15\x03\x03\0", "", id="cut-header"),
        pytest.param(NO_CIPHER, b"\x15\x03\x03\0\2\2", "", id="cut-alert"),
    ],
)
def test_alert_is_read_or_deduced(
    failure: Failure, flight: bytes, expected: str
) -> None:
    """A clear alert is read from the wire, an encrypted one follows from the verdict."""
    assert alert_sent(failure, flight) == expected
