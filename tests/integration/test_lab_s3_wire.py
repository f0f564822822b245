"""The lab's S3 endpoint byte by byte: refusals, broken uploads, damaged requests."""

import base64
import hashlib
import http.client
import socket
import time
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsim.core.settings import Credentials, Endpoint
from fleetsim.core.sigv4 import (
    STREAMING_PAYLOAD,
    STREAMING_PAYLOAD_TRAILER,
    STREAMING_UNSIGNED_PAYLOAD_TRAILER,
    Signer,
    amz_date,
    chunk_string_to_sign,
    credential_scope,
    signature,
    signing_key,
    trailer_string_to_sign,
)
from tests.integration.s3_lab import (
    ACCESS_KEY,
    BUCKET,
    SECRET_KEY,
    RunningLab,
    running_lab,
)

Items = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, its error document taken apart."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def code(self) -> str:
        """S3 error code, empty when there is none."""
        if not self.body.startswith(b"<?xml"):
            return ""
        return ET.fromstring(self.body).findtext("Code") or ""  # noqa: S314  # ours


@pytest.fixture(scope="module", params=["app", "server"])
def lab(request: pytest.FixtureRequest) -> Iterator[RunningLab]:
    """One lab for all tests, in each of the two ways to serve it."""
    with running_lab(is_bare=request.param == "server") as running:
        yield running


def now() -> int:
    """Time to sign for."""
    return int(time.time())  # noqa: TID251  # the lab's clock is the real one


def signer(lab: RunningLab, **changes: str) -> Signer:
    """Sign as the lab's account, or as changed."""
    return Signer(
        Credentials(
            access_key=changes.get("access_key", ACCESS_KEY),
            secret_key=changes.get("secret_key", SECRET_KEY),
        ),
        Endpoint(
            scheme="http",
            host="127.0.0.1",
            port=lab.port,
            bucket=changes.get("bucket", BUCKET),
            region=changes.get("region", "us-east-1"),
        ),
    )


def exchange(
    lab: RunningLab, method: str, target: str, headers: Items, body: bytes = b""
) -> Reply:
    """Send one request over its own connection and read the response."""
    with socket.create_connection(("127.0.0.1", lab.port), timeout=20) as sock:
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        request = f"{method} {target} HTTP/1.1\r\n{head}\r\n"
        sock.sendall(request.encode("utf-8", "surrogateescape") + body)
        return read_reply(sock, method)


def read_reply(sock: socket.socket, method: str) -> Reply:
    """Read one response."""
    response = http.client.HTTPResponse(sock, method=method)
    response.begin()
    with response:
        return Reply(response.status, response.headers, response.read())


def send(
    lab: RunningLab,
    method: str = "PUT",
    key: str = "k",
    body: bytes = b"",
    *,
    headers: Items = (),
    query: Items = (),
    payload: str | None = None,
    unix_s: int | None = None,
    **changes: str,
) -> Reply:
    """Send one properly signed request."""
    target, signed = signer(lab, **changes).sign(
        method,
        key,
        now() if unix_s is None else unix_s,
        payload_sha256=payload,
        query=query,
        headers=headers,
    )
    if method in {"GET", "HEAD", "DELETE"}:
        return exchange(lab, method, target, signed)
    signed.append(("Content-Length", str(len(body))))
    return exchange(lab, method, target, signed, body)


CRC = base64.b64encode(zlib.crc32(b"body").to_bytes(4, "big")).decode()


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        pytest.param({"secret_key": "x"}, 403, "SignatureDoesNotMatch", id="secret"),
        pytest.param({"access_key": "NOBODY"}, 403, "InvalidAccessKeyId", id="key"),
        pytest.param(
            {"region": "eu-west-1"}, 400, "AuthorizationHeaderMalformed", id="region"
        ),
        pytest.param({"bucket": "no-bucket"}, 404, "NoSuchBucket", id="bucket"),
        pytest.param({"method": "GET", "key": "none"}, 404, "NoSuchKey", id="no key"),
        pytest.param({"method": "PATCH"}, 405, "MethodNotAllowed", id="method"),
        pytest.param({"method": "POST"}, 405, "MethodNotAllowed", id="post"),
        pytest.param({"payload": "0" * 64}, 400, "XAmzContentSHA256Mismatch", id="sha"),
        pytest.param({"payload": "SHA"}, 400, "InvalidArgument", id="payload word"),
        pytest.param(
            {"headers": [("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==")]},
            400,
            "BadDigest",
            id="md5",
        ),
        pytest.param(
            {"headers": [("Content-MD5", "AAAA")]}, 400, "InvalidDigest", id="md5 size"
        ),
        pytest.param(
            {"headers": [("x-amz-checksum-crc32", "AAAAAA==")]},
            400,
            "BadDigest",
            id="crc32",
        ),
        pytest.param(
            {"headers": [("x-amz-checksum-crc32", "AAAA")]},
            400,
            "InvalidRequest",
            id="crc32 size",
        ),
        pytest.param(
            {
                "headers": [
                    ("x-amz-checksum-crc32", CRC),
                    ("x-amz-checksum-sha1", "qmqZ3vk="),
                ]
            },
            400,
            "InvalidRequest",
            id="two checksums",
        ),
        pytest.param(
            {"headers": [("x-amz-sdk-checksum-algorithm", "CRC32")]},
            400,
            "InvalidRequest",
            id="checksum announced only",
        ),
        pytest.param(
            {"headers": [("x-amz-meta-a", "x" * 2100)]},
            400,
            "MetadataTooLarge",
            id="metadata",
        ),
        pytest.param(
            {"headers": [("x-amz-storage-class", "PAPER")]},
            400,
            "InvalidStorageClass",
            id="class",
        ),
        pytest.param(
            {"headers": [("x-amz-acl", "public-read")]},
            400,
            "AccessControlListNotSupported",
            id="acl",
        ),
        pytest.param(
            {"headers": [("x-amz-server-side-encryption", "AES256")]},
            501,
            "NotImplemented",
            id="encryption",
        ),
        pytest.param({"query": [("tagging", "")]}, 501, "NotImplemented", id="tags"),
        pytest.param({"key": "k" * 1025}, 400, "KeyTooLongError", id="long key"),
        pytest.param(
            {"query": [("uploadId", "none"), ("partNumber", "1")]},
            404,
            "NoSuchUpload",
            id="upload",
        ),
        pytest.param(
            {"method": "GET", "key": "", "query": [("max-keys", "-1")]},
            400,
            "InvalidArgument",
            id="max-keys",
        ),
        pytest.param(
            {
                "method": "GET",
                "key": "",
                "query": [("list-type", "2"), ("continuation-token", "!")],
            },
            400,
            "InvalidArgument",
            id="token",
        ),
        pytest.param(
            {"method": "POST", "key": "", "query": [("delete", "")]},
            400,
            "InvalidRequest",
            id="delete without digest",
        ),
        pytest.param(
            {"key": "", "bucket": "Upper_case"}, 400, "InvalidBucketName", id="name"
        ),
    ],
)
def test_refusals(
    lab: RunningLab, options: dict[str, object], status: int, code: str
) -> None:
    """Each fault has its status, its code, a request id, and stores nothing."""
    reply = send(lab, **{"body": b"body", "key": "refused", **options})  # type: ignore[arg-type]  # a table
    assert (reply.status, reply.code) == (status, code)
    document = ET.fromstring(reply.body)  # noqa: S314  # ours
    assert document.findtext("RequestId") == reply.headers["x-amz-request-id"]
    assert document.findtext("Message")
    assert "refused" not in lab.store.buckets[BUCKET].objects


def test_skew(lab: RunningLab) -> None:
    """The clocks may be 15 minutes apart, not more."""
    for offset_s, status in ((-890, 200), (890, 200), (-910, 403), (910, 403)):
        reply = send(lab, body=b"x", unix_s=now() + offset_s)
        assert reply.status == status
        assert reply.code == ("" if status == 200 else "RequestTimeTooSkewed")


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        pytest.param([], 403, "AccessDenied", id="anonymous"),
        pytest.param(
            [("Authorization", "AWS key:c2ln")], 400, "InvalidRequest", id="v2"
        ),
        pytest.param(
            [("Authorization", "Basic eDp5")], 400, "InvalidArgument", id="basic"
        ),
        pytest.param(
            [("Authorization", "AWS4-HMAC-SHA256 Credential=a")],
            400,
            "AuthorizationHeaderMalformed",
            id="cut short",
        ),
    ],
)
def test_without_a_signature(
    lab: RunningLab, headers: Items, status: int, code: str
) -> None:
    """What is not signed in the one supported way is refused as S3 does."""
    reply = exchange(lab, "GET", f"/{BUCKET}/k", [("Host", "h"), *headers])
    assert (reply.status, reply.code) == (status, code)


def test_unsigned_header_is_refused(lab: RunningLab) -> None:
    """An x-amz- header added after signing is refused, another header is not."""
    target, headers = signer(lab).sign("GET", "k", now())
    send(lab, key="k", body=b"x")
    assert exchange(lab, "GET", target, [*headers, ("X-Other", "1")]).status == 200
    reply = exchange(lab, "GET", target, [*headers, ("x-amz-meta-a", "1")])
    assert (reply.status, reply.code) == (403, "AccessDenied")


def test_every_signed_thing_matters(lab: RunningLab) -> None:
    """A changed method, path, query or signed header breaks the signature."""
    send(lab, key="k", body=b"x")
    target, headers = signer(lab).sign(
        "GET", "k", now(), headers=[("x-amz-meta-a", "1")]
    )
    changed = [(n, "2" if n == "x-amz-meta-a" else v) for n, v in headers]
    for method, path, sent in (
        ("HEAD", target, headers),
        ("GET", target + "2", headers),
        ("GET", target + "?a=b", headers),
        ("GET", target, changed),
    ):
        assert exchange(lab, method, path, sent).status == 403
    assert exchange(lab, "GET", target, headers).status == 200


def test_escapes_in_the_target_do_not_matter(lab: RunningLab) -> None:
    """However a client escapes its path, it is the same key and signature."""
    send(lab, key="a+b (c)/ü~", body=b"same")
    _, headers = signer(lab).sign("GET", "a+b (c)/ü~", now())
    for target in (
        "/fleet/a%2Bb%20%28c%29/%C3%BC~",
        "/fleet/a+b%20(c)/%c3%bc%7E",
        "/%66leet/a+b%20(c)/%c3%bc~",
        f"http://127.0.0.1:{lab.port}/fleet/a%2Bb%20%28c%29/%C3%BC~",
    ):
        reply = exchange(lab, "GET", target, headers)
        assert (reply.status, reply.body) == (200, b"same"), target


def test_missing_length(lab: RunningLab) -> None:
    """A PUT without a length is refused with 411."""
    target, headers = signer(lab).sign("PUT", "k", now())
    chunked = [*headers, ("Transfer-Encoding", "chunked")]
    reply = exchange(lab, "PUT", target, chunked, b"1\r\nx\r\n0\r\n\r\n")
    assert (reply.status, reply.code) == (411, "MissingContentLength")


def test_cut_upload_is_not_visible(lab: RunningLab) -> None:
    """An upload whose connection ends early leaves the old object alone."""
    send(lab, key="cut", body=b"old")
    used = lab.store.used_bytes
    target, headers = signer(lab).sign("PUT", "cut", now())
    head = "".join(f"{n}: {v}\r\n" for n, v in headers)
    with socket.create_connection(("127.0.0.1", lab.port), timeout=20) as sock:
        sock.sendall(
            f"PUT {target} HTTP/1.1\r\n{head}Content-Length: 65536\r\n\r\n".encode()
            + b"x" * 1000
        )
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(100) == b""
    assert send(lab, "GET", "cut").body == b"old"
    assert lab.store.used_bytes == used
    assert [log.status for log in lab.requests if log.key == "cut"] == [200, 0, 200]


def test_expect_continue(lab: RunningLab) -> None:
    """The body is asked for once the signature is good, and never when it is not."""
    for secret, first in ((SECRET_KEY, b"HTTP/1.1 100 "), ("wrong", b"HTTP/1.1 403 ")):
        target, headers = signer(lab, secret_key=secret).sign("PUT", "expect", now())
        headers += [("Content-Length", "4"), ("Expect", "100-continue")]
        head = "".join(f"{n}: {v}\r\n" for n, v in headers)
        with socket.create_connection(("127.0.0.1", lab.port), timeout=20) as sock:
            sock.sendall(f"PUT {target} HTTP/1.1\r\n{head}\r\n".encode())
            start = sock.recv(len(first), socket.MSG_WAITALL)
            assert start == first
            if secret == SECRET_KEY:
                assert sock.recv(100) == b"Continue\r\n\r\n"
                sock.sendall(b"body")
                assert read_reply(sock, "PUT").status == 200
            else:
                assert b"\r\nConnection: close\r\n" in sock.recv(65536)


def test_keep_alive_after_a_refusal(lab: RunningLab) -> None:
    """A refused upload costs a client that sends its body no connection."""
    connection = http.client.HTTPConnection("127.0.0.1", lab.port, timeout=20)
    names = set()
    for secret, status in (("wrong", 403), (SECRET_KEY, 200), ("wrong", 403)):
        target, headers = signer(lab, secret_key=secret).sign("PUT", "again", now())
        connection.request("PUT", target, b"x" * 100_000, dict(headers))
        with connection.getresponse() as response:
            assert response.status == status
            assert bool(response.read()) == (status == 403)
        assert connection.sock is not None
        names.add(connection.sock.getsockname())
    connection.close()
    assert len(names) == 1


def framed(
    lab: RunningLab,
    payload: str,
    chunks: Sequence[bytes],
    trailer: str = "",
    *,
    break_chunk: int = -1,
) -> Reply:
    """Upload chunks in one of the streaming forms, signed where the form asks for it."""
    size = sum(map(len, chunks))
    unix_s = now()
    extra = [
        ("Content-Encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", str(size)),
    ]
    if trailer:
        extra.append(("x-amz-trailer", trailer.partition(":")[0]))
    target, headers = signer(lab).sign(
        "PUT", "streamed", unix_s, payload_sha256=payload, headers=extra
    )
    stamp = amz_date(unix_s)
    scope = credential_scope(stamp[:8], "us-east-1")
    key = signing_key(SECRET_KEY, stamp[:8], "us-east-1")
    previous = dict(headers)["Authorization"].rpartition("=")[2]
    out = b""
    for index, chunk in enumerate([*chunks, b""]):
        line = f"{len(chunk):x}"
        if payload != STREAMING_UNSIGNED_PAYLOAD_TRAILER:
            digest = hashlib.sha256(chunk).hexdigest()
            previous = signature(
                key, chunk_string_to_sign(stamp, scope, previous, digest)
            )
            shown = "0" * 64 if index == break_chunk else previous
            line += f";chunk-signature={shown}"
        out += f"{line}\r\n".encode() + chunk + (b"\r\n" if chunk else b"")
    if trailer:
        out += f"{trailer}\r\n".encode()
    if payload == STREAMING_PAYLOAD_TRAILER:
        digest = hashlib.sha256(f"{trailer}\n".encode()).hexdigest()
        shown = signature(key, trailer_string_to_sign(stamp, scope, previous, digest))
        if break_chunk == len(chunks) + 1:
            shown = "0" * 64
        out += f"x-amz-trailer-signature:{shown}\r\n".encode()
    out += b"\r\n"
    headers.append(("Content-Length", str(len(out))))
    return exchange(lab, "PUT", target, headers, out)


CHUNKS = (b"a" * 8192, b"b" * 70_000, b"c" * 5)
WHOLE = b"".join(CHUNKS)
GOOD = (
    "x-amz-checksum-crc32:"
    + base64.b64encode(zlib.crc32(WHOLE).to_bytes(4, "big")).decode()
)


@pytest.mark.parametrize(
    ("payload", "trailer"),
    [
        pytest.param(STREAMING_PAYLOAD, "", id="signed"),
        pytest.param(STREAMING_PAYLOAD_TRAILER, GOOD, id="signed, trailer"),
        pytest.param(STREAMING_UNSIGNED_PAYLOAD_TRAILER, GOOD, id="unsigned, trailer"),
    ],
)
def test_streamed_uploads(lab: RunningLab, payload: str, trailer: str) -> None:
    """Each streaming form arrives without its framing, and without its coding."""
    assert framed(lab, payload, CHUNKS, trailer).status == 200
    got = send(lab, "GET", "streamed")
    assert got.body == WHOLE
    assert "Content-Encoding" not in got.headers
    assert (
        framed(
            lab,
            payload,
            [],
            trailer if not trailer else "x-amz-checksum-crc32:AAAAAA==",
        ).status
        == 200
    )
    assert send(lab, "GET", "streamed").body == b""


@pytest.mark.parametrize("chunk", [0, 1, 2, 3])
def test_each_chunk_signature_counts(lab: RunningLab, chunk: int) -> None:
    """A wrong signature of any chunk refuses the whole upload."""
    send(lab, key="streamed", body=b"old")
    reply = framed(lab, STREAMING_PAYLOAD, CHUNKS, break_chunk=chunk)
    assert (reply.status, reply.code) == (403, "SignatureDoesNotMatch")
    reply = framed(lab, STREAMING_PAYLOAD_TRAILER, CHUNKS, GOOD, break_chunk=chunk)
    assert (reply.status, reply.code) == (403, "SignatureDoesNotMatch")
    assert send(lab, "GET", "streamed").body == b"old"


def test_trailers_count(lab: RunningLab) -> None:
    """A wrong trailing checksum or trailer signature refuses the upload."""
    wrong = "x-amz-checksum-crc32:AAAAAA=="
    for payload in (STREAMING_PAYLOAD_TRAILER, STREAMING_UNSIGNED_PAYLOAD_TRAILER):
        reply = framed(lab, payload, CHUNKS, wrong)
        assert (reply.status, reply.code) == (400, "BadDigest")
    reply = framed(lab, STREAMING_PAYLOAD_TRAILER, CHUNKS, GOOD, break_chunk=4)
    assert (reply.status, reply.code) == (403, "SignatureDoesNotMatch")
    small = framed(lab, STREAMING_PAYLOAD, [b"x" * 10, b"y" * 10])
    assert (small.status, small.code) == (403, "InvalidChunkSizeError")


HEADER_TEXT = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=200
)
AUTHORIZATION = st.one_of(
    HEADER_TEXT,
    st.builds("AWS4-HMAC-SHA256 {}".format, HEADER_TEXT),
    st.builds(
        "AWS4-HMAC-SHA256 Credential={}/{}/{}/s3/aws4_request, "
        "SignedHeaders={}, Signature={}".format,
        st.sampled_from([ACCESS_KEY, "x", ""]),
        st.sampled_from(["20260101", "20261322", "", "x"]),
        st.sampled_from(["us-east-1", "", "é"]),
        st.sampled_from(["host", "", ";;", "host;x-amz-date", "a,b"]),
        st.sampled_from(["0" * 64, "", "zz"]),
    ),
)


@settings(max_examples=150, deadline=None)
@given(
    authorization=AUTHORIZATION,
    date=st.one_of(
        HEADER_TEXT,
        st.sampled_from(["20260101T000000Z", "99999999T999999Z"]),
        st.builds(lambda: amz_date(now())),
    ),
    payload=st.one_of(HEADER_TEXT, st.sampled_from(["UNSIGNED-PAYLOAD", "a" * 64])),
    target=st.text(
        st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="#"),
        max_size=60,
    ),
)
def test_random_requests_never_give_500(
    lab: RunningLab, authorization: str, date: str, payload: str, target: str
) -> None:
    """No garbage in the request line or the headers is more than a refusal."""
    headers = [
        ("Host", "127.0.0.1"),
        ("Authorization", authorization),
        ("x-amz-date", date),
        ("x-amz-content-sha256", payload),
        ("Connection", "close"),
    ]
    reply = exchange(lab, "GET", f"/{target}", headers)
    assert 400 <= reply.status < 500 or reply.status == 501


ODD_BYTES = st.binary(max_size=30).map(lambda raw: quote(raw, safe=""))


@settings(max_examples=150, deadline=None)
@given(
    credential=st.one_of(
        ODD_BYTES,
        st.just(
            f"{ACCESS_KEY}%2F{amz_date(now())[:8]}%2Fus-east-1%2Fs3%2Faws4_request"
        ),
    ),
    date=st.one_of(ODD_BYTES, st.builds(lambda: amz_date(now()))),
    life=st.one_of(ODD_BYTES, st.sampled_from(["60", "0", "-1", "999999999"])),
    names=st.one_of(ODD_BYTES, st.sampled_from(["host", "host%3Bx-amz-date"])),
    given=st.one_of(ODD_BYTES, st.just("0" * 64)),
    extra=ODD_BYTES,
)
def test_random_presigned_urls_never_give_500(lab: RunningLab, **parts: str) -> None:
    """No garbage in a presigned URL is more than a refusal."""
    target = (
        f"/{BUCKET}/k?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Credential={parts['credential']}&X-Amz-Date={parts['date']}"
        f"&X-Amz-Expires={parts['life']}&X-Amz-SignedHeaders={parts['names']}"
        f"&X-Amz-Signature={parts['given']}&{parts['extra']}={parts['extra']}"
    )
    reply = exchange(lab, "GET", target, [("Host", "h"), ("Connection", "close")])
    assert reply.status in {400, 403}
    assert reply.code


@settings(max_examples=150, deadline=None)
@given(
    body=st.one_of(
        st.binary(max_size=300),
        st.lists(
            st.sampled_from(
                [
                    b"5\r\n",
                    b"hello",
                    b"0\r\n",
                    b"\r\n",
                    b"x-amz-checksum-crc32:NhCmhg==\r\n",
                    b"ffffffffffffffff\r\n",
                    b"-1\r\n",
                    b"0;chunk-signature=" + b"0" * 64 + b"\r\n",
                ]
            ),
            max_size=12,
        ).map(b"".join),
    ),
    payload=st.sampled_from(
        [
            STREAMING_PAYLOAD,
            STREAMING_PAYLOAD_TRAILER,
            STREAMING_UNSIGNED_PAYLOAD_TRAILER,
        ]
    ),
    trailer=st.sampled_from(["", "x-amz-checksum-crc32", "x-amz-checksum-nonsense"]),
)
def test_random_framing_never_gives_500(
    lab: RunningLab, body: bytes, payload: str, trailer: str
) -> None:
    """Damaged framing is refused, or is not damaged and stores what it says."""
    headers = [("x-amz-decoded-content-length", "5")]
    if trailer:
        headers.append(("x-amz-trailer", trailer))
    reply = send(lab, key="fuzz", body=body, headers=headers, payload=payload)
    assert reply.status == 200 or 400 <= reply.status < 500
    if reply.status == 200:
        assert send(lab, "GET", "fuzz").body == b"hello"


@settings(max_examples=100, deadline=None)
@given(body=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
@pytest.mark.parametrize("what", ["delete", "complete", "create"])
def test_random_documents_never_give_500(
    lab: RunningLab, what: str, body: bytes
) -> None:
    """A request body that is no XML of the right kind is MalformedXML."""
    if what == "delete":
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest())
        reply = send(
            lab,
            "POST",
            "",
            body,
            query=[("delete", "")],
            headers=[("Content-MD5", digest.decode())],
        )
    elif what == "create":
        reply = send(lab, "PUT", "", body, bucket="made-up")
        assert reply.status == 200 or reply.code in {
            "MalformedXML",
            "BucketAlreadyOwnedByYou",
        }
        return
    else:
        made = send(lab, "POST", "doc", query=[("uploads", "")])
        upload = ET.fromstring(made.body)[2].text or ""  # noqa: S314  # ours
        reply = send(lab, "POST", "doc", body, query=[("uploadId", upload)])
        send(lab, "DELETE", "doc", query=[("uploadId", upload)])
    assert (reply.status, reply.code) == (400, "MalformedXML")


def test_entities_are_refused(lab: RunningLab) -> None:
    """A document type is refused before any of its entities is expanded."""
    bomb = (
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">'
        b'<!ENTITY b "&a;&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>'
    )
    digest = base64.b64encode(hashlib.md5(bomb, usedforsecurity=False).digest())
    reply = send(
        lab,
        "POST",
        "",
        bomb,
        query=[("delete", "")],
        headers=[("Content-MD5", digest.decode())],
    )
    assert (reply.status, reply.code) == (400, "MalformedXML")
