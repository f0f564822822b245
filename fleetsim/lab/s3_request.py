"""What an HTTP request asks of S3: which operation, on which bucket and key.

Everything is read from the target as it was sent. URL libraries normalise (``..``,
``//``, ``%2F``, ``+``), and each of these may be part of an object key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final

from aiohttp import web

from fleetsim.lab.s3_auth import Headers, Identity
from fleetsim.lab.s3_errors import S3Error
from fleetsim.lab.s3_uri import unquote_bytes

MAX_KEY_BYTES: Final = 1024


@unique
class Operation(StrEnum):
    """S3 operations by their API names."""

    LIST_BUCKETS = "ListBuckets"
    CREATE_BUCKET = "CreateBucket"
    HEAD_BUCKET = "HeadBucket"
    DELETE_BUCKET = "DeleteBucket"
    GET_BUCKET_LOCATION = "GetBucketLocation"
    GET_BUCKET_VERSIONING = "GetBucketVersioning"
    GET_ACL = "GetAcl"
    PUT_ACL = "PutAcl"
    LIST_OBJECTS = "ListObjects"
    LIST_OBJECTS_V2 = "ListObjectsV2"
    DELETE_OBJECTS = "DeleteObjects"
    PUT_OBJECT = "PutObject"
    GET_OBJECT = "GetObject"
    HEAD_OBJECT = "HeadObject"
    DELETE_OBJECT = "DeleteObject"
    COPY_OBJECT = "CopyObject"
    CREATE_MULTIPART_UPLOAD = "CreateMultipartUpload"
    UPLOAD_PART = "UploadPart"
    UPLOAD_PART_COPY = "UploadPartCopy"
    COMPLETE_MULTIPART_UPLOAD = "CompleteMultipartUpload"
    ABORT_MULTIPART_UPLOAD = "AbortMultipartUpload"
    LIST_PARTS = "ListParts"
    LIST_MULTIPART_UPLOADS = "ListMultipartUploads"


# Query parameters that select an operation of S3 that is not here.
_OTHER_BUCKET: Final = frozenset(
    {
        "accelerate",
        "analytics",
        "cors",
        "encryption",
        "intelligent-tiering",
        "inventory",
        "lifecycle",
        "logging",
        "metadataTable",
        "metrics",
        "notification",
        "object-lock",
        "ownershipControls",
        "policy",
        "policyStatus",
        "publicAccessBlock",
        "replication",
        "requestPayment",
        "session",
        "tagging",
        "versions",
        "website",
    }
)
_OTHER_OBJECT: Final = frozenset(
    {
        "attributes",
        "legal-hold",
        "renameObject",
        "restore",
        "retention",
        "select",
        "tagging",
        "torrent",
    }
)
# Method, query parameter that must be there, operation; the first that fits.
_BUCKET_ROUTES: Final = (
    ("GET", "location", Operation.GET_BUCKET_LOCATION),
    ("GET", "versioning", Operation.GET_BUCKET_VERSIONING),
    ("GET", "acl", Operation.GET_ACL),
    ("GET", "uploads", Operation.LIST_MULTIPART_UPLOADS),
    ("GET", "", Operation.LIST_OBJECTS),
    ("HEAD", "", Operation.HEAD_BUCKET),
    ("PUT", "acl", Operation.PUT_ACL),
    ("PUT", "", Operation.CREATE_BUCKET),
    ("DELETE", "", Operation.DELETE_BUCKET),
    ("POST", "delete", Operation.DELETE_OBJECTS),
)
_OBJECT_ROUTES: Final = (
    ("PUT", "uploadId", Operation.UPLOAD_PART),
    ("PUT", "acl", Operation.PUT_ACL),
    ("PUT", "", Operation.PUT_OBJECT),
    ("GET", "uploadId", Operation.LIST_PARTS),
    ("GET", "acl", Operation.GET_ACL),
    ("GET", "", Operation.GET_OBJECT),
    ("HEAD", "", Operation.HEAD_OBJECT),
    ("DELETE", "uploadId", Operation.ABORT_MULTIPART_UPLOAD),
    ("DELETE", "", Operation.DELETE_OBJECT),
    ("POST", "uploads", Operation.CREATE_MULTIPART_UPLOAD),
    ("POST", "uploadId", Operation.COMPLETE_MULTIPART_UPLOAD),
)
_COPIES: Final = {
    Operation.PUT_OBJECT: Operation.COPY_OBJECT,
    Operation.UPLOAD_PART: Operation.UPLOAD_PART_COPY,
}
_READING: Final = frozenset({Operation.GET_OBJECT, Operation.HEAD_OBJECT})
_CREATING: Final = frozenset(
    {
        Operation.PUT_OBJECT,
        Operation.COPY_OBJECT,
        Operation.CREATE_MULTIPART_UPLOAD,
        Operation.PUT_ACL,
    }
)
# Request headers that promise something this store would not do.
_REFUSED_HEADERS: Final = (
    "x-amz-server-side-encryption",
    "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-tagging",
    "x-amz-object-lock-mode",
    "x-amz-object-lock-legal-hold",
    "x-amz-website-redirect-location",
    "x-amz-write-offset-bytes",
)
_ACLS: Final = frozenset({"", "private", "bucket-owner-full-control"})


@dataclass(slots=True, kw_only=True)
class Call:
    """One request on its way through the endpoint.

    Attributes:
        http: The HTTP request.
        method: HTTP method.
        raw_path: Path as sent, without the query.
        query_items: Decoded query parameters, in order.
        query: The same by name, the first of each.
        headers: Request headers.
        bucket: Bucket name, empty for the service itself.
        key: Object key, empty for the bucket itself.
        request_id: Our id of the request.
        now_unix_s: Our clock when it arrived.
        identity: Who signed it; set once that is known.
        received_bytes: Content received so far.
    """

    http: web.BaseRequest
    method: str
    raw_path: str
    query_items: tuple[tuple[str, str], ...]
    query: Mapping[str, str]
    headers: Headers
    bucket: str
    key: str
    request_id: str
    now_unix_s: float
    identity: Identity | None = None
    received_bytes: int = field(default=0)

    @property
    def resource(self) -> str:
        """Bucket and key as error documents show them."""
        if not self.bucket:
            return "/"
        return f"/{self.bucket}/{self.key}" if self.key else f"/{self.bucket}"


_NO_QUERY: Final[Mapping[str, str]] = {}


def read_call(
    http: web.BaseRequest,
    base_hosts: tuple[str, ...],
    request_id: str,
    now_unix_s: float,
) -> Call:
    """Read bucket, key and query from the request target and ``Host``.

    Args:
        http: The HTTP request.
        base_hosts: Lower-case names under which ``bucket.<name>`` is virtual-hosted
            style; every other ``Host`` is path style.
        request_id: Our id of the request.
        now_unix_s: Our clock.

    Raises:
        S3Error: ``InvalidURI`` or ``KeyTooLongError``.
    """
    target = http.raw_path
    if not target.startswith("/"):
        target = _origin_form(target)
    raw_path, _, raw_query = target.partition("?")
    items = _read_query(raw_query) if raw_query else ()
    bucket = _bucket_of_host(http.headers.get("Host", ""), base_hosts)
    if bucket:
        key = _decode(raw_path[1:])
    else:
        raw_bucket, _, raw_key = raw_path[1:].partition("/")
        bucket, key = _decode(raw_bucket), _decode(raw_key)
        if key and not bucket:
            raise S3Error("InvalidURI")
    if len(key) > MAX_KEY_BYTES // 4 and len(key.encode()) > MAX_KEY_BYTES:
        raise S3Error(
            "KeyTooLongError", details=(("MaxSizeAllowed", str(MAX_KEY_BYTES)),)
        )
    return Call(
        http=http,
        method=http.method,
        raw_path=raw_path,
        query_items=items,
        query=dict(reversed(items)) if items else _NO_QUERY,
        headers=http.headers,
        bucket=bucket,
        key=key,
        request_id=request_id,
        now_unix_s=now_unix_s,
    )


def _origin_form(target: str) -> str:
    """Reduce an absolute-form target (RFC 9112 3.2.2) to its path and query."""
    scheme, mark, rest = target.partition("://")
    if not mark or scheme.lower() not in {"http", "https"}:
        raise S3Error("InvalidURI")
    slash = rest.find("/")
    return rest[slash:] if slash >= 0 else "/"


def _decode(text: str) -> str:
    if text.isascii() and "%" not in text:
        return text
    try:
        return unquote_bytes(text).decode("utf-8")
    except UnicodeDecodeError as exc:
        raise S3Error("InvalidURI") from exc


def _read_query(raw: str) -> tuple[tuple[str, str], ...]:
    items = []
    for part in raw.split("&"):
        if part:
            name, _, value = part.partition("=")
            items.append((_decode_query(name), _decode_query(value)))
    return tuple(items)


def _decode_query(text: str) -> str:
    # As S3 does, "+" is a space here (and only here).
    return unquote_bytes(text.replace("+", " ")).decode("utf-8", "surrogateescape")


def _bucket_of_host(host: str, base_hosts: tuple[str, ...]) -> str:
    name = host.rpartition(":")[0] if _has_port(host) else host
    name = name.lower()
    for base in base_hosts:
        if name.endswith(base) and name[-len(base) - 1 : -len(base)] == ".":
            return name[: -len(base) - 1]
    return ""


def _has_port(host: str) -> bool:
    return ":" in host and not host.endswith("]")


def route(call: Call) -> Operation:
    """Name the operation a request asks for.

    Raises:
        S3Error: ``MethodNotAllowed``, ``NotImplemented`` or
            ``AccessControlListNotSupported``: a bucket whose owner owns everything.
    """
    if not call.bucket:
        if call.method == "GET":
            return Operation.LIST_BUCKETS
        raise _not_allowed(call, "SERVICE", "GET")
    operation = _selected(call)
    if call.method == "PUT" and "x-amz-copy-source" in call.headers:
        operation = _COPIES.get(operation, operation)
    if operation in _CREATING:
        _refuse_headers(call)
    elif operation in _READING and "partNumber" in call.query:
        raise S3Error("NotImplemented", "Parts of an object cannot be read.")
    elif operation is Operation.LIST_OBJECTS and call.query.get("list-type") == "2":
        return Operation.LIST_OBJECTS_V2
    return operation


def _selected(call: Call) -> Operation:
    """Look the method and the sub-resource up."""
    query = call.query
    others, routes = (
        (_OTHER_OBJECT, _OBJECT_ROUTES) if call.key else (_OTHER_BUCKET, _BUCKET_ROUTES)
    )
    if query and not others.isdisjoint(query):
        raise S3Error("NotImplemented")
    if query and query.get("versionId", "null") != "null":
        raise S3Error("NotImplemented", "This bucket has no versions.")
    named = [name for _, name, _ in routes if name and name in query] if query else []
    for method, name, operation in routes:
        # A sub-resource is never taken for its bucket or object: DELETE /b?acl must
        # not delete the bucket.
        if method == call.method and (name in named if named else not name):
            return operation
    if named:
        raise S3Error("NotImplemented")
    resource_type = "OBJECT" if call.key else "BUCKET"
    raise _not_allowed(call, resource_type, "GET, HEAD, PUT, POST, DELETE")


def _refuse_headers(call: Call) -> None:
    headers = call.headers
    for name in _REFUSED_HEADERS:
        if name in headers:
            raise S3Error(
                "NotImplemented",
                "A header you provided implies functionality that is not implemented",
                details=(("Header", name),),
            )
    if headers.get("x-amz-acl", "") not in _ACLS:
        raise S3Error("AccessControlListNotSupported")


def _not_allowed(call: Call, resource_type: str, allowed: str) -> S3Error:
    return S3Error(
        "MethodNotAllowed",
        details=(("Method", call.method), ("ResourceType", resource_type)),
        headers=(("Allow", allowed),),
    )
