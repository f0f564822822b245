"""Operations on buckets: make, look, list, delete many objects at once."""

import base64
import binascii
from collections.abc import Callable
from typing import Final

from fleetsim.lab.catalogue import ObjectInfo, Page, is_bucket_name
from fleetsim.lab.checksums import Checksum
from fleetsim.lab.object_store import ObjectStore, require_bucket
from fleetsim.lab.s3_body import has_integrity_header, receive_document
from fleetsim.lab.s3_conditions import etag_matches
from fleetsim.lab.s3_errors import S3Error
from fleetsim.lab.s3_reply import Reply, xml_reply
from fleetsim.lab.s3_request import MAX_KEY_BYTES, Call
from fleetsim.lab.s3_xml import element, elements, iso_time, parse, url_encode

MAX_PAGE: Final = 1000
MAX_DOCUMENT_BYTES: Final = 2 * 1024 * 1024
Encoder = Callable[[str], str]

_OWNER: Final = "<Owner><ID>fleetsim</ID><DisplayName>fleetsim</DisplayName></Owner>"


class BucketOperations:
    """Bucket operations on a store.

    Args:
        store: Where objects are.
        region: Region the endpoint says it is in.
    """

    def __init__(self, store: ObjectStore, region: str) -> None:
        self._store = store
        self._region = region

    async def list_buckets(self, _call: Call) -> Reply:
        """ListBuckets."""
        content = "".join(
            "<Bucket>"
            + elements(
                (
                    ("Name", bucket.name),
                    ("CreationDate", iso_time(bucket.created_unix_s)),
                )
            )
            + "</Bucket>"
            for bucket in sorted(self._store.buckets.values(), key=lambda b: b.name)
        )
        return xml_reply(
            "ListAllMyBucketsResult", f"{_OWNER}<Buckets>{content}</Buckets>"
        )

    async def create_bucket(self, call: Call) -> Reply:
        """CreateBucket."""
        if not is_bucket_name(call.bucket):
            raise S3Error("InvalidBucketName", details=(("BucketName", call.bucket),))
        if call.http.body_exists:
            body = await receive_document(call, MAX_DOCUMENT_BYTES)
            wanted = (
                parse(body, "CreateBucketConfiguration").get("LocationConstraint")
                if body
                else None
            )
            if wanted and wanted != self._region:
                raise S3Error(
                    "IllegalLocationConstraintException",
                    f"The {wanted} location constraint is incompatible for the region "
                    "specific endpoint this request was sent to.",
                )
        if call.bucket in self._store.buckets:
            raise S3Error(
                "BucketAlreadyOwnedByYou", details=(("BucketName", call.bucket),)
            )
        self._store.create_bucket(call.bucket, call.now_unix_s)
        return Reply(headers=[("Location", f"/{call.bucket}")])

    async def head_bucket(self, call: Call) -> Reply:
        """HeadBucket."""
        require_bucket(self._store, call.bucket)
        return Reply(headers=[("x-amz-bucket-region", self._region)])

    async def delete_bucket(self, call: Call) -> Reply:
        """DeleteBucket."""
        self._store.delete_bucket(call.bucket)
        return Reply(status=204)

    async def get_location(self, call: Call) -> Reply:
        """GetBucketLocation; us-east-1 is written as nothing."""
        require_bucket(self._store, call.bucket)
        region = "" if self._region == "us-east-1" else self._region
        return xml_reply("LocationConstraint", region)

    async def get_versioning(self, call: Call) -> Reply:
        """GetBucketVersioning: never enabled."""
        require_bucket(self._store, call.bucket)
        return xml_reply("VersioningConfiguration", "")

    async def get_acl(self, call: Call) -> Reply:
        """GetBucketAcl, GetObjectAcl: the owner may do everything."""
        bucket = require_bucket(self._store, call.bucket)
        if call.key and call.key not in bucket.objects:
            raise S3Error("NoSuchKey", details=(("Key", call.key),))
        return xml_reply(
            "AccessControlPolicy",
            f"{_OWNER}<AccessControlList><Grant>"
            '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
            'xsi:type="CanonicalUser"><ID>fleetsim</ID>'
            "<DisplayName>fleetsim</DisplayName></Grantee>"
            "<Permission>FULL_CONTROL</Permission></Grant></AccessControlList>",
        )

    async def put_acl(self, call: Call) -> Reply:
        """PutBucketAcl, PutObjectAcl: only what is so anyway is accepted."""
        bucket = require_bucket(self._store, call.bucket)
        if call.key and call.key not in bucket.objects:
            raise S3Error("NoSuchKey", details=(("Key", call.key),))
        body = await receive_document(call, MAX_DOCUMENT_BYTES)
        if body:
            lists = parse(body, "AccessControlPolicy").all("AccessControlList")
            grants = [
                (grantee.get("ID"), grant.get("Permission"))
                for node in lists
                for grant in node.all("Grant")
                for grantee in grant.all("Grantee")
            ]
            if grants != [("fleetsim", "FULL_CONTROL")]:
                raise S3Error("AccessControlListNotSupported")
        return Reply()

    async def list_objects_v2(self, call: Call) -> Reply:
        """ListObjectsV2."""
        bucket = require_bucket(self._store, call.bucket)
        query = call.query
        token = query.get("continuation-token")
        start_after = query.get("start-after", "")
        limit = max_items(call, "max-keys")
        page = bucket.page(
            prefix=query.get("prefix", ""),
            delimiter=query.get("delimiter", ""),
            after=start_after if token is None else _read_token(token),
            limit=limit,
        )
        encode = encoder(call)
        content = elements(
            (
                ("Name", call.bucket),
                ("Prefix", encode(query.get("prefix", ""))),
                ("Delimiter", _optional(encode, query.get("delimiter"))),
                ("StartAfter", _optional(encode, start_after or None)),
                ("ContinuationToken", token),
                (
                    "NextContinuationToken",
                    _write_token(page.last) if page.is_truncated else None,
                ),
                ("KeyCount", len(page.objects) + len(page.common_prefixes)),
                ("MaxKeys", limit),
                ("EncodingType", query.get("encoding-type")),
                ("IsTruncated", _boolean(page.is_truncated)),
            )
        )
        has_owner = query.get("fetch-owner") == "true"
        return xml_reply(
            "ListBucketResult", content + _listed(page, encode, has_owner=has_owner)
        )

    async def list_objects(self, call: Call) -> Reply:
        """ListObjects, the first version."""
        bucket = require_bucket(self._store, call.bucket)
        query = call.query
        limit = max_items(call, "max-keys")
        delimiter = query.get("delimiter", "")
        page = bucket.page(
            prefix=query.get("prefix", ""),
            delimiter=delimiter,
            after=query.get("marker", ""),
            limit=limit,
        )
        encode = encoder(call)
        has_next = page.is_truncated and bool(delimiter)
        content = elements(
            (
                ("Name", call.bucket),
                ("Prefix", encode(query.get("prefix", ""))),
                ("Marker", encode(query.get("marker", ""))),
                ("NextMarker", encode(page.last) if has_next else None),
                ("MaxKeys", limit),
                ("Delimiter", _optional(encode, query.get("delimiter"))),
                ("EncodingType", query.get("encoding-type")),
                ("IsTruncated", _boolean(page.is_truncated)),
            )
        )
        return xml_reply(
            "ListBucketResult", content + _listed(page, encode, has_owner=True)
        )

    async def delete_objects(self, call: Call) -> Reply:
        """DeleteObjects: up to 1,000 keys, each with its own verdict."""
        bucket = require_bucket(self._store, call.bucket)
        if not has_integrity_header(call):
            raise S3Error(
                "InvalidRequest",
                "Missing required header for this request: Content-MD5 OR "
                "x-amz-checksum-*",
            )
        root = parse(await receive_document(call, MAX_DOCUMENT_BYTES), "Delete")
        is_quiet = root.get("Quiet") == "true"
        nodes = root.all("Object")
        if not 1 <= len(nodes) <= MAX_PAGE:
            raise S3Error("MalformedXML")
        parts = []
        for node in nodes:
            key = node.get("Key")
            if not key:
                raise S3Error("MalformedXML")
            refusal = _refusal(key, node.get("VersionId"))
            etag = node.get("ETag")
            if refusal is None and etag is not None:
                refusal = _etag_refusal(etag, bucket.objects.get(key))
            if refusal is not None:
                parts.append(
                    "<Error>"
                    + elements(
                        (
                            ("Key", key),
                            ("Code", refusal.code),
                            ("Message", refusal.message),
                        )
                    )
                    + "</Error>"
                )
                continue
            await self._store.delete(call.bucket, key)
            if not is_quiet:
                parts.append(f"<Deleted>{element('Key', key)}</Deleted>")
        return xml_reply("DeleteResult", "".join(parts))


def _etag_refusal(etag: str, existing: ObjectInfo | None) -> S3Error | None:
    if existing is None:
        return S3Error("NoSuchKey")
    return None if etag_matches(etag, existing.etag) else S3Error("PreconditionFailed")


def _refusal(key: str, version: str | None) -> S3Error | None:
    if version not in {None, "", "null"}:
        return S3Error("NotImplemented", "This bucket has no versions.")
    if len(key.encode()) > MAX_KEY_BYTES:
        return S3Error("KeyTooLongError")
    return None


def max_items(call: Call, name: str) -> int:
    """Read ``max-keys`` and its like, 0..1000; larger is 1000.

    Raises:
        S3Error: ``InvalidArgument``.
    """
    text = call.query.get(name)
    if not text:
        return MAX_PAGE
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise S3Error(
            "InvalidArgument",
            f"Provided {name} not an integer or within integer range",
            details=(("ArgumentName", name), ("ArgumentValue", text)),
        )
    return min(int(text), MAX_PAGE)


def encoder(call: Call) -> Encoder:
    """Choose how keys are written in a listing.

    Raises:
        S3Error: ``InvalidArgument`` for an ``encoding-type`` other than ``url``.
    """
    kind = call.query.get("encoding-type")
    if kind not in {None, "", "url"}:
        raise S3Error(
            "InvalidArgument",
            "Invalid Encoding Method specified in Request",
            details=(("ArgumentName", "encoding-type"),),
        )
    return url_encode if kind else str


def _optional(encode: Encoder, text: str | None) -> str | None:
    return None if text is None else encode(text)


def _boolean(value: bool) -> str:  # it is what is written
    return "true" if value else "false"


def _write_token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode("ascii")


def _read_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode("utf-8")
    except (binascii.Error, ValueError) as exc:
        raise S3Error(
            "InvalidArgument",
            "The continuation token provided is incorrect",
            details=(("ArgumentName", "continuation-token"),),
        ) from exc


def _listed(page: Page, encode: Encoder, *, has_owner: bool) -> str:
    """Write the objects and groups of a page."""
    parts = [_contents(info, encode, has_owner=has_owner) for info in page.objects]
    parts += [
        f"<CommonPrefixes>{element('Prefix', encode(group))}</CommonPrefixes>"
        for group in page.common_prefixes
    ]
    return "".join(parts)


def _contents(info: ObjectInfo, encode: Encoder, *, has_owner: bool) -> str:
    checksum: Checksum | None = info.checksum
    content = elements(
        (
            ("Key", encode(info.key)),
            ("LastModified", iso_time(info.modified_unix_s)),
            ("ETag", f'"{info.etag}"'),
            ("ChecksumAlgorithm", checksum.algorithm if checksum else None),
            ("ChecksumType", checksum.type if checksum else None),
            ("Size", info.size),
            ("StorageClass", dict(info.headers).get("x-amz-storage-class", "STANDARD")),
        )
    )
    return f"<Contents>{content}{_OWNER if has_owner else ''}</Contents>"
