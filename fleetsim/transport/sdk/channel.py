"""Channel: the network side of one device whose requests go through the SDK.

The SDK opens, keeps and closes connections by itself. So ``connect`` only remembers
where to, and reports success at once; ``send`` becomes one call of the SDK, and what its
connections did is told afterwards, exchange by exchange.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import aioboto3

from fleetsim.core.commands import Connect, Send
from fleetsim.core.device_settings import DeviceSettings
from fleetsim.core.events import Response
from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.core.sdk_settings import SdkSettings
from fleetsim.core.settings import ConnectionUse, Credentials, Endpoint
from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.exceptions import InputError
from fleetsim.transport import errors
from fleetsim.transport.base import ClientIdentity, Measures
from fleetsim.transport.network import Network
from fleetsim.transport.sdk.calls import perform, wanted
from fleetsim.transport.sdk.client import SdkClient, open_client
from fleetsim.transport.sdk.exchange import Call, SdkListener
from fleetsim.transport.sdk.hooks import enter, traces
from fleetsim.transport.sdk.trust import client_context

_CUT_OFF = Failure(Kind.RUN_STOPPED, Phase.RUN, "the run ended")


class SdkNetwork:
    """What the SDK channels of a process share, and where their clients are closed.

    Args:
        network: What all channels share.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.session = aioboto3.Session()
        self.trace = traces()
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._clients: set[SdkClient] = set()

    def context(
        self, bundle: TrustBundle, identity: ClientIdentity | None
    ) -> ssl.SSLContext:
        """TLS context for a bundle and a client certificate.

        Raises:
            InputError: The certificate cannot be used.
        """
        if identity is not None:
            return client_context(bundle, identity)
        known = self._contexts.get(bundle.fingerprint)
        if known is None:
            known = self._contexts[bundle.fingerprint] = client_context(bundle, None)
        return known

    async def open(
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        settings: SdkSettings,
        *,
        keeps_open: bool,
    ) -> SdkClient:
        """Make the client of one device."""
        client = await open_client(
            self.session,
            self.network,
            self.trace,
            endpoint=endpoint,
            credentials=credentials,
            settings=settings,
            keeps_open=keeps_open,
        )
        self._clients.add(client)
        return client

    async def close(self, client: SdkClient) -> None:
        """Close a client that is no longer needed."""
        self._clients.discard(client)
        await client.aclose()

    async def aclose(self) -> None:
        """Close all clients."""
        clients, self._clients = self._clients, set()
        for client in clients:
            await client.aclose()


class SdkChannel:
    """The network side of one device. See :class:`fleetsim.transport.base.Channel`.

    Args:
        shared: What all such channels share.
        listener: The device's driver.
        sdk: Settings of the SDK.
        settings: Gives the device's settings as they are now.
        identity: Client certificate for mutual TLS.
    """

    __slots__ = (
        "_call",
        "_client",
        "_client_of",
        "_connect",
        "_context",
        "_context_of",
        "_identity",
        "_listener",
        "_sdk",
        "_settings",
        "_shared",
        "_task",
        "measures",
    )

    def __init__(
        self,
        shared: SdkNetwork,
        listener: SdkListener,
        *,
        sdk: SdkSettings,
        settings: Callable[[], DeviceSettings],
        identity: ClientIdentity | None = None,
    ) -> None:
        self.measures = Measures()
        self._shared = shared
        self._listener = listener
        self._sdk = sdk
        self._settings = settings
        self._identity = identity
        self._connect: Connect | None = None
        self._call: Call | None = None
        self._task: asyncio.Task[None] | None = None
        self._client: SdkClient | None = None
        self._client_of: object = None
        self._context: ssl.SSLContext | None = None
        self._context_of: object = None

    async def prepare(self) -> None:
        """Make the client before the first request needs it."""
        await self._open(self._settings().endpoint)

    def replace_identity(self, identity: ClientIdentity | None) -> None:
        """Use another client certificate from the next connection on."""
        self._identity = identity

    def forget_sessions(self) -> None:
        """Nothing to forget: the SDK resumes no session."""

    # ------------------------------------------------------------ commands

    def connect(self, command: Connect) -> None:
        """Remember where to; the SDK connects when there is something to send."""
        self.measures = Measures()
        self._connect = command
        bundle = command.bundle
        if command.endpoint.is_tls and (bundle is None or bundle.is_empty):
            self._shared.network.loop.call_soon(self._refuse_untrusted, command)
        else:
            self._listener.on_connected(None)

    def _refuse_untrusted(self, command: Connect) -> None:
        if self._connect is command:
            self._connect = None
            self._listener.on_connect_failed(
                Failure(Kind.DEVICE_NO_TRUST, Phase.DEVICE, "the CA file is empty")
            )

    def send(self, command: Send) -> None:
        """Let the SDK send a request, and repeat it as it sees fit."""
        connect = self._connect
        if connect is None:
            raise RuntimeError("a request without a connection")
        network = self._shared.network
        call = self._call = Call(self._listener, network.now_ns)
        self._task = network.spawn(self._carry_out(call, connect, command))

    async def _carry_out(self, call: Call, connect: Connect, command: Send) -> None:
        enter(call)
        outcome = await self._outcome(call, connect, command)
        if self._call is not call:
            return
        self._call = self._task = self._connect = None
        self.measures = call.measures()
        self._listener.on_settled(call)
        if isinstance(outcome, Failure):
            self._listener.on_request_failed(outcome)
        else:
            self._listener.on_response(outcome, is_open=False)

    async def _outcome(
        self, call: Call, connect: Connect, command: Send
    ) -> Response | Failure:
        client = await self._open(connect.endpoint)
        if connect.bundle is not None:
            try:
                context = self._trusting(connect.bundle)
            except InputError as error:
                return errors.from_own_certificate(error)
            close = client.use(context)
            if close is not None:
                await close()
        request = wanted(command, connect.endpoint.bucket)
        return await perform(client.s3, request, self._sdk, call)

    async def _open(self, endpoint: Endpoint) -> SdkClient:
        """The device's client; a new one when endpoint or keys have changed."""
        settings = self._settings()
        client_of = (endpoint, settings.credentials)
        client = self._client
        if client is not None and client_of == self._client_of:
            return client
        self._client = None
        if client is not None:
            await self._shared.close(client)
        client = await self._shared.open(
            endpoint,
            settings.credentials,
            self._sdk,
            keeps_open=settings.workload.connection is ConnectionUse.KEEP_ALIVE,
        )
        self._client, self._client_of = client, client_of
        return client

    def _trusting(self, bundle: TrustBundle) -> ssl.SSLContext:
        context_of = (bundle.fingerprint, self._identity)
        if self._context is None or context_of != self._context_of:
            self._context = self._shared.context(bundle, self._identity)
            self._context_of = context_of
        return self._context

    def abort(self, *, silent: bool = False) -> None:
        """Cut the request off and drop all connections of the device.

        See :class:`fleetsim.transport.base.Channel`.
        """
        call, task, is_connecting = self._call, self._task, self._connect is not None
        self._call = self._task = self._connect = None
        if call is not None:
            self.measures = call.measures()
        closers: list[Callable[[], Any]] = []
        if self._client is not None:
            closers.append(self._client.drop())
        if task is not None or closers:
            self._shared.network.spawn(_cut(task, closers))
        if silent or not is_connecting:
            return
        if call is None:
            self._listener.on_connect_failed(_CUT_OFF)
        else:
            self._listener.on_request_failed(_CUT_OFF)


async def _cut(
    task: asyncio.Task[None] | None, closers: list[Callable[[], Any]]
) -> None:
    """End a request first: dropping its connections alone would make the SDK retry."""
    if task is not None:
        task.cancel()
        await asyncio.wait({task})
    for close in closers:
        await close()
