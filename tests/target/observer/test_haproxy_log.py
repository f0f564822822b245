import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.lab.terminators.evidence import WORDS
from fleetsim.target.observer.haproxy_log import (
    ERROR_FORMAT,
    FORMAT,
    HaproxyReader,
    settings,
)
from fleetsim.target.observer.seen import Seen, UnreadableLineError

CONNECTION = {
    "unix_s": "1795393663.005",
    "peer": "192.0.2.1:40001",
    "version": "TLSv1.2",
    "suite": "AES128-GCM-SHA256",
    "reused": "0",
    "server_name": "s3.example.org",
    "subject": "/O=fleet/CN=0A1B2C3D",
    "serial": "4823DEDF",
}
GOOD = CONNECTION | {
    "first": "1",
    "method": "PUT",
    "uri": "/fleet/0A1B2C3D/device.json",
    "status": "200",
}
FAILED = CONNECTION | {
    "suite": "(NONE)",
    "connection": "34",
    "says": "SSL handshake failure",
    "error": "167772359",
    "verify": "0",
    "ca_verify": "0",
}


def read(line: str) -> Seen | None:
    """Read a line."""
    return HaproxyReader(WORDS).read(line)


def test_a_good_request() -> None:
    """Everything that a line says; syslog may stand before it."""
    found = read("Nov 23 00:28:36 host haproxy[7]: " + json.dumps(GOOD))
    assert found == Seen(
        unix_s=1795393663.005,
        peer="192.0.2.1:40001",
        version="TLSv1.2",
        suite="AES128-GCM-SHA256",
        server_name="s3.example.org",
        subject="CN=0A1B2C3D,O=fleet",
        serial="4823dedf",
        method="PUT",
        uri="/fleet/0A1B2C3D/device.json",
        status=200,
    )
    assert found.device == "0A1B2C3D"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(GOOD | {"reused": "1"}, {"resumed": True}, id="resumed"),
        pytest.param(GOOD | {"first": "0"}, {"is_first": False}, id="second request"),
        pytest.param(
            FAILED | {"verify": "23"},
            {"result": "tls.verify.cert_revoked", "detail": "SSL handshake failure"},
            id="revoked",
        ),
        pytest.param(
            FAILED | {"ca_verify": "10"},
            {"result": "tls.verify.cert_has_expired"},
            id="a CA has expired",
        ),
        pytest.param(
            FAILED | {"error": str(20 << 23 | 193)},
            {"result": "tls.no_shared_cipher", "suite": "", "is_first": True},
            id="no cipher",
        ),
        pytest.param(
            FAILED | {"error": "0", "says": "-"},
            {"result": "tls.reset", "detail": ""},
            id="gone",
        ),
    ],
)
def test_what_lines_say(line: dict[str, str], expected: dict[str, object]) -> None:
    """Each field for itself."""
    found = read(json.dumps(line))
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    "line",
    [
        "",
        "[NOTICE]   (27939) : haproxy version is 2.6.12",
        "haproxy[7]: 192.0.2.1:1 [23/Nov/2026] f b/s 0/0/0/2/2 200 1 - - ----",
        '{"other":"format"}',
    ],
)
def test_other_lines(line: str) -> None:
    """What is about something else says nothing."""
    assert read(line) is None


def test_settings_hold_both_formats() -> None:
    """Requests and failed handshakes have formats of their own."""
    text = settings()
    assert f"log-format '{FORMAT}'" in text
    assert f"error-log-format '{ERROR_FORMAT}'" in text


@given(st.text() | st.text().map(lambda text: "{" + text))
def test_any_line_is_read_or_refused(line: str) -> None:
    """Foreign lines raise nothing but that they are unreadable."""
    with suppress(UnreadableLineError):
        read(line)


_VALUES = st.text(max_size=20) | st.none() | st.integers() | st.booleans()


@given(st.dictionaries(st.sampled_from(sorted(GOOD | FAILED)), _VALUES))
def test_any_object_is_read_or_refused(values: dict[str, object]) -> None:
    """Fields of any type and content; a result is always of the taxonomy."""
    try:
        found = read(json.dumps(CONNECTION | values))
    except UnreadableLineError:
        return
    if found is not None:
        assert found.result == "ok" or found.result.startswith("tls.")
