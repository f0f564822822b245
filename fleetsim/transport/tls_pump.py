"""TLS pump: a TLS connection as a function of bytes, for both sides, without I/O.

Ciphertext from the wire goes into :meth:`TlsPump.receive`, plaintext comes out of it;
plaintext goes into :meth:`TlsPump.send`, ciphertext for the wire comes out of
:meth:`TlsPump.take`. Nothing here waits, raises on foreign bytes or knows a socket: the
same class serves the device, the lab and the tests.

Life of a pump: *fresh* → (``handshake``, ``receive`` …) → *open* → *closed* by the
peer's close_notify, or *failed* for good at any time. Rules:

* After every call, send what ``take`` returns. It is empty most of the time; after a
  failure it holds the alert that tells the peer why.
* A client starts with ``handshake``; a server may just wait for ``receive``.
* A connection may carry, as its application data, a function that has the last word on
  a complete handshake: ``connection -> Failure | None``.
* A failed pump ignores further input and output. ``failure`` never changes again.
* In TLS 1.3 a client is open before the server has judged its certificate: the alert
  then is a failure of an open pump, on the first ``receive`` (RFC 8446 4.4.2.4).

The C functions are called directly: pyOpenSSL raises an exception whenever there is
nothing to read, several times per handshake and once per response.
"""

from collections.abc import Iterable
from typing import Any

from cryptography import x509
from OpenSSL import SSL

from fleetsim.core.events import Handshake
from fleetsim.core.failure import Failure, Kind, Phase, alert
from fleetsim.transport import errors
from fleetsim.transport import openssl_names as openssl
from fleetsim.transport.openssl_names import (
    NULL,
    bio_get_mem_data,
    bio_read,
    bio_write,
    err_clear_error,
    from_buffer,
    new_buffer,
    ssl_do_handshake,
    ssl_get_error,
    ssl_read,
    ssl_shutdown,
    ssl_write,
    view_of,
)

# Plaintext of a full record (RFC 8446 5.1).
_RECORD_BYTES = 16 * 1024
# One record (RFC 8446 5.2: 2**14 + 256 and a header) can wait inside OpenSSL from an
# earlier call on top of what a call brings.
_RECORD_ROOM = 17 * 1024
# Pieces are copied together up to here: a copy costs less than a call and a record.
_JOIN_BYTES = 64 * 1024
# Memory BIOs keep their largest size for life; past this they are replaced once empty,
# so that ten thousand idle connections do not hold a record buffer each.
_KEEP_BIO_BYTES = 4 * 1024


class TlsPump:
    """One TLS connection without a socket.

    Attributes:
        connection: The pyOpenSSL connection inside, for its read-only getters.
        is_open: Whether the handshake is complete.
        is_closed: Whether the peer's close_notify was seen.
        failure: Why the connection is dead, ``None`` while it is not.
        bytes_in: Ciphertext bytes taken in.
        bytes_out: Ciphertext bytes handed out.
    """

    __slots__ = (
        "_from_ssl",
        "_into_ssl",
        "_outbox",
        "_sent_close",
        "_ssl",
        "bytes_in",
        "bytes_out",
        "connection",
        "failure",
        "is_closed",
        "is_open",
    )

    def __init__(self, connection: SSL.Connection) -> None:
        """Wrap a connection on memory BIOs whose connect or accept state is set."""
        self.connection = connection
        self._ssl, self._into_ssl, self._from_ssl = openssl.handles(connection)
        self._outbox: list[bytes] = []
        self._sent_close = False
        self.is_open = False
        self.is_closed = False
        self.failure: Failure | None = None
        self.bytes_in = 0
        self.bytes_out = 0

    def handshake(self) -> bool:
        """Drive the handshake as far as the bytes received so far allow.

        Returns:
            Whether it is complete.
        """
        if self.is_open or self.failure is not None:
            return self.is_open
        err_clear_error()
        result = ssl_do_handshake(self._ssl)
        if result == 1:
            judge = self.connection.get_app_data()
            self.failure = None if judge is None else judge(self.connection)
            self.is_open = self.failure is None
            if not self.is_open:
                ssl_shutdown(self._ssl)
        else:
            self._stopped(result)
        return self.is_open

    def receive(self, data: bytes | bytearray | memoryview) -> bytes:
        """Take in ciphertext, drive the handshake, and return plaintext.

        Args:
            data: Bytes as they came from the wire, cut anywhere.

        Returns:
            All plaintext available now, ``b""`` if none. What arrived before a failure
            is returned by the call that finds the failure.
        """
        size = len(data)
        self.bytes_in += size
        if not size or self.failure is not None or self.is_closed:
            return b""
        raw = data if type(data) is bytes else from_buffer(data)
        bio_write(self._into_ssl, raw, size)
        if not self.is_open and not self.handshake():
            return b""
        plaintext = self._read(size)
        if size > _KEEP_BIO_BYTES and not bio_get_mem_data(self._into_ssl, NULL):
            self._into_ssl = openssl.replace_input_bio(self.connection)
        return plaintext

    def send(self, pieces: Iterable[bytes | bytearray | memoryview]) -> None:
        """Encrypt plaintext; small pieces share a call and, up to 16 KiB, a record.

        Args:
            pieces: Plaintext in order. A dead pump drops it: its failure is known.

        Raises:
            RuntimeError: The handshake is not complete.
        """
        if self.failure is not None:
            return
        if not self.is_open:
            message = "send() before the handshake is complete"
            raise RuntimeError(message)
        held: list[bytes | bytearray | memoryview] = []
        held_bytes = 0
        for piece in pieces:
            size = len(piece)
            if held and held_bytes + size > _JOIN_BYTES:
                self._write(held)
                held = []
                held_bytes = 0
            held.append(piece)
            held_bytes += size
        if held_bytes:
            self._write(held)

    def close(self) -> None:
        """Queue our close_notify (RFC 8446 6.1); does nothing on a pump not open."""
        if self.is_open and self.failure is None and not self._sent_close:
            self._sent_close = True
            err_clear_error()
            ssl_shutdown(self._ssl)

    def take(self) -> bytes:
        """Take the ciphertext that must go to the wire, ``b""`` if none."""
        last = self._drain()
        outbox = self._outbox
        if outbox:
            if last:
                outbox.append(last)
            last = b"".join(outbox)
            self._outbox = []
        size = len(last)
        self.bytes_out += size
        if size > _KEEP_BIO_BYTES:
            self._from_ssl = openssl.replace_output_bio(self.connection)
        return last

    def eof(self) -> None:
        """Note that the TCP connection ended: mid-handshake that is a failure."""
        if not self.is_open and self.failure is None:
            self.failure = Failure(
                Kind.TLS_RESET, Phase.TLS, "connection closed during the handshake"
            )

    def handshake_info(self) -> Handshake:
        """What the handshake agreed on.

        Raises:
            RuntimeError: The handshake is not complete.
        """
        if not self.is_open:
            message = "handshake_info() before the handshake is complete"
            raise RuntimeError(message)
        connection = self.connection
        return Handshake(
            version=connection.get_protocol_version_name(),
            suite=connection.get_cipher_name() or "",
            resumed=openssl.is_resumed(connection),
        )

    def peer_certificate(self) -> x509.Certificate | None:
        """Leaf certificate of the peer, ``None`` when it presented none."""
        return self.connection.get_peer_certificate(as_cryptography=True)

    def session(self) -> SSL.Session | None:
        """Session to offer next time; in TLS 1.3 complete once data was received."""
        return self.connection.get_session() if self.is_open else None

    def _read(self, size: int) -> bytes:
        capacity = size + _RECORD_ROOM
        buffer = new_buffer("char[]", capacity)
        filled = 0
        err_clear_error()
        while True:
            result = ssl_read(self._ssl, buffer + filled, capacity - filled)
            if result <= 0:
                self._stopped(result)
                break
            filled += result
            # OpenSSL reads record by record: an empty BIO spares the failing call.
            if not bio_get_mem_data(self._into_ssl, NULL) or filled == capacity:
                break
        plaintext: bytes = view_of(buffer, filled)[:]
        return plaintext

    def _write(self, pieces: list[bytes | bytearray | memoryview]) -> None:
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        size = len(data)
        if size > _RECORD_BYTES:
            self._write_records(from_buffer(data), size)
            return
        raw = data if type(data) is bytes else from_buffer(data)
        err_clear_error()
        result = ssl_write(self._ssl, raw, size)
        if result <= 0:
            self._stopped(result)

    def _write_records(self, start: Any, size: int) -> None:
        # Record by record, because a memory BIO that must grow copies and wipes all it
        # holds: 256 KiB in one call took four times as long.
        for offset in range(0, size, _RECORD_BYTES):
            err_clear_error()
            result = ssl_write(
                self._ssl, start + offset, min(_RECORD_BYTES, size - offset)
            )
            if result <= 0:
                self._stopped(result)
                return
            if size - offset > 2 * _RECORD_BYTES:
                self._outbox.append(self._drain())

    def _drain(self) -> bytes:
        size = bio_get_mem_data(self._from_ssl, NULL)
        if size <= 0:
            return b""
        buffer = new_buffer("char[]", size)
        bio_read(self._from_ssl, buffer, size)
        ciphertext: bytes = view_of(buffer, size)[:]
        return ciphertext

    def _stopped(self, result: int) -> None:
        """Sort out why a call made no progress: more bytes wanted, the end, or death."""
        reason = ssl_get_error(self._ssl, result)
        if reason in (openssl.SSL_ERROR_WANT_READ, openssl.SSL_ERROR_WANT_WRITE):
            return
        if reason == openssl.SSL_ERROR_ZERO_RETURN:
            self.is_closed = True
            if not self.is_open:
                self.failure = alert("close_notify", "closed during the handshake")
            return
        self.failure = errors.from_error_queue(openssl.verify_result(self.connection))
