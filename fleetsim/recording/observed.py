"""Observed, on disk: ``observed.json``, what the servers say about a run."""

from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from fleetsim.core.observed import Observed
from fleetsim.exceptions import InputError, Problem
from fleetsim.recording.json_file import read_json, write_json
from fleetsim.recording.names import OBSERVED


def write_observed(folder: Path, observed: Observed) -> None:
    """Write it.

    Raises:
        RecordingError: If the file cannot be written.
    """
    write_json(folder / OBSERVED, asdict(observed))


def read_observed(folder: Path) -> Observed | None:
    """Read it back; ``None`` when nobody was asked or the run did not get that far.

    Raises:
        InputError: If the file is damaged.
    """
    path = folder / OBSERVED
    content = read_json(path)
    if content is None:
        return None
    try:
        return TypeAdapter(Observed).validate_python(content)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            Problem(str(path), f"cannot be read: {where}: {first['msg']}")
        ) from exc
