"""Client: one S3 client of the SDK, with its connections watched and in our hands.

aiobotocore lets the class of its HTTP session be chosen (``AioConfig.http_session_cls``).
Ours differs in four points: it dials where the fleet's resolver says, from the fleet's
source addresses, with the device's ``ssl`` context; it traces every connection; all
its connections can be dropped at once, as when a device loses its power. And aiohttp
must not repeat a request by itself, once and silently, as it does with PUT, GET and HEAD:
only what botocore counts and decides is an attempt, as with boto3. Names that are not
documented (``_create_connector``, ``_get_session``, ``_resolve_host``,
``_retry_connection``) are held by a test that fails loudly when a new release drops them.

Devices upload directly: proxies of the environment are for the control plane.
"""

import ipaddress
import socket
import ssl
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiohttp.abc import AbstractResolver, ResolveResult

from fleetsim.core.sdk_settings import SdkSettings
from fleetsim.core.settings import Credentials, Endpoint, RequestStyle
from fleetsim.transport.network import Network
from fleetsim.transport.resolver import Resolver
from fleetsim.transport.sdk import hooks

KEEPALIVE_TIMEOUT_S: Final = 12.0
"""How long an idle connection is kept; aiobotocore's own default."""


class FleetResolver(AbstractResolver):
    """The fleet's name resolution for aiohttp: its cache and its overrides.

    Args:
        resolver: Shared by the fleet.
    """

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - aiohttp's name
    ) -> list[ResolveResult]:
        """Give addresses and the port to dial; only a real look-up is measured."""
        addresses = self._resolver.cached(host, port)
        if not addresses:
            seen = hooks.current()
            if seen is not None:
                seen.resolving()
            addresses = await self._resolver.resolve(host, port)
            if seen is not None:
                seen.resolved()
        port = self._resolver.dialled_port(host, port)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in addresses
        ]

    async def close(self) -> None:
        """Nothing of it is ours to close."""


class FleetConnector(aiohttp.TCPConnector):
    """A connector that asks the fleet's resolver for addresses, too.

    A fault in front of a target is on the way to an address as it is on the way to a
    name; aiohttp would dial an address without asking anybody.
    """

    async def _resolve_host(
        self, host: str, port: int, traces: object = None
    ) -> list[ResolveResult]:
        del traces  # the exchange is told by the resolver
        return await self._resolver.resolve(host, port)


class WatchedSession(AIOHTTPSession):  # type: ignore[misc]  # aiobotocore is untyped
    """An HTTP session of aiobotocore whose connections are watched.

    Args:
        network: What the fleet shares.
        trace: Hooks of aiohttp.
        is_closing: Close each connection after its response.
        options: As aiobotocore gives them.

    Attributes:
        context: TLS context of new connections; ``None`` on plain HTTP.
    """

    def __init__(
        self,
        network: Network,
        trace: aiohttp.TraceConfig,
        *,
        is_closing: bool,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.context: ssl.SSLContext | None = None
        self._network = network
        self._trace = trace
        self._is_closing = is_closing

    def drop(self) -> Callable[[], Coroutine[Any, Any, None]]:
        """Forget all connections; new requests open new ones.

        Returns:
            What closes them when it is awaited.
        """
        stack: AsyncExitStack = self._exit_stack.pop_all()
        self._sessions.clear()
        return stack.aclose

    def _create_connector(self, proxy_url: str | None) -> aiohttp.TCPConnector:
        del proxy_url  # there is none
        keepalive: dict[str, Any] = {"force_close": True}
        if not self._is_closing:
            keepalive = {"keepalive_timeout": KEEPALIVE_TIMEOUT_S}
        return FleetConnector(
            limit=self._max_pool_connections,
            ssl=self.context or False,
            resolver=FleetResolver(self._network.resolver),
            use_dns_cache=False,
            local_addr=self._network.source(),
            **keepalive,
        )

    async def _get_session(self, proxy_url: str | None) -> "_Requests":
        session: aiohttp.ClientSession = await super()._get_session(proxy_url)
        if not session.trace_configs:
            session.trace_configs.append(self._trace)
            session._retry_connection = False  # noqa: SLF001 - see the module
        return _Requests(session)


class _Requests:
    """The one method of ``aiohttp.ClientSession`` that aiobotocore calls.

    botocore lets its HTTP library follow no redirect: a request that was signed for one
    host is not for another. aiohttp follows them unless told otherwise.
    """

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    def request(self, method: str, **options: Any) -> Any:
        return self._session.request(method, allow_redirects=False, **options)


class SdkClient:
    """The S3 client of one device.

    Args:
        client: aiobotocore's client.
        session: Its HTTP session.

    Attributes:
        s3: aiobotocore's client.
    """

    __slots__ = ("_session", "_stack", "s3")

    def __init__(
        self, client: Any, session: WatchedSession, stack: AsyncExitStack
    ) -> None:
        self.s3 = client
        self._session = session
        self._stack = stack

    def use(
        self, context: ssl.SSLContext | None
    ) -> Callable[[], Coroutine[Any, Any, None]] | None:
        """Use a TLS context from now on.

        Returns:
            What closes the connections made with another one; ``None`` = it is in use.
        """
        if context is self._session.context:
            return None
        self._session.context = context
        return self._session.drop()

    def drop(self) -> Callable[[], Coroutine[Any, Any, None]]:
        """Forget all connections; see :meth:`WatchedSession.drop`."""
        return self._session.drop()

    async def aclose(self) -> None:
        """Close it with its connections."""
        await self._stack.aclose()


async def open_client(
    session: Any,
    network: Network,
    trace: aiohttp.TraceConfig,
    *,
    endpoint: Endpoint,
    credentials: Credentials,
    settings: SdkSettings,
    keeps_open: bool,
) -> SdkClient:
    """Make a client; about 5 ms of CPU and 0.3 MiB.

    Args:
        session: ``aioboto3.Session`` shared by the fleet: it caches the S3 model.
        network: What the fleet shares.
        trace: Hooks of aiohttp.
        endpoint: Where to.
        credentials: Keys of the device.
        settings: Settings of the SDK.
        keeps_open: Keep connections for the next request.

    Raises:
        BotoCoreError, ValueError: The endpoint cannot be used.
    """
    made: list[WatchedSession] = []

    def http_session(**options: Any) -> WatchedSession:
        made.append(
            WatchedSession(network, trace, is_closing=not keeps_open, **options)
        )
        return made[-1]

    is_path = endpoint.style is RequestStyle.PATH
    config = AioConfig(
        http_session_cls=http_session,
        signature_version="s3v4",
        proxies={},
        connect_timeout=settings.connect_timeout_s,
        read_timeout=settings.read_timeout_s,
        max_pool_connections=settings.max_pool_connections,
        retries={
            "mode": settings.retry_mode.value,
            "total_max_attempts": settings.max_attempts,
        },
        s3={"addressing_style": "path" if is_path else "virtual"},
        request_checksum_calculation=settings.request_checksum_calculation.value,
        response_checksum_validation=settings.response_checksum_validation.value,
    )
    stack = AsyncExitStack()
    client = await stack.enter_async_context(
        session.client(
            "s3",
            endpoint_url=_url(endpoint),
            region_name=endpoint.region,
            aws_access_key_id=credentials.access_key,
            aws_secret_access_key=credentials.secret_key,
            aws_session_token=credentials.session_token or None,
            config=config,
        )
    )
    hooks.watch(client)
    return SdkClient(client, made[0], stack)


def _url(endpoint: Endpoint) -> str:
    host = f"[{endpoint.host}]" if _is_ipv6(endpoint.host) else endpoint.host
    return f"{endpoint.scheme}://{host}:{endpoint.port}"


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6
    except ValueError:
        return False
