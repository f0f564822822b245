"""Conditions and ranges of requests (RFC 9110 13 and 14), as S3 evaluates them."""

import re
from email.utils import parsedate_to_datetime
from typing import Final

from fleetsim.lab.catalogue import ObjectInfo
from fleetsim.lab.s3_auth import Headers
from fleetsim.lab.s3_errors import S3Error

_RANGE: Final = re.compile(r"bytes=(?:(\d{1,18})-(\d{0,18})|-(\d{1,18}))")


def has_changed(headers: Headers, info: ObjectInfo) -> bool:
    """Evaluate the conditions of a GET or HEAD.

    Returns:
        Whether to answer with the object; ``False`` = 304.

    Raises:
        S3Error: ``PreconditionFailed``.
    """
    match = headers.get("If-Match")
    if match is not None:
        if not etag_matches(match, info.etag):
            raise _failed("If-Match")
    elif _is_later(info, headers.get("If-Unmodified-Since")):
        raise _failed("If-Unmodified-Since")
    none_match = headers.get("If-None-Match")
    if none_match is not None:
        return not etag_matches(none_match, info.etag)
    return _is_later(info, headers.get("If-Modified-Since")) is not False


def check_write(headers: Headers, existing: ObjectInfo | None) -> None:
    """Evaluate the conditions of a PUT ("Conditional writes", S3 user guide).

    Raises:
        S3Error: ``PreconditionFailed``, ``NoSuchKey`` or ``NotImplemented``.
    """
    none_match = headers.get("If-None-Match")
    if none_match is not None:
        if none_match.strip() != "*":
            raise S3Error(
                "NotImplemented",
                "A header you provided implies functionality that is not implemented",
                details=(("Header", "If-None-Match"),),
            )
        if existing is not None:
            raise _failed("If-None-Match")
    match = headers.get("If-Match")
    if match is not None:
        if existing is None:
            raise S3Error("NoSuchKey")
        if not etag_matches(match, existing.etag):
            raise _failed("If-Match")


def check_copy_source(headers: Headers, info: ObjectInfo) -> None:
    """Evaluate the ``x-amz-copy-source-if-…`` conditions.

    Raises:
        S3Error: ``PreconditionFailed``.
    """
    prefix = "x-amz-copy-source-if-"
    match = headers.get(f"{prefix}match")
    if match is not None:
        if not etag_matches(match, info.etag):
            raise _failed(f"{prefix}match")
    elif _is_later(info, headers.get(f"{prefix}unmodified-since")):
        raise _failed(f"{prefix}unmodified-since")
    none_match = headers.get(f"{prefix}none-match")
    if none_match is not None:
        if etag_matches(none_match, info.etag):
            raise _failed(f"{prefix}none-match")
    elif _is_later(info, headers.get(f"{prefix}modified-since")) is False:
        raise _failed(f"{prefix}modified-since")


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """Read a ``Range`` header.

    Args:
        header: Value; anything but one satisfiable byte range is ignored, as RFC 9110
            14.2 allows and S3 does for several ranges.
        size: Bytes of the object.

    Returns:
        ``(start, stop)``, stop exclusive; ``None`` = the whole object.

    Raises:
        S3Error: ``InvalidRange`` when the range lies behind the end.
    """
    if header is None:
        return None
    match = _RANGE.fullmatch(header.strip())
    if match is None:
        return None
    first, last, suffix = match.groups()
    if suffix is not None:
        start, stop = max(size - int(suffix), 0), size
    else:
        start = int(first)
        stop = min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
    if start >= stop:
        raise S3Error(
            "InvalidRange",
            details=(("RangeRequested", header), ("ActualObjectSize", str(size))),
            headers=(("Content-Range", f"bytes */{size}"),),
        )
    return start, stop


def etag_matches(header: str, etag: str) -> bool:
    """Whether a list of entity tags names an object's; quotes may be missing."""
    for item in header.split(","):
        tag = item.strip().removeprefix("W/").strip('"')
        if tag in {"*", etag}:
            return True
    return False


def _is_later(info: ObjectInfo, header: str | None) -> bool | None:
    """Whether an object changed after a date; ``None`` when there is no such date."""
    if header is None:
        return None
    try:
        date_unix_s = parsedate_to_datetime(header).timestamp()
    except (ValueError, OverflowError):
        return None
    # Last-Modified, which the client has its date from, is in whole seconds.
    return int(info.modified_unix_s) > date_unix_s


def _failed(condition: str) -> S3Error:
    return S3Error("PreconditionFailed", details=(("Condition", condition),))
