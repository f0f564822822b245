"""Terminator relay: bytes between a client of a front and the program behind it.

Theory of operation. A front without TLS of its own hands every connection to a
:class:`RelayConnection`, which dials the program's Unix socket; what the client says in the
meantime waits (uvloop reads once even from a transport that was paused as soon as it was
made). Then each side writes what the other one reads, pauses the
other when it takes no more, passes FIN on as FIN and RST as RST. A Unix socket knows no
RST: the kernel reports ECONNRESET when the program closed with bytes unread, which is when
TCP would have sent one.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from fleetsim.lab.tcp_reset import reset

Dial = Callable[["ProgramSide"], None]
"""Connect this protocol to the program; it hears ``connection_made`` or ``failed``."""


class RelayConnection(asyncio.Protocol):
    """The client's side of one relayed connection.

    Args:
        dial: Connects the other side.
    """

    __slots__ = ("_dial", "_is_gone", "_other", "_tcp")

    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._tcp: asyncio.Transport | None = None
        self._other: ProgramSide | None = None
        self._is_gone = False

    # ------------------------------------------------------- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Dial the program."""
        self._tcp = cast("asyncio.Transport", transport)
        self._other = ProgramSide(self)
        self._dial(self._other)

    def data_received(self, data: bytes) -> None:
        """Pass the client's bytes on."""
        if self._other is not None:
            self._other.write(data)

    def eof_received(self) -> bool:
        """Pass the client's FIN on; the answer may still come."""
        return self._other is not None and self._other.write_eof()

    def pause_writing(self) -> None:
        """The client takes no more: hold the program."""
        if self._other is not None:
            self._other.pause()

    def resume_writing(self) -> None:
        """The client takes more."""
        if self._other is not None:
            self._other.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: so is the program's side."""
        self._is_gone = True
        other, self._other = self._other, None
        if other is not None:
            other.close(is_reset=exc is not None)

    # --------------------------------------------------------- called by the other side

    @property
    def is_gone(self) -> bool:
        """Whether the client left before the program was reached."""
        return self._is_gone

    @property
    def addresses(self) -> tuple[Any, Any]:
        """Addresses of the client and of the front."""
        tcp = self._tcp
        if tcp is None:
            return None, None
        return tcp.get_extra_info("peername"), tcp.get_extra_info("sockname")

    def write(self, data: bytes) -> None:
        """Send the program's bytes to the client."""
        if self._tcp is not None and not self._is_gone:
            self._tcp.write(data)

    def write_eof(self) -> bool:
        """Send the program's FIN to the client; returns whether it is still there."""
        tcp = self._tcp
        if tcp is None or self._is_gone or tcp.is_closing():
            return False
        if tcp.can_write_eof():
            tcp.write_eof()
            return True
        tcp.close()
        return False

    def pause(self) -> None:
        """Read nothing from the client for now."""
        if self._tcp is not None and not self._is_gone:
            self._tcp.pause_reading()

    def resume(self) -> None:
        """Read from the client again."""
        if self._tcp is not None and not self._is_gone:
            self._tcp.resume_reading()

    def close(self, *, is_reset: bool) -> None:
        """End the client's side."""
        if self._tcp is None or self._is_gone:
            return
        if is_reset:
            reset(self._tcp)
        else:
            self._tcp.close()


class ProgramSide(asyncio.Protocol):
    """The program's side of one relayed connection.

    Args:
        client: The other side.
    """

    __slots__ = ("_client", "_early", "_has_early_eof", "_transport")

    def __init__(self, client: RelayConnection) -> None:
        self._client = client
        self._transport: asyncio.Transport | None = None
        self._early: list[bytes] | None = []
        self._has_early_eof = False

    # ------------------------------------------------------- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Introduce the client, pass on what it said, let it speak."""
        program = cast("asyncio.Transport", transport)
        early, self._early = self._early, None
        if self._client.is_gone:
            program.close()
            return
        self._transport = program
        program.writelines((proxy_header(*self._client.addresses), *(early or ())))
        if self._has_early_eof:
            program.write_eof()
        self._client.resume()

    def failed(self) -> None:
        """The program cannot be reached."""
        self._client.close(is_reset=True)

    def data_received(self, data: bytes) -> None:
        """Pass the program's bytes on."""
        self._client.write(data)

    def eof_received(self) -> bool:
        """Pass the program's FIN on."""
        return self._client.write_eof()

    def pause_writing(self) -> None:
        """The program takes no more: hold the client."""
        self._client.pause()

    def resume_writing(self) -> None:
        """The program takes more."""
        self._client.resume()

    def connection_lost(self, exc: Exception | None) -> None:
        """The program is gone: so is the client's side."""
        self._transport = None
        self._client.close(is_reset=exc is not None)

    # --------------------------------------------------------- called by the other side

    def write(self, data: bytes) -> None:
        """Send the client's bytes to the program."""
        if self._transport is not None:
            self._transport.write(data)
        elif self._early is not None:
            self._early.append(data)
            self._client.pause()

    def write_eof(self) -> bool:
        """Send the client's FIN to the program; returns whether it is still there."""
        if self._early is not None:
            self._has_early_eof = True
            return True
        if self._transport is None or self._transport.is_closing():
            return False
        self._transport.write_eof()
        return True

    def pause(self) -> None:
        """Read nothing from the program for now."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read from the program again."""
        if self._transport is not None:
            self._transport.resume_reading()

    def close(self, *, is_reset: bool) -> None:
        """End the program's side."""
        transport = self._transport
        if transport is None:
            return
        if is_reset:
            transport.abort()
        else:
            transport.close()


def proxy_header(client: Any, front: Any) -> bytes:
    """Tell the program who the client is: PROXY protocol, version 1.

    Source: "The PROXY protocol", HAProxy Technologies, 2.1.

    Args:
        client: Address of the client as a socket gives it.
        front: Address it has connected to.
    """
    if not isinstance(client, tuple) or not isinstance(front, tuple):
        return b"PROXY UNKNOWN\r\n"
    family = "TCP6" if ":" in client[0] else "TCP4"
    return (f"PROXY {family} {client[0]} {front[0]} {client[1]} {front[1]}\r\n").encode(
        "ascii"
    )
