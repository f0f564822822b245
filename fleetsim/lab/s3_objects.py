"""Operations on objects: put, get, head, delete, copy."""

from dataclasses import dataclass
from typing import Final

from fleetsim.lab.catalogue import ObjectInfo
from fleetsim.lab.checksums import ALGORITHMS, Algorithm, Checksum, algorithm_named
from fleetsim.lab.object_store import ObjectStore, require_bucket
from fleetsim.lab.s3_body import Received, receive
from fleetsim.lab.s3_conditions import (
    byte_range,
    check_copy_source,
    check_write,
    has_changed,
)
from fleetsim.lab.s3_errors import S3Error
from fleetsim.lab.s3_hash import HashedCopy
from fleetsim.lab.s3_reply import Reply, http_date, is_header_text, xml_reply
from fleetsim.lab.s3_request import Call
from fleetsim.lab.s3_uri import unquote_bytes
from fleetsim.lab.s3_xml import elements, iso_time

DEFAULT_TYPE: Final = "binary/octet-stream"
MAX_METADATA_BYTES: Final = 2048
_META: Final = "x-amz-meta-"
_KEPT_HEADERS: Final = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
)
_OVERRIDES: Final = {
    "response-cache-control": "cache-control",
    "response-content-disposition": "content-disposition",
    "response-content-encoding": "content-encoding",
    "response-content-language": "content-language",
    "response-content-type": "content-type",
    "response-expires": "expires",
}
_STORAGE_CLASSES: Final = frozenset(
    {
        "STANDARD",
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER_IR",
    }
)
_SHOWN_NAMES: Final = {
    name: "-".join(part.capitalize() for part in name.split("-"))
    for name in (*_KEPT_HEADERS, "content-type")
}


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a client says of an object besides its body."""

    content_type: str
    headers: tuple[tuple[str, str], ...]


def read_attributes(call: Call) -> Attributes:
    """Read Content-Type, the other kept headers and user metadata of a request.

    Raises:
        S3Error: ``MetadataTooLarge``, ``InvalidStorageClass`` or ``InvalidArgument``.
    """
    kept: dict[str, str] = {}
    meta_bytes = 0
    for name, value in call.headers.items():
        lower = name.lower()
        if lower.startswith(_META):
            meta_bytes += len(lower) - len(_META) + len(value)
        elif lower == "x-amz-storage-class":
            if value not in _STORAGE_CLASSES:
                raise S3Error("InvalidStorageClass")
            if value == "STANDARD":
                continue
        elif lower in _KEPT_HEADERS:
            if lower == "content-encoding":
                value = _without_framing(value)  # noqa: PLW2901  # cleaned in place
            if not value:
                continue
        else:
            continue
        if not is_header_text(value):
            raise S3Error("InvalidArgument", f"The value of {lower} is not UTF-8 text.")
        kept[lower] = f"{kept[lower]},{value}" if lower in kept else value
    if meta_bytes > MAX_METADATA_BYTES:
        raise S3Error(
            "MetadataTooLarge", details=(("MaxSizeAllowed", str(MAX_METADATA_BYTES)),)
        )
    content_type = call.headers.get("Content-Type", DEFAULT_TYPE) or DEFAULT_TYPE
    if not is_header_text(content_type):
        raise S3Error("InvalidArgument", "The Content-Type is not UTF-8 text.")
    return Attributes(content_type, tuple(kept.items()))


def _without_framing(value: str) -> str:
    """Drop ``aws-chunked``, which describes the transfer and not the object."""
    codings = [coding.strip() for coding in value.split(",")]
    return ",".join(coding for coding in codings if coding not in {"aws-chunked", ""})


class ObjectOperations:
    """Object operations on a store.

    Args:
        store: Where objects are.
        max_object_bytes: Largest object of a single PUT.
    """

    def __init__(self, store: ObjectStore, max_object_bytes: int) -> None:
        self._store = store
        self._max_bytes = max_object_bytes

    async def put_object(self, call: Call) -> Reply:
        """PutObject."""
        store = self._store
        bucket = require_bucket(store, call.bucket)
        attributes = read_attributes(call)
        check_write(call.headers, bucket.objects.get(call.key))
        draft = store.draft()
        try:
            received = await receive(call, draft.write, self._max_bytes)
            info = _info(call, attributes, received)
        except BaseException:
            draft.discard()
            raise
        await store.commit(
            call.bucket, draft, info, lambda old: check_write(call.headers, old)
        )
        headers = [("ETag", f'"{info.etag}"')]
        if info.checksum is not None:
            headers += checksum_headers(info.checksum)
        return Reply(headers=headers)

    async def get_object(self, call: Call) -> Reply:
        """GetObject."""
        info = self._find(call)
        if not has_changed(call.headers, info):
            return _not_modified(info)
        span = byte_range(call.headers.get("Range"), info.size)
        reply = _described(call, info, span)
        start, stop = span or (0, info.size)
        reply.length = stop - start
        if stop > start:
            pieces = self._store.read(call.bucket, info, start, stop)
            # The first piece decides whether there is a body to promise.
            reply.body = await anext(pieces)
            if len(reply.body) < reply.length:
                reply.rest = pieces
            else:
                await pieces.aclose()
        return reply

    async def head_object(self, call: Call) -> Reply:
        """HeadObject."""
        info = self._find(call)
        if not has_changed(call.headers, info):
            return _not_modified(info)
        span = byte_range(call.headers.get("Range"), info.size)
        reply = _described(call, info, span)
        start, stop = span or (0, info.size)
        reply.length = stop - start
        return reply

    async def delete_object(self, call: Call) -> Reply:
        """DeleteObject; that there was none is no error."""
        require_bucket(self._store, call.bucket)
        await self._store.delete(call.bucket, call.key)
        return Reply(status=204)

    async def copy_object(self, call: Call) -> Reply:
        """CopyObject."""
        require_bucket(self._store, call.bucket)
        source_bucket, source = self.copy_source(call)
        directive = call.headers.get("x-amz-metadata-directive", "COPY")
        if directive not in {"COPY", "REPLACE"}:
            raise S3Error("InvalidArgument", "Unknown metadata directive.")
        is_same = (source_bucket, source.key) == (call.bucket, call.key)
        if is_same and directive == "COPY":
            raise S3Error(
                "InvalidRequest",
                "This copy request is illegal because it is trying to copy an object to "
                "itself without changing the object's metadata, storage class, website "
                "redirect location or encryption attributes.",
            )
        if source.size > self._max_bytes:
            raise S3Error("EntityTooLarge")
        attributes = (
            Attributes(source.content_type, source.headers)
            if directive == "COPY"
            else read_attributes(call)
        )
        algorithm = _asked_algorithm(call) or (
            ALGORITHMS[source.checksum.algorithm] if source.checksum else None
        )
        pieces = self._store.read(source_bucket, source, 0, source.size)
        draft = self._store.draft()
        copy = HashedCopy(draft, algorithm)
        try:
            await copy.take(pieces, source.size)
        except BaseException:
            draft.discard()
            raise
        info = ObjectInfo(
            key=call.key,
            size=source.size,
            etag=copy.etag,
            modified_unix_s=call.now_unix_s,
            content_type=attributes.content_type,
            headers=attributes.headers,
            checksum=copy.checksum,
        )
        await self._store.commit(
            call.bucket, draft, info, lambda old: check_write(call.headers, old)
        )
        return xml_reply(
            "CopyObjectResult",
            elements(
                (
                    ("LastModified", iso_time(info.modified_unix_s)),
                    ("ETag", f'"{info.etag}"'),
                    *checksum_elements(info.checksum),
                )
            ),
        )

    def copy_source(self, call: Call) -> tuple[str, ObjectInfo]:
        """Find the object a copy is made of, and evaluate its conditions.

        Raises:
            S3Error: ``InvalidArgument``, ``NoSuchBucket``, ``NoSuchKey``,
                ``PreconditionFailed`` or ``NotImplemented``.
        """
        header = call.headers.get("x-amz-copy-source", "")
        path, _, query = header.partition("?")
        if query and query != "versionId=null":
            raise S3Error("NotImplemented", "This bucket has no versions.")
        try:
            text = unquote_bytes(path).decode("utf-8")
        except UnicodeDecodeError as exc:
            raise S3Error("InvalidArgument", "Copy source is not UTF-8.") from exc
        bucket, _, key = text.removeprefix("/").partition("/")
        if not bucket or not key:
            raise S3Error(
                "InvalidArgument",
                "Copy Source must mention the source bucket and key: "
                "sourcebucket/sourcekey",
            )
        info = require_bucket(self._store, bucket).objects.get(key)
        if info is None:
            raise S3Error("NoSuchKey", details=(("Key", key),))
        check_copy_source(call.headers, info)
        return bucket, info

    def _find(self, call: Call) -> ObjectInfo:
        info = require_bucket(self._store, call.bucket).objects.get(call.key)
        if info is None:
            raise S3Error("NoSuchKey", details=(("Key", call.key),))
        return info


def checksum_headers(checksum: Checksum) -> list[tuple[str, str]]:
    """Headers that tell a checksum."""
    return [
        (ALGORITHMS[checksum.algorithm].header, checksum.value),
        ("x-amz-checksum-type", checksum.type),
    ]


def checksum_elements(checksum: Checksum | None) -> list[tuple[str, str]]:
    """XML elements that tell a checksum."""
    if checksum is None:
        return []
    return [
        (ALGORITHMS[checksum.algorithm].element, checksum.value),
        ("ChecksumType", checksum.type),
    ]


def _info(call: Call, attributes: Attributes, received: Received) -> ObjectInfo:
    return ObjectInfo(
        key=call.key,
        size=received.size,
        etag=received.md5.hex(),
        modified_unix_s=call.now_unix_s,
        content_type=attributes.content_type,
        headers=attributes.headers,
        checksum=received.checksum,
    )


def _asked_algorithm(call: Call) -> Algorithm | None:
    name = call.headers.get("x-amz-checksum-algorithm", "")
    return algorithm_named(name) if name else None


def _not_modified(info: ObjectInfo) -> Reply:
    return Reply(
        status=304,
        headers=[
            ("ETag", f'"{info.etag}"'),
            ("Last-Modified", http_date(int(info.modified_unix_s))),
        ],
    )


def _described(call: Call, info: ObjectInfo, span: tuple[int, int] | None) -> Reply:
    """Reply that tells everything of an object, without its body."""
    described = {"content-type": info.content_type, **dict(info.headers)}
    for parameter, name in _OVERRIDES.items() if call.query else ():
        value = call.query.get(parameter)
        if value is not None:
            if not is_header_text(value):
                raise S3Error("InvalidArgument", f"{parameter} is not header text.")
            described[name] = value
    headers = [
        ("Last-Modified", http_date(int(info.modified_unix_s))),
        ("ETag", f'"{info.etag}"'),
        ("Accept-Ranges", "bytes"),
        *((_SHOWN_NAMES.get(name, name), value) for name, value in described.items()),
    ]
    if span is None:
        wants_checksum = call.headers.get("x-amz-checksum-mode", "") == "ENABLED"
        if wants_checksum and info.checksum is not None:
            headers += checksum_headers(info.checksum)
        return Reply(headers=headers)
    headers.append(("Content-Range", f"bytes {span[0]}-{span[1] - 1}/{info.size}"))
    return Reply(status=206, headers=headers)
