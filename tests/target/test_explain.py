"""Each way a target can be unusable has a sentence that says what to do."""

import socket
import ssl
from typing import Any

import aiohttp
import botocore.exceptions
import botocore.parsers
import pytest

from fleetsim.core.settings import Endpoint
from fleetsim.exceptions import TargetError
from fleetsim.target.explain import base_url, explain, place

PLAIN = Endpoint(
    scheme="http", host="127.0.0.1", port=9000, bucket="fleet", region="eu-west-1"
)
SECURE = Endpoint(scheme="https", host="::1", port=9443, bucket="fleet")


def refused(code: str, message: str = "", status: int = 403, **more: Any) -> Exception:
    """An S3 error document as botocore raises it."""
    made: Exception = botocore.exceptions.ClientError(
        {
            "Error": {"Code": code, "Message": message, **more},
            "ResponseMetadata": {
                "HTTPStatusCode": status,
                "HTTPHeaders": {},
                "RequestId": "",
                "HostId": "",
                "RetryAttempts": 0,
            },
        },
        "ListObjectsV2",
    )
    return made


def caused_by(cause: Exception, kind: Any, **arguments: Any) -> Exception:
    """A botocore exception that wraps another one, as aiobotocore does."""
    made: Exception = kind(error=cause, **arguments)
    made.__cause__ = cause
    return made


def untrusted() -> ssl.SSLCertVerificationError:
    """What the ssl module raises for a CA it does not know."""
    made = ssl.SSLCertVerificationError(1, "certificate verify failed")
    made.verify_message = "unable to get local issuer certificate"
    return made


def no_tls() -> ssl.SSLError:
    """What the ssl module raises for an answer that is not TLS."""
    made = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    made.reason = "WRONG_VERSION_NUMBER"
    return made


def no_certificate() -> ssl.SSLError:
    """What the ssl module raises when the peer wants a client certificate."""
    made = ssl.SSLError(1, "[SSL] sslv3 alert handshake failure")
    made.reason = "SSLV3_ALERT_HANDSHAKE_FAILURE"
    return made


@pytest.mark.parametrize(
    ("exc", "endpoint", "words"),
    [
        (refused("InvalidAccessKeyId"), PLAIN, "AWS_ACCESS_KEY_ID"),
        (refused("SignatureDoesNotMatch"), PLAIN, "secret key does not belong"),
        (refused("ExpiredToken"), PLAIN, "expired"),
        (refused("AccessDenied"), PLAIN, "denies access"),
        (refused("RequestTimeTooSkewed"), PLAIN, "clock of this machine"),
        (refused("NoSuchBucket", status=404), PLAIN, "no bucket 'fleet'"),
        (
            refused("AuthorizationHeaderMalformed", "expecting x", 400, Region="x-1"),
            PLAIN,
            "another region, not 'eu-west-1' (it expects 'x-1')",
        ),
        (refused("PermanentRedirect", status=301), PLAIN, "another region"),
        (
            refused("400", "The plain HTTP request was sent to HTTPS port", 400),
            PLAIN,
            "use https://",
        ),
        (refused("500", "Internal Server Error", 500), PLAIN, "not as an S3 server"),
        # nginx completes the handshake and answers in HTML.
        (refused("400", "Bad Request", 400), SECURE, "target.client_certificate"),
        (
            caused_by(no_certificate(), botocore.exceptions.SSLError, endpoint_url="x"),
            SECURE,
            "target.client_certificate",
        ),
        (refused("Teapot", "I am one", 418), PLAIN, "418 Teapot I am one"),
        (
            caused_by(
                ConnectionRefusedError(111, "Connection refused"),
                botocore.exceptions.EndpointConnectionError,
                endpoint_url="x",
            ),
            PLAIN,
            "cannot be reached: Connection refused",
        ),
        (
            caused_by(
                socket.gaierror(-2, "Name or service not known"),
                botocore.exceptions.EndpointConnectionError,
                endpoint_url="x",
            ),
            PLAIN,
            "cannot be reached: Name or service not known",
        ),
        (
            botocore.exceptions.ConnectTimeoutError(endpoint_url="x"),
            PLAIN,
            "no answer to the connection attempt",
        ),
        (
            botocore.exceptions.ReadTimeoutError(endpoint_url="x"),
            PLAIN,
            "did not answer in time",
        ),
        (
            botocore.exceptions.ConnectionClosedError(endpoint_url="x"),
            PLAIN,
            "closed the connection without an answer; if this port speaks TLS",
        ),
        (
            caused_by(untrusted(), botocore.exceptions.SSLError, endpoint_url="x"),
            SECURE,
            "not trusted: unable to get local issuer certificate; check the CA file",
        ),
        (
            caused_by(no_tls(), botocore.exceptions.SSLError, endpoint_url="x"),
            SECURE,
            "does not speak TLS on port 9443",
        ),
        (
            botocore.parsers.ResponseParserError("invalid XML"),
            PLAIN,
            "not as an S3 server does",
        ),
        (aiohttp.ClientPayloadError("cut"), SECURE, "the request failed: cut"),
    ],
)
def test_sentences(exc: Exception, endpoint: Endpoint, words: str) -> None:
    """The place is the endpoint with its bucket, the sentence names the remedy."""
    explained = explain(exc, endpoint)
    assert isinstance(explained, TargetError)
    assert explained.where == place(endpoint)
    assert words in explained.what


@pytest.mark.parametrize(
    ("skew_s", "words"),
    [
        (3600.0, "clock is 60 min ahead of ours"),
        (-1200.0, "clock is 20 min behind ours"),
    ],
)
def test_a_clock_that_is_off_is_measured(skew_s: float, words: str) -> None:
    """Whatever the target complained about; a few seconds are no news."""
    skewed = refused("RequestTimeTooSkewed")
    assert words in explain(skewed, PLAIN, clock_skew_s=skew_s).what
    assert "ours" not in explain(skewed, PLAIN, clock_skew_s=5.0).what


def test_redirects_are_told_without_their_query() -> None:
    """The query may hold a signature."""
    moved = refused("TemporaryRedirect", status=307)
    headers = {"location": "https://other.example/b?X-Amz-Signature=canary"}
    assert isinstance(moved, botocore.exceptions.ClientError)
    moved.response["ResponseMetadata"]["HTTPHeaders"] = headers
    words = explain(moved, PLAIN).what
    assert "https://other.example/b" in words
    assert "canary" not in words


def test_ipv6_hosts_are_bracketed() -> None:
    """RFC 3986 3.2.2: an IPv6 literal stands in brackets."""
    assert base_url(SECURE) == "https://[::1]:9443"
    assert place(PLAIN) == "http://127.0.0.1:9000/fleet"
