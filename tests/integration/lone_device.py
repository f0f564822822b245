"""One device's real network side against a lab, awaited call by call."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fleetsim.core.commands import Connect, Operation, Send, Task
from fleetsim.core.events import Handshake, Response
from fleetsim.core.failure import Failure
from fleetsim.core.http1 import request_head
from fleetsim.core.settings import Credentials, Deadlines, Endpoint, TlsRules
from fleetsim.core.sigv4 import Signer
from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.engine.clock import MonotonicClock
from fleetsim.pki.leaves import Leaf
from fleetsim.transport.base import Measures
from fleetsim.transport.network import Network, NetworkChannel
from tests.lab.tls_clients import ECDHE, UNIX_S, identity, root

KEY = Credentials(access_key="AKTEST", secret_key="a-secret-nobody-may-see")


@dataclass(frozen=True, slots=True)
class Lost:
    """The idle connection was closed by the peer."""


class LoneDevice:
    """A channel whose reports can be awaited; every one must be.

    Attributes:
        network: What it shares with others.
        unix_s: Its clock.
    """

    def __init__(
        self,
        network: Network,
        endpoint: Endpoint,
        *,
        deadlines: Deadlines | None = None,
        leaf: Leaf | None = None,
        rules: TlsRules | None = None,
        unix_s: int = UNIX_S,
    ) -> None:
        self.network = network
        self.unix_s = unix_s
        self._endpoint = endpoint
        self._signer = Signer(KEY, endpoint)
        self._reports: asyncio.Queue[Handshake | Response | Failure | Lost | None] = (
            asyncio.Queue()
        )
        self._channel = NetworkChannel(
            network,
            self,
            tls=rules or TlsRules(),
            deadlines=deadlines or Deadlines(),
            identity=None if leaf is None else identity(leaf),
        )

    @property
    def measures(self) -> Measures:
        """What was measured of the last attempt."""
        return self._channel.measures

    async def connect(self, *, resume: bool = False) -> Handshake | Failure | None:
        """Connect; what was open is dropped. Returns what the handshake agreed on."""
        is_tls = self._endpoint.is_tls
        self._channel.connect(
            Connect(
                task=_task("connect"),
                endpoint=self._endpoint,
                group=ECDHE if is_tls else None,
                bundle=TrustBundle.of((root("root").certificate,)) if is_tls else None,
                verify_unix_s=self.unix_s,
                resume=resume,
            )
        )
        report = await self.report()
        assert not isinstance(report, Response | Lost)
        return report

    async def put(
        self, key: str, body: bytes, *, keep_open: bool = False
    ) -> Response | Failure | Lost:
        """Upload on the open connection."""
        self.send("PUT", key, body, keep_open=keep_open)
        return await self._answer()

    async def get(self, key: str) -> Response | Failure | Lost:
        """Download on the open connection."""
        self.send("GET", key)
        return await self._answer()

    def send(
        self, method: str, key: str, body: bytes = b"", *, keep_open: bool = False
    ) -> None:
        """Send a request; await its report."""
        target, headers = self._signer.sign(method, key, self.unix_s)
        headers = [*headers, ("content-length", str(len(body)))]
        self._channel.send(
            Send(
                task=_task(key, len(body)),
                head=request_head(method, target, headers),
                body=(body,),
                keep_open=keep_open,
                max_response_bytes=1 << 20,
            )
        )

    async def report(self) -> Handshake | Response | Failure | Lost | None:
        """Wait for what comes next."""
        async with asyncio.timeout(20):
            return await self._reports.get()

    def drop(self) -> None:
        """Drop the connection."""
        self._channel.abort(silent=True)

    async def _answer(self) -> Response | Failure | Lost:
        report = await self.report()
        assert isinstance(report, Response | Failure | Lost)
        return report

    # ------------------------------------------------------- called by the channel

    def on_connected(self, handshake: Handshake | None) -> None:
        """Report."""
        self._reports.put_nowait(handshake)

    def on_connect_failed(self, failure: Failure) -> None:
        """Report."""
        self._reports.put_nowait(failure)

    def on_response(self, response: Response, *, is_open: bool) -> None:
        """Report."""
        del is_open
        self._reports.put_nowait(response)

    def on_request_failed(self, failure: Failure) -> None:
        """Report."""
        self._reports.put_nowait(failure)

    def on_lost(self) -> None:
        """Report."""
        self._reports.put_nowait(Lost())


def outcome(report: object) -> object:
    """A report in a word: status, failure kind, ``lost`` or ``connected``."""
    match report:
        case Response():
            return report.status
        case Failure():
            return report.kind
        case Lost():
            return "lost"
        case _:
            return "connected"


def endpoint(port: int, *, is_tls: bool = True, host: str = "") -> Endpoint:
    """Endpoint of a lab on this machine."""
    return Endpoint(
        scheme="https" if is_tls else "http",
        host=host or ("localhost" if is_tls else "127.0.0.1"),
        port=port,
        bucket="fleet",
    )


@contextlib.asynccontextmanager
async def network() -> AsyncIterator[Network]:
    """Services for the devices of a test."""
    async with asyncio.TaskGroup() as group:
        yield Network(
            loop=asyncio.get_running_loop(),
            spawn=group.create_task,
            now_ns=MonotonicClock().now_ns,
        )


def _task(key: str, body_bytes: int = 0) -> Task:
    return Task(
        operation=Operation.UPLOAD, key=key, planned_ns=0, body_bytes=body_bytes
    )
