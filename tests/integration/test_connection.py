"""Channels on real sockets: every step of a connection's life and every way it ends."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from fleetsim.core.commands import Connect, Operation, Send, Task
from fleetsim.core.events import Handshake, Response
from fleetsim.core.failure import Failure
from fleetsim.core.settings import CipherGroup, Deadlines, Endpoint, TlsRules
from fleetsim.core.trust_bundle import EMPTY_BUNDLE, TrustBundle
from fleetsim.engine.clock import MonotonicClock
from fleetsim.transport.network import Network, NetworkChannel
from fleetsim.transport.tls_pump import TlsPump
from fleetsim.transport.tls_server import ServerContext
from tests.transport.pumps import ECDHE, PLAIN_SERVER, ROOT

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
SHORT = Deadlines(dns_s=0.2, connect_s=0.2, handshake_s=0.2, send_s=0.2, response_s=0.2)
TASK = Task(operation=Operation.UPLOAD, key="k", planned_ns=0)

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Told:
    """A listener that remembers what it was told."""

    events: asyncio.Queue[tuple[str, Any]] = field(default_factory=asyncio.Queue)

    def on_connected(self, handshake: Handshake | None) -> None:
        """Remember."""
        self.events.put_nowait(("connected", handshake))

    def on_connect_failed(self, failure: Failure) -> None:
        """Remember."""
        self.events.put_nowait(("connect_failed", failure.kind))

    def on_response(self, response: Response, *, is_open: bool) -> None:
        """Remember."""
        self.events.put_nowait(("response", (response.status, is_open)))

    def on_request_failed(self, failure: Failure) -> None:
        """Remember."""
        self.events.put_nowait(("request_failed", failure.kind))

    def on_lost(self) -> None:
        """Remember."""
        self.events.put_nowait(("lost", None))

    async def next(self) -> tuple[str, Any]:
        """What comes next."""
        async with asyncio.timeout(10):
            return await self.events.get()


@dataclass
class Setting:
    """A network with one channel."""

    told: Told
    channel: NetworkChannel
    network: Network


@contextlib.asynccontextmanager
async def channel(
    deadlines: Deadlines | None = None,
    tls: TlsRules | None = None,
    sources: tuple[str, ...] = (),
) -> AsyncIterator[Setting]:
    """Make a channel in a task group of its own."""
    async with asyncio.TaskGroup() as group:
        network = Network(
            loop=asyncio.get_running_loop(),
            spawn=group.create_task,
            now_ns=MonotonicClock().now_ns,
            source_addresses=sources,
        )
        told = Told()
        one = NetworkChannel(
            network, told, tls=tls or TlsRules(), deadlines=deadlines or Deadlines()
        )
        yield Setting(told, one, network)
        one.abort(silent=True)


@contextlib.asynccontextmanager
async def server(serve: Serve) -> AsyncIterator[int]:
    """Serve connections on a free port of loopback."""
    handlers: set[asyncio.Task[None]] = set()

    async def handle(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        task = asyncio.current_task()
        if task is not None:
            handlers.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await serve(reader, writer)
        finally:
            writer.close()

    listener = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in handlers:
            task.cancel()
        if handlers:
            await asyncio.wait(handlers, timeout=10)


def to(port: int, *, scheme: str = "http", host: str = "127.0.0.1") -> Connect:
    """A command to connect."""
    is_tls = scheme == "https"
    return Connect(
        task=TASK,
        endpoint=Endpoint(scheme=scheme, host=host, port=port, bucket="b"),
        group=CipherGroup("group 1", (ECDHE,)) if is_tls else None,
        bundle=TrustBundle.of((ROOT.certificate,)) if is_tls else None,
        verify_unix_s=1_800_000_000,
        resume=False,
    )


def request(body: bytes = b"", *, keep_open: bool = False) -> Send:
    """A command to send."""
    head = f"PUT /b/k HTTP/1.1\r\nhost: h\r\ncontent-length: {len(body)}\r\n\r\n"
    task = Task(operation=Operation.UPLOAD, key="k", planned_ns=0)
    task.body_bytes = len(body)
    return Send(task=task, head=head.encode(), body=(body,), keep_open=keep_open)


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Read one request with its body; returns the body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return await reader.readexactly(length)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a RST."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def answer_all(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer every request."""
    while True:
        await read_request(reader)
        writer.write(OK)


async def test_request_on_a_new_and_on_a_kept_connection() -> None:
    """Connect, request, answer; the kept connection serves the next request."""
    async with server(answer_all) as port, channel() as here:
        here.channel.connect(to(port))
        assert await here.told.next() == ("connected", None)
        here.channel.send(request(b"x" * 100, keep_open=True))
        assert await here.told.next() == ("response", (200, True))
        first = here.channel.measures
        assert first.tcp_ns > 0
        assert first.wait_ns > 0
        assert first.bytes_sent > 100
        here.channel.send(request(b"y", keep_open=False))
        assert await here.told.next() == ("response", (200, False))
        second = here.channel.measures
        assert second is not first
        assert (second.tcp_ns, second.dns_ns) == (-1, -1)


async def test_large_body_arrives_whole_under_back_pressure() -> None:
    """32 MiB go to a reader that reads slowly, in slices, all bytes equal."""
    received: list[bytes] = []

    async def slow_reader(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        received.append(await read_request(reader))
        writer.write(OK)

    body = bytes(range(256)) * (32 * 4096)
    async with server(slow_reader) as port, channel() as here:
        here.channel.connect(to(port))
        await here.told.next()
        here.channel.send(request(body))
        assert await here.told.next() == ("response", (200, False))
    assert received == [body]


async def test_names_are_resolved_once_and_measured() -> None:
    """A host name is looked up for the first connection only."""
    async with server(answer_all) as port, channel() as here:
        here.channel.connect(to(port, host="localhost"))
        assert await here.told.next() == ("connected", None)
        assert here.channel.measures.dns_ns > 0
        here.channel.connect(to(port, host="localhost"))
        assert await here.told.next() == ("connected", None)
        assert here.channel.measures.dns_ns == -1


async def test_source_address_is_used() -> None:
    """A connection leaves from the chosen local address."""
    peers: list[str] = []

    async def note_peer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        peers.append(writer.get_extra_info("peername")[0])
        await answer_all(reader, writer)

    async with server(note_peer) as port, channel(sources=("127.0.0.2",)) as here:
        here.channel.connect(to(port))
        await here.told.next()
        here.channel.send(request())
        await here.told.next()
    assert peers == ["127.0.0.2"]


async def test_refused_connection() -> None:
    """Nobody listens: tcp.refused."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        async with channel() as here:
            here.channel.connect(to(free.getsockname()[1]))
            assert await here.told.next() == ("connect_failed", "tcp.refused")


async def test_unknown_host() -> None:
    """A name that cannot exist (RFC 6761) is a dns failure."""
    async with channel() as here:
        here.channel.connect(to(1, host="no-such-host.invalid"))
        name, kind = await here.told.next()
        assert name == "connect_failed"
        assert kind.startswith("dns.")


async def test_empty_bundle_never_reaches_the_network() -> None:
    """Without trust anchors a device does not even connect."""
    async with channel() as here:
        command = to(1, scheme="https")
        command.bundle = EMPTY_BUNDLE
        here.channel.connect(command)
        assert await here.told.next() == (
            "connect_failed",
            "device.no_trusted_certificates",
        )


async def _silence(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def _read_then_silence(
    reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
) -> None:
    await read_request(reader)
    await reader.read()


async def _reset_after_request(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await read_request(reader)
    reset(writer)


async def _close_after_request(
    reader: asyncio.StreamReader, _writer: asyncio.StreamWriter
) -> None:
    await read_request(reader)


async def _truncate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(OK[:-1])


async def _garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


@pytest.mark.parametrize(
    ("serve", "kind"),
    [
        pytest.param(_read_then_silence, "http.timeout", id="silence"),
        pytest.param(_reset_after_request, "http.reset", id="reset"),
        pytest.param(_close_after_request, "http.reset", id="close"),
        pytest.param(_truncate, "http.reset", id="truncated"),
        pytest.param(_garbage, "http.malformed", id="not-http"),
    ],
)
async def test_request_that_gets_no_answer(serve: Serve, kind: str) -> None:
    """However a server fails to answer, it is a failure of the right kind."""
    async with server(serve) as port, channel(SHORT) as here:
        here.channel.connect(to(port))
        await here.told.next()
        here.channel.send(request(b"x"))
        assert await here.told.next() == ("request_failed", kind)


async def test_server_that_never_reads_times_out_in_send() -> None:
    """A body that cannot leave is a timeout too, counted from the last progress."""
    async with server(_silence_unread) as port, channel(SHORT) as here:
        here.channel.connect(to(port))
        await here.told.next()
        here.channel.send(request(b"x" * (64 * 1024 * 1024)))
        name, kind = await here.told.next()
        assert (name, kind) == ("request_failed", "http.timeout")
        assert here.channel.measures.wait_ns == -1


async def _silence_unread(
    _reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # a read transport
    await asyncio.Event().wait()


async def test_early_answer_ends_the_upload() -> None:
    """A server that refuses before it has read the body is heard; no connection kept."""

    async def refuse(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        await reader.read()

    async with server(refuse) as port, channel() as here:
        here.channel.connect(to(port))
        await here.told.next()
        here.channel.send(request(b"x" * (64 * 1024 * 1024), keep_open=True))
        assert await here.told.next() == ("response", (403, False))


async def test_idle_connection_that_the_server_closes_is_lost() -> None:
    """The listener hears of it, and only once."""

    async def one_answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await read_request(reader)
        writer.write(OK)

    async with server(one_answer) as port, channel() as here:
        here.channel.connect(to(port))
        await here.told.next()
        here.channel.send(request(keep_open=True))
        assert await here.told.next() == ("response", (200, True))
        assert await here.told.next() == ("lost", None)
        assert here.told.events.empty()


async def test_abort_reports_run_stopped_unless_silent() -> None:
    """An outstanding command ends as run.stopped, or without a word."""
    async with server(_silence) as port, channel() as here:
        here.channel.connect(to(port))
        await here.told.next()
        here.channel.send(request())
        here.channel.abort()
        assert await here.told.next() == ("request_failed", "run.stopped")
        here.channel.connect(to(port))
        here.channel.abort()
        assert await here.told.next() == ("connect_failed", "run.stopped")
        here.channel.connect(to(port))
        here.channel.abort(silent=True)
        assert here.told.events.empty()


# ---------------------------------------------------------------- TLS


def tls_serve(respond: bool = True) -> Serve:
    """Serve TLS on a pump over a stream."""
    context = ServerContext(PLAIN_SERVER)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pump = TlsPump(context.connection())
        while data := await reader.read(65536):
            plain = pump.receive(data)
            if plain and respond:
                pump.send([OK])
                pump.close()
            writer.write(pump.take())
            await writer.drain()
            if pump.failure is not None:
                return

    return serve


async def test_certificate_for_another_name() -> None:
    """The name is checked inside the handshake: a certificate without it fails."""
    async with server(tls_serve()) as port, channel() as here:
        here.channel.connect(to(port, scheme="https", host="localhost"))
        assert await here.told.next() == (
            "connect_failed",
            "tls.verify.hostname_mismatch",
        )


async def test_handshake_and_request_over_tls() -> None:
    """TLS: the handshake is described, the request is answered, phases are measured."""
    async with server(tls_serve()) as port, channel() as here:
        here.channel.connect(to(port, scheme="https"))
        name, handshake = await here.told.next()
        assert name == "connected"
        assert (handshake.version, handshake.suite) == ("TLSv1.2", ECDHE)
        assert here.channel.measures.tls_ns > 0
        here.channel.send(request(b"z" * 5000))
        assert await here.told.next() == ("response", (200, False))
        assert here.channel.measures.bytes_sent > 5000


@pytest.mark.parametrize(
    ("serve", "kind"),
    [
        pytest.param(_silence, "tls.timeout", id="silence"),
        pytest.param(answer_all, "tls.timeout", id="plain-http-that-waits"),
    ],
)
async def test_handshake_that_does_not_come(serve: Serve, kind: str) -> None:
    """A server that does not speak TLS ends in the handshake deadline."""

    async def patient(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await serve(reader, writer)

    async with server(patient) as port, channel(SHORT) as here:
        here.channel.connect(to(port, scheme="https"))
        assert await here.told.next() == ("connect_failed", kind)


async def test_connection_closed_in_the_handshake() -> None:
    """A connection that breaks mid-handshake without an alert is tls.reset."""

    async def hang_up(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.read(10)
        reset(writer)

    async with server(hang_up) as port, channel() as here:
        here.channel.connect(to(port, scheme="https"))
        assert await here.told.next() == ("connect_failed", "tls.reset")


async def test_http_answer_on_a_tls_port() -> None:
    """Plain text where TLS was expected is tls.protocol."""

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        await reader.read()

    async with server(plain) as port, channel() as here:
        here.channel.connect(to(port, scheme="https"))
        assert await here.told.next() == ("connect_failed", "tls.protocol")
