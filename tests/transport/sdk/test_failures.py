"""What is inside the exceptions of the SDK."""

import errno
import socket
import ssl
from unittest.mock import Mock

import aiohttp
import botocore.exceptions as boto
import botocore.parsers
import pytest
from aiohttp.client_reqrep import ConnectionKey

from fleetsim.core.failure import Kind, Phase
from fleetsim.transport.sdk.failures import from_sdk_error, innermost

URL = "https://lab.test/"
KEY = ConnectionKey("lab.test", 443, True, True, None, None, None)
REFUSED = OSError(errno.ECONNREFUSED, "refused")


def certificate_error() -> ssl.SSLCertVerificationError:
    """What OpenSSL says about an expired chain."""
    error = ssl.SSLCertVerificationError("expired")
    error.verify_code, error.verify_message = 10, "certificate has expired"
    return error


def unfinished(cause: BaseException | None) -> aiohttp.ClientPayloadError:
    """A response that broke off."""
    error = aiohttp.ClientPayloadError("not complete")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "phase", "kind"),
    [
        (
            boto.EndpointConnectionError(
                endpoint_url=URL, error=aiohttp.ClientConnectorError(KEY, REFUSED)
            ),
            Phase.TCP,
            Kind.TCP_REFUSED,
        ),
        (
            boto.EndpointConnectionError(
                endpoint_url=URL,
                error=aiohttp.ClientConnectorDNSError(
                    KEY, socket.gaierror(socket.EAI_NONAME, "no such name")
                ),
            ),
            Phase.DNS,
            Kind.DNS_NOT_FOUND,
        ),
        (
            boto.SSLError(
                endpoint_url=URL,
                error=aiohttp.ClientConnectorCertificateError(KEY, certificate_error()),
            ),
            Phase.TLS,
            "tls.verify.cert_has_expired",
        ),
        (
            boto.ConnectTimeoutError(
                endpoint_url=URL, error=aiohttp.ConnectionTimeoutError("connect")
            ),
            Phase.TLS,
            Kind.TLS_TIMEOUT,
        ),
        (
            boto.ReadTimeoutError(
                endpoint_url=URL, error=aiohttp.SocketTimeoutError("read")
            ),
            Phase.WAIT,
            Kind.HTTP_TIMEOUT,
        ),
        (
            boto.ConnectionClosedError(
                endpoint_url=URL, error=aiohttp.ServerDisconnectedError(), request=None
            ),
            Phase.WAIT,
            Kind.HTTP_RESET,
        ),
        (
            boto.ConnectionClosedError(
                endpoint_url=URL, error=unfinished(None), request=None
            ),
            Phase.WAIT,
            Kind.HTTP_RESET,
        ),
        (
            unfinished(OSError(errno.EMFILE, "too many")),
            Phase.WAIT,
            Kind.TCP_LOCAL_FILES,
        ),
        (
            boto.EndpointConnectionError(
                endpoint_url=URL, error=aiohttp.ClientOSError(errno.EPIPE, "broken")
            ),
            Phase.SEND,
            Kind.HTTP_RESET,
        ),
        (
            boto.HTTPClientError(
                error=aiohttp.ClientResponseError(Mock(), (), message="bad header")
            ),
            Phase.WAIT,
            Kind.HTTP_MALFORMED,
        ),
        (
            botocore.parsers.ResponseParserError("not XML"),
            Phase.WAIT,
            Kind.HTTP_MALFORMED,
        ),
        (
            boto.IncompleteReadError(actual_bytes=1, expected_bytes=2),
            Phase.WAIT,
            Kind.HTTP_MALFORMED,
        ),
        (
            boto.FlexibleChecksumError(error_msg="crc32 differs"),
            Phase.WAIT,
            Kind.HTTP_MALFORMED,
        ),
        (
            aiohttp.ClientConnectionError("Connector is closed"),
            Phase.TCP,
            Kind.TCP_RESET,
        ),
    ],
    ids=[
        "refused",
        "no such name",
        "expired",
        "handshake too slow",
        "server silent",
        "disconnected",
        "unfinished body",
        "out of files",
        "broken pipe",
        "bad header",
        "not XML",
        "shorter than said",
        "checksum differs",
        "connector closed",
    ],
)
def test_every_layer_is_unwrapped(error: Exception, phase: Phase, kind: str) -> None:
    """The innermost word decides, in the phase that was under way."""
    assert from_sdk_error(error, phase).kind == kind


def test_an_exception_nobody_knows_is_counted_as_such() -> None:
    """``unclassified`` with the name of the exception: a bug metric."""
    failure = from_sdk_error(
        boto.UnknownKeyError(value=1, param=2, choices=3), Phase.SEND
    )
    assert failure.kind == Kind.UNCLASSIFIED
    assert failure.detail.startswith("UnknownKeyError")


def test_unwrapping_ends() -> None:
    """An exception without another one inside is its own innermost."""
    assert innermost(REFUSED) is REFUSED
