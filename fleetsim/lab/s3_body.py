"""Request bodies: received piece by piece, unframed, measured and verified."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from fleetsim.core.sigv4 import (
    STREAMING_PAYLOAD_TRAILER,
    STREAMING_UNSIGNED_PAYLOAD_TRAILER,
    UNSIGNED_PAYLOAD,
)
from fleetsim.lab.aws_chunked import Decoder
from fleetsim.lab.checksums import (
    BY_HEADER,
    Algorithm,
    Checksum,
    Hash,
    algorithm_named,
    decode_value,
    encode_value,
)
from fleetsim.lab.s3_auth import STREAMING, Identity
from fleetsim.lab.s3_errors import S3Error
from fleetsim.lab.s3_request import Call

_WITH_TRAILER: Final = frozenset(
    {STREAMING_PAYLOAD_TRAILER, STREAMING_UNSIGNED_PAYLOAD_TRAILER}
)


@dataclass(slots=True, kw_only=True)
class Received:
    """A body that arrived whole and is what the client says it is.

    Attributes:
        size: Bytes of content.
        md5: MD5 of the content.
        checksum: Checksum the client gave, or that was asked for.
    """

    size: int
    md5: bytes
    checksum: Checksum | None


class _Checks:
    """The hashes of a body under way, and what they must come to."""

    def __init__(
        self,
        call: Call,
        identity: Identity,
        algorithm: Algorithm | None,
        found: tuple[Algorithm, str] | None,
    ) -> None:
        announced, self._expected = found or (None, "")
        if announced is not None and algorithm not in {None, announced}:
            raise S3Error(
                "InvalidRequest",
                "Checksum Type mismatch occurred: this upload was created for another "
                f"checksum Type than {announced.name.lower()}",
            )
        self._trailing = announced if not self._expected else None
        self._algorithm = announced or algorithm
        self._payload = identity.payload
        self._content_md5 = _content_md5(call)
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = None
        self._running = None
        hashes: list[Hash] = [self._md5]
        if self._payload not in STREAMING and self._payload != UNSIGNED_PAYLOAD:
            self._sha256 = hashlib.sha256()
            hashes.append(self._sha256)
        if self._algorithm is not None:
            self._running = self._algorithm.new()
            hashes.append(self._running)
        self.hashes = hashes

    def finish(self, size: int, decoder: Decoder | None) -> Received:
        """Compare, once everything is received."""
        if self._trailing is not None and decoder is not None:
            self._expected = _trailing_value(self._trailing, decoder)
        self._check_sha256()
        md5 = self._check_md5()
        return Received(size=size, md5=md5, checksum=self._check_checksum())

    def _check_sha256(self) -> None:
        if self._sha256 is None:
            return
        computed = self._sha256.hexdigest()
        if not hmac.compare_digest(computed, self._payload):
            raise S3Error(
                "XAmzContentSHA256Mismatch",
                details=(
                    ("ClientComputedContentSHA256", self._payload),
                    ("S3ComputedContentSHA256", computed),
                ),
            )

    def _check_md5(self) -> bytes:
        md5 = self._md5.digest()
        if self._content_md5 not in {None, md5}:
            raise S3Error(
                "BadDigest",
                "The Content-MD5 you specified did not match what we received.",
                details=(("CalculatedDigest", encode_value(md5)),),
            )
        return md5

    def _check_checksum(self) -> Checksum | None:
        if self._algorithm is None or self._running is None:
            return None
        value = self._running.digest()
        if self._expected and decode_value(self._algorithm, self._expected) != value:
            raise S3Error(
                "BadDigest",
                f"The {self._algorithm.name} you specified did not match the "
                "calculated checksum.",
            )
        return Checksum(algorithm=self._algorithm.name, value=encode_value(value))


async def receive(
    call: Call,
    write: Callable[[bytes], Awaitable[None]],
    max_bytes: int,
    algorithm: Algorithm | None = None,
    *,
    checksum_is_of_body: bool = True,
) -> Received:
    """Receive the body of a request.

    Args:
        call: A request whose signature is verified.
        write: Takes each piece of content, none of it trustworthy before the end.
        max_bytes: Longer bodies are refused before they are read.
        algorithm: Checksum to compute even if the client gives none.
        checksum_is_of_body: ``False`` where ``x-amz-checksum-…`` speaks of something
            else than this body.

    Raises:
        S3Error: The body is too long, cut short, wrongly framed, or its hash,
            signature or checksum is wrong.
    """
    identity = call.identity
    if identity is None:
        raise S3Error("AccessDenied")
    size, decoder = _framing(call, identity)
    if size > max_bytes:
        raise S3Error(
            "EntityTooLarge",
            details=(("ProposedSize", str(size)), ("MaxSizeAllowed", str(max_bytes))),
        )
    announced = _announced(call, decoder is not None) if checksum_is_of_body else None
    checks = _Checks(call, identity, algorithm, announced)
    _say_continue(call)
    content = call.http.content
    while not content.at_eof():
        data = await content.readany()
        for piece in (data,) if decoder is None else decoder.feed(data):
            if piece:
                for each in checks.hashes:
                    each.update(piece)
                call.received_bytes += len(piece)
                await write(piece)
    if decoder is not None:
        decoder.finish()
    elif call.received_bytes != size:
        # The HTTP parser should have noticed; an acknowledged upload must be whole.
        raise S3Error("IncompleteBody")
    return checks.finish(size, decoder)


async def receive_document(
    call: Call, max_bytes: int, *, checksum_is_of_body: bool = True
) -> bytes:
    """Receive a body that is an XML document; see :func:`receive`."""
    pieces: list[bytes] = []

    async def keep(piece: bytes) -> None:
        pieces.append(piece)

    await receive(call, keep, max_bytes, checksum_is_of_body=checksum_is_of_body)
    return b"".join(pieces)


def has_integrity_header(call: Call) -> bool:
    """Whether a request carries Content-MD5 or a checksum of its body."""
    headers = call.headers
    return (
        "Content-MD5" in headers
        or "x-amz-trailer" in headers
        or any(name in headers for name in BY_HEADER)
    )


def _framing(call: Call, identity: Identity) -> tuple[int, Decoder | None]:
    """Content size and, for a streaming body, what takes its framing off."""
    if identity.payload in STREAMING:
        size = _length(call.headers.get("x-amz-decoded-content-length", ""))
        if size is None:
            raise S3Error("MissingContentLength")
        has_trailer = identity.payload in _WITH_TRAILER
        return size, Decoder(size, identity.chunks, has_trailer=has_trailer)
    size = _length(call.headers.get("Content-Length", ""))
    if size is None:
        if call.http.body_exists or call.method == "PUT":
            raise S3Error("MissingContentLength")
        size = 0
    return size, None


def _length(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _announced(call: Call, is_stream: bool) -> tuple[Algorithm, str] | None:
    """Find the checksum a request gives: its algorithm and, unless trailing, value."""
    headers = call.headers
    found: list[tuple[Algorithm, str]] = []
    # Most requests of a load have none: look at names before asking for each.
    for name in headers:
        lower = name.lower()
        if lower.startswith("x-amz-checksum-") and lower in BY_HEADER:
            found.append((BY_HEADER[lower], headers[name]))
    trailer = headers.get("x-amz-trailer", "")
    if trailer:
        named = BY_HEADER.get(trailer.strip().lower())
        if named is None or not is_stream:
            raise S3Error(
                "InvalidRequest",
                "The value specified in the x-amz-trailer header is not supported",
            )
        found.append((named, ""))
    if len(found) > 1:
        raise S3Error(
            "InvalidRequest",
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are "
            "not allowed.",
        )
    wanted = headers.get("x-amz-sdk-checksum-algorithm", "")
    if not found:
        if wanted:
            raise S3Error(
                "InvalidRequest",
                "x-amz-sdk-checksum-algorithm specified, but no corresponding "
                "x-amz-checksum-* or x-amz-trailer headers were found.",
            )
        return None
    algorithm, value = found[0]
    if wanted and algorithm_named(wanted) is not algorithm:
        raise S3Error(
            "InvalidRequest",
            "Value for x-amz-sdk-checksum-algorithm header is invalid.",
        )
    if value:
        decode_value(algorithm, value)
    elif not trailer:
        raise S3Error(
            "InvalidRequest", f"Value for {algorithm.header} header is invalid."
        )
    return algorithm, value


def _trailing_value(algorithm: Algorithm, decoder: Decoder) -> str:
    value = decoder.trailers.get(algorithm.header, "")
    if not value:
        raise S3Error("MalformedTrailerError", "The announced trailer is missing.")
    return value


def _content_md5(call: Call) -> bytes | None:
    text = call.headers.get("Content-MD5")
    if text is None:
        return None
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raw = b""
    if len(raw) != 16:
        raise S3Error("InvalidDigest", details=(("Content-MD5", text),))
    return raw


def _say_continue(call: Call) -> None:
    """Ask for the body of a client that waits to be asked (RFC 9110 10.1.1).

    Only here, once the head is found good: a refused upload is never sent.
    """
    if call.headers.get("Expect", "").lower() == "100-continue":
        transport = call.http.transport
        if transport is not None and not call.http.content.is_eof():
            transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
