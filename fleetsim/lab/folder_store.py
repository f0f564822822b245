"""Object store in a folder, so that what a fleet uploaded can be opened afterwards.

Layout::

    <root>/<bucket>/<key>                      an object under its own name
    <root>/<bucket>/%~<sha256 of the key>      … whose name no file can have here
    <root>/.fleetsim/<bucket>/<sha256>.json    key, ETag, metadata
    <root>/.fleetsim/drafts/                   uploads under way, emptied at the start

A body is renamed into place and then its JSON; each is whole or not there. At the start
a body whose size or time is not what its JSON says, or that has none, is taken in as it
is with a fresh ETag: a file copied into a bucket's folder becomes an object.

File work runs in threads, one commit at a time; nothing is fsynced, since a lab's
objects need not survive a power cut.
"""

import asyncio
import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import uuid
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Final

from fleetsim.exceptions import InputError, Problem
from fleetsim.lab.catalogue import Buckets, ObjectInfo, Room, is_bucket_name
from fleetsim.lab.checksums import Checksum
from fleetsim.lab.folder_layout import FALLBACK, free_path, is_utf8, key_digest
from fleetsim.lab.object_store import Draft, require_bucket
from fleetsim.lab.s3_errors import S3Error

_PRIVATE: Final = ".fleetsim"
_DRAFTS: Final = "drafts"
_READ_BYTES: Final = 1024 * 1024


class _FolderDraft:
    """A body in a file of its own."""

    __slots__ = ("_file", "_room", "path", "size")

    def __init__(self, path: Path, room: Room) -> None:
        self.path = path
        self.size = 0
        self._room = room
        self._file: BinaryIO | None = None

    async def write(self, data: bytes) -> None:
        """See :class:`fleetsim.lab.object_store.Draft`."""
        self._room.take(len(data))
        self.size += len(data)
        await asyncio.to_thread(self._write, data)

    def _write(self, data: bytes) -> None:
        with _disk_errors():
            self._opened().write(data)

    def close(self) -> None:
        """Make the file complete on disk, an empty one too."""
        with _disk_errors():
            self._opened().close()

    def _opened(self) -> BinaryIO:
        if self._file is None:
            # Appending: a joined draft has bytes before it is written to.
            self._file = self.path.open("ab")
        return self._file

    def release(self) -> None:
        """The file is somebody else's now; its bytes stay held."""
        self.size = 0
        self._file = None

    def discard(self) -> None:
        """See :class:`fleetsim.lab.object_store.Draft`."""
        if self._file is None:
            return
        with contextlib.suppress(OSError):  # a full disk may refuse the last flush
            self._file.close()
        self.path.unlink(missing_ok=True)
        self._room.give(self.size)
        self.release()


class FolderStore(Buckets):
    """Objects in a folder.

    Args:
        root: Folder; made, with mode 0700, unless it is there.
        limit_bytes: Most bytes of bodies, uploads under way included; ``None`` = no
            limit. What is in the folder at the start counts.

    Raises:
        InputError: The folder cannot be made, read or written.
    """

    def __init__(self, root: Path, limit_bytes: int | None = None) -> None:
        super().__init__()
        self._root = root
        self._private = root / _PRIVATE
        self._room = Room(limit_bytes)
        self._commits = asyncio.Lock()
        self._paths: dict[tuple[str, str], Path] = {}
        try:
            self._private.mkdir(mode=0o700, parents=True, exist_ok=True)
            shutil.rmtree(self._private / _DRAFTS, ignore_errors=True)
            (self._private / _DRAFTS).mkdir()
            for folder in sorted(root.iterdir()):
                if folder.is_dir() and is_bucket_name(folder.name):
                    self._load(folder)
        except OSError as exc:
            raise InputError(
                Problem(str(root), f"cannot be used as an object store: {exc.strerror}")
            ) from exc

    @property
    def used_bytes(self) -> int:
        """See :class:`fleetsim.lab.object_store.ObjectStore`."""
        return self._room.used_bytes

    def create_bucket(self, name: str, now_unix_s: float) -> None:
        """See :class:`fleetsim.lab.object_store.ObjectStore`."""
        super().create_bucket(name, now_unix_s)
        with _disk_errors():
            (self._root / name).mkdir(exist_ok=True)

    def delete_bucket(self, name: str) -> None:
        """See :class:`fleetsim.lab.object_store.ObjectStore`."""
        super().delete_bucket(name)
        with _disk_errors():
            shutil.rmtree(self._root / name, ignore_errors=True)
            shutil.rmtree(self._private / name, ignore_errors=True)

    def draft(self) -> _FolderDraft:
        """See :class:`fleetsim.lab.object_store.ObjectStore`."""
        return _FolderDraft(self._private / _DRAFTS / uuid.uuid4().hex, self._room)

    async def join(self, drafts: Sequence[Draft]) -> _FolderDraft:
        """See :class:`fleetsim.lab.object_store.ObjectStore`."""
        whole = self.draft()
        try:
            for draft in drafts:
                await asyncio.to_thread(_append, whole.path, _own(draft))
        except S3Error:
            whole.path.unlink(missing_ok=True)
            raise
        await whole.write(b"")  # from here on it has a file to discard
        for draft in drafts:
            own = _own(draft)
            whole.size += own.size
            own.path.unlink(missing_ok=True)
            own.release()
        return whole

    async def commit(
        self,
        bucket: str,
        draft: Draft,
        info: ObjectInfo,
        check: Callable[[ObjectInfo | None], None],
    ) -> None:
        """See :class:`fleetsim.lab.object_store.ObjectStore`."""
        own = _own(draft)
        try:
            async with self._commits:
                catalogue = require_bucket(self, bucket)
                old = catalogue.objects.get(info.key)
                check(old)
                old_path = self._paths.get((bucket, info.key))
                path = await asyncio.to_thread(self._place, bucket, own, info, old_path)
                self._paths[bucket, info.key] = path
                own.release()
                if old is not None:
                    self._room.give(old.size)
                catalogue.put(info)
        except BaseException:
            own.discard()
            raise

    async def delete(self, bucket: str, key: str) -> None:
        """See :class:`fleetsim.lab.object_store.ObjectStore`."""
        async with self._commits:
            catalogue = require_bucket(self, bucket)
            old = catalogue.objects.get(key)
            path = self._paths.pop((bucket, key), None)
            if old is None or path is None:
                return
            catalogue.remove(key)
            self._room.give(old.size)
            await asyncio.to_thread(self._erase, bucket, key, path)

    async def read(
        self, bucket: str, info: ObjectInfo, start: int, stop: int
    ) -> AsyncGenerator[bytes, None]:
        """See :class:`fleetsim.lab.object_store.ObjectStore`."""
        path = self._paths.get((bucket, info.key))
        catalogue = self.buckets.get(bucket)
        is_current = catalogue is not None and catalogue.objects.get(info.key) is info
        if path is None or not is_current:
            raise S3Error("NoSuchKey", details=(("Key", info.key),))
        try:
            # A replaced object is another file: what is open stays the old one.
            file = await asyncio.to_thread(path.open, "rb")
        except OSError as exc:
            raise S3Error("NoSuchKey", details=(("Key", info.key),)) from exc
        with file:
            file.seek(start)
            left = stop - start
            while left > 0:
                piece = await asyncio.to_thread(file.read, min(left, _READ_BYTES))
                if not piece:
                    raise S3Error("InternalError", "The file was cut behind our back.")
                left -= len(piece)
                yield piece

    # ------------------------------------------------------------ in threads

    def _place(
        self, bucket: str, draft: _FolderDraft, info: ObjectInfo, old_path: Path | None
    ) -> Path:
        """Move a draft to where its object lives."""
        with _disk_errors():
            draft.close()
            path = old_path or free_path(self._root / bucket, info.key)
            # Both files are complete before either is moved: a disk that fills up now
            # leaves the old object as it was.
            described = self._describe(bucket, path, info, draft.path)
            draft.path.replace(path)
            described.replace(self._json_of(bucket, info.key))
            return path

    def _describe(self, bucket: str, path: Path, info: ObjectInfo, body: Path) -> Path:
        """Write the JSON of an object, not yet in its place."""
        values = asdict(info)
        values["path"] = path.relative_to(self._root / bucket).as_posix()
        values["mtime_ns"] = body.stat().st_mtime_ns
        (self._private / bucket).mkdir(exist_ok=True)
        fresh = self._private / _DRAFTS / uuid.uuid4().hex
        fresh.write_text(json.dumps(values), encoding="utf-8")
        return fresh

    def _erase(self, bucket: str, key: str, path: Path) -> None:
        with _disk_errors():
            path.unlink(missing_ok=True)
            self._json_of(bucket, key).unlink(missing_ok=True)
            folder = path.parent
            while folder != self._root / bucket:
                try:
                    folder.rmdir()
                except OSError:
                    break  # not empty
                folder = folder.parent

    def _json_of(self, bucket: str, key: str) -> Path:
        return self._private / bucket / f"{key_digest(key)}.json"

    # ------------------------------------------------------------ at the start

    def _load(self, folder: Path) -> None:
        """Take in the folder of a bucket."""
        name = folder.name
        super().create_bucket(name, folder.stat().st_mtime)
        described = dict(_descriptions(self._private / name))
        for parent, _, names in os.walk(folder):
            for file_name in names:
                self._load_file(folder, Path(parent, file_name), described)

    def _load_file(
        self, folder: Path, path: Path, described: Mapping[str, dict[str, Any]]
    ) -> None:
        key = path.relative_to(folder).as_posix()
        if not stat.S_ISREG(path.lstat().st_mode):
            return
        info = _known(described.get(key), path)
        if info is None:
            # Not an object: one whose key is lost, or whose name is no key.
            if path.name.startswith(FALLBACK) or not is_utf8(key):
                return
            info = _adopted(key, path)
            fresh = self._describe(folder.name, path, info, path)
            fresh.replace(self._json_of(folder.name, key))
        self._paths[folder.name, info.key] = path
        self._room.used_bytes += info.size
        self.buckets[folder.name].put(info)


def _own(draft: Draft) -> _FolderDraft:
    if not isinstance(draft, _FolderDraft):
        raise TypeError("a draft of another store")
    return draft


def _append(target: Path, draft: _FolderDraft) -> None:
    with _disk_errors():
        draft.close()
        with target.open("ab") as out, draft.path.open("rb") as source:
            shutil.copyfileobj(source, out, _READ_BYTES)


def _descriptions(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Read the JSON files of a bucket; those that are none are left out."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            values = json.loads(path.read_bytes())
            yield str(values["path"]), values


def _known(values: dict[str, Any] | None, path: Path) -> ObjectInfo | None:
    """Make the object of a body and its JSON, if they belong together."""
    if values is None:
        return None
    status = path.stat()
    try:
        if (status.st_size, status.st_mtime_ns) != (values["size"], values["mtime_ns"]):
            return None
        checksum = values["checksum"]
        return ObjectInfo(
            key=str(values["key"]),
            size=status.st_size,
            etag=str(values["etag"]),
            modified_unix_s=float(values["modified_unix_s"]),
            content_type=str(values["content_type"]),
            headers=tuple((str(n), str(v)) for n, v in values["headers"]),
            checksum=None if checksum is None else Checksum(**checksum),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _adopted(key: str, path: Path) -> ObjectInfo:
    """Make an object of a file nobody described."""
    with path.open("rb") as file:
        etag = hashlib.file_digest(
            file, lambda: hashlib.md5(usedforsecurity=False)
        ).hexdigest()
    status = path.stat()
    return ObjectInfo(
        key=key,
        size=status.st_size,
        etag=etag,
        modified_unix_s=status.st_mtime,
    )


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    """Turn a full disk into S3's words; other trouble stays an ``OSError``."""
    try:
        yield
    except OSError as exc:
        if exc.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise S3Error("InsufficientStorage") from exc
        raise
