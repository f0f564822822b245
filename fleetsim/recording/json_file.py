"""JSON files of a run folder: written whole or not at all, read with clear errors."""

import contextlib
import json
from pathlib import Path
from typing import Any

from fleetsim.exceptions import InputError, Problem, RecordingError


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file atomically: readers see the old content or the new one.

    Raises:
        RecordingError: If the file cannot be written.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    partial = path.with_name(path.name + ".part")
    try:
        partial.write_text(text, encoding="utf-8", errors="replace")
        partial.replace(path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise RecordingError(str(path), exc.strerror or str(exc)) from exc


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; ``None`` when there is no such file.

    Raises:
        InputError: If it cannot be read or holds no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as exc:
        raise InputError(Problem(str(path), f"cannot be read: {exc}")) from exc
    if not isinstance(content, dict):
        raise InputError(Problem(str(path), "does not hold a JSON object"))
    return content
