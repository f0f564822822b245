"""Tests of fleetsim.lab.folder_store: files, restarts, full disks."""

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from fleetsim.exceptions import InputError
from fleetsim.lab.catalogue import ObjectInfo
from fleetsim.lab.checksums import Checksum
from fleetsim.lab.folder_store import FolderStore
from fleetsim.lab.s3_errors import S3Error

LOG = "0000A1B2/00000001/00000001-5E0BE100.MF4"


def accept(_old: ObjectInfo | None) -> None:
    """Let every commit pass."""


async def put(store: FolderStore, key: str, body: bytes, **more: Any) -> ObjectInfo:
    """Put an object."""
    draft = store.draft()
    await draft.write(body)
    etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
    info = ObjectInfo(key=key, size=len(body), etag=etag, modified_unix_s=1.5, **more)
    await store.commit("fleet", draft, info, accept)
    return info


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """A store with one bucket."""
    made = FolderStore(tmp_path)
    made.create_bucket("fleet", 0.0)
    return made


def files(root: Path) -> set[str]:
    """Everything in a bucket's folder."""
    folder = root / "fleet"
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


async def test_an_object_is_a_file_of_its_name(
    store: FolderStore, tmp_path: Path
) -> None:
    """A log file is found under its key and gone after a delete, folders too."""
    await put(store, LOG, b"body")
    assert (tmp_path / "fleet" / LOG).read_bytes() == b"body"
    await store.delete("fleet", LOG)
    assert list((tmp_path / "fleet").iterdir()) == []
    assert not list((tmp_path / ".fleetsim").rglob("*.json"))


@pytest.mark.parametrize(
    "key", ["../x", "/x", "a//b", "a/../../b", "a/", ".", "é", "%~x", "a\nb", "k" * 300]
)
async def test_odd_keys_stay_inside(
    store: FolderStore, tmp_path: Path, key: str
) -> None:
    """A key that is no plain file name is one file directly in the bucket's folder."""
    await put(store, key, b"odd")
    digest = hashlib.sha256(key.encode()).hexdigest()
    assert files(tmp_path) == {f"%~{digest}"}
    again = FolderStore(tmp_path)
    assert set(again.buckets["fleet"].objects) == {key}


async def test_a_restart_finds_everything(store: FolderStore, tmp_path: Path) -> None:
    """Objects, their metadata and sizes are the same after a restart."""
    infos = [
        await put(
            store,
            key,
            key.encode(),
            content_type="text/plain",
            headers=(("x-amz-meta-fw", "é"),),
            checksum=Checksum(algorithm="CRC32", value="AAAAAA=="),
        )
        for key in ("a", "a/b", "a/b/c", "../x", LOG)
    ]
    draft = store.draft()
    await draft.write(b"under way")
    again = FolderStore(tmp_path)
    assert again.buckets["fleet"].objects == {info.key: info for info in infos}
    assert again.used_bytes == sum(info.size for info in infos)
    assert not list((tmp_path / ".fleetsim" / "drafts").iterdir())
    for info in again.buckets["fleet"].objects.values():
        pieces = [p async for p in again.read("fleet", info, 0, info.size)]
        assert b"".join(pieces) == info.key.encode()
    draft.discard()


async def test_files_from_outside_are_taken_in(
    store: FolderStore, tmp_path: Path
) -> None:
    """A file copied in, or changed, is an object with its own MD5 after a restart."""
    await put(store, "changed", b"old", headers=(("x-amz-meta-a", "1"),))
    (tmp_path / "fleet" / "changed").write_bytes(b"newer")
    folder = tmp_path / "fleet" / "0000A1B2"
    folder.mkdir()
    (folder / "certs_server.p7b").write_bytes(b"pem")
    os.mkfifo(folder / "pipe")
    (folder / "link").symlink_to("/etc/hostname")
    found = FolderStore(tmp_path).buckets["fleet"].objects
    assert set(found) == {"changed", "0000A1B2/certs_server.p7b"}
    assert found["changed"].etag == hashlib.md5(b"newer").hexdigest()  # noqa: S324  # ETag
    assert found["changed"].headers == ()
    assert found["0000A1B2/certs_server.p7b"].size == 3


@pytest.mark.parametrize("damage", [b"", b"[]", b"{}", b'{"path": "k"}', b"\xff"])
async def test_damaged_descriptions(
    store: FolderStore, tmp_path: Path, damage: bytes
) -> None:
    """An object whose description is damaged is taken in again from its body."""
    await put(store, "k", b"body")
    for path in (tmp_path / ".fleetsim" / "fleet").iterdir():
        path.write_bytes(damage)
    assert set(FolderStore(tmp_path).buckets["fleet"].objects) == {"k"}


async def test_a_full_disk_keeps_the_old_object(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk is full a PUT is refused and the old object is whole."""
    old = await put(store, "k", b"old")

    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(S3Error, match="InsufficientStorage"):
        await put(store, "k", b"new")
    monkeypatch.undo()
    assert (tmp_path / "fleet" / "k").read_bytes() == b"old"
    assert store.buckets["fleet"].objects == {"k": old}
    assert store.used_bytes == 3
    assert not list((tmp_path / ".fleetsim" / "drafts").iterdir())


def test_the_folder_is_private(tmp_path: Path) -> None:
    """What the store makes for itself is closed to others."""
    FolderStore(tmp_path / "new" / "root")
    mode = (tmp_path / "new" / "root" / ".fleetsim").stat().st_mode
    assert mode & 0o777 == 0o700


def test_unusable_folder(tmp_path: Path) -> None:
    """A file where the folder should be is bad input, with its path."""
    path = tmp_path / "file"
    path.write_text("x")
    with pytest.raises(InputError, match=str(path)):
        FolderStore(path)


async def test_deleted_bucket(store: FolderStore, tmp_path: Path) -> None:
    """A removed bucket leaves nothing behind."""
    await put(store, "a/b", b"x")
    await store.delete("fleet", "a/b")
    store.delete_bucket("fleet")
    assert not (tmp_path / "fleet").exists()
    assert FolderStore(tmp_path).buckets == {}
