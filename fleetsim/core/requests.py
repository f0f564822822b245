"""Requests: the S3 calls of a device, as ``Send`` commands ready for the wire.

Which calls a device makes is documented (CANedge documentation, "S3 management"; see
``device.md`` sections 4 to 6); the verbs of the over-the-air checks are not, so they are
a profile knob (:class:`~fleetsim.core.settings.ChangeDetection`).
"""

from functools import lru_cache
from typing import Final

from fleetsim.core.commands import Operation, Send, Task
from fleetsim.core.device_settings import DeviceSettings
from fleetsim.core.http1 import request_head
from fleetsim.core.prepared_request import PreparedRequest
from fleetsim.core.sigv4 import Signer, amz_date

MAX_OTA_BYTES: Final = 1 << 20
MAX_ERROR_BYTES: Final = 1 << 16
"""Bounds of response bodies: an over-the-air object, and everything else."""

NETWORK: Final = "fleetsim"
"""What a device says of its network in the metadata of a log file."""

_EXPECTS_OBJECT: Final = frozenset(
    {Operation.OTA_BUNDLE, Operation.OTA_CONFIG, Operation.OTA_FIRMWARE}
)


def put_file(
    settings: DeviceSettings,
    task: Task,
    *,
    fw_ver: str,
    closed_unix_s: int,
    put_index: int,
    keep_open: bool,
) -> Send:
    """PUT of one closed log file.

    Args:
        settings: Cohort settings.
        task: Upload task; ``content`` and ``body_bytes`` name the body.
        fw_ver: Firmware version, ``MM.mm.pp``.
        closed_unix_s: When the file was closed, device clock.
        put_index: Number of PUTs of the device so far.
        keep_open: Keep the connection afterwards.

    Returns:
        The command. The body is never copied: its pieces are views of one block.
    """
    payload, profile = settings.payload, settings.profile
    content, size = task.content, task.body_bytes
    prepared = _prepared_put(
        settings.signer,
        profile.metadata_network_key,
        profile.identity.hw_ver,
        fw_ver,
        keep_open,
    )
    digest = payload.sha256_hex(content, size) if profile.signed_payload else None
    values = (
        (str(put_index), amz_date(closed_unix_s), str(size))
        if profile.metadata_network_key
        else (str(size),)
    )
    return Send(
        task=task,
        head=prepared.head(task.key, task.device_unix_s, digest, *values),
        body=payload.pieces(content, size),
        max_response_bytes=MAX_ERROR_BYTES,
        keep_open=keep_open,
    )


@lru_cache(maxsize=1024)
def _prepared_put(
    signer: Signer,
    network_key: str,
    hw_ver: str,
    fw_ver: str,
    keep_open: bool,
) -> PreparedRequest:
    """The log file PUT of all devices that differ in nothing but the file."""
    metadata = (
        ("x-amz-meta-fw", fw_ver),
        ("x-amz-meta-hw", hw_ver),
        (f"x-amz-meta-{network_key.lower()}", NETWORK),
        ("x-amz-meta-put-index", None),
        ("x-amz-meta-timestamp", None),
    )
    closing = () if keep_open else (("connection", "close"),)
    return PreparedRequest(
        signer,
        "PUT",
        metadata if network_key else (),
        (("content-length", None), *closing),
    )


def put_document(
    settings: DeviceSettings,
    task: Task,
    body: bytes,
    *,
    content_type: str,
    keep_open: bool,
) -> Send:
    """PUT of a small document: device.json, the rule schema, the configuration."""
    target, headers = settings.signer.sign(
        "PUT",
        task.key,
        task.device_unix_s,
        payload_sha256=None,
        headers=[("content-type", content_type)],
    )
    task.body_bytes = len(body)
    return Send(
        task=task,
        head=request_head(
            "PUT", target, [*headers, *_framing(len(body), keep_open=keep_open)]
        ),
        body=(body,),
        max_response_bytes=MAX_ERROR_BYTES,
        keep_open=keep_open,
    )


def fetch(
    settings: DeviceSettings, task: Task, *, method: str, etag: str, keep_open: bool
) -> Send:
    """GET or HEAD of an over-the-air object.

    Args:
        settings: Cohort settings.
        task: The check.
        method: ``GET`` or ``HEAD``.
        etag: ETag the device already has, for ``If-None-Match``; empty = none.
        keep_open: Keep the connection afterwards.
    """
    condition = [("if-none-match", f'"{etag}"')] if etag and method == "GET" else []
    target, headers = settings.signer.sign(
        method, task.key, task.device_unix_s, payload_sha256=None, headers=condition
    )
    if not keep_open:
        headers = [*headers, ("connection", "close")]
    return Send(
        task=task,
        head=request_head(method, target, headers),
        body=(),
        is_head_request=method == "HEAD",
        max_response_bytes=MAX_OTA_BYTES
        if task.operation in _EXPECTS_OBJECT
        else MAX_ERROR_BYTES,
        keep_open=keep_open,
    )


def _framing(body_bytes: int, *, keep_open: bool) -> list[tuple[str, str]]:
    length = ("content-length", str(body_bytes))
    return [length] if keep_open else [length, ("connection", "close")]
