"""Network: the channels of a fleet and what they share (contexts, resolver, loop)."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from OpenSSL import SSL

from fleetsim.core.commands import Connect, Send
from fleetsim.core.events import Handshake, Response
from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.core.settings import Deadlines, TlsRules
from fleetsim.transport import errors
from fleetsim.transport.base import ClientIdentity, Listener, Measures
from fleetsim.transport.connection import Connection
from fleetsim.transport.resolver import Resolver
from fleetsim.transport.tls_context import ClientContexts

Spawn = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class Network:
    """What all channels of a process share.

    Args:
        loop: Event loop.
        spawn: Starts a task that belongs to the engine's task group.
        now_ns: Clock.
        dns_ttl_s: How long resolved names are kept.
        source_addresses: Local addresses to dial from, used in turn; empty = any.
    """

    def __init__(
        self,
        *,
        loop: asyncio.AbstractEventLoop,
        spawn: Spawn,
        now_ns: Callable[[], int],
        dns_ttl_s: float = 30.0,
        source_addresses: Sequence[str] = (),
    ) -> None:
        self.loop = loop
        self.spawn = spawn
        self.now_ns = now_ns
        self.resolver = Resolver(loop, now_ns, dns_ttl_s)
        self.contexts = ClientContexts()
        self._sources = tuple(source_addresses)
        self._dialled = 0

    def source(self) -> tuple[str, int] | None:
        """Local address of the next connection, ``None`` = the system's choice."""
        if not self._sources:
            return None
        self._dialled += 1
        return (self._sources[self._dialled % len(self._sources)], 0)


class NetworkChannel:
    """The network side of one device. See :class:`fleetsim.transport.base.Channel`.

    Args:
        network: Shared services.
        listener: The device's driver.
        tls: TLS rules of the device.
        deadlines: Deadlines of the device.
        identity: Client certificate for mutual TLS.
    """

    __slots__ = (
        "_command",
        "_connection",
        "_deadlines",
        "_identity",
        "_listener",
        "_network",
        "_session",
        "_session_of",
        "_tls",
        "measures",
    )

    def __init__(
        self,
        network: Network,
        listener: Listener,
        *,
        tls: TlsRules,
        deadlines: Deadlines,
        identity: ClientIdentity | None = None,
    ) -> None:
        self.measures = Measures()
        self._network = network
        self._listener = listener
        self._tls = tls
        self._deadlines = deadlines
        self._identity = identity
        self._connection: Connection | None = None
        self._command: Connect | Send | None = None
        self._session: SSL.Session | None = None
        self._session_of = ("", 0)

    def replace_identity(self, identity: ClientIdentity | None) -> None:
        """Use another client certificate from the next connection on."""
        self._identity = identity
        self._session = None

    def forget_sessions(self) -> None:
        """Resume no TLS session of before."""
        self._session = None

    # ------------------------------------------------------------ commands

    def connect(self, command: Connect) -> None:
        """Open a connection; whatever was open is dropped."""
        self._drop()
        self.measures = Measures()
        self._command = command
        network = self._network
        place = (command.endpoint.host, command.endpoint.port)
        if place != self._session_of:
            self._session_of = place
            self._session = None
        is_tls = command.endpoint.is_tls
        if is_tls and (command.bundle is None or command.bundle.is_empty):
            network.loop.call_soon(self._refuse_untrusted, command)
            return
        connection = Connection(
            self,
            loop=network.loop,
            now_ns=network.now_ns,
            measures=self.measures,
            deadlines=self._deadlines,
            open_tls=partial(self._open_tls, command) if is_tls else None,
        )
        self._connection = connection
        connection.dialling(network.spawn(self._dial(connection, command)))

    def _refuse_untrusted(self, command: Connect) -> None:
        if self._command is command:
            self.dial_failed(
                Failure(Kind.DEVICE_NO_TRUST, Phase.DEVICE, "the trust bundle is empty")
            )

    async def _dial(self, connection: Connection, command: Connect) -> None:
        network = self._network
        host = command.endpoint.host
        port = command.endpoint.port
        addresses = network.resolver.cached(host, port)
        if not addresses:
            connection.resolving()
            try:
                addresses = await network.resolver.resolve(host, port)
            except OSError as error:
                connection.dial_failed(errors.from_dns_error(error))
                return
            connection.resolved()
        port = network.resolver.dialled_port(host, port)
        connection.connecting()
        failure: Failure | None = None
        for address in addresses:
            try:
                await network.loop.create_connection(
                    lambda: connection,
                    address,
                    port,
                    local_addr=network.source(),
                )
            except OSError as error:
                failure = errors.from_os_error(error, Phase.TCP)
            else:
                return
        if failure is not None:
            connection.dial_failed(failure)

    def _open_tls(self, command: Connect) -> SSL.Connection:
        group, bundle = command.group, command.bundle
        if group is None or bundle is None:
            raise RuntimeError("https without cipher group or trust bundle")
        return self._network.contexts.connection(
            group=group,
            bundle=bundle,
            rules=self._tls,
            host=command.endpoint.host,
            verify_unix_s=command.verify_unix_s,
            identity=self._identity,
            session=self._session if command.resume else None,
        )

    def send(self, command: Send) -> None:
        """Send a request on the open connection."""
        connection = self._connection
        if connection is None:
            raise RuntimeError("a request without a connection")
        if not isinstance(self._command, Connect):
            self.measures = connection.measures = Measures()
        self._command = command
        connection.send(command)

    def abort(self, *, silent: bool = False) -> None:
        """Drop the connection; see :class:`fleetsim.transport.base.Channel`."""
        command = self._command
        self._drop()
        if silent or command is None:
            return
        stopped = Failure(Kind.RUN_STOPPED, Phase.RUN, "the run ended")
        if isinstance(command, Connect):
            self._listener.on_connect_failed(stopped)
        else:
            self._listener.on_request_failed(stopped)

    def _drop(self) -> None:
        self._command = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    # ------------------------------------------------------------ reports

    def opened(self, handshake: Handshake | None) -> None:
        """The connection is open."""
        self._listener.on_connected(handshake)

    def dial_failed(self, failure: Failure) -> None:
        """There is no connection."""
        self._connection = None
        self._command = None
        self._listener.on_connect_failed(failure)

    def answered(self, response: Response, *, is_open: bool) -> None:
        """A response is complete."""
        self._command = None
        connection = self._connection
        if not is_open:
            self._keep_session(connection)
            self._connection = None
        self._listener.on_response(response, is_open=is_open)

    def request_failed(self, failure: Failure) -> None:
        """There was no complete response."""
        self._connection = None
        self._command = None
        self._listener.on_request_failed(failure)

    def idle_lost(self) -> None:
        """The peer closed the idle connection."""
        self._keep_session(self._connection)
        self._connection = None
        self._listener.on_lost()

    def _keep_session(self, connection: Connection | None) -> None:
        if self._tls.resumption and connection is not None:
            self._session = connection.session()
