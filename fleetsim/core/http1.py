"""HTTP/1.1 on the client's side: request bytes out, one response in.

Strict where a lenient reading could take one message for another (RFC 9112 11.2,
response splitting and smuggling), because a simulator must report a wrong answer and
not repair it:

* lines end in CRLF; a bare LF, CR or NUL and folded fields (obs-fold) are malformed;
* ``Content-Length`` is given once and is digits only; together with
  ``Transfer-Encoding`` it is malformed; ``chunked`` is the only coding understood;
* a status outside 100..599, and 101 (no upgrade was asked for), are malformed.

Everything is bounded: head, number of fields, body, chunk lines, trailers, interim
responses. Every byte is looked at a constant number of times, however the network cuts
the stream. Nothing here raises on what a peer sends: trouble is
:attr:`ResponseParser.failure`.
"""

import re
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import Final, assert_never

from fleetsim.core.events import Response
from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.core.http_fields import TCHAR, VALUE, is_persistent, parse_fields
from fleetsim.exceptions import InputError, Problem

MAX_INTERIM: Final = 16
MAX_CHUNK_LINE_BYTES: Final = 1024

_REQUEST_LINE = re.compile(rf"{TCHAR}+ [!-~]+ HTTP/1\.1")
_NAME = re.compile(rf"{TCHAR}+")
_FIELD_VALUE = re.compile(rf"{VALUE}*")
_REQUEST_HEAD = re.compile(
    rf"{TCHAR}++ [!-~]++ HTTP/1\.1\r\n(?:{TCHAR}++: {VALUE}*+\r\n)*+\r\n"
)

_STATUS_LINE = re.compile(rf"HTTP/1\.([0-9]) ([1-5][0-9][0-9])(?: {VALUE}*)?")
_BARE_LF = re.compile(rb"(?<!\r)\n")
_LENGTH = re.compile(r"[0-9]{1,18}")
_CHUNK_SIZE = re.compile(
    rb"([0-9A-Fa-f]{1,16})(?:[ \t]*+;[^\x00-\x08\x0a-\x1f\x7f]*+)?[ \t]*+"
)


def request_head(method: str, target: str, headers: Sequence[tuple[str, str]]) -> bytes:
    r"""Write a request line and its headers, empty line included.

    Args:
        method: HTTP method.
        target: Request target in origin form, already encoded: visible ASCII only.
        headers: Names and values in the order they are sent; text goes out as UTF-8,
            the bytes that were signed.

    Raises:
        InputError: A part holds CR, LF, NUL or another control character, a name is
            not a token, or the target is not visible ASCII. Names all such parts.
    """
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers]
    head = "\r\n".join(lines) + "\r\n\r\n"
    # The expression alone would take an injected "\r\nName: value" for a field of ours,
    # and a colon in a name for its end.
    if (
        head.count("\n") != len(lines) + 1
        or _REQUEST_HEAD.fullmatch(head) is None
        or ":" in "".join([name for name, _ in headers])
    ):
        raise InputError(_request_problems(lines[0], headers))
    return head.encode()


def _request_problems(
    request_line: str, headers: Sequence[tuple[str, str]]
) -> Iterable[Problem]:
    if _REQUEST_LINE.fullmatch(request_line) is None:
        yield Problem("request line", "method or target holds a forbidden character")
    for name, value in headers:
        # The value may be a credential: the name has to do.
        if _NAME.fullmatch(name) is None:
            yield Problem(f"header {name!r}", "the name is not a token")
        if _FIELD_VALUE.fullmatch(value) is None:
            yield Problem(f"header {name!r}", "the value holds a control character")


class _State(Enum):
    HEAD = auto()
    LENGTH = auto()
    UNTIL_CLOSE = auto()
    CHUNK_LINE = auto()
    CHUNK_DATA = auto()
    CHUNK_END = auto()
    TRAILERS = auto()


# A class attribute of an enumeration costs ten times what a name of the module does.
_HEAD: Final = _State.HEAD
_LENGTH_BODY: Final = _State.LENGTH


class ResponseParser:
    """Reads one response, cut into pieces in any way.

    Feed what arrives until a :class:`Response` comes back or :attr:`failure` is set;
    call :meth:`end` when the peer closes. Interim (1xx) responses are skipped. Bytes
    after a complete response make the connection unusable: in the same piece the
    response says ``keep_alive=False``, later they are a failure.

    Args:
        max_body_bytes: Longer bodies are ``http.malformed``.
        max_head_bytes: Likewise for status line and headers, and for trailers.
        is_head_request: The request was a HEAD: no body follows (RFC 9112 6.3).

    Attributes:
        failure: Why there will be no response, ``None`` as long as there may be one.
    """

    __slots__ = (
        "_body",
        "_buffer",
        "_headers",
        "_interim",
        "_is_head_request",
        "_keep_alive",
        "_max_body",
        "_max_head",
        "_missing",
        "_scanned",
        "_state",
        "_status",
        "failure",
    )

    def __init__(
        self,
        max_body_bytes: int,
        *,
        max_head_bytes: int = 64 * 1024,
        is_head_request: bool = False,
    ) -> None:
        self.failure: Failure | None = None
        self._max_body = max_body_bytes
        self._max_head = max_head_bytes
        self._is_head_request = is_head_request
        self._state: _State | None = _HEAD
        self._buffer: bytearray | None = None
        self._body: bytearray | None = None
        self._headers: dict[str, str] = {}
        self._status = 0
        self._keep_alive = False
        self._missing = 0
        self._scanned = 0
        self._interim = 0

    def feed(self, data: bytes) -> Response | None:
        """Take the next bytes of the stream.

        Returns:
            The response once it is complete, else ``None``.
        """
        if self.failure is not None or not data:
            return None
        if self._state is None:
            self._malformed("bytes after the end of the response")
            return None
        if self._buffer:
            self._buffer += data
            return self._advance(self._buffer)
        if self._state is _HEAD:
            at = self._read_head(data, 0)
            return self._whole(data, at) or self._advance(data, at)
        return self._advance(data)

    def _whole(self, data: bytes, at: int) -> Response | None:
        """Take a body that ends where the piece ends: nearly every response."""
        if self._state is not _LENGTH_BODY or len(data) - at != self._missing:
            return None
        self._state = None
        return Response(self._status, self._headers, data[at:], self._keep_alive)

    def end(self) -> Response | None:
        """Take note that the peer closed; returns a response that this ends."""
        if self.failure is not None or self._state is None:
            return None
        if self._state is _State.UNTIL_CLOSE:
            return self._finish(keep_alive=False)
        match self._state:
            case _State.HEAD if not self._buffer:
                where = "before the response"
            case _State.HEAD:
                where = "within the response head"
            case _State.LENGTH:
                got = len(self._body or b"")
                where = f"after {got} of {got + self._missing} body bytes"
            case _:
                where = "within a chunked body"
        self.failure = Failure(Kind.HTTP_RESET, Phase.WAIT, f"closed {where}")
        self._drop()
        return None

    def _advance(self, data: bytes | bytearray, at: int = 0) -> Response | None:
        """Consume what can be consumed of the pending bytes; keep the rest."""
        while True:
            before, state = at, self._state
            if state is None:
                is_last = at == len(data)
                return self._finish(keep_alive=self._keep_alive and is_last)
            at = self._read(state, data, at)
            if self.failure is not None:
                self._drop()
                return None
            if at == before and self._state is state:
                break
        self._keep(data, at)
        return None

    def _read(self, state: _State, data: bytes | bytearray, at: int) -> int:
        """Take one step: get further, or into another state, or need more bytes."""
        match state:
            case _State.HEAD:
                return self._read_head(data, at)
            case _State.LENGTH | _State.CHUNK_DATA:
                return self._read_data(data, at)
            case _State.UNTIL_CLOSE:
                return self._read_until_close(data, at)
            case _State.CHUNK_LINE:
                return self._read_chunk_line(data, at)
            case _State.CHUNK_END:
                return self._read_chunk_end(data, at)
            case _State.TRAILERS:
                return self._read_trailers(data, at)
            case _:
                assert_never(state)

    def _read_head(self, data: bytes | bytearray, at: int) -> int:
        end = data.find(b"\r\n\r\n", max(at, self._scanned - 3))
        length = (end + 4 if end >= 0 else len(data) + 1) - at
        if length > self._max_head:
            self._malformed(f"head longer than {self._max_head} bytes")
            return at
        if end < 0:
            start = bytes(data[at : at + 5])
            if not b"HTTP/".startswith(start):
                self._malformed("not an HTTP/1 status line")
            self._refuse_bare_lf(data, at)
            return at
        self._parse_head(data[at : end + 2].decode("latin-1"))
        self._scanned = end + 4
        return end + 4

    def _parse_head(self, head: str) -> None:
        status_line, _, block = head.partition("\r\n")
        line = _STATUS_LINE.fullmatch(status_line)
        if line is None:
            self._malformed("not an HTTP/1 status line")
            return
        headers = parse_fields(block)
        if headers is None:
            self._malformed("bad or too many header fields")
            return
        status = int(line[2])
        if status < 200:
            self._skip_interim(status)
            return
        self._status = status
        self._headers = headers
        is_1_0 = line[1] == "0"
        self._keep_alive = is_persistent(headers, is_1_0=is_1_0)
        self._choose_framing(headers, is_1_0=is_1_0)

    def _skip_interim(self, status: int) -> None:
        self._interim += 1
        if status == 101:
            self._malformed("101 although no upgrade was asked for")
        elif self._interim > MAX_INTERIM:
            self._malformed(f"more than {MAX_INTERIM} interim responses")

    def _choose_framing(self, headers: dict[str, str], *, is_1_0: bool) -> None:
        """Decide where the body ends (RFC 9112 6.3)."""
        coding = headers.get("transfer-encoding")
        length = headers.get("content-length")
        size = -1
        if length is not None:
            if _LENGTH.fullmatch(length) is None:
                self._malformed(f"bad Content-Length {length[:40]!r}")
                return
            size = int(length)
        if coding is not None:
            if length is not None:
                self._malformed("both Content-Length and Transfer-Encoding")
                return
            if is_1_0:
                self._malformed("Transfer-Encoding in HTTP/1.0")
                return
            if coding.lower() != "chunked":
                self._malformed(f"unknown Transfer-Encoding {coding[:40]!r}")
                return
        if self._is_head_request or self._status in {204, 304}:
            self._state = None
        elif coding is not None:
            self._state = _State.CHUNK_LINE
        elif length is None:
            self._state = _State.UNTIL_CLOSE
        elif size > self._max_body:
            self._too_long()
        else:
            self._missing = size
            self._state = _LENGTH_BODY

    def _read_data(self, data: bytes | bytearray, at: int) -> int:
        end = min(len(data), at + self._missing)
        self._missing -= end - at
        self._append(data, at, end)
        if not self._missing:
            is_chunk = self._state is _State.CHUNK_DATA
            self._state = _State.CHUNK_END if is_chunk else None
        return end

    def _read_until_close(self, data: bytes | bytearray, at: int) -> int:
        if len(self._body or b"") + len(data) - at > self._max_body:
            self._too_long()
        else:
            self._append(data, at, len(data))
        return len(data)

    def _read_chunk_line(self, data: bytes | bytearray, at: int) -> int:
        limit = at + MAX_CHUNK_LINE_BYTES + 2
        end = data.find(b"\r\n", max(at, self._scanned - 1), limit)
        if end < 0:
            if len(data) >= limit:
                self._malformed(f"chunk line longer than {MAX_CHUNK_LINE_BYTES} bytes")
            self._refuse_bare_lf(data, at)
            return at
        line = _CHUNK_SIZE.fullmatch(data, at, end)
        if line is None:
            self._malformed("bad chunk size")
            return at
        size = int(line[1], 16)
        if size > self._max_body - len(self._body or b""):
            self._too_long()
        self._missing = size
        self._state = _State.CHUNK_DATA if size else _State.TRAILERS
        self._scanned = end + 2
        return end + 2

    def _read_chunk_end(self, data: bytes | bytearray, at: int) -> int:
        mark = data[at : at + 2]
        if not b"\r\n".startswith(mark):
            self._malformed("chunk longer than its size")
        elif len(mark) == 2:
            self._state = _State.CHUNK_LINE
            self._scanned = at + 2
            return at + 2
        return at

    def _read_trailers(self, data: bytes | bytearray, at: int) -> int:
        if data[at : at + 2] == b"\r\n":
            self._state = None
            return at + 2
        end = data.find(b"\r\n\r\n", max(at, self._scanned - 3))
        length = (end + 4 if end >= 0 else len(data) + 1) - at
        if length > self._max_head:
            self._malformed(f"trailers longer than {self._max_head} bytes")
            return at
        if end < 0:
            self._refuse_bare_lf(data, at)
            return at
        # Checked, then dropped: a recipient may discard trailers (RFC 9110 6.5.1).
        if parse_fields(data[at : end + 2].decode("latin-1")) is None:
            self._malformed("bad or too many trailer fields")
        self._state = None
        return end + 4

    def _refuse_bare_lf(self, data: bytes | bytearray, at: int) -> None:
        """Refuse line ends that would keep us waiting for a CRLF for ever."""
        if _BARE_LF.search(data, max(at, self._scanned)):
            self._malformed("bare LF")
        self._scanned = len(data)

    def _append(self, data: bytes | bytearray, at: int, end: int) -> None:
        if at == end:
            return
        if self._body is None:
            self._body = bytearray(data[at:end])
        else:
            self._body += data[at:end]

    def _keep(self, data: bytes | bytearray, at: int) -> None:
        """Hold the unconsumed rest; deleting in place keeps small pieces linear."""
        if data is self._buffer:
            del self._buffer[:at]
        elif at < len(data):
            self._buffer = bytearray(data[at:])
        self._scanned = max(self._scanned - at, 0)

    def _finish(self, *, keep_alive: bool) -> Response:
        self._state = None
        body = bytes(self._body) if self._body else b""
        self._buffer = self._body = None
        return Response(self._status, self._headers, body, keep_alive)

    def _too_long(self) -> None:
        self._malformed(f"body longer than {self._max_body} bytes")

    def _malformed(self, detail: str) -> None:
        if self.failure is None:
            self.failure = Failure(Kind.HTTP_MALFORMED, Phase.WAIT, detail)

    def _drop(self) -> None:
        self._buffer = self._body = None
