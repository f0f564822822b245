"""SdkSettings: how a cohort uploads that uses an AWS SDK instead of device firmware.

Names and defaults are those of the AWS SDK for Python: "Retry behavior", "Data Integrity
Protections for Amazon S3" and "Settings" in the AWS SDKs and Tools Reference Guide;
``botocore.config.Config``; ``boto3.s3.transfer.TransferConfig``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final

from fleetsim.core.settings import (
    AdvanceOn,
    CipherGroup,
    CipherTable,
    DeviceProfile,
    TlsRules,
)


@unique
class RetryMode(StrEnum):
    """``retry_mode``: how the SDK repeats requests."""

    LEGACY = "legacy"  # random backoff, no quota
    STANDARD = "standard"  # backoff up to 20 s, retry quota of each client
    ADAPTIVE = "adaptive"  # standard, and slows down when the server throttles


@unique
class ChecksumMode(StrEnum):
    """``request_checksum_calculation`` and ``response_checksum_validation``."""

    WHEN_SUPPORTED = "when_supported"  # CRC32 with every PUT, in an aws-chunked trailer
    WHEN_REQUIRED = "when_required"


DEFAULT_MAX_ATTEMPTS: Final[Mapping[RetryMode, int]] = MappingProxyType(
    {RetryMode.LEGACY: 5, RetryMode.STANDARD: 3, RetryMode.ADAPTIVE: 3}
)
"""Attempts in all, the first one counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkSettings:
    """How the SDK of a device is configured.

    Attributes:
        retry_mode: How requests are repeated.
        max_attempts: Attempts at a request in all, >= 1.
        request_checksum_calculation: When a request carries a checksum.
        response_checksum_validation: When the checksum of a response is checked.
        multipart_threshold_bytes: Files from this size on go up in parts.
        multipart_chunksize_bytes: Size of a part, at least 5 MiB by the rules of S3.
        max_concurrency: Most parts of a file under way at once.
        max_pool_connections: Most connections of a device.
        connect_timeout_s: Longest time for TCP connect and TLS handshake together.
        read_timeout_s: Longest silence of the server.
    """

    retry_mode: RetryMode = RetryMode.LEGACY
    max_attempts: int = 5
    request_checksum_calculation: ChecksumMode = ChecksumMode.WHEN_SUPPORTED
    response_checksum_validation: ChecksumMode = ChecksumMode.WHEN_SUPPORTED
    multipart_threshold_bytes: int = 8 * 1024**2
    multipart_chunksize_bytes: int = 8 * 1024**2
    max_concurrency: int = 10
    max_pool_connections: int = 10
    connect_timeout_s: float = 60.0
    read_timeout_s: float = 60.0


SDK_GROUP: Final = CipherGroup(
    "sdk",
    (
        "TLS_AES_256_GCM_SHA384",
        "TLS_CHACHA20_POLY1305_SHA256",
        "TLS_AES_128_GCM_SHA256",
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES256-SHA384",
        "ECDHE-RSA-AES256-SHA384",
        "ECDHE-ECDSA-AES128-SHA256",
        "ECDHE-RSA-AES128-SHA256",
        "DHE-RSA-AES256-GCM-SHA384",
        "DHE-RSA-AES128-GCM-SHA256",
        "DHE-RSA-AES256-SHA256",
        "DHE-RSA-AES128-SHA256",
    ),
)
"""Default cipher list of CPython's ``ssl`` since 3.10 (PEP 644 and bpo-43998), offered
as one group. Written out so that a run does not depend on the machine."""

SDK_TABLE: Final = CipherTable("sdk", (SDK_GROUP,))
SDK_TLS: Final = TlsRules(
    min_version="TLSv1.2",
    max_version="TLSv1.3",
    security_level=2,
    curves=(),
    check_key_usage=False,
    resumption=False,
)
"""TLS as CPython's ``ssl`` speaks it for the SDK: no resumption, security level 2."""


def sdk_profile(profile: DeviceProfile) -> DeviceProfile:
    """A device model with the network side of an SDK: one group, no fallback."""
    return replace(
        profile,
        cipher_tables=(SDK_TABLE,),
        fallback=replace(profile.fallback, advance_on=AdvanceOn.NEVER, delay_s=0.0),
        tls=SDK_TLS,
    )
