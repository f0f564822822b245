from collections.abc import Callable
from dataclasses import dataclass

import pytest

from fleetsim.core.draws import Draws
from fleetsim.lab.faults.blackhole import Blackhole
from fleetsim.lab.faults.delay import Delay
from fleetsim.lab.faults.flow import Direction, Fault
from fleetsim.lab.faults.half_close import HalfClose
from fleetsim.lab.faults.path import LINGER_S, WINDOW_BYTES, Path
from fleetsim.lab.faults.reset import Reset
from fleetsim.lab.faults.truncate import Truncate
from tests.lab.faults.bench import BenchLoop, BenchServer, BenchTransport


@dataclass
class Rig:
    """A path that is up."""

    path: Path
    loop: BenchLoop
    tcp: BenchTransport
    server: BenchServer
    gone: list[Path]

    def answer(self, data: bytes) -> None:
        """Let the server send."""
        assert self.server.transport is not None
        self.server.transport.write(data)

    def close(self) -> None:
        """Let the server close."""
        assert self.server.transport is not None
        self.server.transport.close()


def rig(*faults: Fault) -> Rig:
    """Make a connection under some faults."""
    loop, tcp, server = BenchLoop(), BenchTransport(), BenchServer()
    gone: list[Path] = []

    def flows(direction: Direction) -> list[tuple[str, object]]:
        made = ((fault.kind, fault.flow(direction, Draws(1))) for fault in faults)
        return [(kind, flow) for kind, flow in made if flow is not None]

    path = Path(
        loop.as_loop(),
        server,
        to_server=flows(Direction.TO_SERVER),  # type: ignore[arg-type]  # as made
        to_client=flows(Direction.TO_CLIENT),  # type: ignore[arg-type]  # as made
        on_gone=gone.append,
    )
    path.connection_made(tcp)
    return Rig(path, loop, tcp, server, gone)


def test_delay_works_both_ways() -> None:
    """Request and answer are late, the answer's delay counts from the answer."""
    made = rig(Delay(1.0))
    made.path.data_received(b"ping")
    made.loop.run_until(0.9)
    assert made.server.received == b""
    made.loop.run_until(1.5)
    assert made.server.received == b"ping"
    made.answer(b"pong")
    made.loop.run_until(2.4)
    assert made.tcp.sent == b""
    made.loop.run_until(2.5)
    assert made.tcp.sent == b"pong"


def test_client_is_held_up_while_much_is_on_its_way() -> None:
    """Past the window the socket is read no more, until most has arrived."""
    made = rig(Delay(1.0))
    made.path.data_received(b"x" * WINDOW_BYTES)
    assert made.tcp.log == []
    made.path.data_received(b"x")
    assert made.tcp.log == ["pause"]
    made.loop.run_until(1.0)
    assert made.tcp.log == ["pause", "resume"]
    assert len(made.server.received) == WINDOW_BYTES + 1


def test_server_is_held_up_while_much_is_on_its_way() -> None:
    """Past the window the server is told to pause, until most has arrived."""
    made = rig(Delay(1.0))
    made.answer(b"x" * (WINDOW_BYTES + 1))
    assert made.server.log == ["pause"]
    made.loop.run_until(1.0)
    assert made.server.log == ["pause", "resume"]


def test_slow_socket_holds_the_server_up_too() -> None:
    """Back-pressure of the client's TCP goes through, once."""
    made = rig(Delay(0.0))
    made.path.pause_writing()
    made.path.pause_writing()
    made.path.resume_writing()
    assert made.server.log == ["pause", "resume"]


def test_server_that_stops_reading_gets_nothing() -> None:
    """Bytes wait for a handler that paused, in order."""
    made = rig(Delay(1.0))
    transport = made.server.transport
    assert transport is not None
    transport.pause_reading()
    assert not transport.is_reading()
    made.path.data_received(b"a")
    made.path.data_received(b"b")
    made.loop.run_until(2.0)
    assert made.server.received == b""
    transport.resume_reading()
    assert made.server.received == b"ab"


def test_close_lets_the_last_bytes_arrive() -> None:
    """The socket is closed behind the last byte, and nothing can be written after."""
    made = rig(Delay(1.0))
    made.answer(b"last words")
    made.close()
    made.answer(b"too late")
    assert made.tcp.log == []
    made.loop.run_until(1.0)
    assert made.tcp.sent == b"last words"
    assert made.tcp.log == ["close"]


def test_close_does_not_wait_for_the_client() -> None:
    """What the client still sends after the server closed is dropped."""
    made = rig(Delay(1.0))
    made.close()
    assert made.tcp.log == ["close"]
    made.path.data_received(b"more")
    assert made.path.eof_received() is False
    made.loop.run_until(5.0)
    assert made.server.received == b""


def test_fin_travels_behind_the_bytes() -> None:
    """The server sees the end of the stream when its bytes have arrived, not before."""
    made = rig(Delay(1.0))
    made.path.data_received(b"all")
    assert made.path.eof_received() is True
    assert made.server.log == []
    made.loop.run_until(1.0)
    assert made.server.received == b"all"
    assert made.server.log == ["eof"]
    assert made.tcp.log == []


def test_server_that_ends_with_the_client_is_closed() -> None:
    """A protocol that does not keep its side open has it closed behind its answer."""
    made = rig(Delay(1.0))
    made.server.keeps_open = False
    made.answer(b"bye")
    made.path.eof_received()
    made.loop.run_until(1.0)
    assert made.tcp.sent == b"bye"
    assert made.tcp.log == ["close"]


def test_servers_fin_travels_too() -> None:
    """A half-closing server reaches the client in order, once."""
    made = rig(Delay(1.0))
    transport = made.server.transport
    assert transport is not None
    assert transport.can_write_eof()
    made.answer(b"end")
    transport.write_eof()
    transport.write_eof()
    made.answer(b"no more")
    made.loop.run_until(1.0)
    assert (bytes(made.tcp.sent), made.tcp.log) == (b"end", ["eof"])


def test_abort_drops_everything() -> None:
    """An abrupt end waits for nothing."""
    made = rig(Delay(1.0))
    made.answer(b"never")
    assert made.server.transport is not None
    made.server.transport.abort()
    made.loop.run_until(5.0)
    assert (bytes(made.tcp.sent), made.tcp.log) == (b"", ["abort"])


def test_lost_connection_is_told_once() -> None:
    """The protocol hears why, nothing is delivered any more, and the path is gone."""
    made = rig(Delay(1.0))
    made.path.data_received(b"late")
    why = ConnectionResetError()
    made.path.connection_lost(why)
    made.path.connection_lost(None)
    made.loop.run_until(5.0)
    assert made.server.log == [("lost", why)]
    assert made.server.received == b""
    assert made.gone == [made.path]
    assert made.loop.pending == 0


def test_reset_is_a_reset_to_both() -> None:
    """The client's socket is aborted, the server learns of a reset."""
    made = rig(Reset())
    made.path.data_received(b"hello")
    assert made.tcp.log == ["abort"]
    assert made.server.received == b""
    made.path.connection_lost(None)
    ((_, why),) = made.server.log
    assert isinstance(why, ConnectionResetError)


def test_truncated_answer_ends_with_fin_and_lingers() -> None:
    """The client gets its bytes and FIN; what it sends is dropped, for a while."""
    made = rig(Truncate(4))
    made.path.data_received(b"GET")
    made.answer(b"12345678")
    assert made.tcp.sent == b"1234"
    assert made.tcp.log == ["eof"]
    made.loop.run_until(0.0)
    assert made.server.log == ["eof"]
    made.path.data_received(b"more")
    assert made.server.received == b"GET"
    made.close()
    assert made.tcp.log == ["eof"]
    made.loop.run_until(LINGER_S)
    assert made.tcp.log == ["eof", "abort"]


def test_client_that_closes_ends_the_linger() -> None:
    """FIN from both sides: the transport may close at once, no timer is left."""
    made = rig(Truncate())
    made.path.data_received(b"GET")
    assert made.path.eof_received() is False
    made.path.connection_lost(None)
    assert made.server.log == [("lost", None)]
    assert made.loop.pending <= 1  # the server is told nothing twice
    made.loop.run_until(10.0)
    assert made.server.log == [("lost", None)]


def test_half_closed_client_is_still_heard() -> None:
    """FIN to the client; its bytes arrive, answers are lost, the server closes."""
    made = rig(HalfClose())
    made.path.data_received(b"PUT ")
    made.path.data_received(b"body")
    assert made.tcp.log == ["eof"]
    made.answer(b"200 OK")
    assert made.server.received == b"PUT body"
    assert made.tcp.sent == b""
    made.close()
    assert made.tcp.log == ["eof", "close"]


def test_blackhole_that_ends_lets_tcp_go_on() -> None:
    """Bytes and FIN that were held arrive when the fault is lifted."""
    made = rig(Blackhole())
    made.path.data_received(b"hello")
    made.path.eof_received()
    made.loop.run_until(1000.0)
    assert (bytes(made.server.received), made.server.log) == (b"", [])
    made.path.lift("blackhole")
    assert (bytes(made.server.received), made.server.log) == (b"hello", ["eof"])


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (lambda t: t.get_extra_info("peername"), ("192.0.2.7", 4711)),
        (lambda t: t.get_extra_info("cipher", "none"), "none"),
        (lambda t: t.get_write_buffer_limits(), (1, 2)),
        (lambda t: t.get_write_buffer_size(), 7 + 3),
        (lambda t: t.is_closing(), False),
    ],
)
def test_transport_tells_the_sockets_facts(
    ask: Callable[[object], object], answer: object
) -> None:
    """Facts are the socket's; what is on its way counts as not yet sent."""
    made = rig(Delay(1.0))
    transport = made.server.transport
    assert transport is not None
    transport.writelines([b"a", bytearray(b"bc")])
    assert ask(transport) == answer


def test_protocol_can_be_replaced() -> None:
    """Bytes go to whoever serves the connection when they arrive."""
    made = rig(Delay(1.0))
    other = BenchServer()
    assert made.server.transport is not None
    made.path.data_received(b"for the new one")
    made.server.transport.set_protocol(other)
    made.loop.run_until(1.0)
    assert other.received == b"for the new one"
    assert made.server.transport.get_protocol() is other
