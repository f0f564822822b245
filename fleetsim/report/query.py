"""Query: SQL over the tables of a run, through DuckDB, read only.

Tables: ``records`` (one row per attempt, :mod:`fleetsim.recording.record`), ``states``
(contact histories, :mod:`fleetsim.recording.states`), ``devices`` (how each ended,
:mod:`fleetsim.core.outcomes`) and ``timeline`` (what the scenario did). They are handed to
DuckDB as Arrow data; after that DuckDB itself may open no file, no network connection
and no Python variable, and its configuration is locked ("Securing DuckDB", DuckDB
documentation). Only SELECT and what reads like it is accepted, so a run folder is never
changed by a question.

DuckDB is the extra ``query``; this module imports it, so only its command imports this.
"""

import contextlib
import csv
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from fleetsim.core.outcomes import DeviceOutcome
from fleetsim.exceptions import InputError, Problem
from fleetsim.recording.columns import NAMES, PLAIN_SCHEMA
from fleetsim.recording.names import RECORDS
from fleetsim.recording.outcomes import read_devices
from fleetsim.recording.records_file import read_batches
from fleetsim.recording.run_folder import read_manifest, read_timeline
from fleetsim.recording.states import PLAIN_SCHEMA as STATES_SCHEMA
from fleetsim.recording.states import read_states

TABLES: Final = ("records", "states", "devices", "timeline")

_ALLOWED: Final = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
_LOCKS: Final = (
    "SET enable_progress_bar = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET python_enable_replacements = false",
    "SET enable_external_access = false",
    "SET lock_configuration = true",
)
_TIMELINE_SCHEMA: Final = pa.schema(
    [
        ("action", pa.string()),
        ("name", pa.string()),
        ("step", pa.string()),
        ("planned_ns", pa.int64()),
        ("actual_ns", pa.int64()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("facts", pa.string()),
    ]
)
_TEXTS: Final = ("action", "name", "step", "outcome", "reason")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query found.

    Attributes:
        table: A ``pyarrow.Table``.
    """

    table: Any

    @property
    def names(self) -> tuple[str, ...]:
        """Names of its columns."""
        return tuple(self.table.column_names)

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which of its columns hold numbers."""
        kinds = (field.type for field in self.table.schema)
        return tuple(
            pa.types.is_integer(kind)
            or pa.types.is_floating(kind)
            or pa.types.is_decimal(kind)
            for kind in kinds
        )

    def rows(self, most: int | None = None) -> Iterator[tuple[Any, ...]]:
        """Walk its rows.

        Args:
            most: Rows at most; ``None`` = all.
        """
        shown = self.table if most is None else self.table.slice(0, most)
        columns = [column.to_pylist() for column in shown.columns]
        return zip(*columns, strict=True)

    def to_csv(self) -> str:
        """As CSV (RFC 4180) with a line of names; NULL is empty."""
        text = StringIO()
        writer = csv.writer(text)
        writer.writerow(self.names)
        writer.writerows(self.rows())
        return text.getvalue()

    def to_json(self) -> str:
        """As a JSON array of objects; what JSON has no type for is text."""
        found = [
            {
                name: _json_value(value)
                for name, value in zip(self.names, row, strict=True)
            }
            for row in self.rows()
        ]
        return json.dumps(found, indent=2, ensure_ascii=False, default=str) + "\n"

    def to_parquet(self, path: Path) -> None:
        """Write as a Parquet file.

        Raises:
            InputError: If the file cannot be written or a type has no place in it.
        """
        partial = path.with_name(path.name + ".part")
        try:
            pq.write_table(self.table, partial, compression="zstd")
            partial.replace(path)
        except (OSError, pa.ArrowException) as exc:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)
            raise InputError(Problem(str(path), str(exc))) from exc


def run_query(folder: Path, sql: str) -> Answer:
    """Ask a question about a run.

    Args:
        folder: Run folder, of a finished or a killed run.
        sql: One SELECT (or WITH, FROM, DESCRIBE, SUMMARIZE, EXPLAIN …).

    Raises:
        InputError: If it is no run folder, a file in it is damaged, or the statement is
            none, is more than one, does more than read, or cannot be answered.
    """
    read_manifest(folder)
    with duckdb.connect(":memory:") as connection:
        for name, table in _tables(folder).items():
            connection.register(name, table)
        for lock in _LOCKS:
            connection.execute(lock)
        try:
            _check(connection.extract_statements(sql))
            return Answer(_ask(connection, sql))
        except duckdb.Error as exc:
            raise InputError(Problem("query", str(exc).strip())) from exc
        except pa.ArrowException as exc:
            raise InputError(Problem(str(folder), f"cannot be read: {exc}")) from exc


def _ask(connection: duckdb.DuckDBPyConnection, sql: str) -> Any:
    """Answer in a thread, so that Ctrl-C reaches us and stops a question without end."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        answer = pool.submit(lambda: connection.sql(sql).to_arrow_table())
        try:
            return answer.result()
        except KeyboardInterrupt:
            connection.interrupt()
            raise


def _check(statements: list[Any]) -> None:
    if len(statements) != 1:
        raise InputError(Problem("query", f"give one statement, not {len(statements)}"))
    if statements[0].type not in _ALLOWED:
        name = statements[0].type.name
        raise InputError(Problem("query", f"{name} is not allowed: a run is only read"))


def _tables(folder: Path) -> dict[str, Any]:
    states, devices = read_states(folder), read_devices(folder)
    try:
        records = _records(folder)
    except (OSError, pa.ArrowException) as exc:
        raise InputError(
            Problem(str(folder / RECORDS), f"cannot be read: {exc}")
        ) from exc
    return {
        "records": records,
        "states": STATES_SCHEMA.empty_table() if states is None else states,
        "devices": _no_devices() if devices is None else devices,
        "timeline": _timeline(folder),
    }


def _records(folder: Path) -> Any:
    """A finished run is read as far as a query needs it, a killed one whole."""
    if (folder / RECORDS).exists():
        return ds.dataset(folder / RECORDS, format="parquet")
    tables = list(read_batches(folder, NAMES))
    return pa.concat_tables(tables) if tables else PLAIN_SCHEMA.empty_table()


def _no_devices() -> Any:
    hints = DeviceOutcome.__annotations__
    return pa.schema(
        [(n, pa.string() if kind is str else pa.int64()) for n, kind in hints.items()]
    ).empty_table()


def _timeline(folder: Path) -> Any:
    rows = [_timeline_row(line) for line in read_timeline(folder)]
    return pa.Table.from_pylist(rows, schema=_TIMELINE_SCHEMA)


def _timeline_row(line: Mapping[str, Any]) -> dict[str, Any]:
    facts = {k: v for k, v in line.items() if k not in _TIMELINE_SCHEMA.names}
    return {
        **{
            name: None if line.get(name) is None else str(line[name]) for name in _TEXTS
        },
        "planned_ns": line.get("planned_ns"),
        "actual_ns": line.get("actual_ns"),
        "facts": json.dumps(facts, ensure_ascii=False),
    }


def _json_value(value: Any) -> Any:
    """NaN and the infinities have no place in JSON (RFC 8259 section 6)."""
    is_odd = isinstance(value, float) and value in {float("inf"), float("-inf")}
    return None if is_odd or value != value else value  # noqa: PLR0124  # only NaN differs from itself
