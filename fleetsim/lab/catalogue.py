"""Catalogue: which objects there are, without their bodies. What all stores share."""

import ipaddress
import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Final

from fleetsim.lab.checksums import Checksum
from fleetsim.lab.s3_errors import S3Error

MAX_BUCKETS: Final = 1000
_BUCKET_NAME: Final = re.compile(r"[a-z0-9](?:[a-z0-9.-]{1,61})[a-z0-9]")


@dataclass(slots=True, kw_only=True)
class ObjectInfo:
    """An object without its body. Never changed once it is in a catalogue.

    Not frozen: one is made for every PUT, and a frozen one costs four times as much.

    Attributes:
        key: Object key.
        size: Bytes of the body.
        etag: ETag without quotes: MD5 in hex, ``-N`` behind it for N parts.
        modified_unix_s: When it became visible.
        content_type: Content-Type to answer with.
        headers: Other headers to answer with, lower case: ``cache-control``,
            ``content-encoding`` …, and user metadata as ``x-amz-meta-…``.
        checksum: Checksum the client gave, if any.
    """

    key: str
    size: int
    etag: str
    modified_unix_s: float
    content_type: str = "binary/octet-stream"
    headers: tuple[tuple[str, str], ...] = ()
    checksum: Checksum | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of a listing.

    Attributes:
        objects: Objects of the page, in UTF-8 order of their keys.
        common_prefixes: Groups rolled up at the delimiter, in order.
        last: Last key or group of the page; the next page starts after it.
        is_truncated: Whether there is a next page.
    """

    objects: tuple[ObjectInfo, ...] = ()
    common_prefixes: tuple[str, ...] = ()
    last: str = ""
    is_truncated: bool = False


class Bucket:
    """The catalogue of one bucket. Key order is made when a listing asks for it.

    Attributes:
        name: Bucket name.
        created_unix_s: When it was made.
        objects: Objects by key.
    """

    __slots__ = ("_added", "_keys", "_removed", "created_unix_s", "name", "objects")

    def __init__(self, name: str, created_unix_s: float) -> None:
        self.name = name
        self.created_unix_s = created_unix_s
        self.objects: dict[str, ObjectInfo] = {}
        self._keys: list[str] = []
        self._added: list[str] = []
        self._removed = False

    def put(self, info: ObjectInfo) -> None:
        """Make an object visible, in place of one of the same key."""
        if info.key not in self.objects:
            self._added.append(info.key)
        self.objects[info.key] = info

    def remove(self, key: str) -> None:
        """Remove an object if it is there."""
        if self.objects.pop(key, None) is not None:
            self._removed = True

    def _sorted_keys(self) -> list[str]:
        # The order of str is that of code points, which is the order of UTF-8 bytes:
        # the order S3 lists in. Sorted plus added merges in linear time (timsort).
        if self._removed:
            self._keys = sorted(self.objects)
        elif self._added:
            self._added.sort()
            self._keys += self._added
            self._keys.sort()
        self._added = []
        self._removed = False
        return self._keys

    def page(
        self, *, prefix: str = "", delimiter: str = "", after: str = "", limit: int
    ) -> Page:
        """List a page.

        Args:
            prefix: Only keys that begin with it.
            delimiter: Keys that have it behind the prefix are rolled up to it.
            after: Only keys and groups after it; empty = from the start.
            limit: Most objects and groups together, >= 0.
        """
        keys = self._sorted_keys()
        index = max(
            bisect_right(keys, after) if after else 0, bisect_left(keys, prefix)
        )
        objects: list[ObjectInfo] = []
        groups: list[str] = []
        last = ""
        while index < len(keys) and keys[index].startswith(prefix):
            key = keys[index]
            group = _group(key, prefix, delimiter)
            if group and group == after:
                index = _end_of_group(keys, index, group)
                continue
            if len(objects) + len(groups) >= limit:
                return Page(
                    objects=tuple(objects),
                    common_prefixes=tuple(groups),
                    last=last,
                    # AWS answers max-keys=0 as complete.
                    is_truncated=limit > 0,
                )
            if group:
                groups.append(group)
                last = group
                index = _end_of_group(keys, index, group)
            else:
                objects.append(self.objects[key])
                last = key
                index += 1
        return Page(objects=tuple(objects), common_prefixes=tuple(groups), last=last)


def _group(key: str, prefix: str, delimiter: str) -> str:
    if not delimiter:
        return ""
    end = key.find(delimiter, len(prefix))
    return key[: end + len(delimiter)] if end >= 0 else ""


def _end_of_group(keys: list[str], index: int, group: str) -> int:
    """First index behind the keys that begin with ``group``."""
    index = bisect_left(keys, group + "\U0010ffff", index)
    while index < len(keys) and keys[index].startswith(group):
        index += 1
    return index


def is_bucket_name(name: str) -> bool:
    """Whether a name follows S3's naming rules ("Bucket naming rules", user guide)."""
    if _BUCKET_NAME.fullmatch(name) is None or ".." in name:
        return False
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return True
    return False


class Buckets:
    """The bucket part that all stores share."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}

    def create_bucket(self, name: str, now_unix_s: float) -> None:
        """See :class:`fleetsim.lab.object_store.ObjectStore`."""
        if len(self.buckets) >= MAX_BUCKETS:
            raise S3Error("TooManyBuckets")
        self.buckets.setdefault(name, Bucket(name, now_unix_s))

    def delete_bucket(self, name: str) -> None:
        """See :class:`fleetsim.lab.object_store.ObjectStore`."""
        bucket = self.buckets.get(name)
        if bucket is None:
            raise S3Error("NoSuchBucket", details=(("BucketName", name),))
        if bucket.objects:
            raise S3Error("BucketNotEmpty", details=(("BucketName", name),))
        del self.buckets[name]


class Room:
    """Bytes held against a limit.

    Attributes:
        limit_bytes: Most bytes; ``None`` = no limit.
        used_bytes: Bytes held now.
    """

    __slots__ = ("limit_bytes", "used_bytes")

    def __init__(self, limit_bytes: int | None) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0

    def take(self, size: int) -> None:
        """Hold more bytes.

        Raises:
            S3Error: ``QuotaExceeded``; nothing is held then.
        """
        if self.limit_bytes is not None and self.used_bytes + size > self.limit_bytes:
            raise S3Error("QuotaExceeded")
        self.used_bytes += size

    def give(self, size: int) -> None:
        """Hold that many bytes less."""
        self.used_bytes -= size
