"""Explain: what went wrong between us and the target, and what to do about it.

The one place that turns botocore's exceptions into :class:`TargetError` sentences.
"""

import ssl
from collections.abc import Iterator
from typing import Final

import aiohttp
import botocore.exceptions
import botocore.parsers

from fleetsim.core.settings import Endpoint
from fleetsim.exceptions import TargetError

_BY_CODE: Final = {
    "InvalidAccessKeyId": "does not know this access key: check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": (
        "does not accept the signature: the secret key does not belong to the access "
        "key (or a proxy changes requests)"
    ),
    "InvalidToken": "does not accept the session token: check AWS_SESSION_TOKEN",
    "InvalidTokenId": "does not accept the session token: check AWS_SESSION_TOKEN",
    "ExpiredToken": "says the session token has expired: get new credentials",
    "TokenRefreshRequired": "says the session token must be renewed: get new credentials",
    "AccessDenied": (
        "denies access: the bucket belongs to somebody else, or these credentials lack "
        "a right on it (ListBucket, PutObject and DeleteObject are needed)"
    ),
    "AllAccessDisabled": "has shut this bucket or its owner off",
    "AccountProblem": "has shut this account off",
    "UserSuspended": "has suspended the user of this access key",
    "NotSignedUp": "says that this account has no S3",
    "RequestTimeTooSkewed": (
        "says the clock of this machine is wrong (more than 15 minutes off)"
    ),
    "AuthorizationHeaderMalformed": "expects another region",
    "PermanentRedirect": "keeps this bucket in another region",
    "IllegalLocationConstraintException": "keeps its buckets in another region",
    "TemporaryRedirect": "moves this bucket to another address for now: try again later",
    "QuotaExceeded": "says that a quota is used up",
    "EntityTooLarge": "does not take objects of this size (a single PUT: 5 GiB at most)",
    "InvalidBucketName": "does not take this bucket name",
    "BucketAlreadyExists": "has this bucket already, and somebody else owns it",
    "SlowDown": "is overloaded (SlowDown)",
    "ServiceUnavailable": "is overloaded (ServiceUnavailable)",
}
_CLIENT_HINT: Final = (
    "if it asks for client certificates, give it one that it accepts "
    "(target.client_certificate and client_key)"
)
_ABOUT_CLIENTS: Final = frozenset(
    {
        # RFC 5246 7.2.2: what a server says without a certificate, or to a wrong one.
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "TLSV1_ALERT_UNKNOWN_CA",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    }
)
_SKEW_WORTH_A_WORD_S: Final = 60.0
_EXPIRED: Final = frozenset({"ExpiredToken", "TokenRefreshRequired"})
_NO_BUCKET: Final = frozenset({"NoSuchBucket"})


def place(endpoint: Endpoint) -> str:
    """Name an endpoint as people do: ``https://host:port/bucket``."""
    return f"{base_url(endpoint)}/{endpoint.bucket}"


def base_url(endpoint: Endpoint) -> str:
    """Give the URL of an endpoint without the bucket."""
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    return f"{endpoint.scheme}://{host}:{endpoint.port}"


def is_missing_bucket(exc: botocore.exceptions.ClientError) -> bool:
    """Tell whether the bucket does not exist."""
    return exc.response.get("Error", {}).get("Code") in _NO_BUCKET


def has_expired(exc: botocore.exceptions.ClientError) -> bool:
    """Tell whether the credentials were good once."""
    return exc.response.get("Error", {}).get("Code") in _EXPIRED


def explain(
    exc: Exception, endpoint: Endpoint, *, clock_skew_s: float = 0.0
) -> TargetError:
    """Put a failed request into one sentence.

    Args:
        exc: What botocore, aiohttp or the operating system raised.
        endpoint: Where the request went.
        clock_skew_s: Target's clock minus ours, where it is known.
    """
    where = place(endpoint)
    if isinstance(exc, botocore.exceptions.ClientError):
        what = _of_code(exc, endpoint)
        if abs(clock_skew_s) >= _SKEW_WORTH_A_WORD_S:
            # a wrong clock also makes tokens expire and requests look replayed
            side = "ahead of" if clock_skew_s > 0 else "behind"
            minutes = abs(clock_skew_s) / 60
            what += f"; its clock is {minutes:,.0f} min {side} ours"
        return TargetError(where, what)
    if isinstance(exc, botocore.exceptions.ParamValidationError):
        return TargetError(where, f"the request is not valid: {exc}")
    for cause in _causes(exc):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return TargetError(
                where,
                f"its certificate is not trusted: {cause.verify_message}; "
                "check the CA file of the target",
            )
        if isinstance(cause, ssl.SSLError):
            return TargetError(where, _of_tls(cause, endpoint))
    match exc:
        case botocore.exceptions.ConnectTimeoutError():
            what = "cannot be reached: no answer to the connection attempt in time"
        case botocore.exceptions.ReadTimeoutError():
            what = "accepted the connection but did not answer in time"
        case botocore.exceptions.EndpointConnectionError():
            what = f"cannot be reached: {_root(exc)}"
        case botocore.exceptions.ConnectionClosedError():
            what = "closed the connection without an answer" + _maybe_tls(endpoint)
        case botocore.parsers.ResponseParserError():
            what = "answers, but not as an S3 server does: check host and port"
        case _:
            what = f"the request failed: {_root(exc)}" + _maybe_tls(endpoint)
    return TargetError(where, what)


def _of_code(exc: botocore.exceptions.ClientError, endpoint: Endpoint) -> str:
    error = exc.response.get("Error", {})
    code, message = str(error.get("Code", "")), str(error.get("Message", ""))
    status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if is_missing_bucket(exc):
        return (
            f"there is no bucket {endpoint.bucket!r} here: create it first, or let "
            "--create-bucket do it"
        )
    words = _BY_CODE.get(code)
    if code in {"AuthorizationHeaderMalformed", "PermanentRedirect"}:
        region = error.get("Region") or exc.response.get("ResponseMetadata", {}).get(
            "HTTPHeaders", {}
        ).get("x-amz-bucket-region", "")
        hint = f" (it expects {region!r})" if region else ""
        return f"{words}, not {endpoint.region!r}{hint}: {message[:200]}"
    location = _location(exc)
    if 300 <= status < 400 and location:
        words = words or "answers with a redirect"
        return f"{words} (status {status}, to {location}); devices follow none"
    if words is None and status == 400 and not endpoint.is_tls and "HTTPS" in message:
        words = "speaks HTTPS on this port: use https:// in the endpoint"
    if words is None and code.isdigit():
        # no error document: botocore put the status in its place
        return (
            f"answers with status {status}, but not as an S3 server does: check host "
            "and port"
            + (f"; {_CLIENT_HINT}" if endpoint.is_tls and status == 400 else "")
        )
    return words or f"refused the request: {status} {code} {message[:200]}".rstrip()


def _location(exc: botocore.exceptions.ClientError) -> str:
    """Where a redirect leads, without its query, which may carry a signature."""
    headers = exc.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    endpoint = exc.response.get("Error", {}).get("Endpoint", "")
    return str(headers.get("location", endpoint)).partition("?")[0][:200]


def _of_tls(cause: ssl.SSLError, endpoint: Endpoint) -> str:
    reason = cause.reason or ""
    if reason in {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}:
        return (
            f"does not speak TLS on port {endpoint.port}: use http:// in the endpoint "
            "or another port"
        )
    hint = f"; {_CLIENT_HINT}" if reason in _ABOUT_CLIENTS else ""
    return f"the TLS handshake failed: {reason or cause}{hint}"


def _maybe_tls(endpoint: Endpoint) -> str:
    return "" if endpoint.is_tls else "; if this port speaks TLS, use https://"


def _causes(exc: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[object] = [exc]
    while waiting:
        current = waiting.pop()
        if not isinstance(current, BaseException) or id(current) in seen:
            continue
        seen.add(id(current))
        if not isinstance(current, aiohttp.ClientError):
            yield current  # aiohttp's own are SSLError by name only, without a reason
        waiting += [
            current.__cause__,
            current.__context__,
            getattr(current, "kwargs", {}).get("error"),
            getattr(current, "os_error", None),
            *current.args,
        ]


def _root(exc: Exception) -> str:
    texts = [
        cause.strerror
        for cause in _causes(exc)
        if isinstance(cause, OSError) and cause.strerror
    ]
    return texts[-1] if texts else str(exc)
