"""Handshakes in memory: the live client side against a server side, without a socket.

The client side comes from the same :class:`~fleetsim.transport.tls_context.ClientContexts`,
the server side from the same :class:`~fleetsim.transport.tls_server.ServerContext`, and
both run in the same :class:`~fleetsim.transport.tls_pump.TlsPump` as on the network, so
a result here is the result there.

:func:`certificate_verdict` needs no private key, for chains of a real server: it plays
the server's first flight up to the Certificate message (RFC 5246 7.3), which is all a
client needs for its verdict on the chain. In TLS 1.3 that message is encrypted; the
verdict does not depend on the version, so it is always asked for with TLS 1.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.core.settings import CipherGroup, TlsRules
from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.exceptions import InputError
from fleetsim.transport.base import ClientIdentity
from fleetsim.transport.errors import from_own_certificate
from fleetsim.transport.tls_context import ClientContexts
from fleetsim.transport.tls_pump import TlsPump

_RECORD_BYTES: Final = 16_384
_HANDSHAKE: Final = 22
_SERVER_HELLO: Final = 2
_CERTIFICATE: Final = 11
_TLS12: Final = b"\x03\x03"
# RFC 5746 3.6: without it OpenSSL refuses the server as open to renegotiation attacks.
_RENEGOTIATION_INFO: Final = b"\xff\x01\x00\x01\x00"
_PROBES: Final = {
    True: ("ECDHE-RSA-AES128-GCM-SHA256", b"\xc0\x2f"),
    False: ("ECDHE-ECDSA-AES128-GCM-SHA256", b"\xc0\x2b"),
}
"""A suite for RSA leaves and one for others, with its number (RFC 5289 3.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSide:
    """A device as a server meets it.

    Attributes:
        bundle: Trust anchors.
        groups: Cipher groups it may offer, first to last.
        rules: How it speaks TLS.
        host: Host name or address literal of its endpoint.
        unix_s: Its own clock.
        identity: Client certificate it would present.
    """

    bundle: TrustBundle
    groups: tuple[CipherGroup, ...]
    rules: TlsRules
    host: str
    unix_s: int
    identity: ClientIdentity | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupReach:
    """What came of one cipher group.

    Attributes:
        group: Its name.
        failure: Why the device does not connect; ``None`` = it does.
        refusal: The server's own words for it, when it was the server that refused.
        suite: Negotiated suite (OpenSSL name), empty on failure.
        version: Negotiated version, empty on failure.
    """

    group: str
    failure: Failure | None
    refusal: Failure | None = None
    suite: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Reach:
    """What came of all groups of a device with one server, in its order."""

    groups: tuple[GroupReach, ...]

    @property
    def ok(self) -> bool:
        """Whether at least one group connects."""
        return any(each.failure is None for each in self.groups)

    @property
    def first_failure(self) -> Failure | None:
        """Failure of the first group that fails; ``None`` = none does."""
        return next((each.failure for each in self.groups if each.failure), None)


def shake_hands(client: TlsPump, server: TlsPump) -> None:
    """Carry bytes between two pumps until neither has anything to say."""
    client.handshake()
    while True:
        up, down = client.take(), server.take()
        if not up and not down:
            return
        server.receive(up)
        client.receive(down)


def try_group(
    contexts: ClientContexts,
    side: ClientSide,
    group: CipherGroup,
    server: SSL.Connection,
) -> GroupReach:
    """Let a device offer one group to a server.

    Args:
        contexts: TLS contexts of the devices.
        side: The device.
        group: One of its groups.
        server: Server side of a new connection.

    Raises:
        InputError: The group cannot be offered, or the host is no name.
    """
    try:
        client = TlsPump(_connection(contexts, side, side.rules, group))
    except InputError as exc:
        if not all(
            each.where.startswith("client certificate") for each in exc.problems
        ):
            raise
        return GroupReach(group=group.name, failure=from_own_certificate(exc))
    answering = TlsPump(server)
    shake_hands(client, answering)
    failure = client.failure
    if failure is None and not client.is_open:
        failure = answering.failure or Failure(
            Kind.TLS_PROTOCOL, Phase.TLS, "the handshake came to a standstill"
        )
    if failure is not None:
        return GroupReach(
            group=group.name, failure=failure, refusal=_own_verdict(answering.failure)
        )
    agreed = client.handshake_info()
    return GroupReach(
        group=group.name, failure=None, suite=agreed.suite, version=agreed.version
    )


def certificate_verdict(
    contexts: ClientContexts, side: ClientSide, chain: Sequence[x509.Certificate]
) -> Failure | None:
    """Ask a device what it makes of a chain, without the server's private key.

    Args:
        contexts: TLS contexts of the devices.
        side: The device; which groups it offers does not matter.
        chain: As a server sends it, leaf first; length >= 1.

    Returns:
        Why it refuses, ``None`` = it trusts the chain for its endpoint at its clock.
    """
    if side.bundle.is_empty:
        return Failure(Kind.DEVICE_NO_TRUST, Phase.DEVICE, "the bundle is empty")
    suite, number = _PROBES[isinstance(chain[0].public_key(), rsa.RSAPublicKey)]
    rules = replace(side.rules, min_version="TLSv1.2", max_version="TLSv1.2", curves=())
    connection = _connection(
        contexts, replace(side, identity=None), rules, CipherGroup("probe", (suite,))
    )
    client = TlsPump(connection)
    client.handshake()
    client.take()
    client.receive(_first_flight(number, chain))
    return client.failure


def _connection(
    contexts: ClientContexts, side: ClientSide, rules: TlsRules, group: CipherGroup
) -> SSL.Connection:
    return contexts.connection(
        group=group,
        bundle=side.bundle,
        rules=rules,
        host=side.host,
        verify_unix_s=side.unix_s,
        identity=side.identity,
        session=None,
    )


def _own_verdict(failure: Failure | None) -> Failure | None:
    """A server's failure, unless it is only the alert that the device sent."""
    if failure is None or failure.kind.startswith("tls.alert."):
        return None
    return failure


def _first_flight(suite: bytes, chain: Sequence[x509.Certificate]) -> bytes:
    """ServerHello and Certificate (RFC 5246 7.4.1.3, 7.4.2) as records."""
    random = bytes(32)  # nothing here outlives the verdict
    extensions = _sized(_RENEGOTIATION_INFO, 2)
    hello = _TLS12 + random + _sized(b"", 1) + suite + b"\0" + extensions
    certificates = b"".join(_sized(one.public_bytes(Encoding.DER), 3) for one in chain)
    flight = (
        bytes([_SERVER_HELLO])
        + _sized(hello, 3)
        + bytes([_CERTIFICATE])
        + _sized(_sized(certificates, 3), 3)
    )
    return b"".join(
        bytes([_HANDSHAKE]) + _TLS12 + _sized(flight[start : start + _RECORD_BYTES], 2)
        for start in range(0, len(flight), _RECORD_BYTES)
    )


def _sized(content: bytes, width: int) -> bytes:
    return len(content).to_bytes(width, "big") + content
