"""The TLS front over real sockets, judged by our own pump, OpenSSL's s_client and curl."""

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.core.settings import CipherGroup, TlsRules
from fleetsim.lab.facade_transport import SLICE_BYTES
from fleetsim.lab.front_connection import FrontLimits
from fleetsim.lab.tls_front import TlsFront
from fleetsim.pki.crl import Reason, Revocation, build_crl
from fleetsim.pki.leaves import Leaf
from fleetsim.transport.tls_server import ServerTls
from tests.lab.tls_clients import (
    NOW,
    VALID,
    PumpClient,
    client_connection,
    device,
    presented,
    root,
    server,
    server_p256,
    server_tls,
    turn_until,
)

MIB = 1024 * 1024
TRIES = 20

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
StartFront = Callable[..., Awaitable["Started"]]


class Started:
    """A listening front with its HTTP server."""

    def __init__(self, front: TlsFront, http: web.Server, port: int) -> None:
        self.front = front
        self.http = http
        self.port = port

    async def client(self, **options: object) -> PumpClient:
        """Connect our own client; its handshake has ended, well or badly."""
        connection = client_connection(**options)  # type: ignore[arg-type]  # pass-through
        return await (await PumpClient.connect(self.port, connection)).opened()


async def receive(request: web.BaseRequest) -> tuple[int, str]:
    """Read a body of any size; returns its length and MD5."""
    length, digest = 0, hashlib.md5(usedforsecurity=False)
    async for chunk in request.content.iter_any():
        length += len(chunk)
        digest.update(chunk)
    return length, digest.hexdigest()


async def echo(request: web.BaseRequest) -> web.Response:
    """Answer with what came: method, path, length and MD5 of the body."""
    length, digest = await receive(request)
    return web.Response(text=f"{request.method} {request.path} {length} {digest}")


@pytest.fixture
async def start_front() -> AsyncIterator[StartFront]:
    """Start fronts; they are stopped at the end of the test."""
    started: list[Started] = []

    async def start(
        tls: ServerTls | None,
        handler: Handler = echo,
        limits: FrontLimits | None = None,
    ) -> Started:
        http = web.Server(handler, access_log=None)
        front = TlsFront(tls, http, clock=lambda: 0.0, limits=limits)
        port = await front.start("127.0.0.1", 0)
        started.append(Started(front, http, port))
        return started[-1]

    yield start
    for each in started:
        each.front.close_listener()
        each.front.close_connections()
        await each.http.shutdown(0.1)
        await each.front.stop(1)
        assert each.front.live == 0


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Folder with what command line clients need, keys owned by the test alone."""
    tmp_path.chmod(0o700)
    (tmp_path / "root.pem").write_bytes(
        root("root").certificate.public_bytes(Encoding.PEM)
    )
    for leaf in ("fine", "revoked"):
        (tmp_path / f"{leaf}.pem").write_bytes(device(leaf).chain_pem())
        key = tmp_path / f"{leaf}.key"
        key.touch(mode=0o600)
        key.write_bytes(device(leaf).key_pem())
    return tmp_path


async def run_program(*command: str, stdin: bytes = b"") -> tuple[int, str]:
    """Run an oracle; returns its exit code and everything it printed."""
    if shutil.which(command[0]) is None:
        missing = f"{command[0]} is not installed"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(stdin)
    return process.returncode or 0, output.decode("utf-8", "replace")


async def s_client(port: int, files: Path, *options: str, stdin: bytes = b"") -> str:
    """Run ``openssl s_client`` against a port of this machine."""
    _, output = await run_program(
        "openssl",
        "s_client",
        "-connect",
        f"127.0.0.1:{port}",
        "-CAfile",
        str(files / "root.pem"),
        *options,
        stdin=stdin,
    )
    return output


def mutual_tls(**changes: object) -> ServerTls:
    """A front that wants certificates of the device CA, ``revoked`` excepted."""
    ca = root("devices")
    revoked = build_crl(
        ca,
        [
            Revocation(
                device("revoked").certificate.serial_number,
                NOW,
                Reason.KEY_COMPROMISE,
            )
        ],
        number=1,
        validity=VALID,
    )
    values: dict[str, object] = {
        "client_cas": (ca.certificate,),
        "require_client_certificate": True,
        "crls": (revoked,),
        "check_crl": True,
    }
    return server_tls(**{**values, **changes})


ECDSA_ONLY = CipherGroup("ecdsa", ("ECDHE-ECDSA-AES128-GCM-SHA256",))
TLS13 = CipherGroup("tls13", ("TLS_AES_128_GCM_SHA256",))
ONLY_13 = TlsRules(min_version="TLSv1.3", max_version="TLSv1.3")
ANY_13 = {"group": TLS13, "rules": ONLY_13}


# ------------------------------------------------------------- alerts reach the client


REFUSALS = {
    "no-shared-cipher": (server_tls, {"group": ECDSA_ONLY}, "handshake_failure"),
    "version": (lambda: server_tls(min_version="TLSv1.3"), {}, "protocol_version"),
    "revoked": (mutual_tls, {"leaf": "revoked"}, "certificate_revoked"),
    "revoked-tls13": (
        mutual_tls,
        {"leaf": "revoked", **ANY_13},
        "certificate_revoked",
    ),
    "expired": (mutual_tls, {"leaf": "expired"}, "certificate_expired"),
    "expired-tls13": (
        mutual_tls,
        {"leaf": "expired", **ANY_13},
        "certificate_expired",
    ),
    "unknown-ca": (mutual_tls, {"leaf": "stranger"}, "unknown_ca"),
    "unknown-ca-tls13": (mutual_tls, {"leaf": "stranger", **ANY_13}, "unknown_ca"),
    "no-certificate": (mutual_tls, {}, "handshake_failure"),
    "no-certificate-tls13": (mutual_tls, ANY_13, "certificate_required"),
    "no-list": (
        lambda: mutual_tls(crls=()),
        {"leaf": "fine"},
        "unknown_ca",
    ),
}


def leaf_named(name: object) -> Leaf | None:
    """The device certificate a table means."""
    match name:
        case "expired":
            return device("expired", expired=True)
        case "stranger":
            return device("stranger", ca="strangers")
        case str():
            return device(name)
        case _:
            return None


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS.keys())
async def test_refused_client_learns_the_alert_every_time(
    start_front: StartFront,
    case: tuple[Callable[[], ServerTls], dict[str, object], str],
) -> None:
    """Every refused handshake ends in the right alert, and the log knows which."""
    make_tls, options, expected = case
    started = await start_front(make_tls())
    options = {**options, "leaf": leaf_named(options.get("leaf"))}
    for _ in range(TRIES):
        client = await started.client(**options)
        # In TLS 1.3 the client is open before the server has judged it.
        failure = await client.ended()
        assert failure is not None
        assert failure.kind == f"tls.alert.{expected}"
    log = started.front.handshakes.after()
    assert {entry.alert_sent for entry in log} == {expected}
    assert len(log) == TRIES
    assert "ok" not in started.front.handshakes.by_result()


async def test_alert_survives_a_client_that_keeps_sending(
    start_front: StartFront,
) -> None:
    """Unread data behind the ClientHello does not turn the alert into a reset."""
    started = await start_front(server_tls())
    for _ in range(TRIES):
        client = await PumpClient.connect(
            started.port, client_connection(group=ECDSA_ONLY)
        )
        assert client.tcp is not None
        for _ in range(16):
            client.tcp.write(os.urandom(64 * 1024))
        failure = await client.ended()
        assert failure is not None
        assert failure.kind == "tls.alert.handshake_failure"


@pytest.mark.server
@pytest.mark.parametrize(
    ("options", "number"),
    [
        pytest.param(("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"), 40, id="suite"),
        pytest.param(("-tls1_2",), 40, id="no-certificate"),
        pytest.param(("-tls1_3",), 116, id="no-certificate-tls13"),
        pytest.param(("-tls1_2", "REVOKED"), 44, id="revoked"),
        pytest.param(("-tls1_3", "REVOKED"), 44, id="revoked-tls13"),
        pytest.param(("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), 70, id="version"),
    ],
)
async def test_openssl_reads_the_alert_every_time(
    start_front: StartFront, files: Path, options: tuple[str, ...], number: int
) -> None:
    """OpenSSL's own client prints the alert number, 20 of 20 times."""
    started = await start_front(mutual_tls())
    revoked = ("-cert", str(files / "revoked.pem"), "-key", str(files / "revoked.key"))
    arguments = [
        part
        for option in options
        for part in (revoked if option == "REVOKED" else (option,))
    ]
    for _ in range(TRIES):
        output = await s_client(started.port, files, "-ign_eof", *arguments)
        assert f"SSL alert number {number}" in output


# ------------------------------------------------------------------- who gets through


async def test_device_with_a_certificate_gets_through(start_front: StartFront) -> None:
    """Mutual TLS admits a good device and logs who it was."""
    started = await start_front(mutual_tls())
    for options in ({}, ANY_13):
        client = await started.client(leaf=device("fine"), **options)
        response = await client.request("GET /a HTTP/1.1\r\nHost: lab\r\n\r\n")
        assert response.startswith(b"HTTP/1.1 200")
        client.close()
    entries = started.front.handshakes.after()
    assert {entry.client_subject for entry in entries} == {"CN=fine"}
    assert {int(entry.client_serial, 16) for entry in entries} == {
        device("fine").certificate.serial_number
    }
    assert {entry.result for entry in entries} == {"ok"}


SUITES = [
    pytest.param(("-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"), id="dhe"),
    pytest.param(("-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"), id="rsa-kx"),
    pytest.param(("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"), id="ecdsa"),
    pytest.param(("-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA256"), id="ecdhe-cbc"),
    pytest.param(("-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"), id="tls13"),
    pytest.param(
        ("-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"), id="chacha"
    ),
]


@pytest.mark.server
@pytest.mark.parametrize("options", SUITES)
async def test_openssl_gets_an_answer_with_every_suite(
    start_front: StartFront, files: Path, options: tuple[str, ...]
) -> None:
    """Every suite asked for is the one OpenSSL uses, and HTTP works over it."""
    started = await start_front(server_tls(server("localhost"), server_p256()))
    output = await s_client(
        started.port,
        files,
        *("-quiet", "-verify_return_error", "-verify_hostname", "localhost"),
        *options,
        stdin=b"GET /suite HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n",
    )
    assert "GET /suite 0 d41d8cd98f00b204e9800998ecf8427e" in output
    assert started.front.handshakes.after()[-1].suite == options[2].split(":")[0]


@pytest.mark.server
@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("localhost", "CN = localhost"),
        ("other.example", "CN = other.example"),
        ("OTHER.example", "CN = other.example"),
        ("unknown.example", "CN = localhost"),
    ],
)
async def test_sni_chooses_the_certificate(
    start_front: StartFront, files: Path, name: str, subject: str
) -> None:
    """The certificate for the name asked for is shown, else the default one."""
    certificates = (
        presented(server("localhost")),
        presented(server("other.example"), "other.example"),
    )
    started = await start_front(server_tls(certificates=certificates))
    output = await s_client(started.port, files, "-servername", name)
    assert f"subject={subject}" in output
    assert started.front.handshakes.after()[-1].server_name == name


@pytest.mark.server
async def test_curl_uploads(start_front: StartFront, files: Path) -> None:
    """Curl uploads 8 MiB with Expect: 100-continue and checks our certificate."""
    started = await start_front(server_tls())
    body = os.urandom(8 * MIB)
    (files / "body").write_bytes(body)
    code, output = await run_program(
        "curl",
        *("--silent", "--show-error", "--fail", "--noproxy", "*"),
        *("--cacert", str(files / "root.pem")),
        *("--header", "Expect: 100-continue"),
        *("--upload-file", str(files / "body")),
        f"https://127.0.0.1:{started.port}/up",
    )
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    assert (code, output) == (0, f"PUT /up {8 * MIB} {digest}")


async def test_session_is_resumed_until_the_swap(start_front: StartFront) -> None:
    """Tickets resume under the same settings and never across a swap."""
    started = await start_front(server_tls(session_tickets=True))
    rules = TlsRules(resumption=True)
    first = await started.client(rules=rules)
    assert first.pump is not None
    session = first.pump.session()
    first.close()
    second = await started.client(rules=rules, session=session)
    second.close()
    started.front.swap(server_tls(session_tickets=True))
    third = await started.client(rules=rules, session=session)
    third.close()
    resumed = [entry.resumed for entry in started.front.handshakes.after()]
    assert resumed == [False, True, False]
    assert started.front.counters.resumed == 1


# --------------------------------------------------------------------------- hot swap


async def test_swap_spares_what_is_under_way(start_front: StartFront) -> None:
    """A keep-alive connection and a 32 MiB upload live through a swap."""
    started = await start_front(server_tls())
    idle = await started.client()
    await idle.request("GET /1 HTTP/1.1\r\nHost: lab\r\n\r\n")
    upload = await started.client()
    body = os.urandom(32 * MIB)
    upload.send(
        f"PUT /big HTTP/1.1\r\nHost: lab\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    upload.send(body[: 16 * MIB])

    started.front.swap(server_tls(server("new.example")))
    fresh = await started.client(host="new.example")
    assert fresh.failure is None
    refused = await started.client()
    assert refused.failure is not None
    assert refused.failure.kind == "tls.verify.hostname_mismatch"

    upload.send(body[16 * MIB :])
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    assert (await upload.responses())[0].endswith(f"{len(body)} {digest}".encode())
    again = await idle.request("GET /2 HTTP/1.1\r\nHost: lab\r\n\r\n")
    assert b"GET /2 0" in again
    for client in (idle, upload, fresh):
        client.close()


# ----------------------------------------------------------------------- flow control


async def test_slow_reader_costs_no_memory(start_front: StartFront) -> None:
    """A 64 MiB answer nobody reads waits as a reference, not as ciphertext."""
    body = os.urandom(64 * MIB)
    transports: list[asyncio.Transport] = []
    written = asyncio.Event()

    async def large(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        transports.append(request.transport)
        response = web.Response(body=body)
        await response.prepare(request)
        written.set()
        return response

    started = await start_front(server_tls(), large)
    client = await started.client()
    assert client.tcp is not None
    client.tcp.pause_reading()
    client.send(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n")
    await written.wait()
    await turn_until(transports[0].get_write_buffer_size)
    facade = transports[0]
    tcp = facade._tcp  # type: ignore[attr-defined]  # white box: what TCP holds
    assert tcp.get_write_buffer_size() <= SLICE_BYTES + 128 * 1024
    assert facade.get_write_buffer_size() > 32 * MIB
    client.tcp.resume_reading()
    response = (await client.responses())[0]
    assert response.endswith(body)
    client.close()


async def test_upload_waits_for_a_slow_handler(start_front: StartFront) -> None:
    """A handler that does not read stops the client, then gets every byte."""
    may_read = asyncio.Event()
    digests: list[str] = []

    async def slow(request: web.BaseRequest) -> web.Response:
        await may_read.wait()
        digests.append((await receive(request))[1])
        return web.Response()

    started = await start_front(server_tls(), slow)
    client = await started.client()
    body = os.urandom(48 * MIB)
    client.send(
        f"PUT / HTTP/1.1\r\nHost: lab\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    )
    client.send(body)
    connection = next(iter(started.front._connections))
    tcp = connection._tcp
    assert tcp is not None
    await turn_until(lambda: not tcp.is_reading())
    taken = connection._pump.bytes_in  # type: ignore[union-attr]  # white box
    assert taken < 2 * MIB
    may_read.set()
    await client.responses()
    assert digests == [hashlib.md5(body, usedforsecurity=False).hexdigest()]
    client.close()


async def test_pipelined_requests_are_answered_in_order(
    start_front: StartFront,
) -> None:
    """Fifty requests in one piece come back as fifty answers in order."""
    started = await start_front(server_tls())
    client = await started.client()
    client.send(
        b"".join(b"GET /%d HTTP/1.1\r\nHost: lab\r\n\r\n" % n for n in range(50))
    )
    answers = await client.responses(50)
    assert [int(re.findall(rb"GET /(\d+)", each)[0]) for each in answers] == [
        *range(50)
    ]
    client.close()


# ------------------------------------------------------------------ strange and silent


async def test_silent_client_is_closed_by_the_deadline(
    start_front: StartFront,
) -> None:
    """A client that connects and says nothing is closed and logged."""
    limits = FrontLimits(handshake_timeout_s=0.05, linger_s=0.05)
    started = await start_front(server_tls(), limits=limits)
    client = await PumpClient.connect(started.port)
    await client.ended()
    assert started.front.handshakes.by_result() == {"tls.timeout": 1}
    assert started.front.counters.handshake_timeouts == 1


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n", id="plain-http"),
        pytest.param(bytes(range(256)) * 64, id="garbage"),
        pytest.param(b"\x16\x03\x01\xff\xff" + b"\0" * 70_000, id="oversized-record"),
        pytest.param(b"\x15\x03\x03\x00\x02\x02\x28", id="alert-first"),
    ],
)
async def test_nonsense_is_closed_and_logged(
    start_front: StartFront, said: bytes
) -> None:
    """Whatever is not TLS ends the connection and is counted as such."""
    started = await start_front(server_tls())
    client = await PumpClient.connect(started.port)
    client.send(said)
    await client.ended()
    (result,) = started.front.handshakes.by_result()
    assert result in {"tls.protocol", "tls.alert.handshake_failure"}


async def test_linger_is_bounded(start_front: StartFront) -> None:
    """A refused client that never closes its side is closed after the linger time."""
    limits = FrontLimits(linger_s=0.05)
    started = await start_front(server_tls(), limits=limits)
    client = await PumpClient.connect(started.port, client_connection(group=ECDSA_ONLY))
    client.stays_open = True
    await turn_until(lambda: started.front.handshakes.total)
    await turn_until(lambda: not started.front.live)
    assert client.failure is not None
    assert client.failure.kind == "tls.alert.handshake_failure"
    client.close()


async def test_our_own_rejection_is_logged(start_front: StartFront) -> None:
    """The log names the alert a client sends when it does not trust the server."""
    started = await start_front(server_tls())
    client = await started.client(anchors=(root("strangers").certificate,))
    await client.ended()
    (entry,) = started.front.handshakes.after()
    assert entry.result == "tls.alert.unknown_ca"
    assert (entry.alert_received, entry.alert_sent) == ("unknown_ca", "")


async def test_client_that_leaves_mid_handshake_is_logged(
    start_front: StartFront,
) -> None:
    """A connection lost in the handshake is a reset in the log."""
    started = await start_front(server_tls())
    client = await PumpClient.connect(started.port)
    client.send(b"\x16\x03\x01")
    client.close()
    await client.ended()
    await turn_until(lambda: started.front.handshakes.total)
    assert started.front.handshakes.by_result() == {"tls.reset": 1}


async def test_upload_cut_short_ends_the_request(start_front: StartFront) -> None:
    """A handler waiting for the rest of a body learns that it never comes."""
    ended: asyncio.Future[type[BaseException]] = (
        asyncio.get_running_loop().create_future()
    )
    begun = asyncio.Event()

    async def reading(request: web.BaseRequest) -> web.Response:
        begun.set()
        try:
            await request.read()
        except BaseException as exc:
            ended.set_result(type(exc))
            raise
        return web.Response()

    started = await start_front(server_tls(), reading)
    client = await started.client()
    client.send(b"PUT / HTTP/1.1\r\nHost: lab\r\nContent-Length: 1000\r\n\r\nabc")
    await begun.wait()
    client.close()
    assert issubclass(await ended, ConnectionError)


async def test_idle_connections_are_swept(start_front: StartFront) -> None:
    """What did not move between two sweeps is dropped, what moved stays."""
    started = await start_front(server_tls())
    idle = await started.client()
    busy = await started.client()
    started.front.sweep()
    await busy.request("GET / HTTP/1.1\r\nHost: lab\r\n\r\n")
    started.front.sweep()
    await idle.ended()
    assert started.front.counters.idle_closed == 1
    await busy.request("GET / HTTP/1.1\r\nHost: lab\r\n\r\n")
    busy.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_too_many_connections_are_refused(
    start_front: StartFront, scheme: str
) -> None:
    """Past the limit a connection ends at once; earlier ones go on."""
    limits = FrontLimits(max_connections=1)
    started = await start_front(
        server_tls() if scheme == "https" else None, echo, limits
    )
    connection = client_connection if scheme == "https" else lambda: None
    kept = await PumpClient.connect(started.port, connection())
    await kept.request(
        "GET / HTTP/1.1\r\nHost: lab\r\n\r\n"
    ) if kept.pump is None else (await kept.opened())
    second = await PumpClient.connect(started.port, connection())
    await second.ended()
    assert started.front.counters.refused == 1
    assert b"200" in await kept.request("GET / HTTP/1.1\r\nHost: lab\r\n\r\n")
    kept.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_close_connections_resets_them(
    start_front: StartFront, scheme: str
) -> None:
    """A reset reaches the client as a reset, and the front goes on listening."""
    started = await start_front(server_tls() if scheme == "https" else None)
    connection = client_connection if scheme == "https" else lambda: None
    client = await PumpClient.connect(started.port, connection())
    if client.pump is not None:
        await client.opened()
    await client.request("GET / HTTP/1.1\r\nHost: lab\r\n\r\n")
    assert started.front.close_connections() == 1
    assert isinstance(await client.lost, ConnectionResetError)
    again = await PumpClient.connect(started.port, connection())
    if again.pump is not None:
        await again.opened()
    await again.request("GET / HTTP/1.1\r\nHost: lab\r\n\r\n")
    again.close()


async def test_stop_lets_a_request_finish(start_front: StartFront) -> None:
    """Stopping waits, within its grace, for the request under way."""
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.BaseRequest) -> web.Response:
        begun.set()
        await may_end.wait()
        return web.Response(text="done")

    started = await start_front(server_tls(), slow)
    client = await started.client()
    client.send(b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n")
    await begun.wait()

    async def finish() -> None:
        may_end.set()
        assert (await client.responses())[0].endswith(b"done")
        await client.ended()

    started.front.close_listener()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(started.http.shutdown(5))
        tasks.create_task(finish())
    await started.front.stop(1)
    with pytest.raises(ConnectionRefusedError):
        await PumpClient.connect(started.port)


async def test_plain_front_serves_http(start_front: StartFront) -> None:
    """The http scheme is the same front without TLS."""
    started = await start_front(None)
    client = await PumpClient.connect(started.port)
    assert (await client.request("GET /p HTTP/1.1\r\nHost: a\r\n\r\n")).endswith(
        b"GET /p 0 d41d8cd98f00b204e9800998ecf8427e"
    )
    client.close()
    assert not started.front.is_tls
    with pytest.raises(ValueError, match="plain HTTP"):
        started.front.swap(server_tls())
