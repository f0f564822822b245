"""Clients and certificates for tests of the lab's TLS front."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from OpenSSL import SSL

from fleetsim.core.failure import Failure
from fleetsim.core.settings import CipherGroup, TlsRules
from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.pki.authority import Authority, create_root
from fleetsim.pki.certificates import Validity
from fleetsim.pki.keys import KeyType
from fleetsim.pki.leaves import Leaf, issue_device, issue_server
from fleetsim.transport.base import ClientIdentity
from fleetsim.transport.tls_context import ClientContexts
from fleetsim.transport.tls_pump import TlsPump
from fleetsim.transport.tls_server import ServerCertificate, ServerTls

# Servers judge client certificates at the real time.
NOW = datetime.now(UTC).replace(microsecond=0)
UNIX_S = int(NOW.timestamp())
YEAR_S = 365 * 86_400.0
VALID = Validity.lasting(NOW, 2 * YEAR_S, starts_in_s=-YEAR_S)

ECDHE = CipherGroup("ecdhe", ("ECDHE-RSA-AES128-GCM-SHA256",))
ANY_SUITE = "ALL:!aNULL:!eNULL:@SECLEVEL=0"


@cache
def root(name: str) -> Authority:
    """Root certificate, one per name."""
    return create_root(validity=VALID, common_name=name)


@cache
def server(name: str) -> Leaf:
    """Server certificate for a host name and 127.0.0.1."""
    return issue_server(root("root"), validity=VALID, names=(name,), ips=("127.0.0.1",))


@cache
def server_p256() -> Leaf:
    """Server certificate with an EC key."""
    return issue_server(
        root("root"), validity=VALID, names=("localhost",), key_type=KeyType.P256
    )


@cache
def device(device_id: str, *, expired: bool = False, ca: str = "devices") -> Leaf:
    """Device certificate, by default of the authority fronts trust in these tests."""
    validity = (
        Validity.lasting(NOW, 3600, starts_in_s=-YEAR_S / 2) if expired else VALID
    )
    return issue_device(root(ca), device_id, validity=validity)


def presented(leaf: Leaf, *names: str) -> ServerCertificate:
    """Make what a front presents from an issued certificate."""
    return ServerCertificate(
        chain=(leaf.certificate, *leaf.chain), key=leaf.key, server_names=names
    )


def server_tls(*leaves: Leaf, **changes: object) -> ServerTls:
    """Settings for a front: every suite, plus the changes."""
    values: dict[str, object] = {
        "certificates": tuple(
            presented(leaf) for leaf in leaves or (server("localhost"),)
        ),
        "cipher_list": ANY_SUITE,
    }
    return ServerTls(**{**values, **changes})  # type: ignore[arg-type]  # table of changes


def identity(leaf: Leaf) -> ClientIdentity:
    """Make a device's identity from an issued certificate."""
    return ClientIdentity(leaf.certificate, leaf.chain, leaf.key)


_CONTEXTS = ClientContexts()


def client_connection(
    *,
    group: CipherGroup = ECDHE,
    anchors: Iterable[x509.Certificate] | None = None,
    rules: TlsRules | None = None,
    host: str = "localhost",
    leaf: Leaf | None = None,
    session: SSL.Session | None = None,
) -> SSL.Connection:
    """Client side of one connection, trusting the default root."""
    trusted = (root("root").certificate,) if anchors is None else anchors
    return _CONTEXTS.connection(
        group=group,
        bundle=TrustBundle.of(trusted),
        rules=rules or TlsRules(),
        host=host,
        verify_unix_s=UNIX_S,
        identity=None if leaf is None else identity(leaf),
        session=session,
    )


async def turn_until(condition: Callable[[], object]) -> None:
    """Let the loop turn until something holds; the test's timeout bounds it."""
    while not condition():  # noqa: ASYNC110 - state of others, nobody sets an event
        await asyncio.sleep(0)


class PumpClient(asyncio.Protocol):
    """A TLS (or plain) client of real sockets on the device's own pump."""

    def __init__(self, connection: SSL.Connection | None) -> None:
        self.pump = None if connection is None else TlsPump(connection)
        self.plaintext = bytearray()
        self.stays_open = False
        self.lost: asyncio.Future[Exception | None] = (
            asyncio.get_running_loop().create_future()
        )
        self.tcp: asyncio.Transport | None = None
        self._changed = asyncio.Event()

    @classmethod
    async def connect(
        cls, port: int, connection: SSL.Connection | None = None
    ) -> "PumpClient":
        """Connect to a port of this machine; the handshake is under way then."""
        loop = asyncio.get_running_loop()
        _, client = await loop.create_connection(
            lambda: cls(connection), "127.0.0.1", port
        )
        return client

    @property
    def failure(self) -> Failure | None:
        """What the pump died of."""
        return None if self.pump is None else self.pump.failure

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the handshake."""
        self.tcp = transport  # type: ignore[assignment]  # always a stream transport
        if self.pump is not None:
            self.pump.handshake()
            self._flush()

    def data_received(self, data: bytes) -> None:
        """Decrypt."""
        if self.pump is None:
            self.plaintext += data
        else:
            self.plaintext += self.pump.receive(data)
            self._flush()
        self._changed.set()

    def eof_received(self) -> bool:
        """Answer close_notify like a polite client."""
        if self.pump is not None:
            self.pump.eof()
            self.pump.close()
            self._flush()
        self._changed.set()
        return self.stays_open

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the test."""
        if not self.lost.done():
            self.lost.set_result(exc)
        self._changed.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds; the test's own timeout bounds it."""
        while not condition():
            if self.lost.done():
                raise ConnectionError(f"lost: {self.failure} {self.lost.result()}")
            self._changed.clear()
            await self._changed.wait()

    async def opened(self) -> "PumpClient":
        """Wait for the handshake."""
        assert self.pump is not None
        pump = self.pump
        await self.until(lambda: pump.is_open or pump.failure is not None)
        return self

    async def ended(self) -> Failure | None:
        """Wait for the end of the TCP connection; returns what the pump died of."""
        await self.lost
        return self.failure

    def send(self, data: bytes) -> None:
        """Send plaintext."""
        if self.pump is None:
            assert self.tcp is not None
            self.tcp.write(data)
        else:
            self.pump.send((data,))
            self._flush()

    async def responses(self, count: int = 1) -> list[bytes]:
        """Wait for responses with a Content-Length and take them off."""
        found: list[bytes] = []
        while len(found) < count:
            await self.until(lambda: self._response_end() > 0)
            end = self._response_end()
            found.append(bytes(self.plaintext[:end]))
            del self.plaintext[:end]
        return found

    async def request(self, head: str, body: bytes = b"") -> bytes:
        """Send one request and return its response, head and body."""
        self.send(head.encode() + body)
        return (await self.responses())[0]

    def close(self) -> None:
        """Close politely."""
        if self.pump is not None:
            self.pump.close()
            self._flush()
        if self.tcp is not None:
            self.tcp.close()

    def _flush(self) -> None:
        assert self.pump is not None
        ciphertext = self.pump.take()
        if ciphertext and self.tcp is not None and not self.tcp.is_closing():
            self.tcp.write(ciphertext)

    def _response_end(self) -> int:
        head, separator, _ = bytes(self.plaintext).partition(b"\r\n\r\n")
        if not separator:
            return 0
        length = 0
        for line in head.split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        end = len(head) + 4 + length
        return end if len(self.plaintext) >= end else 0
