"""Failures: finds what is inside an exception of the SDK, for the one translator.

aiobotocore wraps what aiohttp wrapped what the system or OpenSSL said. The innermost
exception goes to :mod:`fleetsim.transport.errors`; only what HTTP libraries alone can
know (a malformed or unfinished response) is named here.
"""

import ssl
from typing import Final

import aiohttp
import aiohttp.http_exceptions
import botocore.exceptions
import botocore.parsers
from boto3.exceptions import Boto3Error

from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.transport import errors

TROUBLE: Final = (
    botocore.exceptions.BotoCoreError,
    botocore.exceptions.ClientError,
    botocore.parsers.ResponseParserError,
    Boto3Error,
    aiohttp.ClientError,
    OSError,
)
"""What the SDK raises when a request fails; everything else is a bug."""

_MALFORMED: Final = (
    aiohttp.ClientResponseError,
    aiohttp.http_exceptions.HttpProcessingError,
    botocore.parsers.ResponseParserError,
    botocore.exceptions.ChecksumError,
    botocore.exceptions.FlexibleChecksumError,
    botocore.exceptions.IncompleteReadError,
)
_DETAIL_LENGTH: Final = 200


def from_sdk_error(exc: BaseException, phase: Phase) -> Failure:
    """Translate an exception of the SDK.

    Args:
        exc: What it raised.
        phase: Phase of the exchange that was under way.
    """
    inner = innermost(exc)
    detail = (str(inner) or type(inner).__name__)[:_DETAIL_LENGTH]
    if isinstance(inner, ssl.SSLError):
        return errors.from_stdlib_ssl_error(inner, phase)
    if isinstance(inner, TimeoutError):
        return errors.from_timeout(phase)
    if isinstance(inner, _MALFORMED):
        return Failure(Kind.HTTP_MALFORMED, Phase.WAIT, detail)
    if isinstance(inner, aiohttp.ServerDisconnectedError | aiohttp.ClientPayloadError):
        return errors.from_connection_lost(None, phase)
    if isinstance(inner, OSError):
        return errors.from_os_error(inner, phase)
    if isinstance(inner, aiohttp.ClientConnectionError):
        # "Connection lost", "Connector is closed": the connection went away under it.
        return errors.from_connection_lost(None, phase)
    return Failure(Kind.UNCLASSIFIED, phase, f"{type(inner).__name__}: {detail}"[:200])


def innermost(exc: BaseException) -> BaseException:
    """Unwrap an exception as long as it only repeats another one."""
    seen: BaseException = exc
    while True:
        inner: object = None
        if isinstance(seen, botocore.exceptions.BotoCoreError):
            inner = seen.kwargs.get("error")
        elif isinstance(seen, aiohttp.ClientConnectorCertificateError):
            inner = seen.certificate_error
        elif isinstance(seen, aiohttp.ClientConnectorError):
            inner = seen.os_error
        elif isinstance(seen, aiohttp.ClientPayloadError | aiohttp.ClientOSError):
            cause = seen.__cause__
            inner = cause if isinstance(cause, OSError) else None
        if not isinstance(inner, BaseException):
            return seen
        seen = inner
