"""Payload: bodies as slices of one block."""

import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.payload import (
    DEFAULT_BLOCK_BYTES,
    HEADER_BYTES,
    PayloadBlock,
    content_key,
)

KEYS = st.integers(1, 2**64 - 1)
SMALL = PayloadBlock(1, 100)
BLOCK = PayloadBlock(1)


def body(block: PayloadBlock, content: int, size: int) -> bytes:
    """Build the body that is never built in a run."""
    return b"".join(block.pieces(content, size))


@given(KEYS, st.integers(0, 1000))
def test_pieces_add_up(content: int, size: int) -> None:
    """Pieces are not empty and add up to the size, over any number of wraps."""
    pieces = SMALL.pieces(content, size)
    assert all(len(piece) > 0 for piece in pieces)
    assert sum(len(piece) for piece in pieces) == size


@given(KEYS, st.integers(0, 1000), st.integers(0, 1000))
def test_shorter_body_is_a_prefix(content: int, one: int, two: int) -> None:
    """The size cuts a body and never changes it."""
    short, long = sorted((one, two))
    assert body(SMALL, content, long)[:short] == body(SMALL, content, short)


@given(KEYS)
def test_body_wraps_around_the_block(content: int) -> None:
    """Behind the header, a body repeats with the period of the block."""
    text = body(SMALL, content, HEADER_BYTES + 250)[HEADER_BYTES:]
    assert text[100:] == text[:150]


@given(KEYS, KEYS, st.integers(8, 64))
def test_keys_differ_from_eight_bytes_on(one: int, two: int, size: int) -> None:
    """Two bodies of one size are equal exactly when their keys are."""
    assert (body(BLOCK, one, size) == body(BLOCK, two, size)) is (one == two)


@given(KEYS, st.integers(0, 1000))
def test_digests_are_those_of_the_body(content: int, size: int) -> None:
    """Digests equal hashlib's over the joined body, from the cache too."""
    whole = body(SMALL, content, size)
    for _ in range(2):
        assert SMALL.md5_hex(content, size) == hashlib.md5(whole).hexdigest()  # noqa: S324 - S3's ETag is an MD5
        assert SMALL.sha256_hex(content, size) == hashlib.sha256(whole).hexdigest()


def test_same_seed_same_bytes() -> None:
    """Seed, key and size decide every byte; another seed gives others."""
    assert body(PayloadBlock(5), 7, 5000) == body(PayloadBlock(5), 7, 5000)
    assert body(PayloadBlock(5), 7, 5000) != body(PayloadBlock(6), 7, 5000)


def test_golden_digest() -> None:
    """Bytes stay the same over releases: old runs must remain auditable."""
    assert PayloadBlock(0).sha256_hex(1, 4096) == (
        "dcd172208d567fa72af54f6731fd0b461583a5e37be9e18fc31e629b1284420e"
    )


def test_large_bodies_share_the_block() -> None:
    """No body is copied: every piece but the header is a view of one object."""
    pieces = BLOCK.pieces(3, 50_000_000)
    assert len({id(piece.obj) for piece in pieces[1:]}) == 1
    assert all(piece.readonly for piece in pieces)
    assert len(pieces) <= 50_000_000 // DEFAULT_BLOCK_BYTES + 4


def test_bodies_do_not_compress() -> None:
    """A compressing proxy gains nothing, as with logged data that is encrypted."""
    whole = body(BLOCK, 9, 1 << 20)
    assert len(zlib.compress(whole)) > len(whole) * 0.99


def test_content_keys_of_a_fleet_are_distinct() -> None:
    """Files of neighbouring devices, sessions and splits have their own keys."""
    keys = {
        content_key(device, session, split)
        for device in range(40)
        for session in range(40)
        for split in range(40)
    }
    assert len(keys) == 40**3
    assert all(0 < key < 2**64 for key in keys)


def test_refuses_nonsense() -> None:
    """Negative sizes and empty blocks are errors, size 0 is an empty body."""
    assert BLOCK.pieces(1, 0) == ()
    with pytest.raises(ValueError, match="size is -1"):
        BLOCK.pieces(1, -1)
    with pytest.raises(ValueError, match="block_bytes is 0"):
        PayloadBlock(1, 0)
