"""Calls: what the SDK is asked to do for a request that a device wants sent.

A :class:`~fleetsim.core.commands.Send` holds its request ready for the wire. Method,
object metadata, content type and condition are read from there, so that the SDK sends
the same request that device firmware would have sent, in its own way.

Log files follow the rules of boto3's transfer manager (``TransferConfig``): one PutObject
below the threshold, otherwise CreateMultipartUpload, UploadPart side by side and
CompleteMultipartUpload; AbortMultipartUpload after a failure. The loop is our own:
``upload_fileobj`` of aioboto3 (15.5) leaves its uploader tasks behind when an upload is
cut off, which a simulator does by the thousand.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from s3transfer.utils import ChunksizeAdjuster

from fleetsim.core.commands import Operation, Send
from fleetsim.core.events import Response
from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.core.http_fields import parse_fields
from fleetsim.core.sdk_settings import SdkSettings
from fleetsim.transport.sdk.exchange import Call
from fleetsim.transport.sdk.failures import TROUBLE, from_sdk_error
from fleetsim.transport.sdk.hooks import current

_METADATA: Final = "x-amz-meta-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One request in the terms of the SDK.

    Attributes:
        method: ``PUT``, ``GET`` or ``HEAD``.
        bucket: Bucket.
        key: Object key.
        body: Request body in pieces.
        is_file: A log file: large ones go up in parts.
        headers: Further parameters of the SDK call (``Metadata`` …).
        max_response_bytes: Larger response bodies are ``http.malformed``.
    """

    method: str
    bucket: str
    key: str
    body: Sequence[memoryview | bytes] = ()
    is_file: bool = False
    headers: dict[str, Any] = field(default_factory=dict)
    max_response_bytes: int = 65536


def wanted(command: Send, bucket: str) -> Wanted:
    """Read a request.

    Args:
        command: As a device makes it.
        bucket: Bucket of its endpoint.
    """
    line, _, block = command.head.decode("latin-1").partition("\r\n")
    fields = parse_fields(block.removesuffix("\r\n")) or {}
    headers: dict[str, Any] = {}
    metadata = {
        name.removeprefix(_METADATA): value
        for name, value in fields.items()
        if name.startswith(_METADATA)
    }
    if metadata:
        headers["Metadata"] = metadata
    if "content-type" in fields:
        headers["ContentType"] = fields["content-type"]
    if "if-none-match" in fields:
        headers["IfNoneMatch"] = fields["if-none-match"]
    return Wanted(
        method=line.partition(" ")[0],
        bucket=bucket,
        key=command.task.key,
        body=command.body,
        is_file=command.task.operation is Operation.UPLOAD,
        headers=headers,
        max_response_bytes=command.max_response_bytes,
    )


async def perform(
    client: Any, request: Wanted, settings: SdkSettings, call: Call
) -> Response | Failure:
    """Let the SDK carry a request out, with all its retries.

    Args:
        client: S3 client of the device.
        request: What is wanted.
        settings: Rules of the transfer manager.
        call: Told about the exchanges; entered by the task that awaits this.

    Returns:
        The last response, an error response included, or why there is none.
    """
    try:
        body = await _ask(client, request, settings, call)
    except TROUBLE as error:
        exchange = call.last
        if exchange is None:
            # Refused before anything was sent: unusable endpoint, name or parameter.
            return from_sdk_error(error, Phase.SEND)
        response, failure = exchange.response, exchange.failure
        if response is None or (failure is not None and response.status < 300):
            return failure or from_sdk_error(error, exchange.phase)
        return response
    exchange = call.last
    if exchange is None or exchange.response is None:
        raise RuntimeError("a call of the SDK without a response")
    response = exchange.response
    if len(body) > request.max_response_bytes:
        return Failure(
            Kind.HTTP_MALFORMED,
            Phase.WAIT,
            f"body longer than {request.max_response_bytes} bytes",
        )
    response.body = body
    if exchange.etag:
        response.headers["etag"] = f'"{exchange.etag}"'
    return response


async def _ask(
    client: Any, request: Wanted, settings: SdkSettings, call: Call
) -> bytes:
    """Make the calls of a request; the body of the response, if it may have one."""
    where = {"Bucket": request.bucket, "Key": request.key}
    match request.method:
        case "PUT" if request.is_file:
            await _upload(client, request, settings, call)
        case "PUT":
            body = b"".join(request.body)
            await client.put_object(**where, Body=body, **request.headers)
        case "HEAD":
            await client.head_object(**where, **request.headers)
        case "GET":
            answer = await client.get_object(**where, **request.headers)
            return await _read(answer["Body"], request.max_response_bytes + 1)
        case _:
            raise ValueError(f"no request of a device: {request.method}")
    return b""


async def _read(stream: Any, most_bytes: int) -> bytes:
    """Read a response body to its end, or as far as it is needed."""
    exchange = current()
    body = bytearray()
    try:
        async with stream:
            while len(body) < most_bytes:
                piece = await stream.read(most_bytes - len(body))
                if not piece:
                    break
                body += piece
    except TROUBLE as error:
        if exchange is not None:
            exchange.ended(None, error, {})
        raise
    if exchange is not None:
        exchange.extended()
    return bytes(body)


async def _upload(
    client: Any, request: Wanted, settings: SdkSettings, call: Call
) -> None:
    size = sum(map(len, request.body))
    where = {"Bucket": request.bucket, "Key": request.key}
    if size < settings.multipart_threshold_bytes:
        body = b"".join(request.body)
        await client.put_object(**where, Body=body, **request.headers)
        return
    started = await client.create_multipart_upload(**where, **request.headers)
    where["UploadId"] = started["UploadId"]
    part_bytes = ChunksizeAdjuster().adjust_chunksize(
        settings.multipart_chunksize_bytes, size
    )
    try:
        parts = await _send_parts(
            client, where, _parts(request.body, part_bytes), settings, call
        )
        await client.complete_multipart_upload(
            **where, MultipartUpload={"Parts": parts}
        )
    except TROUBLE:
        # What was wrong is told by the exchange that failed; that the parts may stay
        # behind then is no other failure.
        with contextlib.suppress(*TROUBLE):
            await client.abort_multipart_upload(**where)
        raise


async def _send_parts(
    client: Any,
    where: dict[str, Any],
    parts: Iterator[bytes],
    settings: SdkSettings,
    call: Call,
) -> list[dict[str, Any]]:
    """Send parts, several at a time; each worker holds one part in memory."""
    sent: list[dict[str, Any]] = []
    numbered = enumerate(parts, start=1)

    async def work() -> None:
        for number, body in numbered:
            try:
                answer = await client.upload_part(**where, PartNumber=number, Body=body)
            except TROUBLE:
                call.failed(current())
                raise
            sent.append(
                {"PartNumber": number, "ETag": answer["ETag"], **_checksum(answer)}
            )

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(settings.max_concurrency):
                group.create_task(work())
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return sorted(sent, key=lambda part: int(part["PartNumber"]))


def _checksum(answer: dict[str, Any]) -> dict[str, str]:
    """The checksum of a part, which CompleteMultipartUpload must repeat (AWS, S3 API)."""
    return {
        name: value
        for name, value in answer.items()
        if name.startswith("Checksum") and name != "ChecksumType"
    }


def _parts(body: Sequence[memoryview | bytes], part_bytes: int) -> Iterator[bytes]:
    """Cut a body into parts; only the part that is asked for is copied."""
    part = bytearray()
    for piece in body:
        view = memoryview(piece)
        while view:
            taken = view[: part_bytes - len(part)]
            part += taken
            view = view[len(taken) :]
            if len(part) == part_bytes:
                yield bytes(part)
                part.clear()
    if part:
        yield bytes(part)
