import json
from datetime import UTC, datetime

import pytest

from fleetsim.lab.terminators.nginx import Nginx
from fleetsim.lab.terminators.program import Capacity, Wiring
from fleetsim.target.observer.nginx_log import FIELDS
from tests.lab.tls_clients import presented, root, server, server_p256, server_tls

CAPACITY = Capacity(connections=100, handshake_timeout_s=2.5, idle_timeout_s=75)
CA = root("devices").certificate


def utc(said: str) -> float:
    """Local time of these tests."""
    moment = datetime.strptime(said, "%Y/%m/%d %H:%M:%S").replace(tzinfo=UTC)
    return moment.timestamp()


NGINX = Nginx(None, utc)


def lines(**changes: object) -> list[str]:
    """Configuration of these TLS settings, line by line."""
    return NGINX.config(server_tls(**changes), 1, CAPACITY).splitlines()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "ssl_protocols TLSv1.2 TLSv1.3;"),
        ({"min_version": "TLSv1"}, "ssl_protocols TLSv1 TLSv1.1 TLSv1.2 TLSv1.3;"),
        ({"max_version": "TLSv1.2"}, "ssl_protocols TLSv1.2;"),
        ({"prefer_server_ciphers": True}, "ssl_prefer_server_ciphers on;"),
        ({}, "ssl_prefer_server_ciphers off;"),
        ({"session_tickets": True}, "ssl_session_tickets on;"),
        ({}, "ssl_session_tickets off;"),
        ({"session_tickets": True}, "ssl_session_cache off;"),
        ({"curves": "P-384:P-256"}, "ssl_ecdh_curve P-384:P-256;"),
        ({}, "ssl_dhparam tls-1/dh.pem;"),
        (
            {"client_cas": (CA,), "require_client_certificate": True},
            "ssl_verify_client on;",
        ),
        ({"client_cas": (CA,)}, "ssl_verify_client optional;"),
        ({"client_cas": (CA,)}, "ssl_client_certificate tls-1/client-ca.pem;"),
        ({"client_cas": (CA,), "check_crl": True}, "ssl_crl tls-1/crl.pem;"),
        (
            {"tls13_suites": "TLS_AES_128_GCM_SHA256"},
            "ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;",
        ),
        ({}, "client_header_timeout 2500ms;"),
        ({}, "proxy_set_header Host $http_host;"),
    ],
)
def test_settings_are_directives(changes: dict[str, object], expected: str) -> None:
    """Each TLS setting is one directive."""
    assert expected in lines(**changes)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, "ssl_verify_client"),
        ({}, "ssl_crl"),
        ({}, "ssl_ecdh_curve"),
        ({"dh_bits": 0}, "ssl_dhparam"),
        ({"tls13_suites": ""}, "Ciphersuites"),
        ({}, "user "),
    ],
)
def test_what_is_not_set_is_not_said(changes: dict[str, object], word: str) -> None:
    """Settings that are off leave no directive."""
    assert not any(word in line for line in lines(**changes))


def test_certificates_by_name() -> None:
    """Key types share a server, names get one each, and the unnamed is the default."""
    certificates = (
        presented(server("localhost")),
        presented(server_p256()),
        presented(server("a.example"), "a.example", "*.a.example"),
    )
    found = lines(certificates=certificates)
    assert found.count("listen unix:front-1.sock ssl proxy_protocol;") == 1
    default = "listen unix:front-1.sock ssl proxy_protocol default_server backlog=4096;"
    start = found.index(default)
    second = found.index("server_name a.example *.a.example;")
    assert start < second
    assert found[start:second].count("ssl_certificate tls-1/server-1.pem;") == 1
    assert found[second:].count("ssl_certificate tls-1/server-2.pem;") == 1


def test_nothing_binds_a_port() -> None:
    """Every listener is a Unix socket: of this generation and of the one before."""
    config = NGINX.config(server_tls(), 5, CAPACITY)
    places = [line.split()[1] for line in config.splitlines() if "listen" in line]
    assert places == ["unix:front-4.sock", "unix:front-5.sock"]


def test_user_is_named_for_root_alone() -> None:
    """Only a master started by root changes its workers' user."""
    config = Nginx("somebody", utc).config(server_tls(), 1, CAPACITY)
    assert config.startswith("user somebody;\n")


LINE = (
    '{"unix_s": "1700000000.250", "peer": "127.0.0.1:4711", "version": "TLSv1.2", '
    '"suite": "AES128-SHA", "reused": "%s", "server_name": "localhost", '
    '"verify": "%s", "subject": "CN=00000001", "serial": "0AFF", "status": "%s"}'
)


@pytest.mark.parametrize(
    ("reused", "verify", "status", "result"),
    [
        (".", "NONE", "403", "ok"),
        ("r", "SUCCESS", "200", "ok"),
        (".", "NONE", "400", "tls.verify.no_peer_certificate"),
        (".", "FAILED:certificate revoked", "400", "tls.verify.cert_revoked"),
        (".", "FAILED:CRL has expired", "400", "tls.verify.crl_has_expired"),
        (
            ".",
            "FAILED:unable to verify the first certificate",
            "400",
            "tls.verify.unable_to_get_issuer_cert_locally",
        ),
        (".", "FAILED:words of a later OpenSSL", "400", "tls.verify.unspecified"),
    ],
)
def test_lines_of_requests(reused: str, verify: str, status: str, result: str) -> None:
    """A connection's first request tells what nginx thinks of its client."""
    entry = NGINX.parse(LINE % (reused, verify, status))
    assert entry is not None
    assert entry.result == result
    assert entry.resumed == (reused == "r")
    assert (entry.unix_s, entry.peer) == (1700000000.25, "127.0.0.1:4711")
    assert (entry.suite, entry.client_serial) == ("AES128-SHA", "0aff")


FAILED = (
    "2026/11/22 22:03:21 [info] 42#42: *6 %s while SSL handshaking, client: unix:, "
    "server: unix:front-1.sock"
)


@pytest.mark.parametrize(
    ("said", "result"),
    [
        (
            (
                "SSL_do_handshake() failed (SSL: error:0A0000C1:SSL routines::no shared "
                "cipher)"
            ),
            "tls.no_shared_cipher",
        ),
        (
            (
                "SSL_do_handshake() failed (SSL: error:0A000412:SSL routines::sslv3 alert "
                "bad certificate:SSL alert number 42)"
            ),
            "tls.alert.bad_certificate",
        ),
        (
            (
                "SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version "
                "number)"
            ),
            "tls.protocol",
        ),
        ("peer closed connection in SSL handshake", "tls.reset"),
        (
            "peer closed connection in SSL handshake (104: Connection reset by peer)",
            "tls.reset",
        ),
    ],
)
def test_lines_of_failures(said: str, result: str) -> None:
    """A handshake that failed is named in the words of the taxonomy."""
    entry = NGINX.parse(FAILED % said)
    assert entry is not None
    assert entry.result == result
    assert entry.unix_s == utc("2026/11/22 22:03:21")
    assert said.startswith(entry.detail.split("(")[0].strip())


@pytest.mark.parametrize(
    "line",
    [
        "",
        "2026/11/22 22:02:05 [notice] 1#1: start worker process 19148",
        (
            '2026/11/22 22:02:05 [error] 9#9: *1 broken header: "" while reading PROXY '
            "protocol, client: unix:, server: unix:front-1.sock"
        ),
    ],
)
def test_other_lines(line: str) -> None:
    """What is not about a handshake is no entry: probes of the lab are not clients."""
    assert NGINX.parse(line) is None


def test_before_any_server() -> None:
    """Alone, nginx listens on its address, logs every request and may keep sessions."""
    wiring = Wiring(
        listen=("127.0.0.1", 8443), upstream="127.0.0.1:7480", session_cache=True
    )
    found = NGINX.config(server_tls(), 2, CAPACITY, wiring).splitlines()
    assert "listen 127.0.0.1:8443 ssl default_server backlog=4096;" in found
    assert "upstream s3 { server 127.0.0.1:7480 max_fails=0; keepalive 64; }" in found
    assert "ssl_session_cache shared:devices:10m;" in found
    assert "access_log handshakes.log evidence;" in found
    (evidence,) = (line for line in found if line.startswith("log_format"))
    assert json.dumps(dict(FIELDS)) in evidence


def test_later_requests_are_no_handshakes() -> None:
    """Of a connection that is logged request by request only the first one counts."""
    values = dict.fromkeys(FIELDS, "") | {"unix_s": "1.5", "status": "200"}
    assert NGINX.parse(json.dumps(values | {"nth": "1"})) is not None
    assert NGINX.parse(json.dumps(values | {"nth": "2"})) is None
