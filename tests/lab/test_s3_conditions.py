"""Tests of fleetsim.lab.s3_conditions."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from fleetsim.lab.catalogue import ObjectInfo
from fleetsim.lab.s3_conditions import (
    byte_range,
    check_copy_source,
    check_write,
    etag_matches,
    has_changed,
)
from fleetsim.lab.s3_errors import S3Error

# Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110 5.6.7.
MODIFIED_UNIX_S = 784111777.6
SAME = "Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE = "Sun, 06 Nov 1994 08:49:36 GMT"
INFO = ObjectInfo(key="k", size=10, etag="abc", modified_unix_s=MODIFIED_UNIX_S)


def headers(**values: str) -> CIMultiDictProxy[str]:
    """Headers whose names are written with underscores."""
    return CIMultiDictProxy(
        CIMultiDict({name.replace("_", "-"): value for name, value in values.items()})
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, True),
        ({"If_None_Match": '"abc"'}, False),
        ({"If_None_Match": 'W/"abc"'}, False),
        ({"If_None_Match": '"x", "abc"'}, False),
        ({"If_None_Match": "*"}, False),
        ({"If_None_Match": '"x"'}, True),
        ({"If_Match": '"abc"'}, True),
        ({"If_Match": '"x"'}, None),
        ({"If_Modified_Since": SAME}, False),
        ({"If_Modified_Since": BEFORE}, True),
        ({"If_Modified_Since": "yesterday"}, True),
        ({"If_Unmodified_Since": SAME}, True),
        ({"If_Unmodified_Since": BEFORE}, None),
        # RFC 9110 13.2.2: the tag outranks the date.
        ({"If_None_Match": '"x"', "If_Modified_Since": SAME}, True),
        ({"If_Match": '"abc"', "If_Unmodified_Since": BEFORE}, True),
    ],
)
def test_reads(given: dict[str, str], expected: bool | None) -> None:  # a table
    """Conditions of GET and HEAD: answer, 304 (False) or 412 (None)."""
    if expected is None:
        with pytest.raises(S3Error, match="PreconditionFailed"):
            has_changed(headers(**given), INFO)
    else:
        assert has_changed(headers(**given), INFO) is expected


@pytest.mark.parametrize(
    ("given", "existing", "code"),
    [
        ({}, INFO, ""),
        ({"If_None_Match": "*"}, None, ""),
        ({"If_None_Match": "*"}, INFO, "PreconditionFailed"),
        ({"If_None_Match": '"abc"'}, None, "NotImplemented"),
        ({"If_Match": '"abc"'}, INFO, ""),
        ({"If_Match": '"x"'}, INFO, "PreconditionFailed"),
        ({"If_Match": '"abc"'}, None, "NoSuchKey"),
    ],
)
def test_writes(given: dict[str, str], existing: ObjectInfo | None, code: str) -> None:
    """Conditions of PUT."""
    if not code:
        check_write(headers(**given), existing)
        return
    with pytest.raises(S3Error) as caught:
        check_write(headers(**given), existing)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("name", "value", "passes"),
    [
        ("match", '"abc"', True),
        ("match", '"x"', False),
        ("none-match", '"x"', True),
        ("none-match", '"abc"', False),
        ("modified-since", BEFORE, True),
        ("modified-since", SAME, False),
        ("unmodified-since", SAME, True),
        ("unmodified-since", BEFORE, False),
    ],
)
def test_copies(name: str, value: str, *, passes: bool) -> None:
    """Conditions on the source of a copy."""
    given = headers(**{f"x-amz-copy-source-if-{name}": value})
    if passes:
        check_copy_source(given, INFO)
    else:
        with pytest.raises(S3Error, match="PreconditionFailed"):
            check_copy_source(given, INFO)


@pytest.mark.parametrize(
    ("header", "size", "expected"),
    [
        (None, 10, None),
        ("bytes=0-0", 10, (0, 1)),
        ("bytes=2-", 10, (2, 10)),
        ("bytes=2-100", 10, (2, 10)),
        ("bytes=-3", 10, (7, 10)),
        ("bytes=-100", 10, (0, 10)),
        ("bytes=5-4", 10, None),
        ("bytes=0-1,3-4", 10, None),
        ("bytes=-", 10, None),
        ("lines=0-1", 10, None),
        ("bytes=10-", 10, "416"),
        ("bytes=-0", 10, "416"),
        ("bytes=0-", 0, "416"),
    ],
)
def test_ranges(header: str | None, size: int, expected: object) -> None:
    """Ranges of RFC 9110 14.1.2; what is not one range is ignored."""
    if expected == "416":
        with pytest.raises(S3Error, match="InvalidRange"):
            byte_range(header, size)
    else:
        assert byte_range(header, size) == expected


def test_quotes_may_be_missing() -> None:
    """Clients send ETags with and without quotes; a part of one is none."""
    assert etag_matches("abc", "abc")
    assert not etag_matches('"ab"', "abc")
