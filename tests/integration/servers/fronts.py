"""TLS fronts: nginx, HAProxy and Envoy on a port of their own before an S3 server.

nginx and HAProxy are configured, run and told to change by the program's own
terminators (:mod:`fleetsim.lab.terminators`), without the lab.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol, assert_never

from fleetsim.exceptions import InputError
from fleetsim.lab.terminators.haproxy import Haproxy
from fleetsim.lab.terminators.nginx import Nginx, user_of_this_process
from fleetsim.lab.terminators.program import Capacity, Program, Wiring
from fleetsim.lab.terminators.terminator import Terminator
from fleetsim.transport.tls_server import ServerTls
from tests.integration.servers.envoy import envoy
from tests.integration.servers.process import (
    ServerFailedError,
    executable,
    free_ports,
)

CAPACITY: Final = Capacity(
    connections=4000, handshake_timeout_s=30.0, idle_timeout_s=75.0
)


class FrontKind(StrEnum):
    """A program that ends TLS."""

    NGINX = "nginx"
    HAPROXY = "haproxy"
    ENVOY = "envoy"


class Front(Protocol):
    """A front that runs."""

    @property
    def port(self) -> int:
        """Where it listens on 127.0.0.1."""
        ...

    @property
    def log(self) -> Path | None:
        """Log that ``target: observe`` can read; ``None`` = it has none."""
        ...

    async def swap(self, tls: ServerTls) -> None:
        """Use other settings from now on."""
        ...


@dataclass(frozen=True, slots=True)
class TerminatorFront:
    """nginx or HAProxy.

    Attributes:
        port: Where it listens on 127.0.0.1.
        log: Log that ``target: observe`` can read.
        terminator: The program.
    """

    port: int
    log: Path
    terminator: Terminator

    async def swap(self, tls: ServerTls) -> None:
        """Use other settings from now on."""
        await self.terminator.swap(tls)


@asynccontextmanager
async def front(
    kind: FrontKind, tls: ServerTls, upstream_port: int, *, session_cache: bool = False
) -> AsyncIterator[Front]:
    """Run a front until the block ends.

    Args:
        kind: Which program.
        tls: How it speaks TLS.
        upstream_port: Of the S3 server on 127.0.0.1.
        session_cache: Whether sessions outlive a change (nginx, HAProxy).

    Raises:
        MissingServerError: It is not installed.
        ServerFailedError: It did not start.
    """
    executable(kind.value)
    # pytest's own folders are too deep for a socket.
    with tempfile.TemporaryDirectory(prefix="fleetsim-") as short:
        match kind:
            case FrontKind.ENVOY:
                async with envoy(Path(short), tls, upstream_port) as running:
                    yield running
            case FrontKind.NGINX | FrontKind.HAPROXY:
                is_nginx = kind is FrontKind.NGINX
                program: Program = (
                    Nginx(user_of_this_process()) if is_nginx else Haproxy()
                )
                (port,) = free_ports(1)
                wiring = Wiring(
                    listen=("127.0.0.1", port),
                    upstream=f"127.0.0.1:{upstream_port}",
                    session_cache=session_cache,
                )
                terminator = Terminator(
                    program, Path(short) / kind.value, _no_handler, CAPACITY, wiring
                )
                try:
                    await terminator.start(tls)
                except InputError as error:
                    raise ServerFailedError(str(error)) from error
                try:
                    yield TerminatorFront(
                        port, Path(short) / kind.value / program.log, terminator
                    )
                finally:
                    await terminator.stop()
            case _:
                assert_never(kind)


def _no_handler() -> asyncio.Protocol:
    raise AssertionError("the S3 server is another program")
