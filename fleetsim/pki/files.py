"""Files: writing keys so that nobody else ever reads them, and nothing by halves.

A private key file is *created* with mode 0600; a file that is created first and
restricted afterwards can be opened in between. ``O_EXCL`` refuses a file or link that
somebody put in its place. A file that replaces another is written beside it and renamed.
"""

import fcntl
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from fleetsim.exceptions import InputError, Problem

_SECRET_MODE: Final = 0o600
_PUBLIC_MODE: Final = 0o644
_MAX_BYTES: Final = 64 * 1024 * 1024


def problem_of(path: Path, exc: OSError) -> Problem:
    """Word an error of the operating system."""
    return Problem(str(path), exc.strerror or type(exc).__name__)


def write_new(
    path: Path, data: bytes, *, is_secret: bool = False, is_durable: bool = False
) -> None:
    """Create a file that must not exist yet.

    Args:
        path: The file.
        data: Its content.
        is_secret: Mode 0600 instead of 0644; a umask can only take bits away.
        is_durable: Wait until the disk has it; always so for secrets.

    Raises:
        OSError: When it exists or cannot be written; nothing is left behind then.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, _SECRET_MODE if is_secret else _PUBLIC_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if is_secret or is_durable:
                file.flush()
                os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def replace_file(path: Path, data: bytes) -> None:
    """Write a public file in one step: readers see the old content or the new one.

    Raises:
        InputError: When it cannot be written; the old content is still there.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        write_new(beside, data, is_durable=True)
        beside.replace(path)
    except BaseException as exc:
        beside.unlink(missing_ok=True)
        if isinstance(exc, OSError):
            raise InputError(problem_of(path, exc)) from exc
        raise


def read_file(
    path: Path, *, is_secret: bool = False, max_bytes: int = _MAX_BYTES
) -> bytes:
    """Read a whole file.

    Args:
        path: The file.
        is_secret: Refuse it when its group or others have any access.
        max_bytes: Refuse it when it is larger.

    Raises:
        InputError: When missing, unreadable, absurdly large or too open.
    """
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            mode = stat.S_IMODE(status.st_mode)
            if is_secret and mode & 0o077:
                raise InputError(
                    Problem(
                        str(path),
                        f"a private key that others can access (mode {mode:04o}); "
                        f"run: chmod 600 {path}",
                    )
                )
            if status.st_size > max_bytes:
                raise InputError(
                    Problem(
                        str(path), f"is {status.st_size} bytes, {max_bytes} at most"
                    )
                )
            return file.read(max_bytes)
    except OSError as exc:
        raise InputError(problem_of(path, exc)) from exc


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a new folder of mode 0700 beside its place; it appears whole or not at all.

    Yields:
        The folder to write into, renamed to ``path`` at the end.

    Raises:
        InputError: When ``path`` exists and is not an empty folder, or when its parent
            does not exist or is not writable.
    """
    try:
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise InputError(Problem(str(path), "exists and is not a folder"))
        if path.exists() and any(path.iterdir()):
            raise InputError(Problem(str(path), "exists and is not empty"))
        staged = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    except OSError as exc:
        raise InputError(problem_of(path, exc)) from exc
    try:
        yield staged
        staged.rename(path)
    except BaseException as exc:
        shutil.rmtree(staged, ignore_errors=True)
        if isinstance(exc, OSError):
            raise InputError(problem_of(path, exc)) from exc
        raise


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keep other processes from changing a folder at the same time.

    Raises:
        InputError: When it is missing, not a folder, or being changed right now.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise InputError(problem_of(folder, exc)) from exc
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise InputError(
                Problem(str(folder), "is being changed by another process; try again")
            ) from exc
        yield
    finally:
        os.close(descriptor)


class Additions:
    """New files of one command: all stay, or none when the command fails.

    Use as a context manager: :meth:`write` each file, then :meth:`commit` the index
    that names them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._created: list[Path] = []
        self._created_folders: list[Path] = []

    def __enter__(self) -> "Additions":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for path in self._created:
                path.unlink(missing_ok=True)
            for folder in self._created_folders:
                with suppress(OSError):  # not empty: somebody else uses it
                    folder.rmdir()

    def write(self, name: str, data: bytes, *, is_secret: bool = False) -> str:
        """Create a file below the folder, its sub-folder (0700) too; returns ``name``.

        Raises:
            InputError: When it exists or cannot be written.
        """
        path = self._folder / name
        try:
            if not path.parent.is_dir():
                path.parent.mkdir(mode=0o700)
                self._created_folders.append(path.parent)
            write_new(path, data, is_secret=is_secret)
        except OSError as exc:
            raise InputError(problem_of(path, exc)) from exc
        self._created.append(path)
        return name

    def commit(self, name: str, data: bytes) -> None:
        """Replace the file that names all others; from then on they stay.

        Raises:
            InputError: When it cannot be written.
        """
        # Forgotten before the replacement: an interruption in between may leave files
        # that nobody names, but never an index that names missing files.
        created, self._created = self._created, []
        try:
            replace_file(self._folder / name, data)
        except InputError:
            self._created = created
            raise
