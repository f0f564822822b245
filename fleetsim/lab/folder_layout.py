"""Which file an object key becomes in a folder store."""

import hashlib
import re
from pathlib import Path
from typing import Final

# No plain name begins so: a key that needs one gets its hash for a name.
FALLBACK: Final = "%~"
# Names that are themselves on every file system and mean nothing to a shell or to us.
_PLAIN_SEGMENT: Final = re.compile(
    r"(?!\.{1,2}\Z)[A-Za-z0-9._+=@,-][A-Za-z0-9 ._+=@,()-]*"
)
_MAX_SEGMENT: Final = 200
_MAX_PATH: Final = 900


def key_digest(key: str) -> str:
    """Name a key as a fixed number of safe characters."""
    return hashlib.sha256(key.encode()).hexdigest()


def _fallback_name(key: str) -> str:
    return f"{FALLBACK}{key_digest(key)}"


def _file_name(key: str) -> str:
    """Path of a key's body below its bucket's folder."""
    is_plain = len(key) <= _MAX_PATH and all(
        len(segment) <= _MAX_SEGMENT and _PLAIN_SEGMENT.fullmatch(segment)
        for segment in key.split("/")
    )
    return key if is_plain else _fallback_name(key)


def free_path(folder: Path, key: str) -> Path:
    """Choose the path of a new key's body and make its folders."""
    path = folder / _file_name(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        return folder / _fallback_name(key)  # another key's file is in the way
    return folder / _fallback_name(key) if path.is_dir() else path


def is_utf8(text: str) -> bool:
    """Whether a file name, as the operating system gives it, is UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
