"""Checksums an S3 client may send with an object, and how parts' checksums combine.

CRC32C and CRC64NVME come from the AWS common runtime (``awscrt``): written by AWS, in
hardware where there is any, and with the combine functions that a full-object checksum
of a multipart upload needs. Source: Amazon S3 user guide, "Checking object integrity".
"""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from awscrt import checksums as crt

from fleetsim.lab.s3_errors import S3Error

COMPOSITE: Final = "COMPOSITE"
FULL_OBJECT: Final = "FULL_OBJECT"


class Hash(Protocol):
    """What is needed of a running hash."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def digest(self) -> bytes:
        """Return the value of the bytes so far."""
        ...


class _Crc:
    """A CRC behind the interface of a hash; the digest is big-endian."""

    __slots__ = ("_function", "_size", "_value")

    def __init__(self, function: Callable[[bytes, int], int], size: int) -> None:
        self._function = function
        self._size = size
        self._value = 0

    def update(self, data: bytes, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """A checksum algorithm of S3.

    Attributes:
        name: As in ``x-amz-checksum-algorithm``: ``CRC32``, ``SHA256`` …
        header: Header that carries the base64 value, lower case.
        element: XML element that carries it.
        size: Bytes of a value.
        new: Makes a running hash.
        combine: ``(crc of a, crc of b, bytes of b) -> crc of a + b``; ``None`` for
            hashes, which do not combine.
        composite: Whether a multipart upload may have a checksum of checksums.
    """

    name: str
    header: str
    element: str
    size: int
    new: Callable[[], Hash]
    combine: Callable[[int, int, int], int] | None = None
    composite: bool = True

    @property
    def default_type(self) -> str:
        """Checksum type of a multipart upload that names none."""
        return COMPOSITE if self.composite else FULL_OBJECT


def _algorithm(
    name: str,
    size: int,
    new: Callable[[], Hash],
    combine: Callable[[int, int, int], int] | None = None,
    *,
    composite: bool = True,
) -> Algorithm:
    return Algorithm(
        name=name,
        header=f"x-amz-checksum-{name.lower()}",
        element=f"Checksum{name}",
        size=size,
        new=new,
        combine=combine,
        composite=composite,
    )


ALGORITHMS: Final[Mapping[str, Algorithm]] = {
    algorithm.name: algorithm
    for algorithm in (
        _algorithm("CRC32", 4, lambda: _Crc(zlib.crc32, 4), crt.combine_crc32),
        _algorithm("CRC32C", 4, lambda: _Crc(crt.crc32c, 4), crt.combine_crc32c),
        _algorithm(
            "CRC64NVME",
            8,
            lambda: _Crc(crt.crc64nvme, 8),
            crt.combine_crc64nvme,
            composite=False,
        ),
        _algorithm("SHA1", 20, lambda: hashlib.sha1(usedforsecurity=False)),
        _algorithm("SHA256", 32, hashlib.sha256),
    )
}
BY_HEADER: Final[Mapping[str, Algorithm]] = {
    algorithm.header: algorithm for algorithm in ALGORITHMS.values()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checksum:
    """A stored checksum.

    Attributes:
        algorithm: Name of the algorithm.
        value: Base64, with ``-N`` for a composite of N parts.
        type: ``FULL_OBJECT`` or ``COMPOSITE``.
    """

    algorithm: str
    value: str
    type: str = FULL_OBJECT


def algorithm_named(name: str) -> Algorithm:
    """Find an algorithm by its S3 name, any case.

    Raises:
        S3Error: ``InvalidRequest`` for an unknown name.
    """
    found = ALGORITHMS.get(name.upper())
    if found is None:
        raise S3Error(
            "InvalidRequest",
            "Checksum algorithm provided is unsupported. Please try again with any of "
            "the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]",
        )
    return found


def decode_value(algorithm: Algorithm, value: str) -> bytes:
    """Decode the base64 value of a checksum header.

    Raises:
        S3Error: ``InvalidRequest`` if it is not base64 of the right length.
    """
    try:
        raw = base64.b64decode(value.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raw = b""
    if len(raw) != algorithm.size:
        raise S3Error(
            "InvalidRequest", f"Value for {algorithm.header} header is invalid."
        )
    return raw


def encode_value(raw: bytes) -> str:
    """Encode a checksum as its header carries it."""
    return base64.b64encode(raw).decode("ascii")


def composite(algorithm: Algorithm, parts: Sequence[bytes]) -> str:
    """Checksum of the parts' checksums, ``base64-N``."""
    whole = algorithm.new()
    whole.update(b"".join(parts))
    return f"{encode_value(whole.digest())}-{len(parts)}"


def full_object(algorithm: Algorithm, parts: Sequence[tuple[bytes, int]]) -> str:
    """Checksum of the whole object from ``(checksum, size)`` of its parts.

    Raises:
        S3Error: ``InvalidRequest`` if the algorithm does not combine.
    """
    if algorithm.combine is None:
        raise S3Error(
            "InvalidRequest",
            f"The FULL_OBJECT checksum type cannot be used with {algorithm.name}.",
        )
    value = 0
    for raw, size in parts:
        value = algorithm.combine(value, int.from_bytes(raw, "big"), size)
    return encode_value(value.to_bytes(algorithm.size, "big"))
