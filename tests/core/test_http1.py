"""HTTP/1.1: request heads and the response parser."""

import asyncio
import http.client
import io
import string
from collections.abc import Iterable
from itertools import pairwise

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.http_parser import HttpResponseParser
from hypothesis import example, given
from hypothesis import strategies as st

from fleetsim.core.events import Response
from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.core.http1 import (
    MAX_CHUNK_LINE_BYTES,
    ResponseParser,
    request_head,
)
from fleetsim.exceptions import InputError

LIMIT = 1000


def parse(
    pieces: Iterable[bytes],
    *,
    closes: bool = True,
    is_head_request: bool = False,
    max_head_bytes: int = 64 * 1024,
) -> Response | Failure | None:
    """Feed pieces until there is a verdict, then close; ``None`` = still waiting."""
    parser = ResponseParser(
        LIMIT, max_head_bytes=max_head_bytes, is_head_request=is_head_request
    )
    for piece in pieces:
        response = parser.feed(piece)
        if response is not None or parser.failure is not None:
            return parser.failure or response
    response = parser.end() if closes else None
    return parser.failure or response


def each_byte(data: bytes) -> list[bytes]:
    """Cut into single bytes."""
    return [data[at : at + 1] for at in range(len(data))]


def cut(data: bytes, at: Iterable[int]) -> list[bytes]:
    """Cut at any positions; empty pieces may come out."""
    places = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def response(
    status: int = 200, body: bytes = b"", *, keep_alive: bool = True, **headers: str
) -> Response:
    """Write an expected response; ``_`` in names stands for ``-``."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(status, names, body, keep_alive)


# ---------------------------------------------------------------- responses taken

TAKEN = [
    pytest.param(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        response(body=b"hello", content_length="5"),
        id="content-length",
    ),
    pytest.param(
        b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nETag: "x"\r\n\r\n',
        response(content_length="0", etag='"x"'),
        id="empty-body",
    ),
    pytest.param(
        b"HTTP/1.1 404 \r\ncontent-length:1\r\n\r\nx",
        response(404, b"x", content_length="1"),
        id="no-reason-no-space",
    ),
    pytest.param(
        b"HTTP/1.1 500 Sch\xe4de\r\nContent-Length: 0\r\nX: \xe4\r\n\r\n",
        response(500, content_length="0", x="ä"),
        id="latin-1",
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nContent-Length: 007\r\n\r\n1234567",
        response(body=b"1234567", content_length="007"),
        id="leading-zeros",
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length:\t 0 \t\r\na:  2 3 \r\nA:\r\n\r\n",
        response(a="1, 2 3, ", content_length="0"),
        id="repeated-field-and-white-space",
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'5\r\nhello\r\n00A;x="y z"\r\n0123456789\r\n0\r\n\r\n',
        response(body=b"hello0123456789", transfer_encoding="chunked"),
        id="chunked-with-extension",
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
        b"1 \r\nx\r\n0\r\nX-Check: 1\r\nX-Other: 2\r\n\r\n",
        response(body=b"x", transfer_encoding="Chunked"),
        id="chunked-with-trailers",
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nuntil close",
        response(body=b"until close", keep_alive=False, x="y"),
        id="close-delimited",
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\r\n\r\n",
        response(keep_alive=False),
        id="close-delimited-empty",
    ),
    pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", response(204), id="204"),
    pytest.param(
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n",
        response(304, content_length="99"),
        id="304-with-length-of-the-object",
    ),
    pytest.param(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\nX: y\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        response(body=b"x", content_length="1"),
        id="interim-skipped",
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nConnection: foo, Close\r\nContent-Length: 0\r\n\r\n",
        response(keep_alive=False, connection="foo, Close", content_length="0"),
        id="connection-close",
    ),
    pytest.param(
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        response(keep_alive=False, content_length="0"),
        id="http-1.0-closes",
    ),
    pytest.param(
        b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0\r\n\r\n",
        response(connection="Keep-Alive", content_length="0"),
        id="http-1.0-keep-alive",
    ),
]


@pytest.mark.parametrize(("data", "expected"), TAKEN)
def test_takes(data: bytes, expected: Response) -> None:
    """Well-formed responses are taken, whole and byte by byte alike."""
    assert parse([data]) == expected
    assert parse(each_byte(data)) == expected


class _Socket:
    """As much of a socket as ``http.client`` asks for."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        """Open the received bytes."""
        return io.BytesIO(self._data)


def read_with_http_client(data: bytes, method: str = "PUT") -> tuple[int, bytes, bool]:
    """Parse with the standard library: status, body, whether it would close."""
    reader = http.client.HTTPResponse(_Socket(data), method=method)  # type: ignore[arg-type]  # a socket's makefile is all it uses
    reader.begin()
    body = reader.read()
    return reader.status, body, bool(reader.will_close)


@pytest.mark.parametrize(("data", "expected"), TAKEN)
def test_takes_what_http_client_takes(data: bytes, expected: Response) -> None:
    """The standard library reads the same status, body and persistence."""
    # Of interim responses http.client skips 100 alone.
    data = data.replace(b"HTTP/1.1 102 Processing\r\nX: y\r\n\r\n", b"")
    status, body, will_close = read_with_http_client(data)
    assert (status, body, not will_close) == (
        expected.status,
        expected.body,
        expected.keep_alive,
    )


def read_with_aiohttp(data: bytes) -> tuple[int, bytes, bool] | None:
    """Parse with aiohttp: status, body, whether it would close; ``None`` = refused."""
    loop = asyncio.new_event_loop()
    try:
        parser = HttpResponseParser(
            BaseProtocol(loop),
            loop,
            2**16,
            response_with_body=True,
            read_until_eof=True,
            auto_decompress=False,
        )
        messages, _, tail = parser.feed_data(data)
        parser.feed_eof()
    except (HttpProcessingError, RuntimeError):
        # RuntimeError: what its C parser makes of some errors at the end of input.
        return None
    else:
        if not messages or tail:
            return None
        head, payload = messages[-1]
        body = b"" if payload.at_eof() else payload.read_nowait()
        return head.code, body, head.should_close
    finally:
        loop.close()


@pytest.mark.parametrize(("data", "expected"), TAKEN)
def test_takes_what_aiohttp_takes(data: bytes, expected: Response) -> None:
    """The parser of aiohttp reads the same status, body and persistence."""
    assert read_with_aiohttp(data) == (
        expected.status,
        expected.body,
        not expected.keep_alive,
    )


@pytest.mark.parametrize(
    "head",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 16384\r\nETag: "x"\r\n\r\n',
        b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 403 Forbidden\r\n\r\n",
    ],
    ids=["length", "chunked", "nothing"],
)
def test_head_responses_have_no_body(head: bytes) -> None:
    """After HEAD the head is all, whatever length it announces."""
    found = parse(each_byte(head), closes=False, is_head_request=True)
    assert isinstance(found, Response)
    assert (found.body, found.keep_alive) == (b"", True)


def test_body_of_exactly_the_limit() -> None:
    """The limit itself is allowed, in each framing."""
    body = b"x" * LIMIT
    for head in (
        b"Content-Length: 1000\r\n\r\n%b",
        b"Transfer-Encoding: chunked\r\n\r\n3e8\r\n%b\r\n0\r\n\r\n",
        b"\r\n%b",
    ):
        found = parse([b"HTTP/1.1 200 OK\r\n" + head % body])
        assert isinstance(found, Response)
        assert found.body == body


# ---------------------------------------------------------------- responses refused

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"SSH-2.0-OpenSSH_9.2", id="ssh-banner"),
        pytest.param(b"\x15\x03\x03\x00\x02\x02\x28", id="tls-alert"),
        pytest.param(b"HTTP/2 200 OK\r\n\r\n", id="http-2"),
        pytest.param(b"\r\nHTTP/1.1 200 OK\r\n\r\n", id="empty-line-first"),
        pytest.param(b"HTTP/1.1 200\tOK\r\n\r\n", id="tab"),
        pytest.param(b"HTTP/1.1  200 OK\r\n\r\n", id="two-spaces"),
        pytest.param(b"HTTP/1.1 20 OK\r\n\r\n", id="two-digits"),
        pytest.param(b"HTTP/1.1 2000 OK\r\n\r\n", id="four-digits"),
        pytest.param(b"HTTP/1.1 +20 OK\r\n\r\n", id="signed-status"),
        pytest.param(b"HTTP/1.1 099 OK\r\n\r\n", id="status-99"),
        pytest.param(b"HTTP/1.1 600 OK\r\n\r\n", id="status-600"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", id="101"),
        pytest.param(b"HTTP/1.1 200 O\rK\r\n\r\n", id="bare-cr-in-reason"),
        pytest.param(b"HTTP/1.1 200 OK\nX: y\n\n", id="bare-lf"),
        pytest.param(OK + b"X: y\nZ: w\r\n\r\n", id="one-bare-lf"),
        pytest.param(OK + b"X: y\x00\r\n\r\n", id="nul"),
        pytest.param(OK + b"X: y\rz\r\n\r\n", id="bare-cr"),
        pytest.param(OK + b"X : y\r\n\r\n", id="space-before-colon"),
        pytest.param(OK + b"X\r\n\r\n", id="no-colon"),
        pytest.param(OK + b": y\r\n\r\n", id="no-name"),
        pytest.param(OK + b"X: y\r\n  z\r\n\r\n", id="obs-fold"),
        pytest.param(OK + b" X: y\r\n\r\n", id="obs-fold-first"),
        pytest.param(OK + b"X\xe4: y\r\n\r\n", id="name-not-a-token"),
        pytest.param(OK + b"X: y\r\n" * 257 + b"\r\n", id="too-many-fields"),
        pytest.param(OK + b"Content-Length: -1\r\n\r\n", id="negative-length"),
        pytest.param(OK + b"Content-Length: +5\r\n\r\nhello", id="plus-length"),
        pytest.param(OK + b"Content-Length: 0x5\r\n\r\nhello", id="hex-length"),
        pytest.param(OK + b"Content-Length: 1_0\r\n\r\n", id="underscore-length"),
        pytest.param(OK + b"Content-Length: \xb2\r\n\r\nxx", id="superscript-length"),
        pytest.param(OK + b"Content-Length:\r\n\r\n", id="empty-length"),
        pytest.param(OK + b"Content-Length: 5 5\r\n\r\nhello", id="two-numbers"),
        pytest.param(
            OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
            id="length-twice",
        ),
        pytest.param(
            OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            id="lengths-conflict",
        ),
        pytest.param(OK + b"Content-Length: 1001\r\n\r\n", id="length-over-limit"),
        pytest.param(OK + b"Content-Length: 9" + b"9" * 40 + b"\r\n\r\n", id="huge"),
        pytest.param(
            OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="length-and-chunked",
        ),
        pytest.param(
            OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", id="gzip-chunked"
        ),
        pytest.param(OK + b"Transfer-Encoding: identity\r\n\r\n", id="identity-coding"),
        pytest.param(
            OK + b"Transfer-Encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n",
            id="chunked-twice",
        ),
        pytest.param(
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            id="chunked-in-1.0",
        ),
        pytest.param(CHUNKED + b"\r\nhello\r\n", id="chunk-size-empty"),
        pytest.param(CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n", id="chunk-size-plus"),
        pytest.param(CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n", id="chunk-size-minus"),
        pytest.param(CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n", id="chunk-size-0x"),
        pytest.param(CHUNKED + b" 5\r\nhello\r\n0\r\n\r\n", id="chunk-size-space"),
        pytest.param(
            CHUNKED + b"5_0\r\nhello\r\n0\r\n\r\n", id="chunk-size-underscore"
        ),
        pytest.param(CHUNKED + b"g\r\nhello\r\n0\r\n\r\n", id="chunk-size-not-hex"),
        pytest.param(CHUNKED + b"5\nhello\r\n0\r\n\r\n", id="chunk-line-bare-lf"),
        pytest.param(CHUNKED + b"5;x\x00\r\nhello\r\n", id="chunk-extension-nul"),
        pytest.param(CHUNKED + b"0" * 17 + b"5\r\nhello\r\n", id="chunk-size-digits"),
        pytest.param(CHUNKED + b"ffffffffffffffff\r\n", id="chunk-size-64-bit"),
        pytest.param(CHUNKED + b"5\r\nhelloX\r\n0\r\n\r\n", id="chunk-longer"),
        pytest.param(CHUNKED + b"5\r\nhello\n0\r\n\r\n", id="chunk-end-bare-lf"),
        pytest.param(CHUNKED + b"5;" + b"x" * 1100, id="chunk-line-endless"),
        pytest.param(
            CHUNKED + b"5;" + b"x" * 1100 + b"\r\nhello", id="chunk-line-long"
        ),
        pytest.param(
            CHUNKED + (b"1f4\r\n" + b"x" * 500 + b"\r\n") * 3, id="chunks-over-limit"
        ),
        pytest.param(CHUNKED + b"0\r\nX\r\n\r\n", id="trailer-no-colon"),
        pytest.param(CHUNKED + b"0\r\nX: y\nZ: w\r\n\r\n", id="trailer-bare-lf"),
        pytest.param(CHUNKED + b"0\r\nX: " + b"y" * 70_000, id="trailers-endless"),
        pytest.param(CHUNKED + b"0\r\n" + b"X: y\r\n" * 300 + b"\r\n", id="trailers"),
        pytest.param(OK + b"\r\n" + b"x" * 1001, id="close-delimited-over-limit"),
        pytest.param(OK + b"X: " + b"y" * 70_000, id="head-endless"),
        pytest.param(OK + b"X: " + b"y" * 70_000 + b"\r\n\r\n", id="head-long"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 17, id="interim-endless"),
    ],
)
def test_refuses(data: bytes) -> None:
    """Bad, ambiguous and oversized messages fail at once, however they are cut."""
    for pieces in ([data], each_byte(data), cut(data, [len(data) // 2])):
        found = parse(pieces, closes=False)
        assert isinstance(found, Failure)
        assert (found.kind, found.phase) == (Kind.HTTP_MALFORMED, Phase.WAIT)
        assert found.detail


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        pytest.param(b"", "before the response", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX", "within the response head", id="head"),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\n", "before the response", id="interim-only"
        ),
        pytest.param(
            OK + b"Content-Length: 5\r\n\r\nhel", "after 3 of 5 body bytes", id="length"
        ),
        pytest.param(
            OK + b"Content-Length: 5\r\n\r\n", "after 0 of 5 body bytes", id="no-body"
        ),
        pytest.param(CHUNKED + b"5\r\nhel", "within a chunked body", id="chunk"),
        pytest.param(CHUNKED + b"5\r\nhello", "within a chunked body", id="chunk-end"),
        pytest.param(CHUNKED + b"5\r\nhello\r\n", "within a chunked body", id="size"),
        pytest.param(CHUNKED + b"0\r\nX: y\r\n", "within a chunked body", id="trailer"),
    ],
)
def test_early_close_is_a_reset(data: bytes, detail: str) -> None:
    """A close before the end of the message says where it happened."""
    for pieces in ([data], each_byte(data)):
        found = parse(pieces)
        assert found == Failure(Kind.HTTP_RESET, Phase.WAIT, f"closed {detail}")


def test_waits_without_a_verdict() -> None:
    """An incomplete response is neither a response nor a failure."""
    assert parse([OK], closes=False) is None
    assert parse([CHUNKED, b"5\r\nhel"], closes=False) is None


def test_bytes_after_the_response_in_the_same_piece() -> None:
    """The response counts; the connection does not go on."""
    found = parse([OK + b"Content-Length: 1\r\n\r\nxHTTP/1.1 200 OK"])
    assert isinstance(found, Response)
    assert (found.body, found.keep_alive) == (b"x", False)


def test_bytes_after_the_response_later() -> None:
    """What comes after a complete response is a failure of the idle connection."""
    parser = ResponseParser(LIMIT)
    assert parser.feed(OK + b"Content-Length: 0\r\n\r\n") is not None
    kinds = []
    for piece in (b"", b"H"):
        assert parser.feed(piece) is None
        kinds.append(parser.failure and parser.failure.kind)
    assert kinds == [None, Kind.HTTP_MALFORMED]


def test_end_after_the_response_changes_nothing() -> None:
    """An idle connection may be closed."""
    parser = ResponseParser(LIMIT)
    parser.feed(OK + b"Content-Length: 0\r\n\r\n")
    assert parser.end() is None
    assert parser.failure is None


def test_failure_is_final() -> None:
    """After a failure nothing is taken and nothing is kept."""
    parser = ResponseParser(LIMIT)
    parser.feed(b"junk")
    first = parser.failure
    assert parser.feed(OK + b"Content-Length: 0\r\n\r\n") is None
    assert parser.end() is None
    assert parser.failure is first
    assert parser._buffer is parser._body is None


def test_head_limit_counts_status_line_to_empty_line() -> None:
    """A head of exactly the limit passes, one byte more fails, whole or cut."""
    head = OK + b"Content-Length: 0\r\n\r\n"
    for pieces in ([head], each_byte(head)):
        exact = parse(pieces, closes=False, max_head_bytes=len(head))
        assert isinstance(exact, Response)
        short = parse(pieces, closes=False, max_head_bytes=len(head) - 1)
        assert isinstance(short, Failure)


@pytest.mark.parametrize(("excess", "is_taken"), [(0, True), (1, False)])
def test_chunk_line_limit(excess: int, is_taken: bool) -> None:
    """A chunk line of exactly the limit passes, one byte more fails, whole or cut."""
    line = b"1;".ljust(MAX_CHUNK_LINE_BYTES + excess, b"x")
    data = CHUNKED + line + b"\r\ny\r\n0\r\n\r\n"
    for pieces in ([data], each_byte(data)):
        assert isinstance(parse(pieces), Response) is is_taken


def test_memory_is_bounded() -> None:
    """Megabytes of one-byte chunks in one piece end at the body limit."""
    parser = ResponseParser(LIMIT)
    parser.feed(CHUNKED)
    parser.feed(b"1\r\nx\r\n" * 500_000)
    assert parser.failure is not None
    assert parser.failure.detail == f"body longer than {LIMIT} bytes"


# ---------------------------------------------------------------- laws

PIECES = st.lists(st.integers(0, 10_000), max_size=8)
BODIES = st.binary(max_size=200)
TOKENS = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=10)
VALUES = st.text(string.ascii_letters + string.digits + ' ;=,"äÿ', max_size=20)


@st.composite
def valid_responses(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Draw a well-formed response and its body."""
    body = draw(BODIES)
    fields = [
        (f"X-{name}", value)
        for name, value in draw(st.lists(st.tuples(TOKENS, VALUES), max_size=5))
    ]
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    wire = body
    if framing == "length":
        fields.append(("Content-Length", str(len(body))))
    elif framing == "chunked":
        fields.append(("Transfer-Encoding", "chunked"))
        parts = [part for part in cut(body, draw(PIECES)) if part]
        wire = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)
        wire += b"0\r\n\r\n"
    fields = draw(st.permutations(fields))
    lines = [f"HTTP/1.1 {draw(st.sampled_from([200, 403, 503]))} Words"]
    lines += [f"{name}: {value}" for name, value in fields]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + wire, body


@given(valid_responses(), PIECES)
def test_cutting_changes_nothing(drawn: tuple[bytes, bytes], at: list[int]) -> None:
    """However a response is cut it is the same, and the one http.client reads."""
    data, body = drawn
    whole = parse([data])
    assert isinstance(whole, Response)
    assert whole.body == body
    assert parse(cut(data, at)) == whole
    status, their_body, will_close = read_with_http_client(data)
    assert (whole.status, whole.body) == (status, their_body)
    assert whole.keep_alive is not will_close


@st.composite
def damaged_responses(draw: st.DrawFn) -> bytes:
    """Draw a response with some bytes replaced, removed or inserted."""
    data = bytearray(draw(valid_responses())[0])
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        width = draw(st.integers(0, 3))
        data[at : at + width] = draw(
            st.one_of(
                st.binary(max_size=3),
                st.sampled_from([b"\r\n", b"\n", b"\r", b"\x00", b":", b" ", b"0"]),
            )
        )
    return bytes(data)


def outcome(found: Response | Failure | None) -> object:
    """Reduce to what may not depend on how the stream was cut."""
    if isinstance(found, Response):
        return found.status, found.headers, found.body
    return found.kind if found is not None else None


@given(damaged_responses(), PIECES)
@example(b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\nX", [5, 17, 30])
def test_cutting_changes_nothing_for_damaged(data: bytes, at: list[int]) -> None:
    """Damage is judged the same however it is cut, and never raises."""
    whole = outcome(parse([data]))
    assert whole is not None
    assert outcome(parse(cut(data, at))) == whole
    assert outcome(parse(each_byte(data))) == whole


@given(damaged_responses())
def test_what_is_taken_is_read_the_same_by_aiohttp(data: bytes) -> None:
    """A damaged response that both parsers take has one meaning."""
    mine = parse([data])
    theirs = read_with_aiohttp(data)
    if isinstance(mine, Response) and theirs is not None:
        assert (mine.status, mine.body) == theirs[:2]


@given(st.binary(max_size=300), PIECES, st.booleans())
def test_random_bytes_never_raise(data: bytes, at: list[int], is_head: bool) -> None:
    """Noise ends in a verdict, alone and behind a good start."""
    for start in (b"", OK, CHUNKED, CHUNKED + b"0\r\n"):
        found = parse(cut(start + data, at), is_head_request=is_head)
        assert found is not None


# ---------------------------------------------------------------- request heads


def test_request_head() -> None:
    """A head is what RFC 9112 writes, text in UTF-8."""
    head = request_head("PUT", "/b/k?x=1", [("Host", "s3:9000"), ("X", "ä b\t")])
    assert head == "PUT /b/k?x=1 HTTP/1.1\r\nHost: s3:9000\r\nX: ä b\t\r\n\r\n".encode()
    assert request_head("GET", "/", []) == b"GET / HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "target", "headers", "where"),
    [
        ("PUT", "/a\r\nX: y", (), "request line"),
        ("PUT", "/a b", (), "request line"),
        ("PUT", "/ä", (), "request line"),
        ("PUT", "", (), "request line"),
        ("PUT\n", "/", (), "request line"),
        ("", "/", (), "request line"),
        ("PUT", "/", (("X", "a\r\nInjected: b"),), "header 'X'"),
        ("PUT", "/", (("X", "a\nb"),), "header 'X'"),
        ("PUT", "/", (("X", "a\rb"),), "header 'X'"),
        ("PUT", "/", (("X", "a\x00"),), "header 'X'"),
        ("PUT", "/", (("X", "a\r\n\r\nGET / HTTP/1.1"),), "header 'X'"),
        ("PUT", "/", (("X: y\r\nZ", "a"),), "header 'X: y\\r\\nZ'"),
        ("PUT", "/", (("X y", "a"),), "header 'X y'"),
        ("PUT", "/", (("X: y", "a"),), "header 'X: y'"),
        ("PUT", "/", (("X", "\udc80"),), "header 'X'"),
        ("PUT", "/", (("", "a"),), "header ''"),
    ],
)
def test_request_head_refuses_injection(
    method: str, target: str, headers: tuple[tuple[str, str], ...], where: str
) -> None:
    """No part can end its line, and the complaint names the part, not its value."""
    with pytest.raises(InputError) as caught:
        request_head(method, target, headers)
    assert [problem.where for problem in caught.value.problems] == [where]
    assert "Injected" not in str(caught.value)


def test_request_head_names_every_problem() -> None:
    """All bad parts are named at once."""
    with pytest.raises(InputError) as caught:
        request_head("PUT", " ", [("A", "\n"), ("B", "fine"), ("C", "\r")])
    assert [problem.where for problem in caught.value.problems] == [
        "request line",
        "header 'A'",
        "header 'C'",
    ]


@given(
    st.lists(st.tuples(st.text(max_size=8), st.text(max_size=12)), max_size=4),
    st.text(max_size=10),
)
def test_request_head_is_safe_or_refused(
    headers: list[tuple[str, str]], target: str
) -> None:
    """Whatever goes in, out comes one line per header or an error."""
    try:
        head = request_head("PUT", target, headers)
    except InputError:
        return
    assert head.endswith(b"\r\n\r\n")
    assert head.count(b"\r") == head.count(b"\n") == len(headers) + 2
    message = http.client.parse_headers(io.BytesIO(head.partition(b"\r\n")[2]))
    assert [name for name, _ in message.items()] == [name for name, _ in headers]
