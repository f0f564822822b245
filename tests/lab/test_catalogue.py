"""Tests of fleetsim.lab.catalogue."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.lab.catalogue import Bucket, Buckets, ObjectInfo, Room, is_bucket_name
from fleetsim.lab.s3_errors import S3Error

KEYS = st.sets(st.text("ab/é\U0010ffff", min_size=1, max_size=5), max_size=25)


def info(key: str) -> ObjectInfo:
    """An empty object."""
    return ObjectInfo(key=key, size=0, etag="", modified_unix_s=0.0)


def listing(keys: set[str], prefix: str, delimiter: str) -> list[str]:
    """What a listing must show, by the words of the S3 reference: keys and groups."""
    shown = set()
    for key in keys:
        if key.startswith(prefix):
            head, found, _ = key[len(prefix) :].partition(delimiter or "\0")
            shown.add(prefix + head + found if found else key)
    return sorted(shown, key=str.encode)


@given(
    keys=KEYS,
    removed=KEYS,
    prefix=st.text("ab/", max_size=2),
    delimiter=st.sampled_from(["", "/", "ab", "\U0010ffff"]),
    limit=st.integers(1, 30),
)
def test_pages_are_the_listing(
    keys: set[str], removed: set[str], prefix: str, delimiter: str, limit: int
) -> None:
    """Pages of any size, one after the other, are the whole listing in UTF-8 order."""
    bucket = Bucket("b", 0.0)
    half = sorted(keys)[::2]
    for key in half:
        bucket.put(info(key))
    bucket.page(limit=1)  # sort now, merge the others later
    for key in keys:
        bucket.put(info(key))
    for key in removed:
        bucket.remove(key)
    shown: list[str] = []
    after = ""
    while True:
        page = bucket.page(prefix=prefix, delimiter=delimiter, after=after, limit=limit)
        names = [entry.key for entry in page.objects] + list(page.common_prefixes)
        assert len(names) <= limit
        shown += sorted(names, key=str.encode)
        if not page.is_truncated:
            break
        assert len(names) == limit
        assert page.last > after  # or it would never end
        after = page.last
    assert shown == listing(keys - removed, prefix, delimiter)


@given(keys=KEYS, after=st.text("ab/é", max_size=4))
def test_after(keys: set[str], after: str) -> None:
    """Only keys after the given one are listed, whether it exists or not."""
    bucket = Bucket("b", 0.0)
    for key in keys:
        bucket.put(info(key))
    page = bucket.page(after=after, limit=1000)
    assert [entry.key for entry in page.objects] == sorted(k for k in keys if k > after)


@pytest.mark.parametrize(
    ("name", "is_valid"),
    [
        ("fleet", True),
        ("a.b-c", True),
        ("0ab", True),
        ("a" * 63, True),
        ("a" * 64, False),
        ("ab", False),
        ("Fleet", False),
        ("fleet_1", False),
        ("-fleet", False),
        ("fleet.", False),
        ("a..b", False),
        ("192.168.0.1", False),
        ("", False),
        ("fleet\n", False),
    ],
)
def test_bucket_names(name: str, *, is_valid: bool) -> None:
    """Bucket names follow the published rules."""
    assert is_bucket_name(name) is is_valid


def test_buckets() -> None:
    """A bucket is made once, and removed only when it is empty."""
    buckets = Buckets()
    buckets.create_bucket("one", 1.0)
    buckets.buckets["one"].put(info("k"))
    buckets.create_bucket("one", 2.0)
    assert buckets.buckets["one"].created_unix_s == 1.0
    with pytest.raises(S3Error, match="BucketNotEmpty"):
        buckets.delete_bucket("one")
    buckets.buckets["one"].remove("k")
    buckets.delete_bucket("one")
    with pytest.raises(S3Error, match="NoSuchBucket"):
        buckets.delete_bucket("one")


def test_room() -> None:
    """Bytes are held up to the limit; what is refused is not held."""
    room = Room(10)
    room.take(10)
    with pytest.raises(S3Error, match="QuotaExceeded"):
        room.take(1)
    assert room.used_bytes == 10
    room.give(4)
    room.take(4)
    Room(None).take(10**15)
