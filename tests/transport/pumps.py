"""Two pumps talking in memory: the wire of the TLS tests."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography import x509
from OpenSSL import SSL

from fleetsim.core.settings import CipherGroup, TlsRules
from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.transport.base import ClientIdentity
from fleetsim.transport.tls_context import ClientContexts
from fleetsim.transport.tls_pump import TlsPump
from fleetsim.transport.tls_server import ServerCertificate, ServerContext, ServerTls
from tests.transport.certificates import DEVICE_UNIX_S, Issued, authority, leaf

ECDHE = "ECDHE-RSA-AES128-GCM-SHA256"
TLS13 = "TLS_AES_128_GCM_SHA256"
ROOT = authority("Test Root")
SERVER = leaf(parent=ROOT)

TLS13_RULES = TlsRules(max_version="TLSv1.3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """How the client side of a test connects; the defaults connect."""

    suites: tuple[str, ...] = (ECDHE,)
    anchors: tuple[x509.Certificate, ...] = (ROOT.certificate,)
    rules: TlsRules = field(default_factory=TlsRules)
    host: str = "storage.test"
    unix_s: int = DEVICE_UNIX_S
    identity: ClientIdentity | None = None

    def pump(
        self,
        contexts: ClientContexts | None = None,
        session: SSL.Session | None = None,
    ) -> TlsPump:
        """Make the pump."""
        return TlsPump(
            (contexts or ClientContexts()).connection(
                group=CipherGroup("group 1", self.suites),
                bundle=TrustBundle.of(self.anchors),
                rules=self.rules,
                host=self.host,
                verify_unix_s=self.unix_s,
                identity=self.identity,
                session=session,
            )
        )


def presented(issued: Issued, *names: str) -> ServerCertificate:
    """Certificate as a server presents it: with its intermediates."""
    return ServerCertificate(chain=issued.chain, key=issued.key, server_names=names)


def identity_of(issued: Issued) -> ClientIdentity:
    """Certificate as a client presents it: with its intermediates."""
    return ClientIdentity(
        certificate=issued.certificate, chain=issued.above[:-1], key=issued.key
    )


PLAIN_SERVER = ServerTls(
    certificates=(presented(SERVER),), cipher_list="ALL:@SECLEVEL=0"
)


def server_pump(settings: ServerTls = PLAIN_SERVER) -> TlsPump:
    """Make the server side."""
    return TlsPump(ServerContext(settings).connection())


Wire = Callable[[bytes], bytes]


def _as_is(data: bytes) -> bytes:
    return data


def talk(
    client: TlsPump, server: TlsPump, *, up: Wire = _as_is, down: Wire = _as_is
) -> tuple[bytes, bytes]:
    """Carry bytes both ways until nothing moves; returns plaintext (client, server)."""
    at_client = at_server = b""
    client.handshake()
    while True:
        to_server = client.take()
        to_client = server.take()
        if not to_server and not to_client:
            return at_client, at_server
        at_server += server.receive(up(to_server))
        at_client += client.receive(down(to_client))
