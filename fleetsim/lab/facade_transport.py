"""Facade transport: what an HTTP handler writes to, with TLS between it and the socket.

Theory of operation. The handler sees an ordinary :class:`asyncio.Transport` of plaintext;
below it are a :class:`~fleetsim.transport.tls_pump.TlsPump` and a plain TCP transport.

* Writing: plaintext is encrypted only as fast as the socket takes it. While the TCP
  transport is above its high-water mark, what the handler writes waits here as
  references to the caller's own bytes, in order. A response of 64 MiB to a client that
  reads slowly therefore costs one slice of ciphertext (:data:`SLICE_BYTES`) plus the TCP
  buffer, not 64 MiB; and the handler is told to pause from the first blocked byte.
* Reading: ``pause_reading`` stops the TCP transport, so the kernel's window closes and the
  client feels the back-pressure. What one TCP read held (at most 256 KiB on uvloop)
  is already decrypted and delivered.
* Closing: pending plaintext first, then close_notify (RFC 8446 6.1), then the owner lets
  the connection linger (see :mod:`fleetsim.lab.front_connection`).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from fleetsim.transport.tls_pump import TlsPump

SLICE_BYTES: Final = 256 * 1024
"""Most plaintext encrypted in one go: what an idle loopback socket takes at once."""


class FacadeTransport(asyncio.Transport):
    """Plaintext side of one TLS connection.

    Args:
        tcp: The accepted TCP transport.
        pump: Its pump, handshake complete.
        protocol: The HTTP handler; may be replaced with ``set_protocol``.
        on_finished: Called once when the last byte and the close_notify are handed to
            TCP: the owner ends the connection.
    """

    __slots__ = (
        "_is_blocked",
        "_is_closing",
        "_is_finished",
        "_is_protocol_paused",
        "_on_finished",
        "_protocol",
        "_pump",
        "_queue",
        "_queue_bytes",
        "_tcp",
    )

    def __init__(
        self,
        tcp: asyncio.Transport,
        pump: TlsPump,
        protocol: asyncio.BaseProtocol,
        on_finished: Callable[[], None],
    ) -> None:
        super().__init__()
        self._tcp = tcp
        self._pump = pump
        self._protocol = protocol
        self._on_finished = on_finished
        self._queue: deque[memoryview] = deque()
        self._queue_bytes = 0
        self._is_blocked = False
        self._is_closing = False
        self._is_finished = False
        self._is_protocol_paused = False

    # ------------------------------------------------------------------ information

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return facts about the connection.

        ``sslcontext`` is a true value: HTTP frameworks only test it to tell ``https``
        from ``http``. Everything else is the TCP transport's (``peername``,
        ``sockname``, ``socket``).
        """
        if name == "sslcontext":
            return self._pump
        return self._tcp.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Tell whether the connection is closed or closing."""
        return self._is_closing or self._tcp.is_closing()

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the handler."""
        return self._protocol

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Replace the handler."""
        self._protocol = protocol

    # ---------------------------------------------------------------------- reading

    def is_reading(self) -> bool:
        """Tell whether the handler is being fed."""
        return self._tcp.is_reading()

    def pause_reading(self) -> None:
        """Stop feeding the handler; the client feels it through its TCP window."""
        if not self._is_closing:
            self._tcp.pause_reading()

    def resume_reading(self) -> None:
        """Feed the handler again."""
        if not self._is_closing:
            self._tcp.resume_reading()

    # ---------------------------------------------------------------------- writing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send, or keep until the socket takes more."""
        if self._is_closing or not data:
            return
        if self._queue or self._is_blocked or len(data) > SLICE_BYTES:
            self._keep(data)
            self._flush()
        else:
            self._encrypt((data,))

    def writelines(
        self, list_of_data: Iterable[bytes | bytearray | memoryview]
    ) -> None:
        """Encrypt and send several pieces; small neighbours share a TLS record."""
        if self._is_closing:
            return
        pieces = tuple(list_of_data)
        if (
            self._queue
            or self._is_blocked
            or sum(len(piece) for piece in pieces) > SLICE_BYTES
        ):
            for piece in pieces:
                self._keep(piece)
            self._flush()
        else:
            self._encrypt(pieces)

    def can_write_eof(self) -> bool:
        """TLS has no half-close that HTTP clients understand."""
        return False

    def write_eof(self) -> None:
        """Refuse: see :meth:`can_write_eof`.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError

    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None:
        """Set the water marks of the TCP buffer, bytes of ciphertext."""
        self._tcp.set_write_buffer_limits(high, low)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the water marks (low, high), bytes of ciphertext."""
        return self._tcp.get_write_buffer_limits()

    def get_write_buffer_size(self) -> int:
        """Return how much is not yet with the kernel, bytes."""
        return self._queue_bytes + self._tcp.get_write_buffer_size()

    # ---------------------------------------------------------------------- closing

    def close(self) -> None:
        """Send what is pending, then close_notify, then end the connection."""
        if self._is_closing:
            return
        self._is_closing = True
        self._flush()

    def abort(self) -> None:
        """Drop the connection and everything pending, at once."""
        self.detach()
        self._tcp.abort()

    # ------------------------------------------------------- called by the connection

    def block(self) -> None:
        """Hear from TCP that its buffer is above the high-water mark."""
        self._is_blocked = True
        self._pause_protocol()

    def unblock(self) -> None:
        """Hear from TCP that its buffer is below the low-water mark."""
        self._is_blocked = False
        self._flush()

    def detach(self) -> None:
        """Hear that TCP is gone: nothing can be written any more."""
        self._is_closing = True
        self._is_finished = True
        self._queue.clear()
        self._queue_bytes = 0

    def _pause_protocol(self) -> None:
        if not self._is_protocol_paused and not self._is_finished:
            self._is_protocol_paused = True
            self._protocol.pause_writing()

    def _keep(self, data: bytes | bytearray | memoryview) -> None:
        # The caller may change a mutable buffer after write() has returned.
        view = memoryview(data)
        if not view.readonly:
            view = memoryview(bytes(data))
        self._queue.append(view.cast("B"))
        self._queue_bytes += view.nbytes

    def _encrypt(self, pieces: Iterable[bytes | bytearray | memoryview]) -> None:
        pump = self._pump
        pump.send(pieces)
        ciphertext = pump.take()
        if ciphertext:
            self._tcp.write(ciphertext)
        if pump.failure is not None:
            self.abort()

    def _flush(self) -> None:
        """Encrypt until TCP blocks or nothing is left; finish a pending close."""
        queue = self._queue
        while queue and not self._is_blocked and not self._is_finished:
            piece = queue.popleft()
            if len(piece) > SLICE_BYTES:
                queue.appendleft(piece[SLICE_BYTES:])
                piece = piece[:SLICE_BYTES]
            self._queue_bytes -= len(piece)
            self._encrypt((piece,))
        if queue or self._is_finished:
            return
        if self._is_closing:
            self._is_finished = True
            self._pump.close()
            ciphertext = self._pump.take()
            if ciphertext and not self._tcp.is_closing():
                self._tcp.write(ciphertext)
            self._on_finished()
        elif self._is_protocol_paused and not self._is_blocked:
            self._is_protocol_paused = False
            self._protocol.resume_writing()
