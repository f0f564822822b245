"""Operations on multipart uploads."""

import re
from typing import Final

from fleetsim.lab.catalogue import ObjectInfo
from fleetsim.lab.checksums import (
    COMPOSITE,
    FULL_OBJECT,
    Checksum,
    algorithm_named,
)
from fleetsim.lab.multipart import (
    Part,
    Upload,
    Uploads,
    chosen_parts,
    multipart_etag,
    whole_checksum,
)
from fleetsim.lab.object_store import ObjectStore, require_bucket
from fleetsim.lab.s3_body import receive, receive_document
from fleetsim.lab.s3_buckets import encoder, max_items
from fleetsim.lab.s3_conditions import check_write
from fleetsim.lab.s3_errors import S3Error
from fleetsim.lab.s3_hash import HashedCopy
from fleetsim.lab.s3_objects import (
    ObjectOperations,
    checksum_elements,
    checksum_headers,
    read_attributes,
)
from fleetsim.lab.s3_reply import Reply, xml_reply
from fleetsim.lab.s3_request import Call
from fleetsim.lab.s3_xml import elements, iso_time, parse

MAX_PART_NUMBER: Final = 10_000
_MAX_DOCUMENT_BYTES: Final = 4 * 1024 * 1024
_COPY_RANGE: Final = re.compile(r"bytes=(\d{1,18})-(\d{1,18})")


class MultipartOperations:
    """Multipart operations on a store.

    Args:
        store: Where objects are.
        objects: For the source of part copies.
        max_part_bytes: Largest part.
        min_part_bytes: Smallest part but the last; 5 MiB at AWS.
    """

    def __init__(
        self,
        store: ObjectStore,
        objects: ObjectOperations,
        *,
        max_part_bytes: int,
        min_part_bytes: int,
    ) -> None:
        self._store = store
        self._objects = objects
        self._max_bytes = max_part_bytes
        self._min_bytes = min_part_bytes
        self._uploads = Uploads()

    async def create(self, call: Call) -> Reply:
        """CreateMultipartUpload."""
        require_bucket(self._store, call.bucket)
        name = call.headers.get("x-amz-checksum-algorithm", "")
        algorithm = algorithm_named(name) if name else None
        kind = call.headers.get("x-amz-checksum-type", "")
        if kind and algorithm is None:
            raise S3Error(
                "InvalidRequest",
                "The x-amz-checksum-type header can only be used with the "
                "x-amz-checksum-algorithm header.",
            )
        if algorithm is not None:
            kind = kind or algorithm.default_type
            impossible = FULL_OBJECT if algorithm.combine is None else ""
            if not algorithm.composite:
                impossible = COMPOSITE
            if kind not in {COMPOSITE, FULL_OBJECT} or kind == impossible:
                raise S3Error(
                    "InvalidRequest",
                    f"The {kind} checksum type cannot be used with the "
                    f"{algorithm.name.lower()} checksum algorithm.",
                )
        upload_id = self._uploads.add(
            Upload(
                bucket=call.bucket,
                key=call.key,
                initiated_unix_s=call.now_unix_s,
                attributes=read_attributes(call),
                algorithm=algorithm,
                checksum_type=kind,
            )
        )
        reply = xml_reply(
            "InitiateMultipartUploadResult",
            elements(
                (("Bucket", call.bucket), ("Key", call.key), ("UploadId", upload_id))
            ),
        )
        if algorithm is not None:
            reply.headers += [
                ("x-amz-checksum-algorithm", algorithm.name),
                ("x-amz-checksum-type", kind),
            ]
        return reply

    async def upload_part(self, call: Call) -> Reply:
        """UploadPart."""
        upload = self._find(call)
        number = _part_number(call)
        draft = self._store.draft()
        try:
            received = await receive(
                call, draft.write, self._max_bytes, upload.algorithm
            )
            part = Part(
                draft=draft,
                size=received.size,
                md5=received.md5,
                modified_unix_s=call.now_unix_s,
                checksum=received.checksum,
            )
            self._uploads.keep(call, number, part)
        except BaseException:
            draft.discard()
            raise
        headers = [("ETag", f'"{part.md5.hex()}"')]
        if part.checksum is not None:
            headers += checksum_headers(part.checksum)[:1]
        return Reply(headers=headers)

    async def upload_part_copy(self, call: Call) -> Reply:
        """UploadPartCopy."""
        upload = self._find(call)
        number = _part_number(call)
        source_bucket, source = self._objects.copy_source(call)
        start, stop = _copy_range(call, source.size)
        if stop - start > self._max_bytes:
            raise S3Error("EntityTooLarge")
        draft = self._store.draft()
        copy = HashedCopy(draft, upload.algorithm)
        try:
            pieces = self._store.read(source_bucket, source, start, stop)
            await copy.take(pieces, stop - start)
            part = Part(
                draft=draft,
                size=stop - start,
                md5=bytes.fromhex(copy.etag),
                modified_unix_s=call.now_unix_s,
                checksum=copy.checksum,
            )
            self._uploads.keep(call, number, part)
        except BaseException:
            draft.discard()
            raise
        return xml_reply(
            "CopyPartResult",
            elements(
                (
                    ("LastModified", iso_time(call.now_unix_s)),
                    ("ETag", f'"{copy.etag}"'),
                    *checksum_elements(copy.checksum)[:1],
                )
            ),
        )

    async def complete(self, call: Call) -> Reply:
        """CompleteMultipartUpload."""
        upload = self._find(call)
        body = await receive_document(
            call, _MAX_DOCUMENT_BYTES, checksum_is_of_body=False
        )
        root = parse(body, "CompleteMultipartUpload")
        parts = chosen_parts(upload, root.all("Part"), self._min_bytes)
        size = sum(part.size for part in parts)
        expected_size = call.headers.get("x-amz-mp-object-size", "")
        if expected_size and expected_size != str(size):
            raise S3Error(
                "InvalidRequest",
                "The provided 'x-amz-mp-object-size' header does not match what was "
                "computed.",
            )
        info = ObjectInfo(
            key=upload.key,
            size=size,
            etag=multipart_etag(parts),
            modified_unix_s=call.now_unix_s,
            content_type=upload.attributes.content_type,
            headers=upload.attributes.headers,
            checksum=whole_checksum(upload, parts),
        )
        _check_given(call, info.checksum)
        bucket = require_bucket(self._store, upload.bucket)
        check_write(call.headers, bucket.objects.get(upload.key))
        self._uploads.take(call)
        try:
            whole = await self._store.join([part.draft for part in parts])
            await self._store.commit(
                upload.bucket, whole, info, lambda old: check_write(call.headers, old)
            )
        finally:
            for part in upload.parts.values():
                part.draft.discard()
        host = call.headers.get("Host", "")
        return xml_reply(
            "CompleteMultipartUploadResult",
            elements(
                (
                    ("Location", f"{call.http.scheme}://{host}{call.raw_path}"),
                    ("Bucket", upload.bucket),
                    ("Key", upload.key),
                    ("ETag", f'"{info.etag}"'),
                    *checksum_elements(info.checksum),
                )
            ),
        )

    async def abort(self, call: Call) -> Reply:
        """AbortMultipartUpload."""
        require_bucket(self._store, call.bucket)
        upload = self._uploads.take(call)
        for part in upload.parts.values():
            part.draft.discard()
        return Reply(status=204)

    async def list_parts(self, call: Call) -> Reply:
        """ListParts."""
        upload = self._find(call)
        limit = max_items(call, "max-parts")
        marker = call.query.get("part-number-marker", "0") or "0"
        if not (marker.isascii() and marker.isdigit() and len(marker) <= 10):
            raise S3Error("InvalidArgument", "part-number-marker is not a number.")
        numbers = [number for number in sorted(upload.parts) if number > int(marker)]
        page = numbers[:limit]
        content = elements(
            (
                ("Bucket", call.bucket),
                ("Key", encoder(call)(call.key)),
                ("UploadId", call.query["uploadId"]),
                ("PartNumberMarker", int(marker)),
                ("NextPartNumberMarker", page[-1] if page else 0),
                ("MaxParts", limit),
                ("IsTruncated", "true" if len(numbers) > len(page) else "false"),
                ("StorageClass", "STANDARD"),
                (
                    "ChecksumAlgorithm",
                    upload.algorithm.name if upload.algorithm else None,
                ),
                ("ChecksumType", upload.checksum_type or None),
            )
        )
        for number in page:
            part = upload.parts[number]
            fields = elements(
                (
                    ("PartNumber", number),
                    ("LastModified", iso_time(part.modified_unix_s)),
                    ("ETag", f'"{part.md5.hex()}"'),
                    ("Size", part.size),
                    *checksum_elements(part.checksum)[:1],
                )
            )
            content += f"<Part>{fields}</Part>"
        return xml_reply("ListPartsResult", content)

    async def list_uploads(self, call: Call) -> Reply:
        """ListMultipartUploads, by key and then by time."""
        require_bucket(self._store, call.bucket)
        query = call.query
        if query.get("delimiter"):
            raise S3Error("NotImplemented", "A delimiter is not implemented here.")
        limit = max_items(call, "max-uploads")
        prefix, marker = query.get("prefix", ""), query.get("key-marker", "")
        id_marker = query.get("upload-id-marker", "")
        found = self._uploads.of_bucket(call.bucket, prefix)
        if marker:
            # The id marker counts only together with its key.
            start = next(
                (
                    index + 1
                    for index, (key, _, upload_id) in enumerate(found)
                    if key == marker and upload_id == id_marker
                ),
                None,
            )
            found = (
                [item for item in found if item[0] > marker]
                if start is None
                else found[start:]
            )
        page = found[:limit]
        is_truncated = 0 < limit < len(found)
        encode = encoder(call)
        content = elements(
            (
                ("Bucket", call.bucket),
                ("KeyMarker", encode(marker)),
                ("UploadIdMarker", id_marker),
                ("NextKeyMarker", encode(page[-1][0]) if is_truncated else None),
                ("NextUploadIdMarker", page[-1][2] if is_truncated else None),
                ("Prefix", encode(prefix)),
                ("EncodingType", query.get("encoding-type")),
                ("MaxUploads", limit),
                ("IsTruncated", "true" if is_truncated else "false"),
            )
        )
        for key, initiated_unix_s, upload_id in page:
            fields = elements(
                (
                    ("Key", encode(key)),
                    ("UploadId", upload_id),
                    ("Initiated", iso_time(initiated_unix_s)),
                    ("StorageClass", "STANDARD"),
                )
            )
            content += f"<Upload>{fields}</Upload>"
        return xml_reply("ListMultipartUploadsResult", content)

    def _find(self, call: Call) -> Upload:
        require_bucket(self._store, call.bucket)
        return self._uploads.find(call)


def _part_number(call: Call) -> int:
    text = call.query.get("partNumber", "")
    if text.isascii() and text.isdigit() and len(text) <= 5:
        number = int(text)
        if 1 <= number <= MAX_PART_NUMBER:
            return number
    raise S3Error(
        "InvalidArgument",
        f"Part number must be an integer between 1 and {MAX_PART_NUMBER}, inclusive",
        details=(("ArgumentName", "partNumber"), ("ArgumentValue", text)),
    )


def _copy_range(call: Call, size: int) -> tuple[int, int]:
    header = call.headers.get("x-amz-copy-source-range")
    if header is None:
        return 0, size
    match = _COPY_RANGE.fullmatch(header)
    if match is None or not int(match[1]) <= int(match[2]) < size:
        raise S3Error(
            "InvalidArgument",
            "The x-amz-copy-source-range value must be of the form bytes=first-last "
            "where first and last are the zero-based offsets of the first and last "
            f"bytes to copy. The object has {size} bytes.",
        )
    return int(match[1]), int(match[2]) + 1


def _check_given(call: Call, checksum: Checksum | None) -> None:
    """Compare the checksum of the whole that a client may give on completion."""
    if checksum is None:
        return
    given = call.headers.get(f"x-amz-checksum-{checksum.algorithm.lower()}")
    if (
        given is not None
        and given.partition("-")[0] != checksum.value.partition("-")[0]
    ):
        raise S3Error(
            "BadDigest",
            f"The {checksum.algorithm} you specified did not match the calculated "
            "checksum.",
        )
