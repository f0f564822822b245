"""S3 errors: the code, status and sentence of every refusal the lab can give.

Source: Amazon S3 API reference, "Error responses". Codes that AWS does not have are
marked with whose they are.
"""

from collections.abc import Mapping
from typing import Final

from fleetsim.exceptions import FleetsimError

_TABLE: Final[Mapping[str, tuple[int, str]]] = {
    "AccessControlListNotSupported": (400, "The bucket does not allow ACLs"),
    "AccessDenied": (403, "Access Denied"),
    "AuthorizationHeaderMalformed": (400, "The authorization header is malformed"),
    "AuthorizationQueryParametersError": (400, "Error parsing the query parameters"),
    "BadDigest": (400, "The digest you specified did not match what we received."),
    "BucketAlreadyOwnedByYou": (
        409,
        "Your previous request to create the named bucket succeeded and you already own it.",
    ),
    "BucketNotEmpty": (409, "The bucket you tried to delete is not empty"),
    "EntityTooLarge": (400, "Your proposed upload exceeds the maximum allowed size"),
    "EntityTooSmall": (400, "Your proposed upload is smaller than the minimum allowed"),
    "ExpiredToken": (400, "The provided token has expired."),
    "IllegalLocationConstraintException": (400, "The location constraint is wrong."),
    "IncompleteBody": (400, "The request body terminated unexpectedly"),
    # Ours for a full disk below the folder store; 507 is RFC 4918 11.5.
    "InsufficientStorage": (507, "The disk below the object store is full."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (
        403,
        "The AWS Access Key Id you provided does not exist in our records.",
    ),
    "InvalidArgument": (400, "Invalid Argument"),
    "InvalidBucketName": (400, "The specified bucket is not valid."),
    "InvalidChunkSizeError": (
        403,
        "Only the last chunk is allowed to have a size less than 8192 bytes",
    ),
    "InvalidDigest": (400, "The Content-MD5 you specified is not valid."),
    "InvalidPart": (
        400,
        (
            "One or more of the specified parts could not be found. The part may not have "
            "been uploaded, or its entity tag or checksum may not match."
        ),
    ),
    "InvalidPartOrder": (
        400,
        "The list of parts was not in ascending order. Parts must be ordered by number.",
    ),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "InvalidRequest": (400, "Invalid Request"),
    "InvalidStorageClass": (400, "The storage class you specified is not valid"),
    "InvalidToken": (400, "The provided token is malformed or otherwise invalid."),
    "InvalidURI": (400, "Couldn't parse the specified URI."),
    "KeyTooLongError": (400, "Your key is too long"),
    "MalformedTrailerError": (
        400,
        "The request contained trailing data that was not well-formed.",
    ),
    "MalformedXML": (400, "The XML you provided was not well-formed or not valid."),
    "MetadataTooLarge": (400, "Your metadata headers exceed the maximum allowed size"),
    "MethodNotAllowed": (
        405,
        "The specified method is not allowed against this resource.",
    ),
    "MissingContentLength": (411, "You must provide the Content-Length HTTP header."),
    "NoSuchBucket": (404, "The specified bucket does not exist"),
    "NoSuchKey": (404, "The specified key does not exist."),
    "NoSuchUpload": (
        404,
        (
            "The specified upload does not exist. The upload ID may be invalid, or the "
            "upload may have been aborted or completed."
        ),
    ),
    "NotImplemented": (501, "This functionality is not implemented."),
    "PreconditionFailed": (
        412,
        "At least one of the pre-conditions you specified did not hold",
    ),
    # Ceph RGW's answer to a full quota: a refusal that SDKs do not retry, while
    # 503 SlowDown would be retried and hide that the store is full.
    "QuotaExceeded": (403, "The object store has reached its byte limit."),
    "RequestTimeTooSkewed": (
        403,
        "The difference between the request time and the current time is too large.",
    ),
    "SignatureDoesNotMatch": (
        403,
        (
            "The request signature we calculated does not match the signature you "
            "provided. Check your key and signing method."
        ),
    ),
    "TooManyBuckets": (400, "You have attempted to create more buckets than allowed"),
    "XAmzContentSHA256Mismatch": (
        400,
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
    ),
}

CODES: Final = frozenset(_TABLE)


class S3Error(FleetsimError):
    """A request is refused with an S3 error document.

    Attributes:
        code: Value of the ``Code`` element, one of :data:`CODES`.
        message: Value of the ``Message`` element; the code's own sentence by default.
        details: Further elements of the document, in order.
        headers: Further response headers.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        details: tuple[tuple[str, str], ...] = (),
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(code, message, details, headers)
        self.code = code
        self.status, sentence = _TABLE[code]
        self.message = message or sentence
        self.details = details
        self.headers = headers

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"
