"""Verification of SigV4: who signed a request, and is it what was signed.

Header auth, presigned queries, and the values ``x-amz-content-sha256`` may have. The
canonical forms are those of :mod:`fleetsim.core.sigv4`; what is decided here is which
requests are refused, and with which of S3's codes. Signatures are compared in constant
time. Nothing secret is in an error.

Source: Amazon S3 API reference, "Authenticating requests (AWS Signature Version 4)".
"""

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from multidict import CIMultiDictProxy

from fleetsim.core.sigv4 import (
    ALGORITHM,
    MAX_PRESIGN_S,
    STREAMING_PAYLOAD,
    STREAMING_PAYLOAD_TRAILER,
    STREAMING_UNSIGNED_PAYLOAD_TRAILER,
    UNSIGNED_PAYLOAD,
    amz_date,
    canonical_query,
    canonical_request,
    credential_scope,
    parse_amz_date,
    signature,
    signing_key,
    string_to_sign,
)
from fleetsim.lab.aws_chunked import ChunkSigner
from fleetsim.lab.credential_book import CredentialBook
from fleetsim.lab.s3_errors import S3Error
from fleetsim.lab.s3_uri import canonical_uri

STREAMING: Final = frozenset(
    {STREAMING_PAYLOAD, STREAMING_PAYLOAD_TRAILER, STREAMING_UNSIGNED_PAYLOAD_TRAILER}
)

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=([!-+\--~]+)\s*,"
    r"\s*SignedHeaders=([a-z0-9;_.-]+)\s*,\s*Signature=([0-9a-f]{64})\s*"
)
_CREDENTIAL = re.compile(r"(.+)/([0-9]{8})/([A-Za-z0-9-]*)/([a-z0-9]+)/([a-z0-9_]+)")
_SHA256 = re.compile(r"[0-9a-f]{64}")
Headers = CIMultiDictProxy[str]

# A second of a load has thousands of requests of the same date.
_parse_date = lru_cache(maxsize=1024)(parse_amz_date)

_QUERY_NAMES: Final = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthRules:
    """What is checked beyond the signature.

    Attributes:
        region: The region requests must be signed for.
        check_region: ``False`` accepts any region, as some S3 servers do.
        max_skew_s: Largest difference between the request's clock and ours.
    """

    region: str = "us-east-1"
    check_region: bool = True
    max_skew_s: float = 900.0


@dataclass(slots=True, kw_only=True)
class Identity:
    """Who signed a request, and how its body is to be checked.

    Attributes:
        access_key: Access key id.
        payload: Hex SHA-256 the body must have, ``UNSIGNED-PAYLOAD``, or one of
            :data:`STREAMING`.
        chunks: For a stream with signed chunks.
    """

    access_key: str
    payload: str
    chunks: ChunkSigner | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Claim:
    """What a request says of its signature."""

    access_key: str
    amz_date: str
    date: str
    region: str
    signed_headers: tuple[str, ...]
    signature: str
    token: str
    payload: str


class Verifier:
    """Verifies signatures against a book of credentials."""

    def __init__(self, book: CredentialBook, rules: AuthRules) -> None:
        self._book = book
        self._rules = rules

    def verify(
        self,
        method: str,
        raw_path: str,
        query: Sequence[tuple[str, str]],
        headers: Headers,
        now_unix_s: float,
    ) -> Identity:
        """Find out who signed a request.

        Args:
            method: HTTP method.
            raw_path: Path as sent, still encoded, without the query.
            query: Decoded query parameters, in order.
            headers: Request headers.
            now_unix_s: The server's clock.

        Raises:
            S3Error: The request is not signed, not properly, or by nobody we know.
        """
        header = headers.get("Authorization", "")
        names = {name for name, _ in query} if query else frozenset()
        presigned = "X-Amz-Algorithm" in names or "X-Amz-Signature" in names
        if header and presigned:
            raise S3Error(
                "InvalidArgument",
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query "
                "parameter or the Authorization header should be specified",
            )
        if header:
            claim = self._header_claim(header, headers, now_unix_s)
        elif presigned:
            claim = self._query_claim(dict(query), headers, now_unix_s)
            query = [item for item in query if item[0] != "X-Amz-Signature"]
        elif "Signature" in names and "AWSAccessKeyId" in names:
            raise _old_signature()
        else:
            raise S3Error("AccessDenied")
        credentials = self._book.admit(claim.access_key, claim.token, now_unix_s)
        _check_all_signed(claim.signed_headers, headers)

        signed = [
            (name, value)
            for name in claim.signed_headers
            for value in headers.getall(name, ("",))
        ]
        request = canonical_request(
            method,
            canonical_uri(raw_path),
            canonical_query(query) if query else "",
            signed,
            claim.payload,
        )
        scope = credential_scope(claim.date, claim.region)
        to_sign = string_to_sign(claim.amz_date, scope, request)
        key = signing_key(credentials.secret_key, claim.date, claim.region)
        if not hmac.compare_digest(signature(key, to_sign), claim.signature):
            details = [
                ("AWSAccessKeyId", claim.access_key),
                ("StringToSign", to_sign),
                ("SignatureProvided", claim.signature),
            ]
            if not claim.token:  # it would be part of it
                details.append(("CanonicalRequest", request))
            raise S3Error("SignatureDoesNotMatch", details=tuple(details))
        chunks = None
        if claim.payload in {STREAMING_PAYLOAD, STREAMING_PAYLOAD_TRAILER}:
            chunks = ChunkSigner(
                key=key,
                amz_date=claim.amz_date,
                scope=scope,
                previous=claim.signature,
            )
        return Identity(
            access_key=claim.access_key, payload=claim.payload, chunks=chunks
        )

    def _header_claim(self, header: str, headers: Headers, now: float) -> _Claim:
        match = _AUTHORIZATION.fullmatch(header)
        if match is None:
            raise _bad_authorization(header)
        access_key, date, region = self._scope(
            match[1],
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; ",
        )
        stamp = headers.get("x-amz-date", "")
        signed_unix_s = _parse_date(stamp)
        if signed_unix_s is None:
            raise S3Error(
                "AccessDenied",
                "AWS authentication requires a valid Date or x-amz-date header",
            )
        if abs(now - signed_unix_s) > self._rules.max_skew_s:
            raise S3Error(
                "RequestTimeTooSkewed",
                details=(
                    ("RequestTime", stamp),
                    ("ServerTime", amz_date(int(now))),
                    (
                        "MaxAllowedSkewMilliseconds",
                        str(round(self._rules.max_skew_s * 1000)),
                    ),
                ),
            )
        if stamp[:8] != date:
            raise S3Error(
                "AuthorizationHeaderMalformed",
                "The authorization header is malformed; Invalid credential date "
                f'"{date}". This date is not the same as X-Amz-Date: "{stamp[:8]}".',
            )
        payload = headers.get("x-amz-content-sha256", "")
        if not payload:
            raise S3Error(
                "InvalidRequest",
                "Missing required header for this request: x-amz-content-sha256",
            )
        _check_payload_word(payload)
        return _Claim(
            access_key=access_key,
            amz_date=stamp,
            date=date,
            region=region,
            signed_headers=tuple(match[2].split(";")),
            signature=match[3],
            token=headers.get("x-amz-security-token", ""),
            payload=payload,
        )

    def _query_claim(
        self, query: Mapping[str, str], headers: Headers, now: float
    ) -> _Claim:
        for name in _QUERY_NAMES:
            if not query.get(name):
                raise _bad_query(
                    "Query-string authentication version 4 requires the "
                    "X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, "
                    "X-Amz-SignedHeaders, and X-Amz-Expires parameters."
                )
        if query["X-Amz-Algorithm"] != ALGORITHM:
            raise _bad_query(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
        access_key, date, region = self._scope(
            query["X-Amz-Credential"], "AuthorizationQueryParametersError", ""
        )
        stamp = query["X-Amz-Date"]
        signed_unix_s = _parse_date(stamp)
        if signed_unix_s is None or stamp[:8] != date:
            raise _bad_query(
                "X-Amz-Date must be in the ISO8601 Long Format "
                "\"yyyyMMdd'T'HHmmss'Z'\" and of the date of X-Amz-Credential"
            )
        life = query["X-Amz-Expires"]
        if not (life.isascii() and life.isdigit() and len(life) <= 7):
            raise _bad_query("X-Amz-Expires should be a number")
        if int(life) > MAX_PRESIGN_S:
            raise _bad_query(
                "X-Amz-Expires must be less than a week (in seconds) that is 604800"
            )
        if signed_unix_s - now > self._rules.max_skew_s:
            raise S3Error("AccessDenied", "Request is not yet valid")
        if now > signed_unix_s + int(life):
            raise S3Error(
                "AccessDenied",
                "Request has expired",
                details=(
                    ("X-Amz-Expires", life),
                    ("Expires", amz_date(signed_unix_s + int(life))),
                    ("ServerTime", amz_date(int(now))),
                ),
            )
        signed = query["X-Amz-SignedHeaders"]
        given = query["X-Amz-Signature"]
        if not _SHA256.fullmatch(given):
            raise S3Error("SignatureDoesNotMatch")
        payload = (
            query.get("X-Amz-Content-Sha256")
            or headers.get("x-amz-content-sha256")
            or UNSIGNED_PAYLOAD
        )
        _check_payload_word(payload)
        return _Claim(
            access_key=access_key,
            amz_date=stamp,
            date=date,
            region=region,
            signed_headers=tuple(signed.lower().split(";")),
            signature=given,
            token=query.get("X-Amz-Security-Token", ""),
            payload=payload,
        )

    def _scope(self, credential: str, code: str, start: str) -> tuple[str, str, str]:
        """Split a credential into access key, date and region; check the rest."""
        match = _CREDENTIAL.fullmatch(credential)
        if match is None:
            raise S3Error(
                code,
                f"{start}the Credential is mal-formed; expecting "
                '"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".',
            )
        access_key, date, region, service, end = match.groups()
        if service != "s3":
            raise S3Error(
                code,
                f'{start}incorrect service "{service}". This endpoint belongs to "s3".',
            )
        if end != "aws4_request":
            raise S3Error(
                code,
                f'{start}incorrect terminal "{end}". This endpoint uses "aws4_request".',
            )
        expected = self._rules.region
        if self._rules.check_region and region != expected:
            raise S3Error(
                code,
                f"{start}the region '{region}' is wrong; expecting '{expected}'",
                details=(("Region", expected),),
            )
        return access_key, date, region


def _check_payload_word(payload: str) -> None:
    if (
        payload != UNSIGNED_PAYLOAD
        and payload not in STREAMING
        and not _SHA256.fullmatch(payload)
    ):
        raise S3Error(
            "InvalidArgument",
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
            details=(("ArgumentName", "x-amz-content-sha256"),),
        )


def _check_all_signed(signed: tuple[str, ...], headers: Headers) -> None:
    """Demand that ``host`` and every ``x-amz-*`` header present is signed."""
    missing = []
    if "host" not in signed:
        missing.append("host")
    for name in headers:
        lower = name.lower()
        if lower.startswith("x-amz-") and lower not in signed:
            missing.append(lower)
    if missing:
        raise S3Error(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            details=(("HeadersNotSigned", ", ".join(missing)),),
        )


def _bad_authorization(header: str) -> S3Error:
    if header.startswith("AWS "):
        return _old_signature()
    if not header.startswith("AWS4-HMAC-SHA256"):
        return S3Error(
            "InvalidArgument",
            "Unsupported Authorization Type",
            details=(("ArgumentName", "Authorization"),),
        )
    return S3Error(
        "AuthorizationHeaderMalformed",
        "The authorization header is malformed; it needs Credential, SignedHeaders and "
        "Signature, in this order.",
    )


def _old_signature() -> S3Error:
    return S3Error(
        "InvalidRequest",
        "The authorization mechanism you have provided is not supported. Please use "
        "AWS4-HMAC-SHA256.",
    )


def _bad_query(message: str) -> S3Error:
    return S3Error("AuthorizationQueryParametersError", message)
