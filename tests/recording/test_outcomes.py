"""Outcomes come back from disk as they went."""

import json
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from fleetsim.exceptions import InputError, RecordingError
from fleetsim.recording.outcomes import (
    AuditOutcome,
    DeviceOutcome,
    GeneratorHealth,
    read_audit,
    read_devices,
    read_generator,
    write_audit,
    write_devices,
    write_generator,
)


def test_devices_come_back_one_row_each(tmp_path: Path) -> None:
    """The table has the fields of an outcome, readable by any Parquet reader."""
    devices = [
        DeviceOutcome(device="0000002A", cohort="a", state="connected", handshakes=3),
        DeviceOutcome(device="0000002B", cohort="b", state="unseen", files_lost=2**40),
    ]
    write_devices(tmp_path, devices)
    table = read_devices(tmp_path)
    assert table is not None
    assert table.to_pylist() == [asdict(device) for device in devices]
    assert pq.read_table(tmp_path / "devices.parquet").to_pylist() == table.to_pylist()


def test_generator_and_audit_come_back(tmp_path: Path) -> None:
    """Tuples stay tuples, figures stay figures."""
    health = GeneratorHealth(saturated=True, reasons=("CPU",), cpu_ratio=0.97, starts=5)
    audit = AuditOutcome(
        checked=True, acknowledged=3, stored=2, missing=("k",), missing_count=1
    )
    write_generator(tmp_path, health)
    write_audit(tmp_path, audit)
    assert read_generator(tmp_path) == health
    assert read_audit(tmp_path) == audit
    assert json.loads((tmp_path / "audit.json").read_text())["unaccounted"] == 1


def test_what_a_killed_run_did_not_write_is_none(tmp_path: Path) -> None:
    """Missing files are no error."""
    assert read_devices(tmp_path) is None
    assert read_generator(tmp_path) is None
    assert read_audit(tmp_path) is None


def test_fields_of_a_newer_version_are_passed_over(tmp_path: Path) -> None:
    """Additive changes do not break older reports."""
    (tmp_path / "generator.json").write_text('{"saturated": false, "colour": "red"}')
    assert read_generator(tmp_path) == GeneratorHealth(saturated=False)


@pytest.mark.parametrize(
    ("name", "content"),
    [("generator.json", "{}"), ("audit.json", "[]"), ("devices.parquet", "PAR1")],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, content: str) -> None:
    """Bad input names the file."""
    (tmp_path / name).write_text(content)
    readers = {
        "generator.json": read_generator,
        "audit.json": read_audit,
        "devices.parquet": read_devices,
    }
    with pytest.raises(InputError, match=name):
        readers[name](tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The error names the file."""
    with pytest.raises(RecordingError, match=r"missing/devices\.parquet"):
        write_devices(tmp_path / "missing", [])
