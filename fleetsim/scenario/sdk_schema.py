"""SDK schema: settings of cohorts that upload through an AWS SDK, in AWS's own names.

What an SDK has no notion of is a device's own, and cannot be simulated with one; what
cannot work at all is a finding, what merely has no effect a note of ``fleetsim check``.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum, unique
from typing import Annotated

from pydantic import Field, StrictInt

from fleetsim.core.sdk_settings import (
    DEFAULT_MAX_ATTEMPTS,
    ChecksumMode,
    RetryMode,
    SdkSettings,
)
from fleetsim.scenario.model import Part
from fleetsim.scenario.quantities import Duration, Size

MIB = 1024**2
MAX_ATTEMPTS = 100
MAX_CONNECTIONS = 1000


@unique
class Client(StrEnum):
    """What the devices of a cohort upload with."""

    DEVICE = "device"  # as the reference device's firmware does
    SDK = "sdk"  # through aioboto3, the AWS SDK for Python on asyncio


class SdkSpec(Part):
    """Settings of the SDK; names and defaults are those of the AWS SDK for Python."""

    retry_mode: RetryMode = RetryMode.LEGACY
    """How requests are repeated: legacy, standard or adaptive."""
    max_attempts: Annotated[StrictInt, Field(ge=1, le=MAX_ATTEMPTS)] | None = None
    """Attempts at one request in all; left out = 5 with legacy, else 3."""
    request_checksum_calculation: ChecksumMode = ChecksumMode.WHEN_SUPPORTED
    """when_supported = a CRC32 with every upload; when_required = only where S3 demands
    one."""
    response_checksum_validation: ChecksumMode = ChecksumMode.WHEN_SUPPORTED
    """When checksums of responses are checked."""
    multipart_threshold: Annotated[Size, Field(ge=1)] = 8 * MIB
    """Files from this size on are uploaded in parts."""
    multipart_chunksize: Annotated[Size, Field(ge=5 * MIB, le=5 * 1024 * MIB)] = 8 * MIB
    """Size of a part; more when a file would have over 10,000."""
    max_concurrency: Annotated[StrictInt, Field(ge=1, le=MAX_CONNECTIONS)] = 10
    """Most parts of one file under way at the same time."""
    max_pool_connections: Annotated[StrictInt, Field(ge=1, le=MAX_CONNECTIONS)] = 10
    """Most connections of one device."""
    connect_timeout: Annotated[Duration, Field(ge=0.001)] = 60.0
    """Longest time for TCP connect and TLS handshake together."""
    read_timeout: Annotated[Duration, Field(ge=0.001)] = 60.0
    """Longest silence of the server."""


def sdk_settings(spec: SdkSpec) -> SdkSettings:
    """Settings with all that was left out."""
    attempts = spec.max_attempts or DEFAULT_MAX_ATTEMPTS[spec.retry_mode]
    return SdkSettings(
        retry_mode=spec.retry_mode,
        max_attempts=attempts,
        request_checksum_calculation=spec.request_checksum_calculation,
        response_checksum_validation=spec.response_checksum_validation,
        multipart_threshold_bytes=round(spec.multipart_threshold),
        multipart_chunksize_bytes=round(spec.multipart_chunksize),
        max_concurrency=spec.max_concurrency,
        max_pool_connections=spec.max_pool_connections,
        connect_timeout_s=spec.connect_timeout,
        read_timeout_s=spec.read_timeout,
    )


def sdk_notes(cohorts: Mapping[SdkSettings, Sequence[str]]) -> Iterator[str]:
    """Explain what cohorts with ``client: sdk`` do, and what is not simulated.

    Args:
        cohorts: Names of the cohorts that have the same settings.
    """
    for settings, names in cohorts.items():
        yield (
            f"Client sdk ({', '.join(names)}): each device has an aioboto3 client of its "
            f"own, retry mode {settings.retry_mode}, at most {settings.max_attempts} "
            "attempts a request; each hidden attempt is recorded. After the last one the "
            "device waits as its profile says and tries again."
        )
    if not cohorts:
        return
    yield (
        "Not simulated with it: cipher-group fallback (it offers CPython's default list "
        "once, TLS 1.2 and 1.3), session resumption, the device's clock (chains are "
        "verified and requests signed at this machine's time), the profile's deadlines "
        "and signed_payload. The bundle is its CA file; client certificates work."
    )
    yield (
        "Times of it: connection use, dns, tcp, tls, send and wait as aiohttp tells "
        "them; bytes without TLS. Uploads in parts have no send and wait."
    )
