"""Signature Version 4 against the published examples and against botocore."""

import hashlib
import string
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from unittest import mock
from urllib.parse import parse_qsl, urlsplit

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials as BotoCredentials
from botocore.utils import percent_encode
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core import sigv4
from fleetsim.core.settings import Credentials, Endpoint, RequestStyle
from fleetsim.exceptions import InputError

# Amazon S3 API reference, "Examples: Signature calculations"; the keys are AWS's own.
AWS_CREDENTIALS = Credentials(
    access_key="AKIAIOSFODNN7EXAMPLE",
    secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
)
AWS_ENDPOINT = Endpoint(
    scheme="https",
    host="s3.amazonaws.com",
    port=443,
    bucket="examplebucket",
    style=RequestStyle.VIRTUAL,
)
AWS_STAMP = "20130524T000000Z"
AWS_UNIX_S = 1369353600
AWS_SCOPE = "20130524/us-east-1/s3/aws4_request"
AWS_KEY = sigv4.signing_key(AWS_CREDENTIALS.secret_key, "20130524", "us-east-1")


def sha256(data: bytes) -> str:
    """Hash with the standard library, in hex."""
    return hashlib.sha256(data).hexdigest()


def signature_in(headers: Sequence[tuple[str, str]]) -> str:
    """Take the signature out of an Authorization header."""
    return dict(headers)["Authorization"].rpartition("Signature=")[2]


@pytest.mark.parametrize(
    ("method", "key", "query", "headers", "body", "expected"),
    [
        pytest.param(
            "GET",
            "test.txt",
            (),
            (("Range", "bytes=0-9"),),
            b"",
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            id="get-object",
        ),
        pytest.param(
            "PUT",
            "test$file.text",
            (),
            (
                ("Date", "Fri, 24 May 2013 00:00:00 GMT"),
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ),
            b"Welcome to Amazon S3.",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            id="put-object",
        ),
        pytest.param(
            "GET",
            "",
            (("lifecycle", ""),),
            (),
            b"",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            id="get-bucket-lifecycle",
        ),
        pytest.param(
            "GET",
            "",
            (("prefix", "J"), ("max-keys", "2")),
            (),
            b"",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            id="list-objects",
        ),
    ],
)
def test_published_header_examples(
    *,
    method: str,
    key: str,
    query: tuple[tuple[str, str], ...],
    headers: tuple[tuple[str, str], ...],
    body: bytes,
    expected: str,
) -> None:
    """The examples of the S3 documentation come out digit by digit."""
    signer = sigv4.Signer(AWS_CREDENTIALS, AWS_ENDPOINT)
    _, sent = signer.sign(
        method,
        key,
        AWS_UNIX_S,
        payload_sha256=sha256(body),
        query=query,
        headers=headers,
    )
    assert signature_in(sent) == expected
    assert dict(sent)["Host"] == "examplebucket.s3.amazonaws.com"


def test_published_presigned_example() -> None:
    """The presigned GET of the S3 documentation comes out digit by digit."""
    signer = sigv4.Signer(AWS_CREDENTIALS, AWS_ENDPOINT)
    url = signer.presign("GET", "test.txt", AWS_UNIX_S, expires_s=86400)
    parts = urlsplit(url)
    assert parts.netloc == "examplebucket.s3.amazonaws.com"
    assert parts.path == "/test.txt"
    assert dict(parse_qsl(parts.query))["X-Amz-Signature"] == (
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


def streaming_seed(payload_hash: str, extra: Sequence[tuple[str, str]]) -> str:
    """Sign the head of the documentation's chunked upload."""
    request = sigv4.canonical_request(
        "PUT",
        "/examplebucket/chunkObject.txt",
        "",
        [
            ("content-encoding", "aws-chunked"),
            ("host", "s3.amazonaws.com"),
            ("x-amz-content-sha256", payload_hash),
            ("x-amz-date", AWS_STAMP),
            ("x-amz-decoded-content-length", "66560"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            *extra,
        ],
        payload_hash,
    )
    to_sign = sigv4.string_to_sign(AWS_STAMP, AWS_SCOPE, request)
    return sigv4.signature(AWS_KEY, to_sign)


def chunk_signatures(seed: str, chunks: Sequence[bytes]) -> list[str]:
    """Chain the signatures of chunks."""
    signatures = [seed]
    for chunk in chunks:
        to_sign = sigv4.chunk_string_to_sign(
            AWS_STAMP, AWS_SCOPE, signatures[-1], sha256(chunk)
        )
        signatures.append(sigv4.signature(AWS_KEY, to_sign))
    return signatures


AWS_CHUNKS = (b"a" * 65536, b"a" * 1024, b"")


def test_published_streaming_example() -> None:
    """Seed and chunk signatures of "sigv4-streaming" come out digit by digit."""
    seed = streaming_seed(sigv4.STREAMING_PAYLOAD, [("content-length", "66824")])
    assert chunk_signatures(seed, AWS_CHUNKS) == [
        "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]


def test_published_trailer_example() -> None:
    """Seed, chunks and trailer of "sigv4-streaming-trailers" come out likewise."""
    seed = streaming_seed(
        sigv4.STREAMING_PAYLOAD_TRAILER, [("x-amz-trailer", "x-amz-checksum-crc32c")]
    )
    signatures = chunk_signatures(seed, AWS_CHUNKS)
    assert signatures == [
        "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e",
        "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2",
        "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7",
        "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992",
    ]
    to_sign = sigv4.trailer_string_to_sign(
        AWS_STAMP,
        AWS_SCOPE,
        signatures[-1],
        sha256(b"x-amz-checksum-crc32c:sOO8/Q==\n"),
    )
    assert sigv4.signature(AWS_KEY, to_sign) == (
        "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
    )


# ---------------------------------------------------------------- botocore as oracle

TEXT = st.text(
    st.characters(exclude_categories=["Cs"]),
    max_size=12,
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
WORDS = st.text(string.ascii_letters + string.digits + "-", min_size=1, max_size=20)
SECRETS = st.text(string.ascii_letters + string.digits + "/+=", min_size=1, max_size=40)
HEADER_NAMES = st.one_of(
    st.sampled_from(
        ["Content-Type", "content-md5", "Range", "If-None-Match", "Cookie"]
    ),
    WORDS.map(lambda word: f"X-Amz-Meta-{word}"),
)
HEADER_VALUES = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20
)
CREDENTIALS = st.builds(
    Credentials,
    access_key=WORDS,
    secret_key=SECRETS,
    session_token=st.one_of(st.just(""), SECRETS),
)
ENDPOINTS = st.builds(
    Endpoint,
    scheme=st.sampled_from(["http", "https"]),
    host=st.sampled_from(["s3.example.com", "minio", "localhost", "127.0.0.1"]),
    port=st.sampled_from([80, 443, 9000]),
    bucket=st.just("fleet-1"),
    region=WORDS,
    style=st.just(RequestStyle.PATH),
)
TIMES = st.integers(0, 4102444800)


@contextmanager
def botocore_at(unix_s: int) -> Iterator[None]:
    """Stop botocore's clock."""
    moment = datetime.fromtimestamp(unix_s, UTC)
    clock = mock.patch.object(
        botocore.auth, "get_current_datetime", return_value=moment
    )
    with clock:
        yield


def boto_credentials(credentials: Credentials) -> BotoCredentials:
    """Hand our credentials to botocore."""
    token = credentials.session_token or None
    return BotoCredentials(credentials.access_key, credentials.secret_key, token)


def boto_url(endpoint: Endpoint, key: str) -> str:
    """Write the path-style URL of an object with botocore's own encoding."""
    path = percent_encode(key, safe="/~")
    base = f"{endpoint.scheme}://{endpoint.host}:{endpoint.port}"
    return f"{base}/{endpoint.bucket}/{path}"


@given(
    method=st.sampled_from(["GET", "PUT", "HEAD", "DELETE"]),
    key=KEYS,
    unix_s=TIMES,
    body=st.one_of(st.none(), st.binary(max_size=20)),
    query=st.lists(st.tuples(TEXT, TEXT), max_size=4),
    headers=st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=5),
    credentials=CREDENTIALS,
    endpoint=ENDPOINTS,
)
def test_sign_equals_botocore(
    *,
    method: str,
    key: str,
    unix_s: int,
    body: bytes | None,
    query: list[tuple[str, str]],
    headers: list[tuple[str, str]],
    credentials: Credentials,
    endpoint: Endpoint,
) -> None:
    """Any request gets the Authorization header that botocore's S3SigV4Auth gives it."""
    target, sent = sigv4.Signer(credentials, endpoint).sign(
        method,
        key,
        unix_s,
        payload_sha256=None if body is None else sha256(body),
        query=query,
        headers=headers,
    )

    url = boto_url(endpoint, key)
    request = AWSRequest(method=method, url=url, params=query, data=body or b"")
    for name, value in headers:
        request.headers[name] = value
    is_signed = body is not None
    request.context["client_config"] = Config(s3={"payload_signing_enabled": is_signed})
    auth = botocore.auth.S3SigV4Auth(
        boto_credentials(credentials), "s3", endpoint.region
    )
    with botocore_at(unix_s):
        auth.add_auth(request)

    ours = dict(sent)
    for name in ("Authorization", "X-Amz-Date", "X-Amz-Content-SHA256"):
        mine = ours[name if name == "Authorization" else name.lower()]
        assert mine == request.headers[name]
    assert ours.get("x-amz-security-token") == request.headers["X-Amz-Security-Token"]
    assert target.partition("?")[0] == urlsplit(url).path
    assert sent[1 : 1 + len(headers)] == headers


@given(
    method=st.sampled_from(["GET", "PUT"]),
    key=KEYS,
    unix_s=TIMES,
    expires_s=st.integers(1, sigv4.MAX_PRESIGN_S),
    credentials=CREDENTIALS,
    endpoint=ENDPOINTS,
)
def test_presign_equals_botocore(
    *,
    method: str,
    key: str,
    unix_s: int,
    expires_s: int,
    credentials: Credentials,
    endpoint: Endpoint,
) -> None:
    """Any presigned URL carries the parameters that S3SigV4QueryAuth computes."""
    ours = sigv4.Signer(credentials, endpoint).presign(
        method, key, unix_s, expires_s=expires_s
    )
    request = AWSRequest(method=method, url=boto_url(endpoint, key))
    auth = botocore.auth.S3SigV4QueryAuth(
        boto_credentials(credentials), "s3", endpoint.region, expires=expires_s
    )
    with botocore_at(unix_s):
        auth.add_auth(request)
    mine, theirs = urlsplit(ours), urlsplit(request.url)
    assert mine.path == theirs.path
    assert sorted(parse_qsl(mine.query)) == sorted(parse_qsl(theirs.query))


# ---------------------------------------------------------------- single steps


@pytest.mark.parametrize(
    ("unix_s", "expected"),
    [
        pytest.param(0, "19700101T000000Z", id="epoch"),
        pytest.param(1577836800, "20200101T000000Z", id="2020"),
        pytest.param(4102444799, "20991231T235959Z", id="far"),
        pytest.param(-62135596800, "00010101T000000Z", id="year-1"),
        pytest.param(-1, "19691231T235959Z", id="before-epoch"),
    ],
)
def test_amz_date(unix_s: int, expected: str) -> None:
    """Dates are 16 characters in UTC, also where years have fewer digits."""
    assert sigv4.amz_date(unix_s) == expected
    assert sigv4.parse_amz_date(expected) == unix_s


def test_amz_date_beyond_year_9999() -> None:
    """A clock no date can be written for is an error, not a wrong date."""
    with pytest.raises(OverflowError):
        sigv4.amz_date(1 << 60)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("20200101", id="date-only"),
        pytest.param("20200101T000000", id="no-zone"),
        pytest.param("20201301T000000Z", id="month-13"),
        pytest.param("20200101T250000Z", id="hour-25"),
        pytest.param("2020-01-01T00:00:00Z", id="extended"),
        pytest.param(" 20200101T000000Z", id="space"),
        pytest.param("20200101T000000Z\n", id="newline"),
        pytest.param("2020010\u0661T000000Z", id="arabic-digits"),
    ],
)
def test_parse_amz_date_refuses(text: str) -> None:
    """Anything but a real date in basic format is refused."""
    assert sigv4.parse_amz_date(text) is None


@pytest.mark.parametrize(
    ("raw", "keep_slash", "expected"),
    [
        pytest.param("a/b c~", True, "a/b%20c~", id="path"),
        pytest.param("a/b", False, "a%2Fb", id="query"),
        pytest.param("ä+%", True, "%C3%A4%2B%25", id="utf-8"),
        pytest.param(b"\xff/", True, "%FF/", id="bytes"),
        pytest.param("\udcff", True, "%FF", id="surrogateescape"),
        pytest.param("a/../b//c/.", True, "a/../b//c/.", id="not-normalised"),
        pytest.param("", True, "", id="empty"),
    ],
)
def test_uri_encode(raw: str | bytes, keep_slash: bool, expected: str) -> None:
    """Only unreserved characters stay, hex is upper case, nothing is normalised."""
    assert sigv4.uri_encode(raw, keep_slash=keep_slash) == expected


def test_canonical_query_sorts_encoded_names() -> None:
    """Sorting is by encoded name, then encoded value; missing values get ``=``."""
    items = [("b", "2"), ("b", "1"), ("a-", "x"), ("a", "y"), ("ä", ""), ("A", "z")]
    assert sigv4.canonical_query(items) == "%C3%A4=&A=z&a=y&a-=x&b=1&b=2"


def test_canonical_headers_fold_and_merge() -> None:
    """Headers are sorted, white space is folded, repeats keep their order."""
    headers = [("x-b", "  2  3\t4 "), ("x-a", "z"), ("x-b", "1"), ("x-c", "")]
    assert sigv4.canonical_headers(headers) == "x-a:z\nx-b:2 3 4,1\nx-c:\n"
    assert sigv4.signed_headers(headers) == "x-a;x-b;x-c"


def test_unsigned_headers_are_sent_but_not_signed() -> None:
    """Fields that proxies rewrite are sent and left out of the signature."""
    signer = sigv4.Signer(AWS_CREDENTIALS, AWS_ENDPOINT)
    rewritten = [
        ("Content-Length", "5"),
        ("User-Agent", "x"),
        ("Connection", "close"),
        ("Expect", "100-continue"),
    ]
    _, plain = signer.sign("PUT", "k", 0)
    _, sent = signer.sign("PUT", "k", 0, headers=rewritten)
    assert signature_in(sent) == signature_in(plain)
    assert sent[1:5] == rewritten


@pytest.mark.parametrize(
    ("style", "base"),
    [
        (RequestStyle.PATH, "https://[::1]:9000/fl%20eet/a%20b/"),
        (RequestStyle.VIRTUAL, "https://fl eet.minio:9000/a%20b/"),
    ],
)
def test_style_places_the_bucket(style: RequestStyle, base: str) -> None:
    """Path style puts the bucket into the path, virtual-hosted style into Host."""
    host = "::1" if style is RequestStyle.PATH else "minio"
    endpoint = Endpoint(
        scheme="https", host=host, port=9000, bucket="fl eet", style=style
    )
    signer = sigv4.Signer(AWS_CREDENTIALS, endpoint)
    target, headers = signer.sign("PUT", "a b/", 0)
    assert headers[0] == ("Host", signer.host)
    assert f"https://{signer.host}{target}" == base
    assert signer.presign("GET", "a b/", 0).startswith(base + "?X-Amz-Algorithm=")


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        (RequestStyle.PATH, "/fleet?list-type=2"),
        (RequestStyle.VIRTUAL, "/?list-type=2"),
    ],
)
def test_bucket_itself(style: RequestStyle, expected: str) -> None:
    """An empty key addresses the bucket."""
    endpoint = Endpoint(scheme="http", host="s3", port=80, bucket="fleet", style=style)
    signer = sigv4.Signer(AWS_CREDENTIALS, endpoint)
    assert signer.sign("GET", "", 0, query=[("list-type", "2")])[0] == expected


def test_virtual_style_refuses_addresses() -> None:
    """No bucket name fits in front of an IP address: refused before any request."""
    endpoint = Endpoint(
        scheme="https",
        host="127.0.0.1",
        port=443,
        bucket="b",
        style=RequestStyle.VIRTUAL,
    )
    with pytest.raises(InputError, match="path style"):
        sigv4.Signer(AWS_CREDENTIALS, endpoint)


@pytest.mark.parametrize("expires_s", [0, -1, sigv4.MAX_PRESIGN_S + 1])
def test_presign_refuses_lifetimes(expires_s: int) -> None:
    """AWS takes 1 second to 7 days."""
    signer = sigv4.Signer(AWS_CREDENTIALS, AWS_ENDPOINT)
    with pytest.raises(InputError, match="expires_s"):
        signer.presign("GET", "k", 0, expires_s=expires_s)


def test_presigned_headers_are_signed() -> None:
    """Headers given to presign become part of the signature, by lower-case name."""
    signer = sigv4.Signer(AWS_CREDENTIALS, AWS_ENDPOINT)
    url = signer.presign(
        "PUT", "k", 0, query=[("partNumber", "1")], headers=[("X-Amz-Acl", "private")]
    )
    items = dict(parse_qsl(urlsplit(url).query))
    assert items["X-Amz-SignedHeaders"] == "host;x-amz-acl"
    assert items["partNumber"] == "1"
    bare = signer.presign("PUT", "k", 0, query=[("partNumber", "1")])
    assert (
        dict(parse_qsl(urlsplit(bare).query))["X-Amz-Signature"]
        != (items["X-Amz-Signature"])
    )


def test_secrets_do_not_show() -> None:
    """Neither repr nor str of a signer shows secret or token."""
    credentials = Credentials(
        access_key="AK", secret_key="TOPSECRET", session_token="TOKENVALUE"
    )
    shown = repr(sigv4.Signer(credentials, AWS_ENDPOINT)) + str(
        sigv4.Signer(credentials, AWS_ENDPOINT)
    )
    assert "AK" in shown
    assert "TOPSECRET" not in shown
    assert "TOKENVALUE" not in shown
