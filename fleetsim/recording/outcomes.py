"""Outcomes on disk: ``devices.parquet``, ``generator.json``, ``audit.json``, ``clean.json``.

The values themselves are defined in :mod:`fleetsim.core.outcomes` (rooms that may not
import this one make them) and are offered here under the same names.
"""

from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from fleetsim.core.outcomes import (
    AuditOutcome,
    CleanOutcome,
    DeviceOutcome,
    GeneratorHealth,
    ProcessHealth,
    Upload,
)
from fleetsim.exceptions import InputError, Problem, RecordingError
from fleetsim.recording.json_file import read_json, write_json
from fleetsim.recording.names import AUDIT, CLEAN, DEVICES, GENERATOR

__all__ = [
    "AuditOutcome",
    "CleanOutcome",
    "DeviceOutcome",
    "GeneratorHealth",
    "ProcessHealth",
    "Upload",
    "read_audit",
    "read_clean",
    "read_devices",
    "read_generator",
    "write_audit",
    "write_clean",
    "write_devices",
    "write_generator",
]

_OutcomeT = TypeVar("_OutcomeT", GeneratorHealth, AuditOutcome, CleanOutcome)

_DEVICE_SCHEMA: Final = pa.schema(
    [
        pa.field(
            field.name, pa.string() if field.type is str else pa.int64(), nullable=False
        )
        for field in fields(DeviceOutcome)
    ]
)


def write_devices(folder: Path, devices: Iterable[DeviceOutcome]) -> None:
    """Write one row per device.

    Raises:
        RecordingError: If the file cannot be written.
    """
    rows = list(devices)
    columns = [[getattr(row, name) for row in rows] for name in _DEVICE_SCHEMA.names]
    path = folder / DEVICES
    partial = path.with_suffix(".parquet.part")
    try:
        table = pa.table(columns, schema=_DEVICE_SCHEMA)
        pq.write_table(table, partial, compression="zstd")
        partial.replace(path)
    except OSError as exc:
        raise RecordingError(str(path), exc.strerror or str(exc)) from exc


def read_devices(folder: Path) -> Any | None:
    """Read the device table; ``None`` when the run did not get that far.

    Returns:
        A ``pyarrow.Table`` with the fields of :class:`DeviceOutcome`.

    Raises:
        InputError: If the file is damaged.
    """
    path = folder / DEVICES
    if not path.exists():
        return None
    try:
        return pq.read_table(path).select(_DEVICE_SCHEMA.names).cast(_DEVICE_SCHEMA)
    except (OSError, KeyError, ValueError, pa.ArrowException) as exc:
        raise InputError(Problem(str(path), f"cannot be read: {exc}")) from exc


def write_generator(folder: Path, health: GeneratorHealth) -> None:
    """Write what the generator found out about itself.

    Raises:
        RecordingError: If the file cannot be written.
    """
    write_json(folder / GENERATOR, asdict(health))


def read_generator(folder: Path) -> GeneratorHealth | None:
    """Read it back; ``None`` when the run did not get that far.

    Raises:
        InputError: If the file is damaged.
    """
    health = _read(folder / GENERATOR, GeneratorHealth)
    if health is None or not health.processes:
        return health
    known = {field.name for field in fields(ProcessHealth)}
    try:
        processes: list[Any] = [dict(each) for each in health.processes]  # type: ignore[call-overload]  # as JSON has them
        return replace(
            health,
            processes=tuple(
                ProcessHealth(**{k: v for k, v in each.items() if k in known})
                for each in processes
            ),
        )
    except (TypeError, ValueError) as exc:
        raise InputError(
            Problem(str(folder / GENERATOR), f"cannot be read: {exc}")
        ) from exc


def write_audit(folder: Path, audit: AuditOutcome) -> None:
    """Write the result of the truth check.

    Raises:
        RecordingError: If the file cannot be written.
    """
    write_json(folder / AUDIT, asdict(audit) | {"unaccounted": audit.unaccounted})


def read_audit(folder: Path) -> AuditOutcome | None:
    """Read it back; ``None`` when the run did not get that far.

    Raises:
        InputError: If the file is damaged.
    """
    return _read(folder / AUDIT, AuditOutcome)


def write_clean(folder: Path, cleaned: CleanOutcome) -> None:
    """Write what was deleted of what the run stored.

    Raises:
        RecordingError: If the file cannot be written.
    """
    write_json(folder / CLEAN, asdict(cleaned))


def read_clean(folder: Path) -> CleanOutcome | None:
    """Read it back; ``None`` when nothing was ever deleted.

    Raises:
        InputError: If the file is damaged.
    """
    return _read(folder / CLEAN, CleanOutcome)


def _read(path: Path, kind: type[_OutcomeT]) -> _OutcomeT | None:
    content = read_json(path)
    if content is None:
        return None
    known = {field.name for field in fields(kind)}
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in content.items()
        if name in known
    }
    try:
        return kind(**given)
    except TypeError as exc:
        raise InputError(Problem(str(path), f"cannot be read: {exc}")) from exc
