import json

import pytest

from fleetsim.lab.terminators import files
from fleetsim.lab.terminators.haproxy import CERTIFICATES, Haproxy
from fleetsim.lab.terminators.program import Capacity, Wiring
from fleetsim.target.observer.haproxy_log import FORMAT
from tests.lab.tls_clients import presented, root, server, server_tls

CAPACITY = Capacity(connections=100, handshake_timeout_s=2.5, idle_timeout_s=75)
CA = root("devices").certificate
HAPROXY = Haproxy()


def bind(**changes: object) -> str:
    """The ``bind`` line of these TLS settings, one space around every word."""
    config = HAPROXY.config(server_tls(**changes), 3, CAPACITY)
    before, line = (each for each in config.splitlines() if each.startswith("bind "))
    assert before.replace("front-2", "front-3") == line
    return f" {line} "


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, " unix@front-3.sock accept-proxy "),
        ({}, " crt-list tls-3/certificates.list "),
        ({"min_version": "TLSv1"}, " ssl-min-ver TLSv1.0 ssl-max-ver TLSv1.3 "),
        ({}, " prefer-client-ciphers "),
        ({}, " no-tls-tickets "),
        ({"curves": "P-384"}, " curves P-384 "),
        ({"client_cas": (CA,)}, " ca-file tls-3/client-ca.pem verify optional "),
        (
            {"client_cas": (CA,), "require_client_certificate": True},
            " verify required ",
        ),
        ({"client_cas": (CA,), "check_crl": True}, " crl-file tls-3/crl.pem "),
        ({"dh_bits": 0, "cipher_list": "ALL"}, " ciphers ALL:!kDHE:@SECLEVEL=2 "),
    ],
)
def test_settings_are_words(changes: dict[str, object], expected: str) -> None:
    """Each TLS setting is one word of the ``bind`` line."""
    assert expected in bind(**changes)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"prefer_server_ciphers": True}, "prefer-client-ciphers"),
        ({"session_tickets": True}, "no-tls-tickets"),
        ({}, "verify"),
        ({}, "crl-file"),
        ({}, "curves"),
        ({"tls13_suites": ""}, "ciphersuites"),
    ],
)
def test_what_is_not_set_is_not_said(changes: dict[str, object], word: str) -> None:
    """Settings that are off leave no word."""
    assert f" {word} " not in bind(**changes)


def test_list_of_certificates() -> None:
    """The default comes first and carries no filter, the others their names."""
    certificates = (
        presented(server("a.example"), "a.example", "*.a.example"),
        presented(server("localhost")),
    )
    lists = HAPROXY.lists(server_tls(certificates=certificates), 2)
    assert lists == {
        CERTIFICATES: b"tls-2/server-0.pem\ntls-2/server-1.pem a.example *.a.example\n"
    }


OLD = {
    "server-0.pem": b"A\n",
    "crl.pem": b"B\n",
    "client-ca.pem": b"C\n",
    "dh.pem": b"D",
}


@pytest.mark.parametrize(
    ("changed", "kind"),
    [("server-0.pem", "cert"), ("crl.pem", "crl-file"), ("client-ca.pem", "ca-file")],
)
def test_one_file_changes_in_memory(changed: str, kind: str) -> None:
    """Only what changed is sent, as one block that ends with an empty line."""
    (transaction,) = HAPROXY.live_changes(OLD, {**OLD, changed: b"X\nY\n"}, 4) or ()
    path = f"tls-4/{changed}"
    assert transaction.commands == (
        f"set ssl {kind} {path} <<\nX\nY\n\n",
        f"commit ssl {kind} {path}\n",
    )
    assert transaction.abort == f"abort ssl {kind} {path}\n"
    assert "X" not in repr(transaction)


def test_nothing_changes_nothing() -> None:
    """Equal files need no command."""
    assert HAPROXY.live_changes(OLD, OLD, 1) == []


def test_large_files_need_a_reload() -> None:
    """A command must fit into HAProxy's buffer."""
    assert HAPROXY.live_changes(OLD, {**OLD, "crl.pem": b"x" * 20_000}, 1) is None


REQUEST = {
    "unix_s": "1700000000.250",
    "peer": "127.0.0.1:4711",
    "version": "TLSv1.2",
    "suite": "AES128-SHA",
    "reused": "1",
    "server_name": "localhost",
    "subject": "/O=Fleet/CN=00000001",
    "serial": "0AFF",
    "status": "200",
}


def test_line_of_a_request() -> None:
    """A connection's first request proves its handshake."""
    entry = HAPROXY.parse(json.dumps(REQUEST))
    assert entry is not None
    assert (entry.result, entry.resumed) == ("ok", True)
    assert (entry.client_subject, entry.client_serial) == (
        "CN=00000001,O=Fleet",
        "0aff",
    )


@pytest.mark.parametrize(
    ("error", "verify", "ca_verify", "result"),
    [
        # OpenSSL's packed codes as decimals: library 20, then the reason.
        (0x0A0000C1, "0", "0", "tls.no_shared_cipher"),
        (0x0A000412, "0", "0", "tls.alert.bad_certificate"),
        (0x0A0000C7, "0", "0", "tls.verify.no_peer_certificate"),
        (0x0A000086, "23", "0", "tls.verify.cert_revoked"),
        (0x0A000086, "0", "12", "tls.verify.crl_has_expired"),
        (0, "0", "0", "tls.reset"),
    ],
)
def test_line_of_a_failure(
    error: int, verify: str, ca_verify: str, result: str
) -> None:
    """A handshake that failed is named in the words of the taxonomy."""
    failed = {
        **{key: value for key, value in REQUEST.items() if key != "status"},
        "suite": "(NONE)",
        "subject": "-",
        "serial": "-",
        "connection": "34",
        "says": "SSL handshake failure",
        "error": str(error),
        "verify": verify,
        "ca_verify": ca_verify,
    }
    entry = HAPROXY.parse(json.dumps(failed))
    assert entry is not None
    assert (entry.result, entry.detail) == (result, "SSL handshake failure")
    assert (entry.suite, entry.client_subject, entry.client_serial) == ("", "", "")


def test_words_for_people_are_no_entries() -> None:
    """Notices on the same stream are passed over."""
    assert HAPROXY.parse("[NOTICE]   (19951) : Loading success.") is None


def test_order_of_check_and_run() -> None:
    """The next configuration is checked, the present one is run, with a master."""
    assert HAPROXY.check_arguments("next.conf") == ("-c", "-f", "next.conf")
    assert HAPROXY.run_arguments() == ("-W", "-f", "front.conf")
    assert files.CRL in OLD


def test_before_any_server() -> None:
    """Alone, HAProxy listens on its address, logs every request and may keep sessions."""
    wiring = Wiring(
        listen=("127.0.0.1", 8443), upstream="127.0.0.1:7480", session_cache=True
    )
    found = HAPROXY.config(server_tls(), 2, CAPACITY, wiring).splitlines()
    assert any(line.startswith("bind 127.0.0.1:8443 ssl crt-list ") for line in found)
    assert "server s3 127.0.0.1:7480" in found
    assert "tune.ssl.cachesize 20000" in found
    assert f"log-format '{FORMAT}'" in found
    assert not any("silent" in line for line in found)


def test_later_requests_are_no_handshakes() -> None:
    """Of a connection that is logged request by request only the first one counts."""
    values = {"unix_s": "1.500", "status": "200"}
    assert HAPROXY.parse(json.dumps(values | {"first": "1"})) is not None
    assert HAPROXY.parse(json.dumps(values | {"first": "0"})) is None
