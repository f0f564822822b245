"""Tests of fleetsim.lab.checksums."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.lab.checksums import (
    ALGORITHMS,
    algorithm_named,
    composite,
    decode_value,
    encode_value,
    full_object,
)
from fleetsim.lab.s3_errors import S3Error

# "Check" values of the published CRC catalogues (RFC 3720 B.4 for CRC32C), and FIPS 180.
CHECK = b"123456789"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CRC32", "cbf43926"),
        ("CRC32C", "e3069283"),
        ("CRC64NVME", "ae8b14860a799888"),
        ("SHA1", hashlib.sha1(CHECK, usedforsecurity=False).hexdigest()),
        ("SHA256", hashlib.sha256(CHECK).hexdigest()),
    ],
)
def test_check_values(name: str, value: str) -> None:
    """Every algorithm gives its published check value, in big-endian order."""
    running = algorithm_named(name.lower()).new()
    running.update(CHECK)
    assert running.digest().hex() == value


@given(
    name=st.sampled_from(sorted(ALGORITHMS)),
    pieces=st.lists(st.binary(max_size=50), max_size=6),
)
def test_pieces_do_not_matter(name: str, pieces: list[bytes]) -> None:
    """A value does not depend on how the bytes were cut."""
    algorithm = ALGORITHMS[name]
    whole, running = algorithm.new(), algorithm.new()
    whole.update(b"".join(pieces))
    for piece in pieces:
        running.update(piece)
    assert running.digest() == whole.digest()


@given(
    name=st.sampled_from(["CRC32", "CRC32C", "CRC64NVME"]),
    parts=st.lists(st.binary(max_size=60), min_size=1, max_size=6),
)
def test_combined_is_the_whole(name: str, parts: list[bytes]) -> None:
    """The combined checksum of parts is the checksum of all their bytes."""
    algorithm = ALGORITHMS[name]
    values = []
    for part in parts:
        running = algorithm.new()
        running.update(part)
        values.append((running.digest(), len(part)))
    whole = algorithm.new()
    whole.update(b"".join(parts))
    assert full_object(algorithm, values) == encode_value(whole.digest())


def test_composite() -> None:
    """A composite is the hash of the parts' hashes, with their number."""
    parts = [hashlib.sha256(part).digest() for part in (b"a", b"b")]
    expected = base64.b64encode(hashlib.sha256(b"".join(parts)).digest()).decode()
    assert composite(ALGORITHMS["SHA256"], parts) == f"{expected}-2"


@pytest.mark.parametrize("value", ["", "AAAA", "AAAAAAAA", "A===", "é", "AAAA AA=="])
def test_bad_values(value: str) -> None:
    """What is not base64 of the right length is refused."""
    with pytest.raises(S3Error, match="x-amz-checksum-crc32 header is invalid"):
        decode_value(ALGORITHMS["CRC32"], value)


def test_what_does_not_exist_is_refused() -> None:
    """An unknown algorithm, and a full-object hash, are InvalidRequest."""
    with pytest.raises(S3Error, match="unsupported"):
        algorithm_named("MD5")
    with pytest.raises(S3Error, match="FULL_OBJECT"):
        full_object(ALGORITHMS["SHA1"], [(b"x" * 20, 1)])
