"""The pump against nginx: mutual TLS with CRLs, and verdicts that must agree."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from getpass import getuser
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.core.failure import Kind
from fleetsim.profiles import catalog
from fleetsim.transport.tls_context import ClientContexts
from fleetsim.transport.tls_names import VERIFY_CODES
from fleetsim.transport.tls_server import ServerTls
from tests.integration.tls_wire import (
    exchange,
    free_port,
    program,
    running,
    write_identity,
)
from tests.transport import test_tls_server as verdicts
from tests.transport.certificates import leaf
from tests.transport.pumps import (
    SERVER,
    TLS13,
    TLS13_RULES,
    Client,
    identity_of,
    server_pump,
    talk,
)

pytestmark = pytest.mark.server

CONFIG = """
daemon off;
user {user};
worker_processes 1;
pid nginx.pid;
error_log error.log info;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {{
    listen 127.0.0.1:{port} {listen};
    ssl_certificate server.pem;
    ssl_certificate_key server.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    {tls}
    location / {{ return 200 "$ssl_cipher $ssl_client_verify $ssl_client_s_dn"; }}
  }}
}}
"""


@contextmanager
def nginx(folder: Path, tls: str, listen: str = "ssl") -> Iterator[int]:
    """Run nginx with these directives; yields its port once it listens."""
    port = free_port()
    write_identity(folder, "server", SERVER)
    (folder / "nginx.conf").write_text(
        CONFIG.format(port=port, tls=tls, listen=listen, user=getuser())
    )
    (folder / "error.log").touch()
    arguments = (program("nginx"), "-p", str(folder), "-c", "nginx.conf")
    with running((*arguments, "-e", "stderr"), folder) as process:
        while "start worker process " not in (folder / "error.log").read_text():
            assert process.poll() is None, process.communicate()[0]
        yield port


def mutual(folder: Path, settings: ServerTls) -> str:
    """What our server settings mean, in nginx's words."""
    words = ["ssl_ciphers ALL:@SECLEVEL=0;" if "=0" in settings.cipher_list else ""]
    if settings.client_cas:
        pem = b"".join(ca.public_bytes(Encoding.PEM) for ca in settings.client_cas)
        (folder / "clients.pem").write_bytes(pem)
        mode = "on" if settings.require_client_certificate else "optional"
        words += [f"ssl_verify_client {mode};", "ssl_client_certificate clients.pem;"]
        words += ["ssl_verify_depth 10;"]
    if settings.check_crl:
        pem = b"".join(item.public_bytes(Encoding.PEM) for item in settings.crls)
        (folder / "crl.pem").write_bytes(pem)
        words.append("ssl_crl crl.pem;")
    return "\n".join(words)


# Without any list at all nginx refuses to start.
CASES = [case for case in (*verdicts.WELCOME, *verdicts.REFUSED) if case != "no list"]


@pytest.mark.parametrize("case", CASES)
def test_verdicts_agree(tmp_path: Path, case: str) -> None:
    """Of every client certificate nginx and our server think the same, by number."""
    if case in verdicts.WELCOME:
        device, settings = verdicts.WELCOME[case]
    else:
        device, settings, *_ = verdicts.REFUSED[case]
    client = Client(identity=identity_of(device) if device is not None else None)
    other = server_pump(settings)
    talk(client.pump(), other)
    with nginx(tmp_path, mutual(tmp_path, settings)) as port:
        outcome = exchange(client.pump(), port)
        log = (tmp_path / "error.log").read_text()
    # nginx completes the handshake and refuses in HTTP (its status 495, sent as 400).
    status = int(outcome.plaintext.split(b" ", 2)[1])
    assert status == (200 if other.failure is None else 400)
    found = re.search(r"certificate verify error: \((\d+):", log)
    theirs = VERIFY_CODES[int(found[1])] if found is not None else None
    if theirs == "unable_to_verify_leaf_signature":
        # nginx lets OpenSSL go on and logs the last error; this one follows from ours.
        theirs = "unable_to_get_issuer_cert_locally"
    ours = other.failure.kind.removeprefix("tls.verify.") if other.failure else None
    assert theirs == ours


def test_no_certificate(tmp_path: Path) -> None:
    """Without the certificate it asks for nginx answers 400 over an open connection."""
    with nginx(tmp_path, mutual(tmp_path, verdicts.MUTUAL)) as port:
        for client in (Client(), Client(suites=(TLS13,), rules=TLS13_RULES)):
            outcome = exchange(client.pump(), port)
            assert outcome.failure is None
            assert b"No required SSL certificate was sent" in outcome.plaintext


def test_device_is_known_by_its_subject(tmp_path: Path) -> None:
    """Nginx sees each device's own name, though all share one context."""
    contexts = ClientContexts()
    with nginx(tmp_path, mutual(tmp_path, verdicts.MUTUAL)) as port:
        for number in range(3):
            device = leaf(f"{number:08X}", parent=verdicts.CA, number=number)
            client = Client(identity=identity_of(device))
            outcome = exchange(client.pump(contexts), port)
            assert f"SUCCESS CN={number:08X}".encode() in outcome.plaintext


@pytest.mark.parametrize("table", ["winc-ecdhe-last", "winc-nonecc", "winc-sha2-first"])
def test_groups_against_a_modern_server(tmp_path: Path, table: str) -> None:
    """Only groups with an ECDHE suite reach a server that wants forward secrecy."""
    profile = catalog.load("canedge2").profile
    groups = {found.name: found.groups for found in profile.cipher_tables}[table]
    with nginx(tmp_path, "ssl_ciphers ECDHE+AESGCM;") as port:
        for group in groups:
            client = Client(suites=group.suites, rules=profile.tls)
            outcome = exchange(client.pump(), port)
            if any(suite.startswith("ECDHE") for suite in group.suites):
                assert outcome.failure is None
                assert b"ECDHE-RSA-AES128-GCM-SHA256 NONE" in outcome.plaintext
            else:
                assert outcome.failure is not None
                assert outcome.failure.kind == "tls.alert.handshake_failure"


def test_resumption(tmp_path: Path) -> None:
    """Sessions are resumed with nginx by its cache and by its tickets."""
    client = Client(rules=replace(Client().rules, resumption=True))
    for tickets in ("on", "off"):
        folder = tmp_path / tickets
        folder.mkdir()
        tls = f"ssl_session_tickets {tickets}; ssl_session_cache shared:s:1m;"
        contexts = ClientContexts()
        with nginx(folder, tls) as port:
            first = exchange(client.pump(contexts), port)
            again = exchange(client.pump(contexts, first.pump.session()), port)
        assert again.failure is None
        assert again.pump.handshake_info().resumed


def test_large_response(tmp_path: Path) -> None:
    """Megabytes from another TLS stack arrive whole through the pump."""
    body = bytes(range(256)) * 12_000
    (tmp_path / "file.bin").write_bytes(body)
    tls = f"root {tmp_path}; location /file.bin {{ }}"
    request = b"GET /file.bin HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    with nginx(tmp_path, tls) as port:
        for client in (Client(), Client(suites=(TLS13,), rules=TLS13_RULES)):
            outcome = exchange(client.pump(), port, request)
            assert outcome.failure is None
            assert outcome.plaintext.endswith(b"\r\n\r\n" + body)


def test_plain_http_port(tmp_path: Path) -> None:
    """TLS spoken to a port that speaks HTTP is ``tls.protocol``."""
    with nginx(tmp_path, "", listen="") as port:
        outcome = exchange(Client().pump(), port)
    assert outcome.failure is not None
    assert outcome.failure.kind == Kind.TLS_PROTOCOL
