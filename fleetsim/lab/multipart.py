"""Multipart uploads under way. They live in memory: a restarted lab has forgotten them.

Source: Amazon S3 user guide, "Uploading and copying objects using multipart upload" and
"Multipart upload limits".
"""

import hashlib
import hmac
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from fleetsim.lab.checksums import (
    FULL_OBJECT,
    Algorithm,
    Checksum,
    composite,
    decode_value,
    full_object,
)
from fleetsim.lab.object_store import Draft
from fleetsim.lab.s3_errors import S3Error
from fleetsim.lab.s3_objects import Attributes, checksum_elements
from fleetsim.lab.s3_request import Call
from fleetsim.lab.s3_xml import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part that arrived.

    Attributes:
        draft: Its bytes.
        size: Their number.
        md5: Their MD5.
        modified_unix_s: When it arrived.
        checksum: Their checksum, if any.
    """

    draft: Draft
    size: int
    md5: bytes
    modified_unix_s: float
    checksum: Checksum | None


@dataclass(slots=True, kw_only=True)
class Upload:
    """A multipart upload under way.

    Attributes:
        bucket: Bucket name.
        key: Object key.
        initiated_unix_s: When it was created.
        attributes: What the object will have besides its body.
        algorithm: Checksum algorithm of the parts, if one was asked for.
        checksum_type: Checksum type of the whole.
        parts: Parts by number.
    """

    bucket: str
    key: str
    initiated_unix_s: float
    attributes: Attributes
    algorithm: Algorithm | None
    checksum_type: str
    parts: dict[int, Part] = field(default_factory=dict)


class Uploads:
    """The uploads under way, by id."""

    def __init__(self) -> None:
        self._uploads: dict[str, Upload] = {}

    def add(self, upload: Upload) -> str:
        """Begin an upload; returns its id."""
        upload_id = uuid.uuid4().hex
        self._uploads[upload_id] = upload
        return upload_id

    def find(self, call: Call) -> Upload:
        """Find the upload a request names.

        Raises:
            S3Error: ``NoSuchUpload``, also for another bucket or key.
        """
        upload_id = call.query.get("uploadId", "")
        upload = self._uploads.get(upload_id)
        if upload is None or (upload.bucket, upload.key) != (call.bucket, call.key):
            raise S3Error("NoSuchUpload", details=(("UploadId", upload_id),))
        return upload

    def take(self, call: Call) -> Upload:
        """Find the upload a request names and end it: nobody else can from now on."""
        upload = self.find(call)
        del self._uploads[call.query["uploadId"]]
        return upload

    def keep(self, call: Call, number: int, part: Part) -> None:
        """Make a part one of its upload, in place of one of the same number.

        Raises:
            S3Error: ``NoSuchUpload`` if it ended while the part was coming in.
        """
        upload = self.find(call)
        old = upload.parts.get(number)
        upload.parts[number] = part
        if old is not None:
            old.draft.discard()

    def of_bucket(self, bucket: str, prefix: str) -> list[tuple[str, float, str]]:
        """List ``(key, initiated_unix_s, id)`` of a bucket's uploads, in that order."""
        return sorted(
            (upload.key, upload.initiated_unix_s, upload_id)
            for upload_id, upload in self._uploads.items()
            if upload.bucket == bucket and upload.key.startswith(prefix)
        )


def chosen_parts(
    upload: Upload, nodes: Sequence[Node], min_part_bytes: int
) -> list[Part]:
    """Look up the parts a client completes an upload with.

    Args:
        upload: The upload.
        nodes: ``Part`` elements of the request.
        min_part_bytes: Smallest part but the last.

    Raises:
        S3Error: ``MalformedXML``, ``InvalidPartOrder``, ``InvalidPart`` or
            ``EntityTooSmall``.
    """
    if not nodes:
        raise S3Error("MalformedXML")
    chosen: list[Part] = []
    last_number = 0
    for node in nodes:
        text = (node.get("PartNumber") or "").strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 5):
            raise S3Error("MalformedXML")
        number = int(text)
        if number <= last_number:
            raise S3Error("InvalidPartOrder")
        last_number = number
        part = upload.parts.get(number)
        if part is None or not _is_meant(node, part):
            raise S3Error("InvalidPart", details=(("PartNumber", text),))
        chosen.append(part)
    for index, part in enumerate(chosen[:-1]):
        if part.size < min_part_bytes:
            raise S3Error(
                "EntityTooSmall",
                details=(
                    ("ETag", part.md5.hex()),
                    ("PartNumber", str(index + 1)),
                    ("ProposedSize", str(part.size)),
                    ("MinSizeAllowed", str(min_part_bytes)),
                ),
            )
    return chosen


def _is_meant(node: Node, part: Part) -> bool:
    """Whether a client's ETag and checksum are those of a part."""
    etag = (node.get("ETag") or "").strip().strip('"').encode()
    if not hmac.compare_digest(etag, part.md5.hex().encode()):
        return False
    return all(
        node.get(name) in {None, value}
        for name, value in checksum_elements(part.checksum)[:1]
    )


def multipart_etag(parts: Sequence[Part]) -> str:
    """MD5 of the parts' MD5s, ``-N`` behind it for N parts."""
    joined = b"".join(part.md5 for part in parts)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"


def whole_checksum(upload: Upload, parts: Sequence[Part]) -> Checksum | None:
    """Checksum of the whole object, of the type its upload was created for."""
    algorithm = upload.algorithm
    if algorithm is None:
        return None
    values = [
        (decode_value(algorithm, part.checksum.value), part.size)
        for part in parts
        if part.checksum is not None
    ]
    if upload.checksum_type == FULL_OBJECT:
        value = full_object(algorithm, values)
    else:
        value = composite(algorithm, [raw for raw, _ in values])
    return Checksum(algorithm=algorithm.name, value=value, type=upload.checksum_type)
