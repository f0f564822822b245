"""Tests of fleetsim.lab.object_store: the contract, held by both stores."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fleetsim.lab.catalogue import ObjectInfo
from fleetsim.lab.folder_store import FolderStore
from fleetsim.lab.object_store import MemoryStore, ObjectStore
from fleetsim.lab.s3_errors import S3Error

MakeStore = Callable[[int | None], ObjectStore]


@pytest.fixture(params=["memory", "folder"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> MakeStore:
    """Make a store of each kind with one bucket."""

    def made(limit_bytes: int | None = None) -> ObjectStore:
        store: ObjectStore = (
            MemoryStore(limit_bytes)
            if request.param == "memory"
            else FolderStore(tmp_path / "store", limit_bytes)
        )
        store.create_bucket("fleet", 0.0)
        return store

    return made


def accept(_old: ObjectInfo | None) -> None:
    """Let every commit pass."""


async def put(
    store: ObjectStore,
    key: str,
    *pieces: bytes,
    check: Callable[[ObjectInfo | None], None] = accept,
) -> ObjectInfo:
    """Put an object in pieces."""
    draft = store.draft()
    for piece in pieces:
        await draft.write(piece)
    info = ObjectInfo(key=key, size=draft.size, etag="e", modified_unix_s=1.0)
    await store.commit("fleet", draft, info, check)
    return info


async def get(
    store: ObjectStore, info: ObjectInfo, start: int = 0, stop: int | None = None
) -> bytes:
    """Read an object, or some of it."""
    end = info.size if stop is None else stop
    return b"".join([p async for p in store.read("fleet", info, start, end)])


async def test_bodies_come_back(make: MakeStore) -> None:
    """What was written comes back, whole and in part; a replacement replaces."""
    store = make(None)
    for pieces in ((b"",), (b"abc",), (b"x" * 600_000, b"y" * 600_000), ()):
        info = await put(store, "k", *pieces)
        body = b"".join(pieces)
        assert await get(store, info) == body
        assert (
            await get(store, info, len(body) // 2, len(body)) == body[len(body) // 2 :]
        )
        assert store.used_bytes == len(body)
        assert store.buckets["fleet"].objects == {"k": info}


async def test_drafts_are_invisible(make: MakeStore) -> None:
    """A draft is no object, and a discarded one holds nothing."""
    store = make(None)
    draft = store.draft()
    await draft.write(b"x" * 100)
    assert not store.buckets["fleet"].objects
    assert store.used_bytes == 100
    draft.discard()
    draft.discard()
    assert store.used_bytes == 0


async def test_refused_commit(make: MakeStore) -> None:
    """A check that refuses leaves the old object and holds nothing of the new one."""
    store = make(None)
    old = await put(store, "k", b"old")

    def refuse(found: ObjectInfo | None) -> None:
        assert found is old
        raise S3Error("PreconditionFailed")

    with pytest.raises(S3Error, match="PreconditionFailed"):
        await put(store, "k", b"new body", check=refuse)
    assert await get(store, old) == b"old"
    assert store.used_bytes == 3
    draft = store.draft()
    await draft.write(b"x")
    with pytest.raises(S3Error, match="NoSuchBucket"):
        await store.commit("none", draft, old, accept)
    assert store.used_bytes == 3


async def test_limit_counts_drafts(make: MakeStore) -> None:
    """Uploads under way count against the limit, so that it is never passed."""
    store = make(10)
    await put(store, "k", b"12345")
    draft = store.draft()
    await draft.write(b"12345")
    with pytest.raises(S3Error, match="QuotaExceeded"):
        await draft.write(b"6")
    draft.discard()
    await put(store, "k2", b"12345")
    assert store.used_bytes == 10


async def test_delete(make: MakeStore) -> None:
    """A deleted object is gone with its bytes; deleting it again is no error."""
    store = make(None)
    info = await put(store, "dir/k", b"body")
    await store.delete("fleet", "dir/k")
    await store.delete("fleet", "dir/k")
    assert store.used_bytes == 0
    assert not store.buckets["fleet"].objects
    with pytest.raises(S3Error):
        await get(store, info)


async def test_join(make: MakeStore) -> None:
    """Joined drafts are one body, and their bytes are held once."""
    store = make(None)
    drafts = [store.draft() for _ in range(4)]
    for number, draft in enumerate(drafts[:3]):
        await draft.write(f"part {number} ".encode())
    whole = await store.join(drafts)
    assert whole.size == store.used_bytes == 21
    for draft in drafts:
        draft.discard()
    info = ObjectInfo(key="k", size=21, etag="e-4", modified_unix_s=1.0)
    await store.commit("fleet", whole, info, accept)
    assert await get(store, info) == b"part 0 part 1 part 2 "
    assert store.used_bytes == 21


async def test_a_replaced_object_is_not_mixed(make: MakeStore) -> None:
    """A reader that began before a replacement gets the old body or a refusal."""
    store = make(None)
    old = await put(store, "k", b"a" * 3_000_000)
    reader = store.read("fleet", old, 0, old.size)
    first = await anext(reader)
    await put(store, "k", b"b" * 3_000_000)
    rest = b"".join([piece async for piece in reader])
    assert first + rest == b"a" * 3_000_000
    with pytest.raises(S3Error, match="NoSuchKey"):
        await get(store, old)


async def test_bodies_that_are_not_kept() -> None:
    """A dropped body is listed and holds nothing; other keys are kept."""
    store = MemoryStore(100, discard_suffixes=(".MF4",))
    store.create_bucket("fleet", 0.0)
    dropped = await put(store, "a.MF4", b"x" * 90)
    kept = await put(store, "a.json", b"y" * 90)
    assert store.used_bytes == 90
    assert await get(store, kept) == b"y" * 90
    with pytest.raises(S3Error, match="NotImplemented"):
        await get(store, dropped)
    nothing = MemoryStore(keep_bodies=False)
    nothing.create_bucket("fleet", 0.0)
    await put(nothing, "a.json", b"y")
    assert nothing.used_bytes == 0
