"""Log file: what a log has gained since the run began, through rotation.

``logrotate`` renames a file and lets the server open a new one, or copies it and cuts it
to nothing. The first leaves the old file beside the new one under another name: it is
found by its inode. The second loses what was written between copy and cut, and from here
everything before the cut: that is told. A file cut and grown past its old length again is
known by the bytes that stood before the mark.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fleetsim.exceptions import InputError, Problem

_PROOF_BYTES: Final = 256
_CHUNK_BYTES: Final = 1 << 20
_MOST_LINE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class _Mark:
    device: int
    inode: int
    offset: int
    before: bytes


class LogFile:
    """A log, from now on.

    Args:
        path: The file; it need not exist when its folder does.

    Attributes:
        path: The file.
        lost: What became of lines that cannot be read any more, one sentence each.

    Raises:
        InputError: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost: list[str] = []
        self._mark: _Mark | None = None
        try:
            self._mark = _mark_of(path)
        except FileNotFoundError:
            if not path.parent.is_dir():
                raise InputError(Problem(str(path), "there is no such file")) from None
        except OSError as exc:
            raise InputError(Problem(str(path), exc.strerror or str(exc))) from exc

    def lines(self) -> Iterator[str]:
        """Read what was written since, oldest first, without line ends.

        A last line without its end is left out: it is being written. May be called
        again, and then starts over.

        Raises:
            InputError: A file cannot be read.
        """
        self.lost = []
        for path, offset in self._parts():
            try:
                yield from _lines(path, offset)
            except FileNotFoundError:
                self.lost.append(f"{path} went away while it was read")
            except OSError as exc:
                raise InputError(Problem(str(path), exc.strerror or str(exc))) from exc

    def size_bytes(self) -> int:
        """Size of the file now; 0 when there is none."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0

    def _parts(self) -> Iterator[tuple[Path, int]]:
        """Files to read and where to begin, oldest first."""
        mark = self._mark
        if mark is None:
            if _identity(self.path) is None:
                self.lost.append(f"{self.path} was never written")
            else:
                yield self.path, 0
            return
        current = _identity(self.path)
        if current == (mark.device, mark.inode):
            yield self.path, self._continued(self.path, mark)
            return
        old = self._renamed(mark)
        if old is None:
            self.lost.append(
                f"{self.path} was replaced and its old content is gone: what was "
                "written to it is missing"
            )
        else:
            yield old, self._continued(old, mark)
            if not _is_next(self.path, old):
                self.lost.append(
                    f"{self.path} was rotated more than once: lines in between are missing"
                )
        if current is not None:
            yield self.path, 0

    def _continued(self, path: Path, mark: _Mark) -> int:
        """Where to read on; the beginning when the file was cut."""
        if _is_continued(path, mark):
            return mark.offset
        self.lost.append(f"{path} was cut: what was written before that is missing")
        return 0

    def _renamed(self, mark: _Mark) -> Path | None:
        try:
            beside = sorted(self.path.parent.iterdir())
        except OSError:
            return None
        wanted = (mark.device, mark.inode)
        # A new file may be given the inode of one that was deleted.
        return next(
            (
                path
                for path in beside
                if _identity(path) == wanted and _is_continued(path, mark)
            ),
            None,
        )


def _is_continued(path: Path, mark: _Mark) -> bool:
    """Whether the file still holds what stood before the mark."""
    try:
        with path.open("rb") as file:
            file.seek(mark.offset - len(mark.before))
            return file.read(len(mark.before)) == mark.before
    except OSError:
        return True  # whoever reads it will say so


def _is_next(path: Path, old: Path) -> bool:
    """Whether nothing was rotated between an old file and the present one."""
    try:
        moved_ns, beside = old.stat().st_mtime_ns, list(path.parent.iterdir())
        return not any(
            each not in {path, old}
            and each.name.startswith(path.name)
            and each.stat().st_mtime_ns > moved_ns
            for each in beside
        )
    except OSError:
        return True


def _mark_of(path: Path) -> _Mark:
    with path.open("rb") as file:
        offset = file.seek(0, 2)
        size = min(offset, _PROOF_BYTES)
        file.seek(offset - size)
        before = file.read(size)
        status = path.stat()
    return _Mark(status.st_dev, status.st_ino, offset, before)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _lines(path: Path, offset: int) -> Iterator[str]:
    rest = b""
    with path.open("rb") as file:
        file.seek(offset)
        while chunk := file.read(_CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line.decode("utf-8", "replace")
            if len(rest) > _MOST_LINE_BYTES:
                # No log has such lines; whoever reads must not fill its memory.
                rest = rest[:_MOST_LINE_BYTES]
