"""Two pumps in memory: the rules of the pump, and what it makes of foreign bytes."""

from functools import lru_cache

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from fleetsim.core.failure import Failure, Kind, Phase, is_kind
from fleetsim.transport import openssl_names as openssl
from fleetsim.transport import tls_names
from fleetsim.transport.openssl_names import drain_errors
from fleetsim.transport.tls_context import ClientContexts
from fleetsim.transport.tls_pump import TlsPump
from fleetsim.transport.tls_server import ServerContext
from tests.transport.pumps import (
    ECDHE,
    PLAIN_SERVER,
    SERVER,
    TLS13,
    TLS13_RULES,
    Client,
    talk,
)

TLS12_CLIENT = Client()
TLS13_CLIENT = Client(suites=(TLS13,), rules=TLS13_RULES)
BOTH = pytest.mark.parametrize(
    "client", [TLS12_CLIENT, TLS13_CLIENT], ids=["TLSv1.2", "TLSv1.3"]
)
# Contexts are made once: a fuzzer wants connections by the hundred.
CONTEXTS = ClientContexts()
SERVER_CONTEXT = ServerContext(PLAIN_SERVER)


def pair(client: Client = TLS12_CLIENT) -> tuple[TlsPump, TlsPump]:
    """Make two pumps that would understand each other."""
    return client.pump(CONTEXTS), TlsPump(SERVER_CONTEXT.connection())


def opened(client: Client = TLS12_CLIENT) -> tuple[TlsPump, TlsPump]:
    """Make two pumps that have done their handshake."""
    one, other = pair(client)
    talk(one, other)
    assert one.is_open
    assert other.is_open
    return one, other


@lru_cache
def flights(client: Client) -> tuple[bytes, ...]:
    """Ciphertext of a good handshake, client's and server's in turn."""
    one, other = pair(client)
    one.handshake()
    found = [one.take()]
    while found[-1]:
        receiver = other if len(found) % 2 else one
        receiver.receive(found[-1])
        found.append(receiver.take())
    return tuple(found[:-1])


@BOTH
def test_handshake_and_data(client: Client) -> None:
    """Both sides open, and plaintext arrives as it was sent, in both directions."""
    one, other = pair(client)
    assert not one.handshake()
    assert talk(one, other) == (b"", b"")
    assert one.handshake()
    one.send([b"PUT ", memoryview(b"/key"), bytearray(b" HTTP/1.1")])
    assert other.receive(one.take()) == b"PUT /key HTTP/1.1"
    other.send([b"HTTP/1.1 200 OK"])
    assert one.receive(other.take()) == b"HTTP/1.1 200 OK"
    assert (one.failure, other.failure) == (None, None)


@BOTH
def test_bytes_are_counted(client: Client) -> None:
    """What one side hands out is what the other takes in, to the byte."""
    one, other = opened(client)
    one.send([bytes(100_000)])
    data = one.take()
    other.receive(data)
    assert len(data) > 100_000
    assert one.bytes_out == other.bytes_in
    assert other.bytes_out == one.bytes_in


@BOTH
def test_any_cut_of_the_stream(client: Client) -> None:
    """Bytes may arrive one by one: handshake, data and end come out the same."""
    one, other = pair(client)
    one.handshake()
    plaintext = b""
    for turn in range(12):
        sender, receiver = (one, other) if turn % 2 == 0 else (other, one)
        if turn == 8:
            one.send([b"x" * 300])
        for byte in sender.take():
            plaintext += receiver.receive(bytes([byte]))
    assert plaintext == b"x" * 300
    assert one.is_open
    assert other.is_open


@given(sizes=st.lists(st.integers(0, 70_000), max_size=6))
@settings(max_examples=40, deadline=None)
def test_any_pieces_arrive_in_order(sizes: list[int]) -> None:
    """However the plaintext is cut into pieces, the other side reads its join."""
    one, other = opened()
    pieces = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    one.send(iter(pieces))
    assert other.receive(one.take()) == b"".join(pieces)


def test_small_head_and_body_share_a_record() -> None:
    """A request head and a small body leave in one TLS record."""
    one, _ = opened()
    one.send([b"h" * 500, b"b" * 2000])
    data = one.take()
    assert data[:3] == b"\x17\x03\x03"
    assert int.from_bytes(data[3:5]) == len(data) - 5


def test_large_bodies_fill_their_records() -> None:
    """1 MiB leaves in records of 16 KiB, each whole: 64 records, not more."""
    one, _ = opened()
    one.send([b"b" * (1 << 20)])
    data, at, records = one.take(), 0, 0
    while at < len(data):
        at += 5 + int.from_bytes(data[at + 3 : at + 5])
        records += 1
    assert records == 64


@BOTH
def test_close_notify(client: Client) -> None:
    """Closing tells the peer; what was sent before still arrives, once."""
    one, other = opened(client)
    other.send([b"last words"])
    other.close()
    other.close()
    assert one.receive(other.take()) == b"last words"
    assert one.is_closed
    assert one.failure is None
    assert one.receive(b"more") == b""
    assert other.take() == b""


@BOTH
def test_half_close(client: Client) -> None:
    """After the peer's close_notify the own direction stays open (RFC 8446 6.1)."""
    one, other = opened(client)
    other.close()
    one.receive(other.take())
    one.send([b"still talking"])
    assert other.receive(one.take()) == b"still talking"


def test_handshake_info() -> None:
    """The record of a handshake: version, suite, and the peer's leaf."""
    one, other = opened()
    info = one.handshake_info()
    assert (info.version, info.suite, info.resumed) == ("TLSv1.2", ECDHE, False)
    assert one.peer_certificate() == SERVER.certificate
    server_info = other.handshake_info()
    assert server_info.suite == ECDHE
    assert other.peer_certificate() is None


def test_handshake_info_of_tls13() -> None:
    """TLS 1.3 is reported with its own suite."""
    one, _ = opened(TLS13_CLIENT)
    info = one.handshake_info()
    assert (info.version, info.suite) == ("TLSv1.3", TLS13)


def test_too_early() -> None:
    """Data and facts before the end of the handshake are misuse."""
    one, _ = pair()
    with pytest.raises(RuntimeError, match="before the handshake"):
        one.send([b"early"])
    with pytest.raises(RuntimeError, match="before the handshake"):
        one.handshake_info()
    one.close()
    assert one.take() == b""
    assert one.session() is None


def test_nothing_to_do() -> None:
    """No bytes, no pieces, no output: nothing happens."""
    one, _ = opened()
    assert one.receive(b"") == b""
    one.send([])
    one.send([b""])
    assert one.take() == b""


# ---------------------------------------------------------------- cut off


@BOTH
@pytest.mark.parametrize("step", range(4))
def test_cut_off_between_flights(client: Client, step: int) -> None:
    """TCP that ends before the handshake does is ``tls.reset`` on the side waiting."""
    if step >= len(flights(client)):
        pytest.skip("TLS 1.3 needs fewer flights")
    one, other = pair(client)
    one.handshake()
    for _ in range(step):
        other.receive(one.take())
        one.receive(other.take())
    one.eof()
    other.eof()
    for pump in (one, other):
        if pump.is_open:
            assert pump.failure is None
        else:
            assert pump.failure is not None
            assert (pump.failure.kind, pump.failure.phase) == (
                Kind.TLS_RESET,
                Phase.TLS,
            )


@BOTH
def test_cut_off_anywhere_in_the_server_hello(client: Client) -> None:
    """Every proper prefix of a ServerHello ends as ``tls.reset``."""
    one, other = pair(client)
    one.handshake()
    other.receive(one.take())
    flight = other.take()
    # An answer to another hello: good up to the end of the ServerHello.
    for at in range(60):
        fed = client.pump(CONTEXTS)
        fed.handshake()
        fed.receive(flight[:at])
        fed.eof()
        assert fed.failure is not None
        assert fed.failure.kind == Kind.TLS_RESET


def test_eof_after_the_handshake_is_not_ours_to_judge() -> None:
    """An end without close_notify is for the connection to name (``http.reset``)."""
    one, _ = opened()
    one.eof()
    assert one.failure is None
    assert not one.is_closed


def test_eof_does_not_hide_the_real_failure() -> None:
    """The first failure stays."""
    one, _ = pair()
    one.handshake()
    one.receive(b"\x15\x03\x03\x00\x02\x02\x28")
    one.eof()
    assert one.failure is not None
    assert one.failure.kind == "tls.alert.handshake_failure"


# ---------------------------------------------------------------- alerts


@pytest.mark.parametrize("number", range(256))
@BOTH
def test_every_fatal_alert(client: Client, number: int) -> None:
    """Any alert of the peer becomes ``tls.alert.<IANA name>``."""
    one, _ = pair(client)
    one.handshake()
    one.take()
    one.receive(bytes([21, 3, 3, 0, 2, 2, number]))
    assert one.failure is not None
    name = tls_names.ALERTS.get(number, f"unassigned_{number}")
    assert one.failure.kind == f"tls.alert.{name}"


def test_close_notify_in_the_handshake() -> None:
    """A peer that closes politely before the handshake is done has sent an alert."""
    one, _ = pair()
    one.handshake()
    one.receive(b"\x15\x03\x03\x00\x02\x01\x00")
    assert one.failure is not None
    assert one.failure.kind == "tls.alert.close_notify"


def test_warnings_are_no_failures() -> None:
    """A warning (RFC 6066 3: unrecognized_name) lets the handshake go on."""
    one, other = pair()
    one.handshake()
    other.receive(one.take())
    one.receive(b"\x15\x03\x03\x00\x02\x01\x70")
    talk(one, other)
    assert one.is_open


@BOTH
def test_tampered_record(client: Client) -> None:
    """A flipped bit kills the reader, and its alert tells the writer why."""
    one, other = opened(client)
    one.send([b"secret"])
    data = bytearray(one.take())
    data[-1] ^= 1
    assert other.receive(data) == b""
    assert other.failure is not None
    assert other.failure.kind == Kind.TLS_PROTOCOL
    one.receive(other.take())
    assert one.failure is not None
    assert one.failure.kind == "tls.alert.bad_record_mac"


def test_data_before_a_failure_is_kept() -> None:
    """Plaintext of good records comes out of the call that finds the bad one."""
    one, other = opened()
    one.send([b"good"])
    good = one.take()
    one.send([b"bad"])
    bad = bytearray(one.take())
    bad[-1] ^= 1
    assert other.receive(good + bad) == b"good"
    assert other.failure is not None


def test_dead_pumps_stay_dead() -> None:
    """After a failure nothing goes in or out, and the failure does not change."""
    one, other = opened()
    other.receive(b"\x17\x03\x03\x00\x05hello")
    first = other.failure
    assert isinstance(first, Failure)
    assert other.take()
    other.send([b"more"])
    other.close()
    one.send([b"more"])
    assert other.receive(one.take()) == b""
    assert other.take() == b""
    assert other.failure is first


PLAINTEXT = [
    b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: storage.test\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n",
    b"220 mail.test ESMTP\r\n",
    b"\x00" * 64,
    b"\xff" * 64,
    b"\x16\x02\x00\x00\x05hello",
    b"\x80\x2e\x01\x03\x01" + bytes(41),
    b"\x16\x03\x01\xff\xff" + bytes(40),
    b"\x17\x03\x03\x00\x10" + bytes(16),
]


@pytest.mark.parametrize(
    "received", PLAINTEXT, ids=lambda data: repr(data[:12]).replace(" ", "_")
)
@pytest.mark.parametrize("side", ["client", "server"])
def test_no_tls_at_all(received: bytes, side: str) -> None:
    """What is not TLS is ``tls.protocol`` at once, or a reset when it ends too soon."""
    client, server = pair()
    client.handshake()
    client.take()
    pump = client if side == "client" else server
    assert pump.receive(received) == b""
    at_once = pump.failure
    pump.eof()
    assert isinstance(pump.failure, Failure)
    # No failure at once: the bytes read as a record that announces more than came.
    wanted = Kind.TLS_RESET if at_once is None else Kind.TLS_PROTOCOL
    assert pump.failure.kind == wanted


# ---------------------------------------------------------------- the error queue


def test_failures_do_not_leak_into_the_next_connection() -> None:
    """A dead connection leaves no error behind for its neighbours in the thread."""
    alive, peer = opened()
    for received in PLAINTEXT:
        dead, _ = pair()
        dead.handshake()
        dead.receive(received)
    assert drain_errors() == ()
    peer.send([b"fine"])
    assert alive.receive(peer.take()) == b"fine"
    assert alive.failure is None


def test_foreign_errors_are_not_taken_for_ours() -> None:
    """An error that other code left in the queue does not kill a healthy pump."""
    alive, _ = opened()
    victim = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
    victim.set_accept_state()
    victim.bio_write(b"GET / HTTP/1.1\r\n\r\n")
    assert openssl.ssl_do_handshake(victim._ssl) < 1
    assert alive.receive(b"\x17\x03\x03\x00") == b""
    assert alive.failure is None


# ---------------------------------------------------------------- fuzz


@given(junk=st.binary(max_size=200), client=st.booleans())
@settings(max_examples=300, deadline=None)
def test_random_bytes_end_in_a_failure(junk: bytes, client: bool) -> None:
    """Random bytes never raise and never pass: at the end there is a failure."""
    one, other = pair()
    one.handshake()
    pump = one if client else other
    assert pump.receive(junk) == b""
    pump.take()
    pump.eof()
    assert pump.failure is not None
    assert is_kind(pump.failure.kind)
    assert pump.failure.kind != Kind.UNCLASSIFIED
    assert drain_errors() == ()


@given(
    is_tls13=st.booleans(),
    turn=st.integers(0, 3),
    where=st.floats(0, 1, exclude_max=True),
    flip=st.integers(1, 255),
)
@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.filter_too_much]
)
def test_a_changed_byte_of_the_handshake_is_noticed(
    is_tls13: bool, turn: int, where: float, flip: int
) -> None:
    """Whatever byte is changed on the way, no side believes in a changed handshake.

    The exceptions carry no meaning that is protected: the version in the header of a
    plaintext record (RFC 8446 5.1 has it ignored).
    """
    client = TLS13_CLIENT if is_tls13 else TLS12_CLIENT
    turns = {"count": -1}
    changed = {"header": False, "done": False}

    def change(data: bytes) -> bytes:
        turns["count"] += 1
        if turns["count"] != turn or not data:
            return data
        at = int(where * len(data))
        changed["done"] = True
        changed["header"] = at in record_headers(data)
        mutated = bytearray(data)
        mutated[at] ^= flip
        return bytes(mutated)

    one, other = pair(client)
    talk(one, other, up=change, down=change)
    assume(changed["done"])
    one.eof()
    other.eof()
    for pump in (one, other):
        if pump.failure is not None:
            assert is_kind(pump.failure.kind)
            assert pump.failure.kind != Kind.UNCLASSIFIED
    if not changed["header"]:
        assert one.failure is not None or other.failure is not None
    assert drain_errors() == ()


def record_headers(data: bytes) -> frozenset[int]:
    """Positions of record headers in a flight."""
    at, found = 0, set[int]()
    while at + 5 <= len(data):
        found.update(range(at, at + 5))
        at += 5 + int.from_bytes(data[at + 3 : at + 5])
    return frozenset(found)


ALERT_KINDS = frozenset(
    f"tls.alert.{tls_names.alert_name_of(number)}" for number in range(256)
)


@given(junk=st.binary(min_size=1, max_size=120), is_tls13=st.booleans())
@settings(max_examples=150, deadline=None)
def test_random_bytes_on_an_open_pump(junk: bytes, is_tls13: bool) -> None:
    """Bytes that are no record of the peer's never come out as plaintext."""
    one, _ = opened(TLS13_CLIENT if is_tls13 else TLS12_CLIENT)
    assert one.receive(junk) == b""
    if one.failure is not None:
        assert one.failure.kind in (Kind.TLS_PROTOCOL, *ALERT_KINDS)


# ---------------------------------------------------------------- memory


def test_idle_pumps_give_record_buffers_back() -> None:
    """After a large body both BIOs are fresh: nothing of its size stays behind."""
    one, other = opened()
    before_out = openssl.handles(one.connection)[2]
    before_in = openssl.handles(other.connection)[1]
    one.send([bytes(200_000)])
    assert len(other.receive(one.take())) == 200_000
    assert openssl.handles(one.connection)[2] != before_out
    assert openssl.handles(other.connection)[1] != before_in
    one.send([b"goes on"])
    assert other.receive(one.take()) == b"goes on"
