"""AWS Signature Version 4 for S3: signs on the device, verifies in the lab.

The functions carry the names of the AWS documents they follow, one per step. Both sides
call the same steps, so the oracle of the tests is botocore, not the other side.

Sources (Amazon S3 API reference): "Authenticating requests: using the Authorization
header", "… using query parameters", "Signature calculations for … chunked upload
(multiple chunks)", "… including trailing headers (multiple chunks)".

Two choices that AWS leaves open:

* ``content-length`` and the hop-by-hop fields are sent but not signed: a TLS front may
  re-frame the body, and no SDK signs them for plain uploads either.
* White space inside a value becomes one space, quoted or not, as in botocore.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from operator import itemgetter
from typing import Final
from urllib.parse import quote

from fleetsim.core.host_header import host_header
from fleetsim.core.settings import Credentials, Endpoint, RequestStyle
from fleetsim.exceptions import InputError, Problem

ALGORITHM: Final = "AWS4-HMAC-SHA256"
CHUNK_ALGORITHM: Final = "AWS4-HMAC-SHA256-PAYLOAD"
TRAILER_ALGORITHM: Final = "AWS4-HMAC-SHA256-TRAILER"

UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
STREAMING_PAYLOAD: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
STREAMING_PAYLOAD_TRAILER: Final = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
STREAMING_UNSIGNED_PAYLOAD_TRAILER: Final = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
MAX_PRESIGN_S: Final = 7 * 24 * 3600

_UNSIGNED_HEADERS: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "te",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    }
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AMZ_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~/-]*")
_by_name = itemgetter(0)


# ---------------------------------------------------------------- dates and scope


@lru_cache(maxsize=4096)
def amz_date(unix_s: int) -> str:
    """Write a time as ``YYYYMMDDTHHMMSSZ``.

    Args:
        unix_s: Seconds since 1970-01-01 UTC, year 1 to 9999.

    Raises:
        OverflowError: The year is outside 1..9999.
    """
    # Not strftime: whether %Y pads years before 1000 differs by C library.
    text = (_EPOCH + timedelta(seconds=unix_s)).isoformat()[:19]
    return text.replace("-", "").replace(":", "") + "Z"


def parse_amz_date(text: str) -> int | None:
    """Read ``YYYYMMDDTHHMMSSZ`` as Unix seconds; ``None`` when it is not such a date."""
    if _AMZ_DATE.fullmatch(text) is None:
        return None
    try:
        moment = datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(seconds=1)


def credential_scope(date: str, region: str, service: str = "s3") -> str:
    """Name what a signing key is for; ``date`` is ``YYYYMMDD``."""
    return f"{date}/{region}/{service}/aws4_request"


# ---------------------------------------------------------------- canonical request


def uri_encode(text: str | bytes, *, keep_slash: bool) -> str:
    """Percent-encode everything but ``A-Z a-z 0-9 - . _ ~``, in upper-case hex.

    Args:
        text: Decoded text (encoded as UTF-8, ``surrogateescape`` bytes as they were)
            or raw bytes.
        keep_slash: Leave ``/`` as it is: true for object keys, false in queries.

    Raises:
        UnicodeEncodeError: The text has a surrogate that stands for no byte.
    """
    if isinstance(text, str):
        if keep_slash and _PLAIN_PATH.fullmatch(text):
            return text
        text = text.encode("utf-8", "surrogateescape")
    return quote(text, safe="/" if keep_slash else "")


def canonical_query(items: Iterable[tuple[str, str]]) -> str:
    """Write query parameters in canonical order.

    Args:
        items: Decoded names and values; a parameter without value has ``""``.

    Returns:
        Encoded ``name=value`` pairs sorted by name, then value, joined by ``&``.
    """
    pairs = sorted(
        (uri_encode(name, keep_slash=False), uri_encode(value, keep_slash=False))
        for name, value in items
    )
    return "&".join([f"{name}={value}" for name, value in pairs])


def signed_headers(headers: Sequence[tuple[str, str]]) -> str:
    """List header names sorted, once each, joined by ``;``. Names are lower case."""
    return ";".join(sorted({name for name, _ in headers}))


def canonical_headers(headers: Sequence[tuple[str, str]]) -> str:
    """Write headers one per line, sorted, white space folded, repeats joined by ``,``.

    Args:
        headers: Lower-case names and their values, in the order they are sent.
    """
    return _written(_merged(headers))


def _merged(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    merged: dict[str, str] = {}
    for name, value in sorted(headers, key=_by_name):
        folded = " ".join(value.split())
        merged[name] = f"{merged[name]},{folded}" if name in merged else folded
    return merged


def _written(merged: dict[str, str]) -> str:
    return "".join([f"{name}:{value}\n" for name, value in merged.items()])


def canonical_request(
    method: str,
    canonical_uri: str,
    query: str,
    headers: Sequence[tuple[str, str]],
    payload_hash: str,
) -> str:
    """Put the request into the one form both sides hash.

    Args:
        method: HTTP method, upper case.
        canonical_uri: Encoded absolute path; S3 does not normalise it.
        query: Result of :func:`canonical_query`.
        headers: The signed headers: lower-case names, values as sent.
        payload_hash: Value of ``x-amz-content-sha256``.
    """
    merged = _merged(headers)
    lines, names = _written(merged), ";".join(merged)
    return f"{method}\n{canonical_uri}\n{query}\n{lines}\n{names}\n{payload_hash}"


# ---------------------------------------------------------------- signatures


def string_to_sign(date_time: str, scope: str, request: str) -> str:
    """Name the canonical request, its time and its scope.

    Args:
        date_time: ``YYYYMMDDTHHMMSSZ``, see :func:`amz_date`.
        scope: Result of :func:`credential_scope`.
        request: Result of :func:`canonical_request`.
    """
    digest = hashlib.sha256(request.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{ALGORITHM}\n{date_time}\n{scope}\n{digest}"


def chunk_string_to_sign(
    date_time: str, scope: str, previous_signature: str, chunk_sha256: str
) -> str:
    """Name one chunk of a signed ``aws-chunked`` body.

    Args:
        date_time: As in the request's own string to sign.
        scope: Likewise.
        previous_signature: Of the chunk before; of the request for the first chunk.
        chunk_sha256: Hash of the chunk's data, hex; of nothing for the last chunk.
    """
    return (
        f"{CHUNK_ALGORITHM}\n{date_time}\n{scope}\n{previous_signature}\n"
        f"{EMPTY_SHA256}\n{chunk_sha256}"
    )


def trailer_string_to_sign(
    date_time: str, scope: str, previous_signature: str, trailer_sha256: str
) -> str:
    r"""Name the trailing headers of a signed ``aws-chunked`` body.

    Args:
        date_time: As in the request's own string to sign.
        scope: Likewise.
        previous_signature: Of the last (empty) chunk.
        trailer_sha256: Hash of the trailers as ``name:value\n`` lines, hex.
    """
    return (
        f"{TRAILER_ALGORITHM}\n{date_time}\n{scope}\n{previous_signature}\n"
        f"{trailer_sha256}"
    )


@lru_cache(maxsize=1024)
def signing_key(secret: str, date: str, region: str, service: str = "s3") -> bytes:
    """Derive the key of one secret, day, region and service.

    Four HMACs that change once a day, hence cached: a signature costs one HMAC more.
    """
    key = hmac.digest(f"AWS4{secret}".encode(), date.encode(), "sha256")
    for part in (region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def signature(key: bytes, to_sign: str) -> str:
    """Sign a string to sign with a signing key; 64 lower-case hex digits."""
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


# ---------------------------------------------------------------- signing requests


class Signer:
    """Signs the requests of one set of credentials to one endpoint.

    Cheap to call, a few µs, so that a herd of devices is not limited by its own
    signatures. Holds the secret; ``repr`` never shows it.

    Args:
        credentials: Who signs.
        endpoint: Where to; decides ``Host`` and the form of the request target.

    Attributes:
        host: Value of the ``Host`` header.

    Raises:
        InputError: Virtual-hosted style with an IP literal.
    """

    __slots__ = (
        "_access_key",
        "_base",
        "_path_prefix",
        "_region",
        "_root",
        "_secret_key",
        "_token",
        "host",
    )

    def __init__(self, credentials: Credentials, endpoint: Endpoint) -> None:
        self._access_key = credentials.access_key
        self._secret_key = credentials.secret_key
        self._token = credentials.session_token
        self._region = endpoint.region
        self.host = host_header(endpoint)
        self._base = f"{endpoint.scheme}://{self.host}"
        if endpoint.style is RequestStyle.VIRTUAL:
            self._root, self._path_prefix = "/", "/"
        else:
            self._root = "/" + uri_encode(endpoint.bucket, keep_slash=False)
            self._path_prefix = self._root + "/"

    def __repr__(self) -> str:
        return f"Signer(access_key={self._access_key!r}, base={self._base!r})"

    def sign(
        self,
        method: str,
        key: str,
        unix_s: int,
        *,
        payload_sha256: str | None = None,
        query: Sequence[tuple[str, str]] = (),
        headers: Sequence[tuple[str, str]] = (),
    ) -> tuple[str, list[tuple[str, str]]]:
        """Sign one request with an ``Authorization`` header.

        Args:
            method: HTTP method, upper case.
            key: Object key, decoded; empty for the bucket itself.
            unix_s: Time of the signature, Unix seconds.
            payload_sha256: Hex digest of the body or one of the ``STREAMING_``
                constants; ``None`` = ``UNSIGNED-PAYLOAD``.
            query: Decoded query parameters.
            headers: Further headers; none of those this method adds.

        Returns:
            The request target, and all headers to send: ``Host``, the given ones,
            ``x-amz-*`` and ``Authorization``. The given ones are signed too, apart
            from ``Content-Length``, ``User-Agent`` and the hop-by-hop fields.
        """
        stamp = amz_date(unix_s)
        payload = UNSIGNED_PAYLOAD if payload_sha256 is None else payload_sha256
        uri = self.uri(key)
        own = self.own_headers(payload, stamp)
        signed = [("host", self.host), *own]
        for name, value in headers:
            lower = name.lower()
            if lower not in _UNSIGNED_HEADERS:
                signed.append((lower, value))
        encoded_query = canonical_query(query) if query else ""
        request = canonical_request(method, uri, encoded_query, signed, payload)
        target = f"{uri}?{encoded_query}" if encoded_query else uri
        authorization = self.authorization(stamp, signed_headers(signed), request)
        own.append(("Authorization", authorization))
        return target, [("Host", self.host), *headers, *own]

    def own_headers(self, payload: str, stamp: str) -> list[tuple[str, str]]:
        """The ``x-amz-`` headers of a signature; see :meth:`sign`."""
        own = [("x-amz-content-sha256", payload), ("x-amz-date", stamp)]
        if self._token:
            own.append(("x-amz-security-token", self._token))
        return own

    def authorization(self, stamp: str, names: str, request: str) -> str:
        """Value of ``Authorization``.

        Args:
            stamp: Result of :func:`amz_date`.
            names: Result of :func:`signed_headers`.
            request: Result of :func:`canonical_request`.
        """
        scope = credential_scope(stamp[:8], self._region)
        return (
            f"{ALGORITHM} Credential={self._access_key}/{scope}, "
            f"SignedHeaders={names}, "
            f"Signature={self._signature(stamp, scope, request)}"
        )

    def presign(
        self,
        method: str,
        key: str,
        unix_s: int,
        *,
        expires_s: int = 3600,
        query: Sequence[tuple[str, str]] = (),
        headers: Sequence[tuple[str, str]] = (),
    ) -> str:
        """Sign a request into its URL, for a client without credentials.

        Args:
            method: HTTP method the URL is good for.
            key: Object key, decoded.
            unix_s: Start of its life, Unix seconds.
            expires_s: Its life, 1..604800 seconds.
            query: Further decoded query parameters.
            headers: Headers beside ``Host`` that the client must send as they are.

        Returns:
            Absolute URL; a secret as long as it lives.

        Raises:
            InputError: ``expires_s`` is out of range.
        """
        if not 1 <= expires_s <= MAX_PRESIGN_S:
            raise InputError(
                Problem("expires_s", f"is {expires_s}, must be 1..{MAX_PRESIGN_S} s")
            )
        stamp = amz_date(unix_s)
        scope = credential_scope(stamp[:8], self._region)
        signed = [("host", self.host)]
        signed += [(name.lower(), value) for name, value in headers]
        items = [
            *query,
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", f"{self._access_key}/{scope}"),
            ("X-Amz-Date", stamp),
            ("X-Amz-Expires", str(expires_s)),
            ("X-Amz-SignedHeaders", signed_headers(signed)),
        ]
        if self._token:
            items.append(("X-Amz-Security-Token", self._token))
        uri = self.uri(key)
        text = canonical_query(items)
        request = canonical_request(method, uri, text, signed, UNSIGNED_PAYLOAD)
        final = self._signature(stamp, scope, request)
        return f"{self._base}{uri}?{text}&X-Amz-Signature={final}"

    def _signature(self, stamp: str, scope: str, request: str) -> str:
        key = signing_key(self._secret_key, stamp[:8], self._region)
        return signature(key, string_to_sign(stamp, scope, request))

    def uri(self, key: str) -> str:
        """Path of an object, encoded; of the bucket when the key is empty."""
        if not key:
            return self._root
        return self._path_prefix + uri_encode(key, keep_slash=True)
