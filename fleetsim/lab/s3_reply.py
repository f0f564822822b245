"""Replies, and how they get on the wire.

A reply is written in one piece by :class:`Answer`: aiohttp's own ``Response`` costs
three times as much CPU for the few header lines of a PUT, and this endpoint is the peer
of a load generator.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from fleetsim.lab.s3_errors import S3Error
from fleetsim.lab.s3_xml import document, error_document

_REASONS: Final = {int(status): status.phrase for status in HTTPStatus}


@dataclass(slots=True, kw_only=True)
class Reply:
    """What a request is answered with.

    Attributes:
        status: HTTP status.
        headers: Headers beyond those every reply has.
        body: Whole body, or its first piece when ``rest`` follows.
        rest: Further pieces of the body.
        length: ``Content-Length``; ``None`` = that of ``body``.
        error_code: S3 code when the request was refused.
    """

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    rest: AsyncGenerator[bytes, None] | None = None
    length: int | None = None
    error_code: str = ""


def xml_reply(name: str, content: str) -> Reply:
    """Reply with an XML document of S3's namespace."""
    return Reply(
        headers=[("Content-Type", "application/xml")], body=document(name, content)
    )


def error_reply(error: S3Error, resource: str, request_id: str) -> Reply:
    """Reply with an error document."""
    headers = [("Content-Type", "application/xml"), *error.headers]
    if error.code == "AuthorizationHeaderMalformed":
        headers += [
            ("x-amz-bucket-region", v) for n, v in error.details if n == "Region"
        ]
    return Reply(
        status=error.status,
        headers=headers,
        body=error_document(error, resource, request_id),
        error_code=error.code,
    )


@lru_cache(maxsize=4096)
def http_date(unix_s: int) -> str:
    """Write a time as HTTP does (RFC 9110 5.6.7)."""
    return formatdate(unix_s, usegmt=True)


def is_header_text(text: str) -> bool:
    """Whether a text can be a header value: no control characters, valid UTF-8."""
    if text.isascii():
        return text.isprintable() or not text
    return all(
        char >= " " and not "\x7f" <= char < "\xa0" for char in text
    ) and not any("\ud800" <= char <= "\udfff" for char in text)


class Answer(web.StreamResponse):
    """A reply as aiohttp sends it."""

    def __init__(
        self, reply: Reply, method: str, request_id: str, now_unix_s: int
    ) -> None:
        super().__init__(status=reply.status)
        self._reply = reply
        self._has_body = method != "HEAD"
        length = len(reply.body) if reply.length is None else reply.length
        lines = [
            f"HTTP/1.1 {reply.status} {_REASONS.get(reply.status, '')}",
            f"Date: {http_date(now_unix_s)}",
            "Server: fleetsim",
            f"x-amz-request-id: {request_id}",
            "x-amz-id-2: fleetsim",
        ]
        lines += [f"{name}: {value}" for name, value in reply.headers]
        if reply.status not in {204, 304}:
            lines.append(f"Content-Length: {length}")
        self._lines = lines

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send the head and the first piece of the body."""
        keep_alive = self.keep_alive
        if keep_alive is None:
            keep_alive = request.keep_alive
        if not keep_alive:
            self._lines.append("Connection: close")
        elif request.version < (1, 1):
            self._lines.append("Connection: keep-alive")
        head = ("\r\n".join(self._lines) + "\r\n\r\n").encode()
        self._keep_alive = keep_alive
        rest = self._reply.rest
        if rest is None:
            self._write(request, head + self._reply.body if self._has_body else head)
        else:
            async with aclosing(rest):
                self._write(request, head + self._reply.body)
                await request.writer.drain()
                await self._write_rest(request, rest)
        return request.writer

    async def _write_rest(
        self, request: web.BaseRequest, rest: AsyncGenerator[bytes, None]
    ) -> None:
        try:
            async for piece in rest:
                self._write(request, piece)
                await request.writer.drain()
        except S3Error as exc:
            # The head is out; cutting the connection is all that is left to say.
            raise ConnectionResetError(str(exc)) from exc

    def _write(self, request: web.BaseRequest, data: bytes) -> None:
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        transport.write(data)

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: everything is sent by :meth:`prepare`."""
