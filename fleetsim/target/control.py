"""Control: everything done to the bucket that is not load.

Making the bucket, pushing over-the-air objects, listing for the truth check, cleaning
up. It goes through aioboto3: a second implementation of signing and of S3, so that an
error of our own wire format cannot hide itself from the truth check.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, Self

import aioboto3
import aiohttp
import botocore.exceptions
import botocore.parsers
from aiobotocore.config import AioConfig

from fleetsim.core.outcomes import StoredKey
from fleetsim.core.settings import Credentials, Endpoint, RequestStyle
from fleetsim.exceptions import InputError, Problem, TargetError
from fleetsim.target.deletion import Deleted, add_content_md5, can_be_in_xml
from fleetsim.target.explain import (
    base_url,
    explain,
    has_expired,
    is_missing_bucket,
    place,
)
from fleetsim.target.http_session import NoRedirects, stay_in_region

CONNECTIONS: Final = 16
_CONNECT_TIMEOUT_S: Final = 5
_READ_TIMEOUT_S: Final = 60
_ATTEMPTS: Final = 3
DELETE_AT_ONCE: Final = 1000  # S3: DeleteObjects takes at most 1000 keys

_TROUBLE: Final = (
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
    botocore.parsers.ResponseParserError,
    aiohttp.ClientError,
    OSError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object as a listing shows it.

    Attributes:
        key: Object key.
        size_bytes: Its size.
        etag: ETag without quotes.
        modified: When the target stored it, by the target's clock.
    """

    key: str
    size_bytes: int
    etag: str
    modified: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientFiles:
    """A client certificate for an endpoint that asks for one (mutual TLS).

    Attributes:
        certificate: PEM file, leaf first, then its chain.
        key: PEM file of its private key.
    """

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenUpload:
    """A multipart upload that was neither completed nor aborted.

    Attributes:
        key: Object key.
        upload_id: Its id.
        initiated: When it was begun, by the target's clock.
    """

    key: str
    upload_id: str
    initiated: datetime


def utc_now() -> datetime:
    """Give the time of this machine, aware."""
    return datetime.now(UTC)


class Control:
    """The control plane of one bucket; an async context manager.

    Args:
        endpoint: Where the bucket is.
        credentials: With the right to list, write and delete in it.
        ca_file: PEM file of trusted CAs; ``None`` = the system's.
        client: Certificate to show; ``None`` = none.
        clock: Wall clock, aware.
        look_up: Looks the credentials up anew; ``None`` = they do not change. Those of
            containers and instances expire after some hours, and a run may be longer.

    Attributes:
        endpoint: Where the bucket is.
        clock_skew_s: Target's clock minus ours in seconds, known after
            :meth:`check_bucket`; 0.0 before.
        on_put: Told about every object that :meth:`put` stored.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        ca_file: Path | None = None,
        *,
        client: ClientFiles | None = None,
        clock: Callable[[], datetime] = utc_now,
        look_up: Callable[[], Credentials] | None = None,
    ) -> None:
        self.clock_skew_s = 0.0
        self.on_put: Callable[[StoredKey], None] = _ignore
        self.endpoint = endpoint
        self._credentials = credentials
        self._ca_file = ca_file
        self._client_files = client
        self._clock = clock
        self._look_up = look_up
        self._stack = AsyncExitStack()
        self._client: Any = None

    async def __aenter__(self) -> Self:
        if self.endpoint.is_tls and self._ca_file is not None:
            _check_ca_file(self._ca_file)
        if self.endpoint.is_tls and self._client_files is not None:
            _check_client_files(self._client_files)
        self._client = await self._open(self._stack, attempts=_ATTEMPTS)
        return self

    async def _open(self, stack: AsyncExitStack, *, attempts: int) -> Any:
        endpoint, credentials = self.endpoint, self._credentials
        is_path = endpoint.style is RequestStyle.PATH
        files = self._client_files if endpoint.is_tls else None
        config = AioConfig(
            client_cert=None
            if files is None
            else (str(files.certificate), str(files.key)),
            signature_version="s3v4",
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_READ_TIMEOUT_S,
            max_pool_connections=CONNECTIONS,
            retries={"mode": "standard", "total_max_attempts": attempts},
            s3={"addressing_style": "path" if is_path else "virtual"},
            # other S3 servers do not all know the checksums AWS added in 2024
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            http_session_cls=NoRedirects,
        )
        session = aioboto3.Session(
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            aws_session_token=credentials.session_token or None,
            region_name=endpoint.region,
        )
        verify = str(self._ca_file) if self._ca_file is not None else None
        try:
            client = await stack.enter_async_context(
                session.client(
                    "s3", endpoint_url=base_url(endpoint), config=config, verify=verify
                )
            )
        except (botocore.exceptions.BotoCoreError, ValueError, OSError) as exc:
            raise explain(exc, endpoint) from exc
        client.meta.events.register_first("needs-retry.s3", stay_in_region)
        client.meta.events.register("before-sign.s3.DeleteObjects", add_content_md5)
        return client

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def check_bucket(self, *, create: bool = False) -> None:
        """Make sure that the bucket can be used; learn the target's clock.

        Args:
            create: Make the bucket when it does not exist.

        Raises:
            TargetError: If it cannot: unreachable, wrong credentials, no bucket,
                another region, wrong clock, no TLS, certificate not trusted.
        """
        async with AsyncExitStack() as stack:
            # one attempt: what is wrong here is seldom better a moment later
            client = await self._open(stack, attempts=1)
            try:
                answer = await client.list_objects_v2(
                    Bucket=self.endpoint.bucket, MaxKeys=1
                )
            except botocore.exceptions.ClientError as exc:
                if not (create and is_missing_bucket(exc)):
                    self._note_clock(exc.response)
                    raise explain(
                        exc, self.endpoint, clock_skew_s=self.clock_skew_s
                    ) from exc
                answer = await self._create_bucket()
            except _TROUBLE as exc:
                raise explain(exc, self.endpoint) from exc
        self._note_clock(answer)
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        region = headers.get("x-amz-bucket-region", "")
        if region not in {"", self.endpoint.region}:
            raise TargetError(
                place(self.endpoint),
                f"keeps this bucket in another region: it expects {region!r}, not "
                f"{self.endpoint.region!r}; set the region of the target",
            )

    async def renew(self) -> None:
        """Look the credentials up anew and use them, if they are others by now.

        Raises:
            TargetError: They cannot be looked up any more.
        """
        if self._look_up is None:
            return
        try:
            found = await asyncio.to_thread(self._look_up)
        except InputError as error:
            raise TargetError(place(self.endpoint), str(error)) from error
        if found != self._credentials:
            self._credentials = found
            # the old client serves its requests under way; the stack closes both
            self._client = await self._open(self._stack, attempts=_ATTEMPTS)

    async def put(self, key: str, body: bytes) -> None:
        """Store an object; with credentials that have expired, renew them first.

        Raises:
            TargetError: If the target refuses or cannot be reached.
        """
        where = {"Bucket": self.endpoint.bucket, "Key": key}
        try:
            try:
                answer = await self._client.put_object(**where, Body=body)
            except botocore.exceptions.ClientError as exc:
                if self._look_up is None or not has_expired(exc):
                    raise
                await self.renew()
                answer = await self._client.put_object(**where, Body=body)
        except _TROUBLE as exc:
            raise explain(exc, self.endpoint) from exc
        self.on_put(StoredKey(key=key, etag=answer.get("ETag", "").strip('"')))

    async def list(self, prefix: str = "") -> AsyncIterator[StoredObject]:
        """List objects by prefix, page after page.

        Raises:
            TargetError: If the target refuses or cannot be reached.
        """
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self.endpoint.bucket, Prefix=prefix
        )
        try:
            async for page in pages:
                for entry in page.get("Contents", ()):
                    yield StoredObject(
                        key=entry["Key"],
                        size_bytes=entry["Size"],
                        etag=entry.get("ETag", "").strip('"'),
                        modified=entry["LastModified"],
                    )
        except _TROUBLE as exc:
            raise explain(exc, self.endpoint) from exc

    async def has_opaque_etag(self, key: str) -> bool:
        """Tell whether an object's ETag is no MD5 because it is encrypted.

        AWS, "Object": with SSE-KMS and SSE-C the ETag is not an MD5 of the content.

        Raises:
            TargetError: If the target refuses or cannot be reached.
        """
        try:
            answer = await self._client.head_object(
                Bucket=self.endpoint.bucket, Key=key
            )
        except _TROUBLE as exc:
            raise explain(exc, self.endpoint) from exc
        encryption = answer.get("ServerSideEncryption", "")
        return encryption.startswith("aws:kms") or "SSECustomerAlgorithm" in answer

    async def delete_prefix(self, prefix: str) -> int:
        """Delete every object below a prefix; returns how many.

        Args:
            prefix: Must not be empty: a whole bucket is never deleted by accident.

        Raises:
            ValueError: If ``prefix`` is empty.
            TargetError: If the target refuses or cannot be reached.
        """
        if not prefix:
            raise ValueError("an empty prefix would delete the whole bucket")
        deleted = 0
        keys: dict[str, None] = {}
        async for stored in self.list(prefix):
            keys[stored.key] = None
            if len(keys) == DELETE_AT_ONCE:
                deleted += await self._delete_all(keys)
                keys = {}
        return deleted + (await self._delete_all(keys) if keys else 0)

    async def _delete_all(self, keys: Iterable[str]) -> int:
        answer = await self.delete(tuple(keys))
        if answer.refused:
            raise TargetError(
                place(self.endpoint),
                f"did not delete {len(answer.refused)} objects, first "
                f"{answer.refused[0]}",
            )
        return answer.count

    async def delete(self, keys: Sequence[str]) -> Deleted:
        """Delete objects by key; one that does not exist counts as deleted, as in S3.

        Args:
            keys: Any number; sent by the thousand.

        Raises:
            TargetError: If the target refuses the request or cannot be reached. A
                refusal of single objects is in the answer.
        """
        together = [key for key in keys if can_be_in_xml(key)]
        found = Deleted()
        try:
            for at in range(0, len(together), DELETE_AT_ONCE):
                answer = await self._client.delete_objects(
                    Bucket=self.endpoint.bucket,
                    Delete={
                        "Objects": [
                            {"Key": key} for key in together[at : at + DELETE_AT_ONCE]
                        ]
                    },
                )
                found += Deleted.of_answer(answer)
            for key in keys:
                if not can_be_in_xml(key):
                    answer = await self._client.delete_object(
                        Bucket=self.endpoint.bucket, Key=key
                    )
                    found += Deleted(1, versioned=bool(answer.get("DeleteMarker")))
        except _TROUBLE as exc:
            raise explain(exc, self.endpoint) from exc
        return found

    async def open_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        """List multipart uploads in progress by prefix of their key.

        Raises:
            TargetError: If the target refuses or cannot be reached.
        """
        pages = self._client.get_paginator("list_multipart_uploads").paginate(
            Bucket=self.endpoint.bucket, Prefix=prefix
        )
        try:
            async for page in pages:
                for entry in page.get("Uploads", ()):
                    yield OpenUpload(
                        key=entry["Key"],
                        upload_id=entry["UploadId"],
                        initiated=entry["Initiated"],
                    )
        except _TROUBLE as exc:
            raise explain(exc, self.endpoint) from exc

    async def abort_upload(self, upload: OpenUpload) -> None:
        """Give up a multipart upload: its parts are deleted.

        Raises:
            TargetError: If the target refuses or cannot be reached.
        """
        try:
            await self._client.abort_multipart_upload(
                Bucket=self.endpoint.bucket,
                Key=upload.key,
                UploadId=upload.upload_id,
            )
        except _TROUBLE as exc:
            raise explain(exc, self.endpoint) from exc

    async def _create_bucket(self) -> Any:
        # AWS: us-east-1 is the one region that must not be named
        place_it = (
            {}
            if self.endpoint.region == "us-east-1"
            else {
                "CreateBucketConfiguration": {
                    "LocationConstraint": self.endpoint.region
                }
            }
        )
        try:
            return await self._client.create_bucket(
                Bucket=self.endpoint.bucket, **place_it
            )
        except _TROUBLE as exc:
            raise explain(exc, self.endpoint) from exc

    def _note_clock(self, answer: Mapping[str, Any]) -> None:
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        try:
            theirs = parsedate_to_datetime(headers.get("date", ""))
        except ValueError:
            return  # a server without a clock sends no Date (RFC 9110 6.6.1)
        self.clock_skew_s = (theirs - self._clock()).total_seconds()


def _ignore(_stored: StoredKey) -> None:
    """What is put is nobody's business."""


def _check_client_files(files: ClientFiles) -> None:
    try:
        # An empty password: a key that is encrypted must not ask at the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(
            files.certificate, files.key, password=""
        )
    except (OSError, ValueError) as exc:
        what = f"cannot be used with the key {files.key}: {exc}"
        raise InputError(Problem(str(files.certificate), what)) from exc


def _check_ca_file(ca_file: Path) -> None:
    try:
        ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ValueError) as exc:
        what = f"the CA file cannot be used: {exc}"
        raise InputError(Problem(str(ca_file), what)) from exc
