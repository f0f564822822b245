"""Object store: what the lab's S3 endpoint keeps its objects in, and the one in memory.

The catalogue (names, sizes, ETags, metadata) of every store is in memory and is read
without waiting; only bodies may be slow. A body is first received into a
:class:`Draft`, which nobody can see, and becomes an object in one step: an upload that
is cut short leaves nothing behind, and a reader sees the old object or the new one.
"""

import ipaddress
import re
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from fleetsim.lab.checksums import Checksum
from fleetsim.lab.s3_errors import S3Error

MAX_BUCKETS: Final = 1000
_READ_BYTES: Final = 256 * 1024
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


class Draft(Protocol):
    """A body being received; invisible until it is committed."""

    size: int

    async def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            S3Error: ``QuotaExceeded`` or ``InsufficientStorage``.
        """

    def discard(self) -> None:
        """Forget the bytes. Does nothing once committed or discarded."""


class ObjectStore(Protocol):
    """Buckets and their objects. Used from one event loop.

    Attributes:
        buckets: Catalogues by bucket name; to be read, never changed from outside.
    """

    @property
    def buckets(self) -> Mapping[str, Bucket]:
        """Catalogues by bucket name, in the order of their making."""
        ...

    @property
    def used_bytes(self) -> int:
        """Bytes held, drafts included."""
        ...

    def create_bucket(self, name: str, now_unix_s: float) -> None:
        """Make a bucket unless it exists.

        Raises:
            S3Error: ``TooManyBuckets``.
        """

    def delete_bucket(self, name: str) -> None:
        """Remove an empty bucket.

        Raises:
            S3Error: ``NoSuchBucket`` or ``BucketNotEmpty``.
        """

    def draft(self) -> Draft:
        """Begin to receive a body."""
        ...

    async def join(self, drafts: Sequence[Draft]) -> Draft:
        """Make one draft of several, in order; they are discarded."""
        ...

    async def commit(
        self,
        bucket: str,
        draft: Draft,
        info: ObjectInfo,
        check: Callable[[ObjectInfo | None], None],
    ) -> None:
        """Make a draft an object, replacing one of the same key in one step.

        Args:
            bucket: Bucket name.
            draft: Complete body; the store owns it afterwards, whatever happens.
            info: What the object is.
            check: Called with the object of that key, if any, in the same step; raises
                to refuse.

        Raises:
            S3Error: ``NoSuchBucket``, or what ``check`` raises.
        """

    async def delete(self, bucket: str, key: str) -> None:
        """Remove an object if it is there."""

    def read(
        self, bucket: str, info: ObjectInfo, start: int, stop: int
    ) -> AsyncIterator[bytes]:
        """Yield the bytes ``start`` to ``stop`` (exclusive) of an object's body.

        Raises:
            S3Error: ``NoSuchKey`` when it was deleted meanwhile, ``NotImplemented``
                when the store did not keep it.
        """
        ...


def is_bucket_name(name: str) -> bool:
    """Whether a name follows S3's naming rules ("Bucket naming rules", user guide)."""
    if _BUCKET_NAME.fullmatch(name) is None or ".." in name:
        return False
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return True
    return False


def require_bucket(store: ObjectStore, name: str) -> Bucket:
    """Return a bucket's catalogue.

    Raises:
        S3Error: ``NoSuchBucket``.
    """
    bucket = store.buckets.get(name)
    if bucket is None:
        raise S3Error("NoSuchBucket", details=(("BucketName", name),))
    return bucket


class Buckets:
    """The bucket part that all stores share."""

    def __init__(self) -> None:
        self.buckets: dict[str, Bucket] = {}

    def create_bucket(self, name: str, now_unix_s: float) -> None:
        """See :class:`ObjectStore`."""
        if len(self.buckets) >= MAX_BUCKETS:
            raise S3Error("TooManyBuckets")
        self.buckets.setdefault(name, Bucket(name, now_unix_s))

    def delete_bucket(self, name: str) -> None:
        """See :class:`ObjectStore`."""
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


class _MemoryDraft:
    """A body in pieces."""

    __slots__ = ("_room", "pieces", "size")

    def __init__(self, room: Room) -> None:
        self._room = room
        self.pieces: list[bytes] = []
        self.size = 0

    async def write(self, data: bytes) -> None:
        """See :class:`Draft`."""
        self._room.take(len(data))
        self.pieces.append(data)
        self.size += len(data)

    def take(self) -> bytes:
        """Give the body away; its bytes stay held."""
        body = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        self.pieces = []
        self.size = 0
        return body

    def discard(self) -> None:
        """See :class:`Draft`."""
        self._room.give(self.size)
        self.pieces = []
        self.size = 0


class MemoryStore(Buckets):
    """Objects in memory, gone with the process.

    Bodies of long load runs need not be kept: what is discarded was still received,
    hashed and is listed with size and ETag; only GET answers ``NotImplemented``. They
    do not count against the limit.

    Args:
        limit_bytes: Most bytes of bodies, uploads under way included; ``None`` = no
            limit.
        keep_bodies: ``False`` discards every body.
        discard_suffixes: Bodies of keys that end so are discarded, for instance
            ``(".MF4",)``: log files are dropped while over-the-air objects still work.
    """

    def __init__(
        self,
        limit_bytes: int | None = None,
        *,
        keep_bodies: bool = True,
        discard_suffixes: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        self._room = Room(limit_bytes)
        # Every key ends with "".
        self._discard = discard_suffixes if keep_bodies else ("",)
        self._bodies: dict[tuple[str, str], tuple[ObjectInfo, bytes]] = {}

    @property
    def used_bytes(self) -> int:
        """See :class:`ObjectStore`."""
        return self._room.used_bytes

    def draft(self) -> _MemoryDraft:
        """See :class:`ObjectStore`."""
        return _MemoryDraft(self._room)

    async def join(self, drafts: Sequence[Draft]) -> _MemoryDraft:
        """See :class:`ObjectStore`."""
        whole = _MemoryDraft(self._room)
        for draft in drafts:
            if not isinstance(draft, _MemoryDraft):
                raise TypeError("a draft of another store")
            whole.pieces += draft.pieces
            whole.size += draft.size
            draft.take()
        return whole

    async def commit(
        self,
        bucket: str,
        draft: Draft,
        info: ObjectInfo,
        check: Callable[[ObjectInfo | None], None],
    ) -> None:
        """See :class:`ObjectStore`."""
        if not isinstance(draft, _MemoryDraft):
            raise TypeError("a draft of another store")
        try:
            catalogue = require_bucket(self, bucket)
            check(catalogue.objects.get(info.key))
        except BaseException:
            draft.discard()
            raise
        self._drop(bucket, info.key)
        if self._discard and info.key.endswith(self._discard):
            draft.discard()
        else:
            self._bodies[bucket, info.key] = (info, draft.take())
        catalogue.put(info)

    def _drop(self, bucket: str, key: str) -> None:
        old = self._bodies.pop((bucket, key), None)
        if old is not None:
            self._room.give(len(old[1]))

    async def delete(self, bucket: str, key: str) -> None:
        """See :class:`ObjectStore`."""
        require_bucket(self, bucket).remove(key)
        self._drop(bucket, key)

    async def read(
        self, bucket: str, info: ObjectInfo, start: int, stop: int
    ) -> AsyncIterator[bytes]:
        """See :class:`ObjectStore`."""
        kept = self._bodies.get((bucket, info.key))
        if kept is None:
            raise S3Error("NotImplemented", "The body of this object was not kept.")
        body = kept[1]
        if kept[0] is not info:
            raise S3Error("NoSuchKey", details=(("Key", info.key),))
        if start == 0 and stop == len(body) <= _READ_BYTES:
            yield body
            return
        for at in range(start, stop, _READ_BYTES):
            yield body[at : min(at + _READ_BYTES, stop)]
