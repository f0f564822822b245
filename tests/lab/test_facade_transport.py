import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsim.lab.facade_transport import SLICE_BYTES, FacadeTransport
from fleetsim.transport.tls_pump import TlsPump
from fleetsim.transport.tls_server import ServerContext
from tests.lab.tls_clients import client_connection, server_tls

HIGH_WATER = 64 * 1024


class FakeTcp(asyncio.Transport):
    """A TCP transport whose peer reads when the test says so."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 5)})
        self.buffer = bytearray()
        self.facade: FacadeTransport | None = None
        self.is_blocked = False
        self.is_aborted = False
        self.reading = True

    def write(self, data: Any) -> None:
        """Buffer, and block above the high-water mark."""
        self.buffer += data
        if len(self.buffer) > HIGH_WATER and not self.is_blocked:
            self.is_blocked = True
            assert self.facade is not None
            self.facade.block()

    def drain(self) -> bytes:
        """Let the peer read everything."""
        taken = bytes(self.buffer)
        self.buffer.clear()
        if self.is_blocked:
            self.is_blocked = False
            assert self.facade is not None
            self.facade.unblock()
        return taken

    def get_write_buffer_size(self) -> int:
        """Bytes not yet read by the peer."""
        return len(self.buffer)

    def is_closing(self) -> bool:
        """Whether it was aborted."""
        return self.is_aborted

    def abort(self) -> None:
        """Note it."""
        self.is_aborted = True

    def is_reading(self) -> bool:
        """Whether reading goes on."""
        return self.reading

    def pause_reading(self) -> None:
        """Note it."""
        self.reading = False

    def resume_reading(self) -> None:
        """Note it."""
        self.reading = True


class Handler(asyncio.Protocol):
    """An HTTP handler that checks flow control: pause and resume must alternate."""

    def __init__(self) -> None:
        self.is_paused = False
        self.pauses = 0

    def pause_writing(self) -> None:
        """Must not come twice."""
        assert not self.is_paused
        self.is_paused = True
        self.pauses += 1

    def resume_writing(self) -> None:
        """Must follow a pause."""
        assert self.is_paused
        self.is_paused = False


class Bench:
    """A facade on a fake TCP transport, and the client at its other end."""

    def __init__(self) -> None:
        self.client = TlsPump(client_connection())
        self.server = TlsPump(_SERVER.connection())
        self.client.handshake()
        while not (self.client.is_open and self.server.is_open):
            self.server.receive(self.client.take())
            self.client.receive(self.server.take())
        self.tcp = FakeTcp()
        self.handler = Handler()
        self.finished = 0
        self.facade = FacadeTransport(
            self.tcp, self.server, self.handler, self._on_finished
        )
        self.tcp.facade = self.facade
        self.received = bytearray()

    def _on_finished(self) -> None:
        self.finished += 1

    def read(self) -> None:
        """Let the client read what TCP has."""
        self.received += self.client.receive(self.tcp.drain())

    def read_all(self) -> None:
        """Let the client read until nothing comes any more."""
        while self.tcp.buffer:
            self.read()


_SERVER = ServerContext(server_tls())

WRITES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.integers(1, 3 * SLICE_BYTES).map(bytes),
        st.lists(st.binary(max_size=20_000), max_size=4),
        st.just("read"),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(steps=WRITES)
def test_every_byte_arrives_once_and_in_order(
    steps: list[bytes | list[bytes] | str],
) -> None:
    """However writes, reads and the close fall, the client gets what was written."""
    bench = Bench()
    expected = bytearray()
    for step in steps:
        match step:
            case str():
                bench.read()
            case bytes():
                bench.facade.write(step)
                expected += step
            case list():
                bench.facade.writelines(step)
                expected += b"".join(step)
        # One slice, its record framing, and what was below the mark before it.
        assert len(bench.tcp.buffer) <= HIGH_WATER + SLICE_BYTES + 1024
    bench.facade.close()
    bench.facade.write(b"too late")
    bench.read_all()
    assert bytes(bench.received) == bytes(expected)
    assert bench.client.is_closed
    assert bench.finished == 1
    assert not bench.tcp.is_aborted


def test_blocked_bytes_wait_as_references() -> None:
    """What TCP does not take is neither encrypted nor copied."""
    bench = Bench()
    body = bytes(20 * SLICE_BYTES)
    bench.facade.write(body)
    assert bench.handler.pauses == 1
    assert bench.facade._queue[0].obj is body
    assert bench.facade.get_write_buffer_size() > 18 * SLICE_BYTES
    bench.read_all()
    assert not bench.handler.is_paused
    assert bench.facade.get_write_buffer_size() == 0
    assert bytes(bench.received) == body


def test_mutable_buffer_may_change_after_write() -> None:
    """A bytearray is the caller's again as soon as write returns."""
    bench = Bench()
    buffer = bytearray(b"a" * (3 * SLICE_BYTES))
    bench.facade.write(buffer)
    buffer[:] = b"b" * len(buffer)
    bench.read_all()
    assert bytes(bench.received) == b"a" * len(buffer)


def test_closing_waits_for_pending_bytes() -> None:
    """The close_notify comes last, after everything that was blocked."""
    bench = Bench()
    bench.facade.write(bytes(4 * SLICE_BYTES))
    bench.facade.close()
    assert bench.facade.is_closing()
    assert bench.finished == 0
    bench.read_all()
    assert bench.finished == 1
    assert bench.client.is_closed
    assert len(bench.received) == 4 * SLICE_BYTES


def test_abort_drops_everything() -> None:
    """After an abort nothing is sent and nobody is told to go on."""
    bench = Bench()
    bench.facade.write(bytes(4 * SLICE_BYTES))
    bench.facade.abort()
    assert bench.tcp.is_aborted
    assert bench.facade.get_write_buffer_size() == len(bench.tcp.buffer)
    bench.read()
    assert bench.finished == 0
    assert bench.handler.is_paused


def test_broken_tls_aborts_the_connection() -> None:
    """A pump that died of bad bytes sends nothing more."""
    bench = Bench()
    bench.server.receive(b"\x17\x03\x03\x00\x20" + bytes(32))
    assert bench.server.failure is not None
    bench.facade.write(b"answer")
    assert bench.tcp.is_aborted


def test_reading_is_the_transports_own() -> None:
    """Pausing reading pauses TCP; a closing facade no longer touches it."""
    bench = Bench()
    bench.facade.pause_reading()
    assert not bench.facade.is_reading()
    bench.facade.resume_reading()
    assert bench.facade.is_reading()
    bench.facade.close()
    bench.facade.pause_reading()
    assert bench.facade.is_reading()


def test_facts_of_the_connection() -> None:
    """Peer address of TCP, a true sslcontext, no half-close, a changeable protocol."""
    bench = Bench()
    assert bench.facade.get_extra_info("peername") == ("192.0.2.1", 5)
    assert bench.facade.get_extra_info("sslcontext")
    assert bench.facade.get_extra_info("compression", "none") == "none"
    assert not bench.facade.can_write_eof()
    with pytest.raises(NotImplementedError):
        bench.facade.write_eof()
    assert bench.facade.get_protocol() is bench.handler
    other = Handler()
    bench.facade.set_protocol(other)
    assert bench.facade.get_protocol() is other
