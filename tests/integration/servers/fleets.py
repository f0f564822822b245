"""Fleets against real servers: one run while its front changes, and what it left."""

import asyncio
import hashlib
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config

from fleetsim.core.progress import Progress
from fleetsim.pki.files import write_new
from fleetsim.pki.folder import load_folder
from fleetsim.pki.inventory import load_devices
from fleetsim.recording.recorder import Snapshot
from fleetsim.runner.run import RunOptions, Watcher, run_plan
from tests.integration.runs import Finished, plan_of
from tests.integration.servers.s3_server import S3Server
from tests.integration.servers.site_pki import HOST, MODERN, SitePki

PART_BYTES: Final = 5 * 1024**2
"""Parts of a multipart upload are never smaller (S3, "Multipart upload limits")."""

Change = Callable[[], Awaitable[None]]


class Clock(Watcher):
    """Tells what second of the run it is, and when changes were made.

    Attributes:
        made_ns: Run time when each change had been made, in order.
    """

    def __init__(self, changes: Mapping[int, Change]) -> None:
        self.made_ns: list[int] = []
        self._changes = changes
        self._seconds: asyncio.Queue[int] = asyncio.Queue()

    def ticked(self, progress: Progress, snapshot: Callable[[], Snapshot]) -> None:
        """Another second went by."""
        del snapshot
        self._seconds.put_nowait(progress.now_ns)

    async def make_changes(self) -> None:
        """Make every change in its second."""
        for second, change in sorted(self._changes.items()):
            run_ns = 0
            while run_ns < second * 1_000_000_000:
                run_ns = await self._seconds.get()
            began = time.monotonic_ns()
            await change()
            self.made_ns.append(run_ns + time.monotonic_ns() - began)


async def run_fleet(
    data: Mapping[str, Any], folder: Path, changes: Mapping[int, Change] | None = None
) -> tuple[Finished, list[int]]:
    """Run a scenario to its end and change things on the way.

    Args:
        data: The scenario.
        folder: Relative paths refer to it; its folder ``results`` gets the run.
        changes: What to do by the second of the run.

    Returns:
        The run, and the run time at which each change had been made.
    """
    parsed, plan = plan_of(data)
    options = RunOptions(
        results=folder / "results",
        base_folder=folder,
        scenario=parsed.to_data(),
        create_bucket=True,
    )
    clock = Clock(changes or {})
    async with asyncio.TaskGroup() as group:
        group.create_task(clock.make_changes())
        finished = group.create_task(run_plan(plan, options, clock))
    return Finished(*finished.result()), clock.made_ns


def between(
    finished: Finished, device: str, start_ns: int, end_ns: int
) -> list[dict[str, Any]]:
    """Attempts of a device that started and ended within this time, in order."""
    rows = [
        row
        for row in finished.records
        if row["device"] == device
        and row["started_ns"] >= start_ns
        and row["ended_ns"] <= end_ns
    ]
    return sorted(rows, key=lambda row: int(row["started_ns"]))


def stored_objects(server: S3Server, bucket: str) -> dict[str, int]:
    """Read everything in a bucket with boto3, past the front; size by key.

    Raises:
        AssertionError: The ETag of an object is not that of its content.
    """
    client = boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name=server.region,
        config=Config(
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    try:
        found = {}
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", ()):
                answer = client.get_object(Bucket=bucket, Key=entry["Key"])
                body = answer["Body"].read()
                assert entry["ETag"].strip('"') in _etags(body), entry["Key"]
                found[entry["Key"]] = len(body)
        return found
    finally:
        client.close()


def _etags(body: bytes) -> tuple[str, str]:
    """ETags that S3 may give a content: sent whole, and in parts of :data:`PART_BYTES`.

    The latter is the MD5 of the parts' MD5s and their number, as every server here does
    it; AWS documents only that it is no MD5 of the content.
    """
    parts = [body[i : i + PART_BYTES] for i in range(0, len(body), PART_BYTES)]
    digests = b"".join(_md5(each).digest() for each in parts)
    return _md5(body).hexdigest(), f"{_md5(digests).hexdigest()}-{len(parts)}"


def _md5(data: bytes) -> "hashlib._Hash":
    return hashlib.md5(data, usedforsecurity=False)


def assert_truth(finished: Finished, server: S3Server, bucket: str) -> None:
    """Check that the devices' word and the bucket agree, by the run and by boto3."""
    uploads = finished.summary["uploads"]
    assert finished.summary["audit"]["checked"]
    assert uploads["acknowledged"] == uploads["stored"] > 0
    assert uploads["unaccounted"] == finished.summary["unclassified"] == 0
    stored = stored_objects(server, bucket)
    acknowledged = {
        row["key"]: row["body_bytes"]
        for row in finished.records
        if row["operation"] == "upload" and not row["kind"]
    }
    assert acknowledged.items() <= stored.items()


def presented_serial(port: int, pki: SitePki, device_id: str) -> int:
    """Serial number of the RSA certificate that a front shows to Python's own TLS.

    Args:
        port: Of the front.
        pki: Its PKI.
        device_id: Device to connect as.
    """
    (device,) = load_devices(load_folder(pki.path), (device_id,))
    chain, key = pki.path.parent / "shown.pem", pki.path.parent / "shown.key"
    write_new(chain, device.chain_pem())
    write_new(key, device.key_pem(), is_secret=True)
    context = ssl.create_default_context(cafile=pki.path / "root.pem")
    context.load_cert_chain(chain, key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(MODERN)
    with (
        socket.create_connection((HOST, port), 10) as link,
        context.wrap_socket(link, server_hostname=HOST) as connection,
    ):
        shown = connection.getpeercert()
    assert shown is not None
    return int(str(shown["serialNumber"]), 16)
