"""Copies made inside the store, hashed on the way."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fleetsim.lab.checksums import Algorithm, Checksum, encode_value
from fleetsim.lab.object_store import Draft
from fleetsim.lab.s3_errors import S3Error


class HashedCopy:
    """Writes pieces of an object into a draft and hashes them.

    Args:
        draft: Where to write.
        algorithm: Checksum to compute besides the ETag.
    """

    def __init__(self, draft: Draft, algorithm: Algorithm | None) -> None:
        self._draft = draft
        self._algorithm = algorithm
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._running = algorithm.new() if algorithm is not None else None

    async def take(self, pieces: AsyncGenerator[bytes, None], size: int) -> None:
        """Take all pieces.

        Raises:
            S3Error: ``InternalError`` when they are not ``size`` bytes.
        """
        async with aclosing(pieces):
            async for piece in pieces:
                self._md5.update(piece)
                if self._running is not None:
                    self._running.update(piece)
                await self._draft.write(piece)
        if self._draft.size != size:
            raise S3Error("InternalError", "The source changed while it was copied.")

    @property
    def etag(self) -> str:
        """MD5 of what was taken, hex."""
        return self._md5.hexdigest()

    @property
    def checksum(self) -> Checksum | None:
        """Checksum of what was taken, if one was asked for."""
        if self._algorithm is None or self._running is None:
            return None
        return Checksum(
            algorithm=self._algorithm.name,
            value=encode_value(self._running.digest()),
        )
