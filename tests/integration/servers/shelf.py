"""Shelf: every S3 server at most once, started when it is first asked for."""

import tempfile
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Final, Self

from tests.integration.servers.ceph import ceph
from tests.integration.servers.juicefs import juicefs
from tests.integration.servers.s3_server import S3Server
from tests.integration.servers.seaweedfs import seaweedfs
from tests.integration.servers.swift import swift

SERVERS: Final[Mapping[str, Callable[[Path], AbstractContextManager[S3Server]]]] = (
    MappingProxyType(
        {"ceph": ceph, "juicefs": juicefs, "seaweedfs": seaweedfs, "swift": swift}
    )
)


class Shelf:
    """The servers that run; stopped when the block ends."""

    def __init__(self) -> None:
        self._running: dict[str, S3Server] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Make a folder for all of them: short for sockets, open for user swift."""
        folder = tempfile.TemporaryDirectory(prefix="fleetsim-")
        self._folder = Path(self._stack.enter_context(folder))
        self._folder.chmod(0o711)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def get(self, name: str) -> S3Server:
        """A running server; started if need be.

        Args:
            name: One of :data:`SERVERS`.

        Raises:
            MissingServerError: It is not installed.
            ServerFailedError: It did not start.
        """
        if name not in self._running:
            manager = SERVERS[name](self._folder / name)
            self._running[name] = self._stack.enter_context(manager)
        return self._running[name]
