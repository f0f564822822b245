"""Requests of a device in the terms of the SDK, and the rules of the transfer manager."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.commands import Operation, Send, Task
from fleetsim.core.requests import fetch, put_document, put_file
from fleetsim.transport.sdk.calls import _checksum, _parts, wanted
from tests.core.conversation import make_settings

SETTINGS = make_settings()


def task(operation: Operation, body_bytes: int = 0) -> Task:
    """A task with a key as devices have it."""
    return Task(
        operation=operation,
        key="AABBCCDD/00000001/00000001-6B49D200.MF4",
        planned_ns=0,
        body_bytes=body_bytes,
        content=5,
        device_unix_s=1_800_000_000,
    )


def test_a_log_file_keeps_its_metadata_and_body() -> None:
    """Names as ``x-amz-meta-`` had them; the pieces are the same memory."""
    command = put_file(
        SETTINGS,
        task(Operation.UPLOAD, 1000),
        fw_ver="01.07.05",
        closed_unix_s=1_800_000_000,
        put_index=7,
        keep_open=False,
    )
    made = wanted(command, "fleet")
    assert (made.method, made.bucket, made.is_file) == ("PUT", "fleet", True)
    assert made.key == command.task.key
    assert made.body is command.body
    assert made.headers == {
        "Metadata": {
            "fw": "01.07.05",
            "hw": "00.03/00.00",
            "net": "fleetsim",
            "put-index": "7",
            "timestamp": "20270115T080000Z",
        }
    }


def test_a_document_keeps_its_type() -> None:
    """And is no log file."""
    command = put_document(
        SETTINGS,
        task(Operation.HEARTBEAT),
        b"{}",
        content_type="application/json",
        keep_open=True,
    )
    made = wanted(command, "fleet")
    assert (made.method, made.is_file, made.headers) == (
        "PUT",
        False,
        {"ContentType": "application/json"},
    )


@pytest.mark.parametrize(
    ("method", "etag", "headers"),
    [
        ("GET", "abc", {"IfNoneMatch": '"abc"'}),
        ("GET", "", {}),
        ("HEAD", "abc", {}),
    ],
    ids=["conditional", "plain", "head"],
)
def test_a_check_keeps_its_condition(
    method: str, etag: str, headers: dict[str, Any]
) -> None:
    """Only a GET has one."""
    command: Send = fetch(
        SETTINGS, task(Operation.OTA_BUNDLE), method=method, etag=etag, keep_open=True
    )
    made = wanted(command, "fleet")
    assert (made.method, made.headers) == (method, headers)
    assert made.max_response_bytes == command.max_response_bytes


@given(
    pieces=st.lists(st.binary(max_size=40), max_size=6),
    part_bytes=st.integers(min_value=1, max_value=25),
)
def test_parts_are_the_body_cut_evenly(pieces: list[bytes], part_bytes: int) -> None:
    """Joined they are the body; all but the last are full, none is empty."""
    parts = list(_parts([memoryview(piece) for piece in pieces], part_bytes))
    assert b"".join(parts) == b"".join(pieces)
    assert all(len(part) == part_bytes for part in parts[:-1])
    assert all(parts)


def test_a_part_is_completed_with_its_checksum() -> None:
    """Not with the kind of the checksum, which is no member of a completed part."""
    answer = {"ETag": "e", "ChecksumCRC32": "AAAAAA==", "ChecksumType": "COMPOSITE"}
    assert _checksum(answer) == {"ChecksumCRC32": "AAAAAA=="}
