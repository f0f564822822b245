"""Tests of fleetsim.lab.aws_chunked."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.sigv4 import signing_key
from fleetsim.lab.aws_chunked import ChunkSigner, Decoder
from fleetsim.lab.s3_errors import S3Error

# The example of the AWS page "Signature calculations for … chunked upload": a body of
# 65 KiB of "a" in chunks of 64 KiB, 1 KiB and nothing.
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
CHUNKS = (
    (65536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
    (1024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
    (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
)
PUBLISHED = b"".join(
    f"{size:x};chunk-signature={sign}\r\n".encode() + b"a" * size + b"\r\n"
    for size, sign in CHUNKS
)


def published_signer() -> ChunkSigner:
    """Signer of the published example."""
    return ChunkSigner(
        key=signing_key(SECRET, "20130524", "us-east-1"),
        amz_date="20130524T000000Z",
        scope="20130524/us-east-1/s3/aws4_request",
        previous=SEED,
    )


def decode(decoder: Decoder, pieces: list[bytes]) -> bytes:
    """Decode pieces and finish."""
    out = b"".join(data for piece in pieces for data in decoder.feed(piece))
    decoder.finish()
    return out


def test_published_example() -> None:
    """The published signed stream is taken apart and its signatures agree."""
    decoder = Decoder(66560, published_signer(), has_trailer=False)
    assert decode(decoder, [PUBLISHED]) == b"a" * 66560


@pytest.mark.parametrize("at", [0, 90, 60_000, 66_000, len(PUBLISHED) - 10])
def test_published_example_damaged(at: int) -> None:
    """One changed byte anywhere is refused."""
    damaged = bytearray(PUBLISHED)
    damaged[at] ^= 1
    decoder = Decoder(66560, published_signer(), has_trailer=False)
    with pytest.raises(S3Error):
        decode(decoder, [bytes(damaged)])


UNSIGNED = (
    b"2000\r\n"
    + b"b" * 8192
    + b"\r\n3\r\nend\r\n0\r\nx-amz-checksum-crc32: AAAAAA== \r\n\r\n"
)


@given(cuts=st.lists(st.integers(0, len(UNSIGNED)), max_size=8))
def test_any_cut_gives_the_same(cuts: list[int]) -> None:
    """It does not matter in which pieces a body arrives."""
    edges = sorted({0, *cuts, len(UNSIGNED)})
    pieces = [UNSIGNED[a:b] for a, b in itertools.pairwise(edges)]
    decoder = Decoder(8195, None, has_trailer=True)
    assert decode(decoder, pieces) == b"b" * 8192 + b"end"
    assert decoder.trailers == {"x-amz-checksum-crc32": "AAAAAA=="}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"", "IncompleteBody", id="nothing"),
        pytest.param(b"5\r\nhello\r\n", "IncompleteBody", id="no last chunk"),
        pytest.param(b"5\r\nhello\r\n0\r\n", "IncompleteBody", id="no end"),
        pytest.param(b"5\r\nhello\r\n0\r\n\r\nx", "IncompleteBody", id="data behind"),
        pytest.param(b"4\r\nhell\r\n0\r\n\r\n", "IncompleteBody", id="too short"),
        pytest.param(b"6\r\nhello!\r\n0\r\n\r\n", "IncompleteBody", id="too long"),
        pytest.param(b"5\r\nhello!\r\n0\r\n\r\n", "IncompleteBody", id="chunk long"),
        pytest.param(b"+5\r\nhello\r\n0\r\n\r\n", "IncompleteBody", id="sign"),
        pytest.param(b"0x5\r\nhello\r\n0\r\n\r\n", "IncompleteBody", id="0x"),
        pytest.param(b"5;a=b\r\nhello\r\n0\r\n\r\n", "IncompleteBody", id="extension"),
        pytest.param(b"5" * 2000, "IncompleteBody", id="endless line"),
        pytest.param(
            b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "InvalidChunkSizeError", id="small"
        ),
        pytest.param(
            b"5\r\nhello\r\n0\r\nbad\r\n\r\n", "MalformedTrailerError", id="trailer"
        ),
        pytest.param(
            b"5\r\nhello\r\n0\r\na:1\r\na:2\r\n\r\n",
            "MalformedTrailerError",
            id="twice",
        ),
        pytest.param(
            b"5\r\nhello\r\n0\r\n" + b"".join(b"t%d:1\r\n" % i for i in range(9)),
            "MalformedTrailerError",
            id="many trailers",
        ),
    ],
)
def test_bad_framing(body: bytes, code: str) -> None:
    """Each kind of damage is refused with its code."""
    with pytest.raises(S3Error) as caught:
        decode(Decoder(5, None, has_trailer=True), [body])
    assert caught.value.code == code


@given(pieces=st.lists(st.binary(max_size=40), max_size=8), signed=st.booleans())
def test_random_bytes_only_refuse(pieces: list[bytes], *, signed: bool) -> None:
    """Whatever arrives, the only exception is an S3 error."""
    decoder = Decoder(9, published_signer() if signed else None, has_trailer=True)
    with pytest.raises(S3Error):
        decode(decoder, pieces)


def test_signer_hides_its_key() -> None:
    """The signing key does not show in repr."""
    signer = published_signer()
    assert signer.key.hex() not in repr(signer)
    assert str(signer.key) not in repr(signer)
