import asyncio
from typing import Any

import pytest

from fleetsim.lab.terminators.relay import (
    ProgramSide,
    RelayConnection,
    proxy_header,
)

CLIENT, FRONT = ("127.0.0.1", 4711), ("127.0.0.1", 443)


class Wire(asyncio.Transport):
    """A transport that notes what is done to it."""

    def __init__(self) -> None:
        super().__init__({"peername": CLIENT, "sockname": FRONT})
        self.sent = b""
        self.deeds: list[str] = []
        self.is_over = False

    def write(self, data: Any) -> None:
        """Note."""
        self.sent += bytes(data)

    def writelines(self, list_of_data: Any) -> None:
        """Note."""
        for each in list_of_data:
            self.write(each)

    def can_write_eof(self) -> bool:
        """As every socket can."""
        return True

    def write_eof(self) -> None:
        """Note."""
        self.deeds.append("eof")

    def pause_reading(self) -> None:
        """Note."""
        self.deeds.append("pause")

    def resume_reading(self) -> None:
        """Note."""
        self.deeds.append("resume")

    def is_closing(self) -> bool:
        """Whether it was closed."""
        return self.is_over

    def close(self) -> None:
        """Note."""
        self.is_over = True
        self.deeds.append("close")

    def abort(self) -> None:
        """Note."""
        self.is_over = True
        self.deeds.append("abort")


HEADER = b"PROXY TCP4 127.0.0.1 127.0.0.1 4711 443\r\n"


class Pair:
    """A client whose program is still being dialled."""

    def __init__(self) -> None:
        self.dialled: list[ProgramSide] = []
        self.tcp, self.unix = Wire(), Wire()
        self.client = RelayConnection(self.dialled.append)
        self.client.connection_made(self.tcp)
        (self.program,) = self.dialled

    def connect(self) -> "Pair":
        """The program answers."""
        self.program.connection_made(self.unix)
        self.tcp.deeds.clear()
        return self


def test_client_is_introduced_before_it_speaks() -> None:
    """What the client said early follows the header; then it is heard again."""
    pair = Pair()
    pair.client.data_received(b"hello ")
    pair.client.data_received(b"there")
    assert pair.tcp.deeds == ["pause", "pause"]
    pair.program.connection_made(pair.unix)
    assert pair.unix.sent == HEADER + b"hello there"
    assert pair.tcp.deeds[-1] == "resume"


def test_bytes_go_both_ways() -> None:
    """Nothing is changed on the way."""
    pair = Pair().connect()
    pair.client.data_received(b"question")
    pair.program.data_received(b"answer")
    assert (pair.unix.sent, pair.tcp.sent) == (HEADER + b"question", b"answer")


def test_slow_sides_hold_the_other() -> None:
    """Who takes no more stops the one who sends."""
    pair = Pair().connect()
    pair.client.pause_writing()
    pair.client.resume_writing()
    pair.program.pause_writing()
    pair.program.resume_writing()
    assert pair.unix.deeds == pair.tcp.deeds == ["pause", "resume"]


def test_half_closes_pass() -> None:
    """FIN of one side is FIN to the other, which may still send."""
    pair = Pair().connect()
    assert pair.client.eof_received()
    assert pair.unix.deeds == ["eof"]
    pair.program.data_received(b"late answer")
    assert pair.tcp.sent == b"late answer"
    assert pair.program.eof_received()
    assert pair.tcp.deeds == ["eof"]


def test_early_half_close_follows_the_bytes() -> None:
    """A client that was through before the program answered is heard to its end."""
    pair = Pair()
    pair.client.data_received(b"all")
    assert pair.client.eof_received()
    pair.program.connection_made(pair.unix)
    assert pair.unix.sent == HEADER + b"all"
    assert pair.unix.deeds == ["eof"]


@pytest.mark.parametrize(
    ("exc", "deed"), [(None, "close"), (ConnectionResetError(), "abort")]
)
def test_ends_pass(exc: Exception | None, deed: str) -> None:
    """A close is a close to the other side, a reset a reset."""
    one, other = Pair().connect(), Pair().connect()
    one.client.connection_lost(exc)
    assert one.unix.deeds == [deed]
    other.program.connection_lost(exc)
    assert other.tcp.deeds == [deed]
    # Whatever still arrives is for nobody.
    one.program.data_received(b"x")
    other.client.data_received(b"x")
    assert (one.tcp.sent, other.unix.sent) == (b"", HEADER)
    assert not other.client.eof_received()


def test_client_that_left_while_dialling() -> None:
    """The program is not told of a client that is gone."""
    pair = Pair()
    pair.client.connection_lost(None)
    pair.program.connection_made(pair.unix)
    assert (pair.unix.sent, pair.unix.deeds) == (b"", ["close"])


def test_unreachable_program_resets_the_client() -> None:
    """No program, no connection."""
    pair = Pair()
    pair.program.failed()
    assert pair.tcp.deeds == ["abort"]


@pytest.mark.parametrize(
    ("client", "front", "header"),
    [
        (CLIENT, FRONT, HEADER),
        (
            ("::1", 4711, 0, 0),
            ("::1", 443, 0, 0),
            b"PROXY TCP6 ::1 ::1 4711 443\r\n",
        ),
        (None, FRONT, b"PROXY UNKNOWN\r\n"),
        ("/a.sock", "/b.sock", b"PROXY UNKNOWN\r\n"),
    ],
    ids=["IPv4", "IPv6", "gone", "Unix"],
)
def test_proxy_header(client: object, front: object, header: bytes) -> None:
    """The PROXY protocol's version 1 line: at most 107 bytes, CRLF at the end."""
    assert proxy_header(client, front) == header
    assert len(header) <= 107
