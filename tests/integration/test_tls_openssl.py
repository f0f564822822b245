"""The pump against ``openssl s_server`` and ``s_client``: another OpenSSL, real TCP."""

import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.core.failure import Kind
from fleetsim.core.settings import TlsRules
from fleetsim.transport.tls_context import ClientContexts
from fleetsim.transport.tls_pump import TlsPump
from fleetsim.transport.tls_server import ServerContext, ServerTls
from tests.integration.tls_wire import (
    TIMEOUT_S,
    OneShotServer,
    exchange,
    one_shot_server,
    openssl_server,
    program,
    write_identity,
)
from tests.transport.certificates import authority, crl, leaf
from tests.transport.pumps import (
    ECDHE,
    PLAIN_SERVER,
    ROOT,
    SERVER,
    TLS13,
    TLS13_RULES,
    Client,
    identity_of,
    presented,
    server_pump,
)

pytestmark = pytest.mark.server

ECDSA_SERVER = leaf("ecdsa", parent=ROOT, kind="p256")
CLIENT_CA = authority("Client Root", number=10)
DEVICE = leaf("device", parent=CLIENT_CA)
STRANGER = leaf("stranger", parent=ROOT)
# The module's 16 suites (device.md 1.3), then those of TLS 1.3.
SUITES = (
    *("AES128-SHA", "AES128-SHA256", "AES128-GCM-SHA256", "AES256-SHA"),
    *("AES256-SHA256", "DHE-RSA-AES128-SHA", "DHE-RSA-AES128-SHA256"),
    *("DHE-RSA-AES128-GCM-SHA256", "DHE-RSA-AES256-SHA", "DHE-RSA-AES256-SHA256"),
    *("ECDHE-RSA-AES128-SHA", "ECDHE-RSA-AES256-SHA", "ECDHE-RSA-AES128-SHA256"),
    *("ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256"),
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    *("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"),
    "TLS_CHACHA20_POLY1305_SHA256",
)


def client_for(suite: str) -> Client:
    """Client that offers one suite of its version."""
    rules = TLS13_RULES if suite.startswith("TLS_") else TlsRules()
    return Client(suites=(suite,), rules=rules)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates and keys of both sides on disk."""
    found = tmp_path_factory.mktemp("tls")
    for name, issued in {
        "server": SERVER,
        "ecdsa": ECDSA_SERVER,
        "device": DEVICE,
        "stranger": STRANGER,
    }.items():
        write_identity(found, name, issued)
    for name, issuer in {"root": ROOT, "client-ca": CLIENT_CA}.items():
        pem = issuer.certificate.public_bytes(Encoding.PEM)
        (found / f"{name}.pem").write_bytes(pem)
    return found


@pytest.fixture(scope="module")
def any_suite_port(folder: Path) -> Iterator[int]:
    """Port of a server that takes every suite, with an RSA and an ECDSA key."""
    with openssl_server(
        folder,
        *("-cert", "server.pem", "-key", "server.key"),
        *("-dcert", "ecdsa.pem", "-dkey", "ecdsa.key"),
        *("-cipher", "ALL:@SECLEVEL=0"),
    ) as port:
        yield port


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_of_the_device(any_suite_port: int, suite: str) -> None:
    """Each suite alone connects, and both sides name it alike."""
    outcome = exchange(client_for(suite).pump(), any_suite_port)
    assert outcome.failure is None
    assert outcome.pump.handshake_info().suite == suite
    assert re.search(rb"Cipher +: ([\w-]+)", outcome.plaintext)[1] == suite.encode()  # type: ignore[index]  # no match fails the test
    assert outcome.plaintext.startswith(b"HTTP/1.0 200 ok")


@pytest.mark.parametrize(
    ("option", "version"), [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")]
)
def test_version_is_negotiated(folder: Path, option: str, version: str) -> None:
    """A device that speaks both versions follows the server."""
    options = ("-cert", "server.pem", "-key", "server.key", option)
    with openssl_server(folder, *options) as port:
        client = Client(suites=(TLS13, ECDHE), rules=TLS13_RULES)
        outcome = exchange(client.pump(), port)
    assert outcome.failure is None
    assert outcome.pump.handshake_info().version == version


@pytest.mark.parametrize(
    ("client", "options", "kind"),
    [
        (
            Client(suites=("AES128-SHA",)),
            ("-cipher", "ECDHE"),
            "tls.alert.handshake_failure",
        ),
        (Client(), ("-tls1_3",), "tls.alert.protocol_version"),
        (
            Client(suites=(TLS13,), rules=TLS13_RULES),
            ("-tls1_2",),
            "tls.alert.protocol_version",
        ),
        (
            Client(),
            ("-CAfile", "client-ca.pem", "-Verify", "3"),
            "tls.alert.handshake_failure",
        ),
        (
            Client(suites=(TLS13,), rules=TLS13_RULES),
            ("-CAfile", "client-ca.pem", "-Verify", "3"),
            "tls.alert.certificate_required",
        ),
        (
            Client(identity=identity_of(STRANGER)),
            ("-CAfile", "client-ca.pem", "-Verify", "3", "-verify_return_error"),
            "tls.alert.unknown_ca",
        ),
        (
            Client(suites=(TLS13,), rules=TLS13_RULES, identity=identity_of(STRANGER)),
            ("-CAfile", "client-ca.pem", "-Verify", "3", "-verify_return_error"),
            "tls.alert.unknown_ca",
        ),
    ],
    ids=[
        "no common suite",
        "TLS 1.2 meets 1.3",
        "TLS 1.3 meets 1.2",
        "no client certificate",
        "no client certificate in 1.3",
        "unknown client CA",
        "unknown client CA in 1.3",
    ],
)
def test_alerts_of_s_server(
    folder: Path, client: Client, options: tuple[str, ...], kind: str
) -> None:
    """The server's alert arrives over TCP as the failure of the attempt."""
    fixed = ("-cert", "server.pem", "-key", "server.key")
    with openssl_server(folder, *fixed, *options) as port:
        outcome = exchange(client.pump(), port)
    assert outcome.failure is not None
    assert outcome.failure.kind == kind


def test_client_certificate(folder: Path) -> None:
    """The device's certificate is accepted by another OpenSSL."""
    options = ("-CAfile", "client-ca.pem", "-Verify", "3", "-verify_return_error")
    fixed = ("-cert", "server.pem", "-key", "server.key")
    with openssl_server(folder, *fixed, *options) as port:
        for client in (Client(), client_for(TLS13)):
            identity = identity_of(DEVICE)
            outcome = exchange(replace(client, identity=identity).pump(), port)
            assert outcome.failure is None
            assert DEVICE.certificate.public_bytes(Encoding.PEM) in outcome.plaintext


@pytest.mark.parametrize(
    ("suite", "options"),
    [(ECDHE, ()), (ECDHE, ("-no_ticket",)), (TLS13, ())],
    ids=["ticket", "session id", "TLSv1.3"],
)
def test_resumption(folder: Path, suite: str, options: tuple[str, ...]) -> None:
    """Sessions of another implementation are resumed, by ticket and by id."""
    base = client_for(suite)
    client = replace(base, rules=replace(base.rules, resumption=True))
    contexts = ClientContexts()
    fixed = ("-cert", "server.pem", "-key", "server.key")
    with openssl_server(folder, *fixed, *options) as port:
        first = exchange(client.pump(contexts), port)
        again = exchange(client.pump(contexts, first.pump.session()), port)
    assert first.failure is None
    assert again.failure is None
    assert not first.pump.handshake_info().resumed
    assert again.pump.handshake_info().resumed
    assert again.plaintext.startswith(b"HTTP/1.0 200 ok")


def make(folder: Path, *command: str) -> None:
    """Run ``openssl`` to make something ``cryptography`` refuses to make."""
    subprocess.run(
        [program("openssl"), *command], cwd=folder, check=True, capture_output=True
    )


@pytest.mark.parametrize(
    ("level", "kind"), [(0, None), (1, "tls.verify.ee_key_too_small")]
)
def test_rsa_512(tmp_path: Path, level: int, kind: str | None) -> None:
    """The shortest RSA key of the device's documentation works at level 0 only."""
    make(tmp_path, "genrsa", "-out", "key", "512")
    subject = ("-subj", "/CN=storage.test", "-days", "3650")
    make(tmp_path, "req", "-x509", "-key", "key", "-out", "cert", "-sha256", *subject)
    certificate = x509.load_pem_x509_certificate((tmp_path / "cert").read_bytes())
    rules = TlsRules(security_level=level)
    client = Client(
        suites=("AES128-SHA",), anchors=(certificate,), rules=rules, unix_s=now()
    )
    options = ("-cert", "cert", "-key", "key", "-cipher", "ALL:@SECLEVEL=0")
    with openssl_server(tmp_path, *options) as port:
        outcome = exchange(client.pump(), port)
    assert (outcome.failure.kind if outcome.failure else None) == kind


@pytest.mark.parametrize(
    ("level", "kind"), [(0, None), (2, "tls.verify.ca_md_too_weak")]
)
def test_sha1_signatures(tmp_path: Path, level: int, kind: str | None) -> None:
    """A leaf signed with SHA-1 works at level 0 only."""
    common = ("-days", "3650", "-sha1", "-newkey", "rsa:2048", "-nodes")
    make(
        tmp_path,
        *("req", "-x509", *common, "-subj", "/CN=Old Root"),
        *("-keyout", "root.key", "-out", "root"),
    )
    make(
        tmp_path,
        *("req", "-x509", *common, "-subj", "/CN=storage.test"),
        *("-CA", "root", "-CAkey", "root.key", "-keyout", "key", "-out", "cert"),
    )
    anchor = x509.load_pem_x509_certificate((tmp_path / "root").read_bytes())
    rules = TlsRules(security_level=level)
    client = Client(anchors=(anchor,), rules=rules, unix_s=now())
    options = ("-cert", "cert", "-key", "key", "-cipher", "ALL:@SECLEVEL=0")
    with openssl_server(tmp_path, *options) as port:
        outcome = exchange(client.pump(), port)
    assert (outcome.failure.kind if outcome.failure else None) == kind


def test_dsa_server(tmp_path: Path) -> None:
    """A server with a DSA key alone shares no suite with the device."""
    make(tmp_path, "dsaparam", "-out", "key", "-genkey", "2048")
    subject = ("-subj", "/CN=storage.test", "-days", "3650")
    make(tmp_path, "req", "-x509", "-key", "key", "-out", "cert", "-sha256", *subject)
    client = Client(suites=tuple(s for s in SUITES if not s.startswith("TLS_")))
    options = ("-cert", "cert", "-key", "key", "-cipher", "ALL:@SECLEVEL=0")
    with openssl_server(tmp_path, *options) as port:
        outcome = exchange(client.pump(), port)
    assert outcome.failure is not None
    assert outcome.failure.kind == "tls.alert.handshake_failure"


def now() -> int:
    """The real time: programs issue certificates from today on."""
    return int(datetime.now(UTC).timestamp())


# ---------------------------------------------------------------- s_client


@pytest.fixture(scope="module")
def server() -> Iterator[OneShotServer]:
    """A listener that answers with our pump."""
    with one_shot_server() as found:
        yield found


def s_client(folder: Path, port: int, *options: str) -> str:
    """Run ``openssl s_client``, say one line; returns all it printed."""
    finished = subprocess.run(
        [
            *(program("openssl"), "s_client", "-connect", f"127.0.0.1:{port}"),
            *("-CAfile", "root.pem", "-ign_eof", *options),
        ],
        cwd=folder,
        input="hello\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    return finished.stdout + finished.stderr


ANY = replace(PLAIN_SERVER, certificates=(presented(SERVER), presented(ECDSA_SERVER)))


@pytest.mark.parametrize("suite", SUITES)
def test_every_suite_served(folder: Path, server: OneShotServer, suite: str) -> None:
    """Each suite alone is served to another OpenSSL, which verifies the chain."""
    served = server.serve(server_pump(ANY))
    if suite.startswith("TLS_"):
        options = ("-tls1_3", "-ciphersuites", suite)
    else:
        options = ("-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0")
    said = s_client(folder, server.port, *options, "-verify_return_error")
    outcome = served.result(TIMEOUT_S)
    assert outcome.failure is None
    assert outcome.plaintext == b"hello\n"
    assert outcome.pump.handshake_info().suite == suite
    assert f"Cipher is {suite}" in said
    assert "Verify return code: 0 (ok)" in said or "Verification: OK" in said


MUTUAL = replace(
    ANY,
    client_cas=(CLIENT_CA.certificate,),
    require_client_certificate=True,
    crls=(crl(CLIENT_CA, [DEVICE.certificate]),),
    check_crl=True,
)


@pytest.mark.parametrize(
    ("settings", "options", "number"),
    [
        (MUTUAL, ("-cert", "device.pem", "-key", "device.key"), 44),
        (MUTUAL, ("-cert", "stranger.pem", "-key", "stranger.key"), 48),
        (MUTUAL, (), None),
        (
            replace(ANY, curves="P-384"),
            ("-curves", "P-256", "-cipher", ECDHE),
            40,
        ),
    ],
    ids=["revoked", "unknown CA", "none", "nothing in common"],
)
def test_alerts_reach_s_client(
    folder: Path,
    server: OneShotServer,
    settings: ServerTls,
    options: tuple[str, ...],
    number: int | None,
) -> None:
    """The number of our alert is what another OpenSSL reads off the wire."""
    for version, without_certificate in (("-tls1_2", 40), ("-tls1_3", 116)):
        served = server.serve(server_pump(settings))
        said = s_client(folder, server.port, version, *options)
        assert f"SSL alert number {number or without_certificate}" in said
        assert served.result(TIMEOUT_S).failure is not None


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (("-CAfile", "client-ca.pem", "-no-CApath"), "tls.alert.unknown_ca"),
        (("-verify_hostname", "other.test"), "tls.alert.bad_certificate"),
        (("-attime", "0"), "tls.alert.bad_certificate"),
        (("-attime", "4294967296"), "tls.alert.certificate_expired"),
    ],
    ids=["unknown CA", "name", "too early", "too late"],
)
def test_alerts_of_s_client(
    folder: Path,
    server: OneShotServer,
    options: tuple[str, ...],
    kind: str,
    version: str,
) -> None:
    """The client's alert is what our server names as the end of the handshake."""
    served = server.serve(server_pump(ANY))
    s_client(folder, server.port, version, "-verify_return_error", *options)
    outcome = served.result(TIMEOUT_S)
    assert outcome.failure is not None
    assert outcome.failure.kind == kind


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_resumption_served(
    folder: Path, server: OneShotServer, tmp_path: Path, version: str
) -> None:
    """A session saved by another OpenSSL is resumed by us."""
    context = ServerContext(replace(ANY, session_tickets=True))
    saved = str(tmp_path / "session")
    first = server.serve(TlsPump(context.connection()))
    assert "New, TLS" in s_client(folder, server.port, version, "-sess_out", saved)
    assert not first.result(TIMEOUT_S).pump.handshake_info().resumed
    again = server.serve(TlsPump(context.connection()))
    assert "Reused, TLS" in s_client(folder, server.port, version, "-sess_in", saved)
    assert again.result(TIMEOUT_S).pump.handshake_info().resumed


def test_sni_served(folder: Path, server: OneShotServer) -> None:
    """Another client's SNI chooses the certificate, too."""
    named = leaf("named", parent=ROOT, dns=("named.test",))
    settings = replace(
        ANY, certificates=(presented(SERVER), presented(named, "named.test"))
    )
    for name, subject in (("named.test", "CN = named"), ("x.test", "CN = server")):
        served = server.serve(server_pump(settings))
        said = s_client(folder, server.port, "-servername", name)
        assert f"subject={subject}" in said
        assert served.result(TIMEOUT_S).failure is None


def test_plain_http_client(server: OneShotServer) -> None:
    """A plain HTTP request to the TLS port is recognised; OpenSSL just hangs up."""
    served = server.serve(server_pump(ANY))
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_S) as link:
        link.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert link.recv(100) == b""
    outcome = served.result(TIMEOUT_S)
    assert outcome.failure is not None
    assert outcome.failure.kind == Kind.TLS_PROTOCOL
    assert outcome.failure.detail == "http request"
