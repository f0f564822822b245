"""Requests: what a device puts on the wire, read by the standard library's parser."""

from dataclasses import replace
from email.message import Message
from hashlib import sha256
from http.client import parse_headers
from io import BytesIO

import pytest

from fleetsim.core.commands import Operation, Send, Task
from fleetsim.core.device_settings import DeviceSettings
from fleetsim.core.requests import (
    MAX_ERROR_BYTES,
    MAX_OTA_BYTES,
    fetch,
    put_document,
    put_file,
)
from fleetsim.exceptions import InputError
from tests.core.conversation import EPOCH_S, make_settings


def put(
    settings: DeviceSettings, one: Task | None = None, *, keep_open: bool = True
) -> Send:
    """The third PUT of a device."""
    return put_file(
        settings,
        one or task(),
        fw_ver="01.07.05",
        closed_unix_s=EPOCH_S,
        put_index=3,
        keep_open=keep_open,
    )


def task(operation: Operation = Operation.UPLOAD, body_bytes: int = 0) -> Task:
    """A task of a device whose clock is right."""
    return Task(
        operation=operation,
        key="AABBCCDD/00000001/00000001-6B49D200.MF4",
        planned_ns=0,
        body_bytes=body_bytes,
        content=77,
        device_unix_s=EPOCH_S,
    )


def read(command: Send) -> tuple[str, Message]:
    """Take a request apart: request line and headers."""
    line, _, rest = command.head.partition(b"\r\n")
    assert command.head.endswith(b"\r\n\r\n")
    return line.decode(), parse_headers(BytesIO(rest))


def signed(headers: Message) -> set[str]:
    """Names of the headers that the signature covers."""
    text = headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0]
    return set(text.split(";"))


def test_put_of_a_log_file() -> None:
    """PUT, path style, length, unsigned payload, and exactly the announced bytes."""
    settings = make_settings()
    command = put(settings, task(body_bytes=10_000), keep_open=False)
    line, headers = read(command)
    key = "AABBCCDD/00000001/00000001-6B49D200.MF4"
    assert line == f"PUT /fleet/{key} HTTP/1.1"
    assert headers["host"] == "lab.test:9443"
    assert headers["content-length"] == "10000"
    assert headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert headers["connection"] == "close"
    assert sum(len(piece) for piece in command.body) == 10_000
    assert not command.keep_open


def test_signed_payload_names_the_hash_of_the_body() -> None:
    """With signed payload the header is the SHA-256 of what is sent."""
    settings = make_settings(signed_payload=True)
    command = put(settings, task(body_bytes=9_999))
    _, headers = read(command)
    body = b"".join(command.body)
    assert headers["x-amz-content-sha256"] == sha256(body).hexdigest()


def test_metadata_of_a_log_file() -> None:
    """The documented x-amz-meta- headers are there, and the signature covers them."""
    settings = make_settings(metadata_network_key="Ssid")
    _, headers = read(put(settings))
    assert headers["x-amz-meta-fw"] == "01.07.05"
    assert headers["x-amz-meta-hw"] == "00.03/00.00"
    assert headers["x-amz-meta-ssid"] == "fleetsim"
    assert headers["x-amz-meta-put-index"] == "3"
    names = {name.lower() for name in headers if name.lower().startswith("x-amz-")}
    assert names <= signed(headers)


def test_no_metadata_without_a_network_key() -> None:
    """A profile without metadata sends none."""
    settings = make_settings(metadata_network_key="")
    _, headers = read(put(settings))
    assert not [name for name in headers if "meta" in name.lower()]


@pytest.mark.parametrize("keep_open", [True, False])
def test_connection_close_only_when_it_ends(*, keep_open: bool) -> None:
    """HTTP/1.1 stays open unless said otherwise (RFC 9112 9.3)."""
    settings = make_settings()
    for command in (
        put(settings, keep_open=keep_open),
        put_document(settings, task(), b"{}", content_type="a/b", keep_open=keep_open),
        fetch(settings, task(), method="GET", etag="", keep_open=keep_open),
    ):
        assert (read(command)[1]["connection"] is None) is keep_open
        assert command.keep_open is keep_open


def test_put_of_a_document() -> None:
    """The task learns the size of the body; the media type is signed."""
    heartbeat = task(Operation.HEARTBEAT)
    command = put_document(
        make_settings(),
        heartbeat,
        b'{"id":1}',
        content_type="application/json",
        keep_open=True,
    )
    _, headers = read(command)
    assert heartbeat.body_bytes == 8
    assert headers["content-length"] == "8"
    assert headers["content-type"] == "application/json"
    assert "content-type" in signed(headers)
    assert b"".join(command.body) == b'{"id":1}'
    assert command.max_response_bytes == MAX_ERROR_BYTES


@pytest.mark.parametrize(
    ("method", "etag", "condition"),
    [
        pytest.param("GET", "abc", '"abc"', id="conditional"),
        pytest.param("GET", "", None, id="first look"),
        pytest.param("HEAD", "abc", None, id="HEAD compares itself"),
    ],
)
def test_fetch(method: str, etag: str, condition: str | None) -> None:
    """If-None-Match on a GET for what is already there; never a body."""
    command = fetch(
        make_settings(),
        task(Operation.OTA_BUNDLE),
        method=method,
        etag=etag,
        keep_open=True,
    )
    line, headers = read(command)
    assert line.startswith(f"{method} /fleet/")
    assert headers["if-none-match"] == condition
    assert headers["content-length"] is None
    assert command.body == ()
    assert command.is_head_request is (method == "HEAD")
    assert command.max_response_bytes == MAX_OTA_BYTES


def test_an_etag_cannot_smuggle_a_header() -> None:
    """A server's ETag with a line break never reaches the next request's head."""
    with pytest.raises(InputError, match="control character"):
        fetch(
            make_settings(),
            task(Operation.OTA_BUNDLE),
            method="GET",
            etag='a"\r\nx-evil: 1',
            keep_open=True,
        )


@pytest.mark.parametrize("build", ["file", "document", "fetch"])
def test_the_same_request_is_the_same_bytes(build: str) -> None:
    """Nothing in a request depends on anything but its arguments."""

    def make(settings: DeviceSettings) -> bytes:
        match build:
            case "file":
                return put(settings).head
            case "document":
                return put_document(
                    settings, task(), b"{}", content_type="a/b", keep_open=True
                ).head
            case _:
                return fetch(
                    settings, task(), method="GET", etag="e", keep_open=True
                ).head

    assert make(make_settings()) == make(make_settings())
    other = replace(make_settings(), cohort="other")
    assert make(make_settings()) == make(other)
