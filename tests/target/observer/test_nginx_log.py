import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.lab.terminators.evidence import WORDS
from fleetsim.target.observer.nginx_log import FIELDS, NginxReader, settings
from fleetsim.target.observer.seen import Seen, UnreadableLineError

GOOD = {
    "unix_s": "1795393663.005",
    "peer": "192.0.2.1:40001",
    "nth": "1",
    "version": "TLSv1.2",
    "suite": "AES128-GCM-SHA256",
    "reused": ".",
    "server_name": "s3.example.org",
    "verify": "SUCCESS",
    "subject": "CN=0A1B2C3D",
    "serial": "4823DEDF",
    "method": "PUT",
    "uri": "/fleet/0A1B2C3D/device.json",
    "status": "200",
}


def read(line: str) -> Seen | None:
    """Read a line on a machine whose local time is UTC."""
    return NginxReader(WORDS, lambda said: float(said[-2:])).read(line)


def request(**changes: str) -> Seen:
    """Read a line of the access log."""
    found = read(json.dumps(GOOD | changes))
    assert found is not None
    return found


def test_a_good_request() -> None:
    """Everything that a line says."""
    assert request() == Seen(
        unix_s=1795393663.005,
        peer="192.0.2.1:40001",
        version="TLSv1.2",
        suite="AES128-GCM-SHA256",
        server_name="s3.example.org",
        subject="CN=0A1B2C3D",
        serial="4823dedf",
        method="PUT",
        uri="/fleet/0A1B2C3D/device.json",
        status=200,
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"reused": "r"}, {"resumed": True}, id="resumed"),
        pytest.param({"nth": "2"}, {"is_first": False}, id="second request"),
        pytest.param(
            {"verify": "FAILED:certificate revoked", "status": "400"},
            {"result": "tls.verify.cert_revoked", "detail": "certificate revoked"},
            id="revoked",
        ),
        pytest.param(
            {"verify": "FAILED:unable to verify the first certificate"},
            {"result": "tls.verify.unable_to_get_issuer_cert_locally"},
            id="the error before the last",
        ),
        pytest.param(
            {"verify": "FAILED:something new"},
            {"result": "tls.verify.unspecified"},
            id="unknown verdict",
        ),
        pytest.param(
            {"verify": "NONE", "status": "400"},
            {"result": "tls.verify.no_peer_certificate"},
            id="no certificate",
        ),
        pytest.param(
            {"verify": "NONE", "status": "200"}, {"result": "ok"}, id="none wanted"
        ),
        pytest.param({"status": "-"}, {"status": 0}, id="no answer"),
    ],
)
def test_what_requests_say(
    changes: dict[str, str], expected: dict[str, object]
) -> None:
    """Each field for itself."""
    found = request(**changes)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("said", "kind", "peer"),
    [
        pytest.param(
            "SSL_do_handshake() failed (SSL: error:0A0000C1:SSL routines::no shared "
            "cipher) while SSL handshaking, client: 192.0.2.1, server: 0.0.0.0:443",
            "tls.no_shared_cipher",
            "192.0.2.1",
            id="no cipher",
        ),
        pytest.param(
            "SSL_do_handshake() failed (SSL: error:0A000418:SSL routines::tlsv1 alert "
            "unknown ca:SSL alert number 48) while SSL handshaking, client: ::1, x",
            "tls.alert.unknown_ca",
            "::1",
            id="the client refused",
        ),
        pytest.param(
            "peer closed connection in SSL handshake (104: Connection reset by peer) "
            "while SSL handshaking, client: 192.0.2.1, server: 0.0.0.0:443",
            "tls.reset",
            "192.0.2.1",
            id="reset",
        ),
        pytest.param(
            "client timed out (110: Connection timed out) while SSL handshaking, "
            "client: 192.0.2.1, server: 0.0.0.0:443",
            "tls.timeout",
            "192.0.2.1",
            id="timeout",
        ),
        pytest.param(
            "peer closed connection in SSL handshake while SSL handshaking, client: "
            "unix:, server: unix:x",
            "tls.reset",
            "",
            id="behind a socket of its own",
        ),
    ],
)
def test_failed_handshakes(said: str, kind: str, peer: str) -> None:
    """The error log at level info tells of handshakes that never became requests."""
    found = read(f"2026/11/23 00:08:37 [info] 7#7: *12 {said}")
    assert found is not None
    assert (found.unix_s, found.result, found.peer) == (37.0, kind, peer)
    assert found.is_first
    assert not found.method


@pytest.mark.parametrize(
    "line",
    [
        "",
        "2026/11/23 00:08:37 [notice] 7#7: using the epoll event method",
        "2026/11/23 00:08:37 [info] 7#7: *1 client SSL certificate verify error: (23:x)",
        '192.0.2.1 - - [23/Nov/2026:00:08:37 +0000] "GET / HTTP/1.1" 200 612 "-" "curl"',
        '{"time":"x","other":"format"}',
    ],
)
def test_other_lines(line: str) -> None:
    """What is about something else, or in another format, says nothing."""
    assert read(line) is None


def test_a_day_that_is_none() -> None:
    """An error log of somebody else's making."""
    reader = NginxReader(WORDS)
    assert reader.read("2026/13/45 99:08:37 [info] *1 x while SSL handshaking") is None


def test_settings_name_every_field_and_level() -> None:
    """Access log in our format; handshakes that fail are logged at level info."""
    text = settings()
    assert all(variable in text for variable in FIELDS.values())
    assert "escape=json" in text
    assert " info;" in text


@given(st.text() | st.text().map(lambda text: "{" + text))
def test_any_line_is_read_or_refused(line: str) -> None:
    """Foreign lines raise nothing but that they are unreadable."""
    with suppress(UnreadableLineError):
        read(line)


_VALUES = (
    st.text(max_size=20) | st.none() | st.integers() | st.lists(st.text(max_size=2))
)


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), _VALUES))
def test_any_object_is_read_or_refused(values: dict[str, object]) -> None:
    """Fields of any type and content; a result is always of the taxonomy."""
    try:
        found = read(json.dumps(GOOD | values))
    except UnreadableLineError:
        return
    if found is not None:
        assert found.result == "ok" or found.result.startswith("tls.")
        assert found.status >= 0
