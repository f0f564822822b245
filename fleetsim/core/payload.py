"""Payload: log file bodies as slices of one shared random block.

A fleet uploads gigabytes; none of its bodies is ever built. A body is a 16-byte header
that names its content key, then slices of one random block from an offset that the key
picks, wrapping around. The header makes any two different keys different from eight
bytes on (the key is scrambled by a bijection of 64 bits); the block makes bodies
incompressible, as logged data of encrypted files are. Everything follows from seed, key
and size, so an audit can compute the ETag of any object of a run long after it.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from fleetsim.core.draws import derive_seed, mix

HEADER_BYTES: Final = 16
DEFAULT_BLOCK_BYTES: Final = 1 << 20
_DIGESTS_KEPT: Final = 256


def content_key(device_seed: int, session: int, split: int) -> int:
    """Name the content of one log file of one device.

    Args:
        device_seed: 64-bit seed of the device.
        session: Session of the file.
        split: Split of the file within the session.

    Returns:
        1..2**64-1; 0 is kept for "not a log file".
    """
    return derive_seed(device_seed, session, split) or 1


class PayloadBlock:
    """The shared block and the bodies cut from it.

    Args:
        seed: Seed of the run; decides every byte.
        block_bytes: Size of the block, at least 1.

    Raises:
        ValueError: ``block_bytes`` is below 1.
    """

    __slots__ = ("_block", "_md5", "_seed", "_sha256")

    def __init__(self, seed: int, block_bytes: int = DEFAULT_BLOCK_BYTES) -> None:
        if block_bytes < 1:
            raise ValueError(f"block_bytes is {block_bytes}, must be at least 1")
        self._seed = seed
        source = f"fleetsim payload {seed}".encode()
        self._block = memoryview(hashlib.shake_128(source).digest(block_bytes))
        self._md5: Callable[[int, int], str]
        self._sha256: Callable[[int, int], str]
        keep = lru_cache(maxsize=_DIGESTS_KEPT)
        self._md5 = keep(lambda content, size: self._hex("md5", content, size))
        keep = lru_cache(maxsize=_DIGESTS_KEPT)
        self._sha256 = keep(lambda content, size: self._hex("sha256", content, size))

    def __reduce__(self) -> tuple[type["PayloadBlock"], tuple[int, int]]:
        """Travel to another process as the seed that it is made of."""
        return PayloadBlock, (self._seed, len(self._block))

    def pieces(self, content: int, size: int) -> tuple[memoryview, ...]:
        """Cut one body; only its header is new memory.

        Args:
            content: Content key, see :func:`content_key`.
            size: Size of the body in bytes, 0 or more.

        Returns:
            Non-empty views whose lengths add up to ``size``.

        Raises:
            ValueError: ``size`` is negative.
        """
        if size < 0:
            raise ValueError(f"size is {size}, must not be negative")
        first = mix(content)
        second = mix(first)
        header = memoryview(((first << 64) | second).to_bytes(HEADER_BYTES, "big"))
        if size <= HEADER_BYTES:
            return (header[:size],) if size else ()
        block = self._block
        length = len(block)
        offset = mix(second) % length
        rest = size - HEADER_BYTES
        if offset + rest <= length:
            return header, block[offset : offset + rest]
        views = [header, block[offset:]]
        rest -= length - offset
        whole, rest = divmod(rest, length)
        views += [block] * whole
        if rest:
            views.append(block[:rest])
        return tuple(views)

    def md5_hex(self, content: int, size: int) -> str:
        """MD5 of one body, hex: the ETag S3 gives an object PUT in one part."""
        return self._md5(content, size)

    def sha256_hex(self, content: int, size: int) -> str:
        """SHA-256 of one body, hex: ``x-amz-content-sha256`` of a signed payload."""
        return self._sha256(content, size)

    def _hex(self, algorithm: str, content: int, size: int) -> str:
        digest = hashlib.new(algorithm, usedforsecurity=False)
        for piece in self.pieces(content, size):
            digest.update(piece)
        return digest.hexdigest()
