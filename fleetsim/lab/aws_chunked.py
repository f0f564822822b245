r"""``aws-chunked``: the body framing of S3 uploads, decoded as it arrives.

The grammar, after "Signature calculations for the Authorization header: transferring
payload in multiple chunks" and "… including trailing headers" (Amazon S3 API
reference); the parts in brackets only in signed streams::

    chunk    = hex-size [";chunk-signature=" 64-hex] CRLF data CRLF
    body     = *chunk  "0" [";chunk-signature=" 64-hex] CRLF  trailers  CRLF
    trailers = *(name ":" value CRLF) ["x-amz-trailer-signature:" 64-hex CRLF]

Data is handed out before its chunk's signature is known: the receiver keeps it out of
sight until :meth:`Decoder.finish` has agreed to all of it.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto, unique
from typing import Final

from fleetsim.core.sigv4 import (
    chunk_string_to_sign,
    signature,
    trailer_string_to_sign,
)
from fleetsim.lab.s3_errors import S3Error

MIN_CHUNK_BYTES: Final = 8192
_MAX_LINE_BYTES: Final = 1024
_MAX_TRAILERS: Final = 8
_SIGNED_LINE = re.compile(rb"([0-9A-Fa-f]{1,16});chunk-signature=([0-9a-f]{64})")
_UNSIGNED_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})")
_TRAILER_LINE = re.compile(rb"([A-Za-z0-9-]+):[ \t]*([!-~ \t]*)")
_TRAILER_SIGNATURE = "x-amz-trailer-signature"


@dataclass(slots=True, kw_only=True)
class ChunkSigner:
    """What chunk signatures are made from; moves on with every chunk.

    Attributes:
        key: Signing key.
        amz_date: Date of the request.
        scope: Credential scope of the request.
        previous: Signature before the next chunk, at first the request's own.
    """

    key: bytes
    amz_date: str
    scope: str
    previous: str

    def __repr__(self) -> str:
        return f"ChunkSigner(scope={self.scope!r})"

    def check_chunk(self, sha256: str, given: str) -> None:
        """Check a chunk's signature.

        Raises:
            S3Error: ``SignatureDoesNotMatch``.
        """
        to_sign = chunk_string_to_sign(self.amz_date, self.scope, self.previous, sha256)
        self._check(signature(self.key, to_sign), given)
        self.previous = given

    def check_trailers(self, lines: bytes, given: str) -> None:
        r"""Check the signature over trailers, as ``name:value\n`` lines.

        Raises:
            S3Error: ``SignatureDoesNotMatch``.
        """
        to_sign = trailer_string_to_sign(
            self.amz_date, self.scope, self.previous, hashlib.sha256(lines).hexdigest()
        )
        self._check(signature(self.key, to_sign), given)

    @staticmethod
    def _check(computed: str, given: str) -> None:
        if not hmac.compare_digest(computed, given):
            raise S3Error("SignatureDoesNotMatch")


@unique
class _State(Enum):
    SIZE = auto()
    DATA = auto()
    DATA_END = auto()
    TRAILER = auto()
    DONE = auto()


class Decoder:
    """Takes the framing off a body, in any pieces it arrives in.

    Args:
        decoded_bytes: Value of ``x-amz-decoded-content-length``.
        signer: For signed chunks; ``None`` for unsigned ones.
        has_trailer: Whether trailers may follow the last chunk.
    """

    def __init__(
        self, decoded_bytes: int, signer: ChunkSigner | None, *, has_trailer: bool
    ) -> None:
        self._left = decoded_bytes
        self._signer = signer
        self._has_trailer = has_trailer
        self._state = _State.SIZE
        self._buffer = b""
        self._chunk_left = 0
        self._was_short = False
        self._hash = hashlib.sha256()
        self._given = ""
        self._trailer_lines: list[bytes] = []
        self._trailer_signature = ""
        # AWS's published example ends its trailer with LF CR LF, which reads as a line
        # and a blank one, before the signature.
        self._skip_blank = signer is not None and has_trailer
        self.trailers: dict[str, str] = {}

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take in bytes of the framed body and yield bytes of the content.

        Raises:
            S3Error: The framing, a size or a signature is wrong.
        """
        while data or self._buffer:
            if self._state is _State.DATA:
                piece = data[: self._chunk_left]
                data = data[len(piece) :]
                self._chunk_left -= len(piece)
                if self._signer is not None:
                    self._hash.update(piece)
                if self._chunk_left == 0:
                    self._state = _State.DATA_END
                yield piece
            elif self._state is _State.DONE:
                raise _incomplete("There is data behind the end of the body.")
            else:
                found = self._line(data)
                if found is None:
                    return
                line, data = found
                self._on_line(line)

    def finish(self) -> None:
        """The body is over.

        Raises:
            S3Error: ``IncompleteBody`` if it ended too early.
        """
        if self._state is not _State.DONE or self._left:
            raise _incomplete(
                "You did not provide the number of bytes specified by the "
                "x-amz-decoded-content-length HTTP header"
            )

    def _line(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Split a line off; ``None`` (and all kept) when it is not complete yet."""
        joined = self._buffer + data
        end = joined.find(b"\n", 0, _MAX_LINE_BYTES + 2)
        if end < 0:
            if len(joined) > _MAX_LINE_BYTES:
                raise _incomplete("A line of the chunked body is too long.")
            self._buffer = joined
            return None
        self._buffer = b""
        return joined[:end].removesuffix(b"\r"), joined[end + 1 :]

    def _on_line(self, line: bytes) -> None:
        if self._state is _State.SIZE:
            self._on_size(line)
        elif self._state is _State.DATA_END:
            if line:
                raise _incomplete("A chunk is longer than its size says.")
            self._end_chunk()
            self._state = _State.SIZE
        else:
            self._on_trailer(line)

    def _on_size(self, line: bytes) -> None:
        pattern = _UNSIGNED_LINE if self._signer is None else _SIGNED_LINE
        match = pattern.fullmatch(line)
        if match is None:
            raise _incomplete("The header of a chunk is malformed.")
        size = int(match[1], 16)
        if self._signer is not None:
            self._given = match[2].decode("ascii")
        if size == 0:
            self._end_chunk()
            self._state = _State.TRAILER
            return
        if self._was_short:
            raise S3Error("InvalidChunkSizeError")
        self._was_short = size < MIN_CHUNK_BYTES
        if size > self._left:
            raise _incomplete("The chunks are longer than x-amz-decoded-content-length")
        self._left -= size
        self._chunk_left = size
        self._state = _State.DATA

    def _end_chunk(self) -> None:
        if self._signer is not None:
            self._signer.check_chunk(self._hash.hexdigest(), self._given)
            self._hash = hashlib.sha256()

    def _on_trailer(self, line: bytes) -> None:
        if not line:
            if self._skip_blank and self.trailers and not self._trailer_signature:
                self._skip_blank = False
            else:
                self._end_trailers()
            return
        match = _TRAILER_LINE.fullmatch(line)
        if match is None or not self._has_trailer:
            raise S3Error("MalformedTrailerError")
        name = match[1].decode("ascii").lower()
        value = match[2].decode("ascii").strip()
        if self._trailer_signature or len(self.trailers) >= _MAX_TRAILERS:
            raise S3Error("MalformedTrailerError")
        if name == _TRAILER_SIGNATURE:
            self._trailer_signature = value
            return
        if name in self.trailers:
            raise S3Error("MalformedTrailerError")
        self.trailers[name] = value
        self._trailer_lines.append(f"{name}:{value}\n".encode("ascii"))

    def _end_trailers(self) -> None:
        if self._signer is not None and self._has_trailer:
            if not self._trailer_signature:
                raise S3Error("MalformedTrailerError", "The trailer is not signed.")
            self._signer.check_trailers(
                b"".join(self._trailer_lines), self._trailer_signature
            )
        self._state = _State.DONE


def _incomplete(message: str) -> S3Error:
    return S3Error("IncompleteBody", message)
