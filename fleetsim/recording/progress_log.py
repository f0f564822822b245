"""Progress log: what was counted once a second and no record holds.

``progress.jsonl`` has one JSON object per line and second: contact states, cipher groups
and trust bundles of the devices, backlog, attempts under way, load of the generator.
Each line stands for itself, so a killed run can be read up to its last second.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from fleetsim.exceptions import InputError, Problem, RecordingError
from fleetsim.recording.names import PROGRESS


class ProgressLog:
    """Writes the log of one run.

    Args:
        folder: Existing run folder.

    Raises:
        RecordingError: If the file cannot be created.
    """

    __slots__ = ("_file", "_path")

    def __init__(self, folder: Path) -> None:
        self._path = folder / PROGRESS
        try:
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as exc:
            raise self._refused(exc) from exc

    def add(self, line: Mapping[str, Any]) -> None:
        """Write one line.

        Raises:
            RecordingError: If the disk refuses.
        """
        try:
            self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
            self._file.flush()
        except OSError as exc:
            raise self._refused(exc) from exc

    def close(self) -> None:
        """Close the file; safe to call again.

        Raises:
            RecordingError: If the disk refuses what was left.
        """
        try:
            self._file.close()
        except OSError as exc:
            raise self._refused(exc) from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refused(self, exc: OSError) -> RecordingError:
        return RecordingError(str(self._path), exc.strerror or str(exc))


def read_progress(folder: Path) -> tuple[dict[str, Any], ...]:
    """Read the log of a run; empty when it kept none.

    A last line that was cut short by a kill is left out.

    Raises:
        InputError: If the file cannot be read or a line before the last is damaged.
    """
    path = folder / PROGRESS
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as exc:
        raise InputError(Problem(str(path), f"cannot be read: {exc}")) from exc
    found: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            content = json.loads(line)
        except ValueError as exc:
            if number == len(lines):
                break
            raise InputError(Problem(f"{path}:{number}", f"is no JSON: {exc}")) from exc
        if isinstance(content, dict):
            found.append(content)
    return tuple(found)
