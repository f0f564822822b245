"""One SDK device against real HTTP servers: what is sent, repeated, measured, cut off."""

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path

import aioboto3
import aiohttp
import pytest
from aiobotocore.httpsession import AIOHTTPSession
from aiohttp import web
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from fleetsim.core.commands import Connect, Operation, Send, Task
from fleetsim.core.device_settings import DeviceSettings
from fleetsim.core.events import Handshake, Response
from fleetsim.core.failure import Failure, Kind
from fleetsim.core.requests import fetch, put_file
from fleetsim.core.sdk_settings import ChecksumMode, SdkSettings
from fleetsim.core.settings import ConnectionUse, Credentials, Endpoint
from fleetsim.core.sigv4 import Signer
from fleetsim.core.trust_bundle import EMPTY_BUNDLE, TrustBundle
from fleetsim.engine.clock import MonotonicClock
from fleetsim.transport.network import Network
from fleetsim.transport.sdk.channel import SdkChannel, SdkNetwork
from fleetsim.transport.sdk.client import WatchedSession
from fleetsim.transport.sdk.exchange import Call, Exchange
from tests.core.conversation import make_settings
from tests.integration.s3_lab import ACCESS_KEY, SECRET_KEY, running_lab
from tests.lab.tls_clients import device, identity, root, server

KEY = "AABBCCDD/00000001/00000001-6B49D200.MF4"
ROOT = TrustBundle.of((root("root").certificate,))
DEFAULTS = SdkSettings()
MIB = 1024 * 1024
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Seen:
    """What a server was asked, in order.

    Attributes:
        requests: Method and path.
        headers: Of each request.
        peers: Local port of the client, of each request.
        second: Set by the second request.
    """

    requests: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    peers: list[int] = field(default_factory=list)
    second: asyncio.Event = field(default_factory=asyncio.Event)


@contextlib.asynccontextmanager
async def serving(
    answers: Iterator[Handler | int], tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, Seen]]:
    """A server of aiohttp that answers by a script; gives its port."""
    seen = Seen()

    async def handle(request: web.Request) -> web.StreamResponse:
        seen.requests.append(f"{request.method} {request.path}")
        seen.headers.append({k.lower(): v for k, v in request.headers.items()})
        assert request.transport is not None
        seen.peers.append(request.transport.get_extra_info("peername")[1])
        if len(seen.requests) == 2:
            seen.second.set()
        answer = next(answers)
        if not isinstance(answer, int):
            return await answer(request)
        await request.read()
        if answer == 200:
            return web.Response(headers={"ETag": '"e"'})
        text = f"<Error><Code>Code{answer}</Code><Message>no</Message></Error>"
        return web.Response(status=answer, text=text, content_type="application/xml")

    app = web.Application(client_max_size=64 * MIB)
    app.router.add_route("*", "/{path:.*}", handle)  # answers Expect: 100-continue
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield runner.addresses[0][1], seen
    finally:
        await runner.cleanup()


async def reset(request: web.Request) -> web.StreamResponse:
    """Drop the connection instead of an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def silent(_request: web.Request) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError("woken")


def object_of(size: int) -> Handler:
    """Answer with a body."""

    async def answer(_request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * size, headers={"ETag": '"of the object"'})

    return answer


class SdkDevice:
    """A channel whose reports can be awaited.

    Attributes:
        repeated: Exchanges that the SDK repeated.
        call: The call that was settled last.
    """

    def __init__(
        self,
        shared: SdkNetwork,
        endpoint: Endpoint,
        *,
        sdk: SdkSettings = DEFAULTS,
        connection: ConnectionUse = ConnectionUse.KEEP_ALIVE,
        bundle: TrustBundle = ROOT,
        credentials: Credentials | None = None,
    ) -> None:
        keys = credentials or Credentials(access_key=ACCESS_KEY, secret_key=SECRET_KEY)
        self.settings: DeviceSettings = replace(
            make_settings(connection=connection),
            endpoint=endpoint,
            credentials=keys,
            signer=Signer(keys, endpoint),
        )
        self.bundle = bundle
        self.repeated: list[Exchange] = []
        self.call: Call | None = None
        self._reports: asyncio.Queue[Response | Failure] = asyncio.Queue()
        self.channel = SdkChannel(shared, self, sdk=sdk, settings=lambda: self.settings)

    async def put(self, size: int = 1000) -> Response | Failure:
        """Upload a log file."""
        self.start_put(size)
        return await self.report()

    def start_put(self, size: int = 1000) -> None:
        """Begin to upload a log file."""
        task = self._task(Operation.UPLOAD, size)
        self._send(
            put_file(
                self.settings,
                task,
                fw_ver="01.07.05",
                closed_unix_s=1_800_000_000,
                put_index=0,
                keep_open=True,
            )
        )

    async def check(self, method: str = "GET", etag: str = "") -> Response | Failure:
        """Look for something over the air."""
        task = self._task(Operation.OTA_BUNDLE)
        self._send(fetch(self.settings, task, method=method, etag=etag, keep_open=True))
        return await self.report()

    async def report(self) -> Response | Failure:
        """Wait for what comes of it."""
        async with asyncio.timeout(20):
            return await self._reports.get()

    def _task(self, operation: Operation, size: int = 0) -> Task:
        return Task(
            operation=operation,
            key=KEY,
            planned_ns=0,
            body_bytes=size,
            content=5,
            device_unix_s=1_800_000_000,
        )

    def _send(self, command: Send) -> None:
        endpoint = self.settings.endpoint
        self._pending: Send | None = command
        self.channel.connect(
            Connect(
                task=command.task,
                endpoint=endpoint,
                group=None,
                bundle=self.bundle if endpoint.is_tls else None,
                verify_unix_s=0,
                resume=False,
            )
        )

    # ------------------------------------------------------- called by the channel

    def on_connected(self, handshake: Handshake | None) -> None:
        """Go on with the request."""
        assert handshake is None
        command, self._pending = self._pending, None
        assert command is not None
        self.channel.send(command)

    def on_connect_failed(self, failure: Failure) -> None:
        """Report."""
        self._reports.put_nowait(failure)

    def on_response(self, response: Response, *, is_open: bool) -> None:
        """Report."""
        assert not is_open
        self._reports.put_nowait(response)

    def on_request_failed(self, failure: Failure) -> None:
        """Report."""
        self._reports.put_nowait(failure)

    def on_lost(self) -> None:
        """Never: idle connections are the SDK's business."""
        raise AssertionError("lost")

    def on_repeated(self, exchange: Exchange) -> None:
        """Note."""
        self.repeated.append(exchange)

    def on_settled(self, call: Call) -> None:
        """Note."""
        self.call = call


def plain(port: int) -> Endpoint:
    """Endpoint of a plain server on this machine."""
    return Endpoint(scheme="http", host="127.0.0.1", port=port, bucket="fleet")


def secure(port: int) -> Endpoint:
    """Endpoint of a TLS server on this machine."""
    return Endpoint(scheme="https", host="localhost", port=port, bucket="fleet")


@contextlib.asynccontextmanager
async def sdk_network() -> AsyncIterator[SdkNetwork]:
    """Services of the devices of a test; everything is closed at its end."""
    async with asyncio.TaskGroup() as group:
        shared = SdkNetwork(
            Network(
                loop=asyncio.get_running_loop(),
                spawn=group.create_task,
                now_ns=MonotonicClock().now_ns,
            )
        )
        yield shared
    await shared.aclose()


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SDK's random waits be none."""
    monkeypatch.setattr("random.random", lambda: 0.0)


async def test_undocumented_names_exist() -> None:
    """What is replaced or set is still there, under its name."""
    for name in ("_create_connector", "_get_session", "send"):
        assert callable(getattr(AIOHTTPSession, name))
    assert WatchedSession._get_session is not AIOHTTPSession._get_session
    assert callable(aiohttp.TCPConnector._resolve_host)
    async with aiohttp.ClientSession() as session:
        assert session._retry_connection is True
        assert session.trace_configs == []


@pytest.mark.parametrize("host", ["127.0.0.1", "lab.test"])
async def test_the_fleets_resolver_decides_where_to_dial(host: str) -> None:
    """A name that is led elsewhere, and an address: faults stand before both."""
    async with (
        serving(iter([200])) as (port, seen),
        sdk_network() as shared,
    ):
        place = replace(plain(9), host=host)
        resolver = shared.network.resolver
        resolver.override(host, ["127.0.0.1"], port=9, to_port=port)
        assert isinstance(await SdkDevice(shared, place).put(), Response)
    assert seen.headers[0]["host"] == f"{host}:9"


@pytest.mark.usefixtures("no_waiting")
async def test_hidden_retries_are_told_one_by_one() -> None:
    """503 and 500 are repeated by the SDK, each told with its kind; then it is stored."""
    async with (
        serving(iter([503, reset, 500, 200])) as (port, seen),
        sdk_network() as shared,
    ):
        device = SdkDevice(shared, plain(port))
        answer = await device.put()
    assert isinstance(answer, Response)
    assert (answer.status, answer.headers["etag"]) == (200, '"e"')
    kinds = [e.failure.kind for e in device.repeated if e.failure is not None]
    assert kinds == ["s3.Code503", Kind.HTTP_RESET, "s3.Code500"]
    assert seen.requests == [f"PUT /fleet/{KEY}"] * 4
    assert len(set(seen.peers)) == 2, "only the reset made it dial again"
    assert seen.headers[0]["x-amz-meta-fw"] == "01.07.05"


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize(
    ("script", "attempts", "outcome"),
    [
        ([503, 503], 2, 503),
        ([403], 2, 403),
        ([reset, reset], 2, Kind.HTTP_RESET),
    ],
    ids=["throttled", "forbidden", "reset"],
)
async def test_the_last_attempt_is_the_devices(
    script: list[Handler | int], attempts: int, outcome: object
) -> None:
    """When the SDK gives up, or need not try again, the device gets the plain answer."""
    async with (
        serving(iter(script)) as (port, seen),
        sdk_network() as shared,
    ):
        device = SdkDevice(shared, plain(port), sdk=SdkSettings(max_attempts=attempts))
        answer = await device.put()
    found = answer.status if isinstance(answer, Response) else answer.kind
    assert found == outcome
    if isinstance(answer, Response):
        assert b"<Code>" in answer.body
    assert len(seen.requests) == len(script)
    assert len(device.repeated) == len(script) - 1


@pytest.mark.parametrize(
    ("connection", "connections"),
    [(ConnectionUse.KEEP_ALIVE, 1), (ConnectionUse.PER_UPLOAD, 3)],
    ids=str,
)
async def test_connections_live_as_the_workload_says(
    connection: ConnectionUse, connections: int
) -> None:
    """Kept by the pool, or closed after each response; a kept one has no dial."""
    async with (
        serving(iter([200] * 3)) as (port, seen),
        sdk_network() as shared,
    ):
        device = SdkDevice(shared, plain(port), connection=connection)
        dials = []
        for _ in range(3):
            await device.put()
            dials.append(device.channel.measures.tcp_ns >= 0)
            assert device.channel.measures.wait_ns > 0
    assert len(set(seen.peers)) == sum(dials) == connections


@pytest.mark.parametrize(
    ("mode", "has_trailer"),
    [(ChecksumMode.WHEN_SUPPORTED, True), (ChecksumMode.WHEN_REQUIRED, False)],
    ids=str,
)
async def test_checksums_as_configured(mode: ChecksumMode, has_trailer: bool) -> None:
    """``when_supported`` sends a CRC32, ``when_required`` does not."""
    async with (
        serving(iter([200])) as (port, seen),
        sdk_network() as shared,
    ):
        sdk = SdkSettings(request_checksum_calculation=mode)
        await SdkDevice(shared, plain(port), sdk=sdk).put()
    names = set(seen.headers[0])
    assert bool(names & {"x-amz-checksum-crc32", "x-amz-trailer"}) is has_trailer


@pytest.mark.parametrize(
    ("method", "answer", "status", "body"),
    [
        ("GET", object_of(5000), 200, b"x" * 5000),
        ("GET", 304, 304, b""),
        ("HEAD", 200, 200, b""),
        ("HEAD", 404, 404, b""),
    ],
    ids=["get", "not modified", "head", "missing"],
)
async def test_checks_over_the_air(
    method: str, answer: Handler | int, status: int, body: bytes
) -> None:
    """GET with its condition and HEAD; what firmware would have seen."""
    async with (
        serving(iter([answer])) as (port, seen),
        sdk_network() as shared,
    ):
        found = await SdkDevice(shared, plain(port)).check(method, "abc")
    assert isinstance(found, Response)
    assert (found.status, found.body) == (status, body)
    if method == "GET":
        assert seen.headers[0]["if-none-match"] == '"abc"'


async def test_an_object_that_is_too_large_is_not_read_whole() -> None:
    """Devices read a mebibyte of an over-the-air object, no more."""
    async with (
        serving(iter([object_of(3 * MIB)])) as (port, _),
        sdk_network() as shared,
    ):
        found = await SdkDevice(shared, plain(port)).check()
    assert isinstance(found, Failure)
    assert found.kind == Kind.HTTP_MALFORMED


async def test_large_files_go_up_in_parts() -> None:
    """17 MiB in parts of 8: the whole file is stored, and nothing is left over."""
    size = 17 * MIB
    with running_lab() as lab:
        async with sdk_network() as shared:
            device = SdkDevice(shared, plain(lab.port))
            answer = await device.put(size)
        async with aioboto3.Session(ACCESS_KEY, SECRET_KEY).client(
            "s3", endpoint_url=lab.url, region_name="us-east-1"
        ) as reader:
            found = await reader.get_object(Bucket="fleet", Key=KEY)
            stored = await found["Body"].read()
            unfinished = await reader.list_multipart_uploads(Bucket="fleet")
        sent = [request.operation for request in lab.requests]
    assert isinstance(answer, Response)
    body = b"".join(device.settings.payload.pieces(5, size))
    assert stored == body
    assert "Uploads" not in unfinished
    digests = b"".join(
        hashlib.md5(body[start : start + 8 * MIB], usedforsecurity=False).digest()
        for start in range(0, size, 8 * MIB)
    )
    whole = hashlib.md5(digests, usedforsecurity=False).hexdigest()
    assert answer.headers["etag"] == f'"{whole}-3"'
    assert sorted(sent[:5]) == [
        "CompleteMultipartUpload",
        "CreateMultipartUpload",
        *["UploadPart"] * 3,
    ]
    measured = device.channel.measures
    assert measured.tcp_ns > 0
    assert (measured.send_ns, measured.wait_ns) == (-1, -1)
    assert measured.bytes_sent > size


@pytest.mark.usefixtures("no_waiting")
async def test_a_part_that_fails_ends_the_upload() -> None:
    """The part's own refusal is the device's answer, and the upload is aborted."""
    created = "<InitiateMultipartUploadResult><UploadId>u</UploadId></Initiate"
    begun = web.Response(text=f"{created}MultipartUploadResult>")

    async def answer(request: web.Request) -> web.StreamResponse:
        await request.read()
        match request.method:
            case "POST":
                return begun
            case "DELETE":
                return web.Response(status=204)
            case _:
                text = "<Error><Code>SlowDown</Code></Error>"
                return web.Response(status=503, text=text)

    async with (
        serving(repeat(answer)) as (port, seen),
        sdk_network() as shared,
    ):
        sdk = SdkSettings(max_attempts=2, max_concurrency=1)
        device = SdkDevice(shared, plain(port), sdk=sdk)
        failed = await device.put(9 * MIB)
    assert isinstance(failed, Response)
    assert (failed.status, b"SlowDown" in failed.body) == (503, True)
    assert [line.split()[0] for line in seen.requests] == [
        "POST",
        "PUT",
        "PUT",
        "DELETE",
    ]
    assert [e.failure.kind for e in device.repeated if e.failure] == ["s3.SlowDown"]


async def test_trust_is_the_bundle(tmp_path: Path) -> None:
    """A server of that root is trusted, with every phase measured; another is not."""
    async with (
        serving(iter([200, 200]), _tls(tmp_path)) as (port, _),
        sdk_network() as shared,
    ):
        device_of_root = SdkDevice(shared, secure(port))
        answer = await device_of_root.put()
        measured = device_of_root.channel.measures
        call = device_of_root.call
        assert call is not None
        assert call.last is not None
        assert isinstance(answer, Response)
        assert min(measured.tcp_ns, measured.tls_ns, measured.send_ns) > 0
        assert (call.handshakes, call.last.tls_version) == (1, "TLSv1.3")

        other = TrustBundle.of((root("another").certificate,))
        stranger = SdkDevice(
            shared, secure(port), bundle=other, sdk=SdkSettings(max_attempts=1)
        )
        refused = await stranger.put()
        assert isinstance(refused, Failure)
        assert refused.kind.startswith("tls.verify.")

        # The same device after a new bundle: connections of the old one are dropped.
        device_of_root.bundle = TrustBundle.of(
            (*ROOT.certificates, *other.certificates)
        )
        assert isinstance(await device_of_root.put(), Response)
        assert device_of_root.channel.measures.tls_ns > 0


async def test_an_empty_bundle_trusts_nobody() -> None:
    """An SDK with an empty CA file does not get as far as the network."""
    async with sdk_network() as shared:
        refused = await SdkDevice(shared, secure(1), bundle=EMPTY_BUNDLE).put()
    assert isinstance(refused, Failure)
    assert refused.kind == Kind.DEVICE_NO_TRUST


async def test_mutual_tls_presents_the_devices_certificate(tmp_path: Path) -> None:
    """Without one the server refuses, with one the file is stored."""
    async with (
        serving(iter([200]), _tls(tmp_path, is_mutual=True)) as (port, _),
        sdk_network() as shared,
    ):
        sender = SdkDevice(shared, secure(port), sdk=SdkSettings(max_attempts=1))
        refused = await sender.put()
        # asyncio's own server sends no alert; the lab's front does (test_sdk_cohort).
        assert isinstance(refused, Failure)
        sender.channel.replace_identity(identity(device("AABBCCDD")))
        assert isinstance(await sender.put(), Response)


@pytest.mark.parametrize("is_silent", [True, False], ids=["silent", "told"])
async def test_cutting_off_drops_the_connection(*, is_silent: bool) -> None:
    """A request under way ends at once, without a retry; the next one dials anew."""
    async with (
        serving(iter([200, silent, 200])) as (port, seen),
        sdk_network() as shared,
    ):
        device = SdkDevice(shared, plain(port))
        await device.put()
        device.start_put()
        await seen.second.wait()
        device.channel.abort(silent=is_silent)
        assert device.channel.measures.send_ns >= 0
        if not is_silent:
            ended = await device.report()
            assert isinstance(ended, Failure)
            assert ended.kind == Kind.RUN_STOPPED
        assert isinstance(await device.put(), Response)
    assert not device.repeated
    assert len(seen.requests) == 3
    assert seen.peers[0] == seen.peers[1] != seen.peers[2]


async def test_other_keys_make_another_client() -> None:
    """Keys that were rotated are used from the next request on."""
    async with (
        serving(iter([200, 200])) as (port, seen),
        sdk_network() as shared,
    ):
        device = SdkDevice(shared, plain(port))
        await device.put()
        other = Credentials(access_key="AKOTHER", secret_key="not-a-secret")
        device.settings = replace(device.settings, credentials=other)
        await device.put()
    keys = [headers["authorization"] for headers in seen.headers]
    assert f"Credential={ACCESS_KEY}/" in keys[0]
    assert "Credential=AKOTHER/" in keys[1]


async def test_a_server_that_never_answers_is_a_timeout() -> None:
    """After ``read_timeout``, in the phase that waits."""
    async with (
        serving(iter([silent])) as (port, _),
        sdk_network() as shared,
    ):
        sdk = SdkSettings(max_attempts=1, read_timeout_s=0.2)
        failed = await SdkDevice(shared, plain(port), sdk=sdk).put()
    assert isinstance(failed, Failure)
    assert (failed.kind, failed.phase.value) == (Kind.HTTP_TIMEOUT, "wait")


def _tls(folder: Path, *, is_mutual: bool = False) -> ssl.SSLContext:
    leaf = server("localhost")
    file = folder / "server.pem"
    file.write_bytes(
        leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + leaf.certificate.public_bytes(Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    if is_mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(
            cadata=root("devices").certificate.public_bytes(Encoding.DER)
        )
    return context
