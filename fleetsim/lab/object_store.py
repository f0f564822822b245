"""Object store: what the lab's S3 endpoint keeps its objects in, and the one in memory.

The catalogue (names, sizes, ETags, metadata) of every store is in memory and is read
without waiting; only bodies may be slow. A body is first received into a
:class:`Draft`, which nobody can see, and becomes an object in one step: an upload that
is cut short leaves nothing behind, and a reader sees the old object or the new one.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Final, Protocol

from fleetsim.lab.catalogue import Bucket, Buckets, ObjectInfo, Room
from fleetsim.lab.s3_errors import S3Error

_READ_BYTES: Final = 256 * 1024


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
    ) -> AsyncGenerator[bytes, None]:
        """Yield the bytes ``start`` to ``stop`` (exclusive) of an object's body.

        To be closed by who does not read to the end.

        Raises:
            S3Error: ``NoSuchKey`` when it was deleted meanwhile, ``NotImplemented``
                when the store did not keep it.
        """
        ...


def require_bucket(store: ObjectStore, name: str) -> Bucket:
    """Return a bucket's catalogue.

    Raises:
        S3Error: ``NoSuchBucket``.
    """
    bucket = store.buckets.get(name)
    if bucket is None:
        raise S3Error("NoSuchBucket", details=(("BucketName", name),))
    return bucket


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
    ) -> AsyncGenerator[bytes, None]:
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
