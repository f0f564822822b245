"""Reacher: which cipher groups of a device connect to a server.

Found out by real handshakes in memory (:mod:`fleetsim.forecast.handshakes`), one per
group. A thousand devices alike cost one: results are kept by everything a handshake can
depend on (:mod:`fleetsim.forecast.fingerprints`), time included only as the interval
between two dates of the certificates involved.
"""

from dataclasses import replace
from typing import Final, NamedTuple

from cryptography import x509

from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.forecast.cache import Cache
from fleetsim.forecast.fingerprints import (
    class_of,
    dates_of,
    fingerprint_of,
    interval_of,
    server_dates,
)
from fleetsim.forecast.handshakes import (
    ClientSide,
    GroupReach,
    Reach,
    certificate_verdict,
    try_group,
)
from fleetsim.forecast.renewal import StandIns
from fleetsim.transport.base import ClientIdentity
from fleetsim.transport.tls_context import ClientContexts
from fleetsim.transport.tls_server import ServerContext, ServerTls

_NO_TRUST: Final = Failure(Kind.DEVICE_NO_TRUST, Phase.DEVICE, "the bundle is empty")


class _Server(NamedTuple):
    """A server with its fingerprint; keeps it alive, so that its id stays its own."""

    server: ServerTls
    fingerprint: str


class _Client(NamedTuple):
    """What a server can tell of a client certificate, and when its verdict changes."""

    kind: tuple[object, ...]
    dates: tuple[int, ...]


class Reacher:
    """Finds out who reaches whom; keeps what it found.

    Args:
        contexts: TLS contexts of the devices; own ones by default.

    Attributes:
        handshakes: Handshakes carried out so far.
        stand_ins: Makes servers and certificates like others.
    """

    def __init__(self, contexts: ClientContexts | None = None) -> None:
        self.handshakes = 0
        self._contexts = contexts or ClientContexts(identities=256)
        self.stand_ins = StandIns()
        self._reaches: Cache[tuple[object, ...], Reach] = Cache(8192)
        self._servers: Cache[int, _Server] = Cache(256)
        self._server_contexts: Cache[str, ServerContext] = Cache(64)
        self._dates: Cache[tuple[str, str], tuple[int, ...]] = Cache(1024)
        self._clients: Cache[tuple[x509.Certificate, str], _Client] = Cache(65_536)

    def reach(self, side: ClientSide, server: ServerTls, server_unix_s: int) -> Reach:
        """Try every group of a device on a server.

        Args:
            side: The device.
            server: The server.
            server_unix_s: Clock by which the server judges client certificates.

        Raises:
            InputError: The server's settings, a group or the host cannot be used.
        """
        if side.bundle.is_empty:
            return Reach(
                tuple(GroupReach(group=g.name, failure=_NO_TRUST) for g in side.groups)
            )
        key = self.key(side, server, server_unix_s)
        reach = self._reaches.get(key)
        if reach is None:
            context = self._context(server)
            reach = Reach(
                tuple(
                    try_group(
                        self._contexts, side, group, context.connection(server_unix_s)
                    )
                    for group in side.groups
                )
            )
            self.handshakes += len(reach.groups)
            self._reaches.put(key, reach)
        return reach

    def reach_chain(
        self, side: ClientSide, chain: tuple[x509.Certificate, ...], base: ServerTls
    ) -> Reach:
        """Try every group of a device on a server whose private key is not here.

        What a group and the server agree on is found out with a stand-in of the same
        kind of key (:mod:`fleetsim.forecast.renewal`), what the device makes of the
        chain with the chain itself. A server with client certificates is out of scope.

        Args:
            side: The device.
            chain: As the server sends it, leaf first; length >= 1.
            base: How it speaks TLS; its certificates do not matter.

        Raises:
            InputError: The server's settings, a group or the host cannot be used.
        """
        if side.bundle.is_empty:
            return self.reach(side, base, side.unix_s)
        try:
            made = self.stand_ins.certificate(chain[0], side.host)
        except ValueError as exc:
            failure = Failure(Kind.TLS_NO_SHARED_CIPHER, Phase.TLS, str(exc))
            return Reach(
                tuple(GroupReach(group=g.name, failure=failure) for g in side.groups)
            )
        agreed = self.reach(
            replace(side, bundle=made.bundle),
            replace(base, certificates=(made.certificate,)),
            side.unix_s,
        )
        self.handshakes += 1
        verdict = certificate_verdict(self._contexts, side, chain)
        if verdict is None:
            return agreed
        return Reach(
            tuple(
                each
                if each.failure is not None
                else GroupReach(group=each.group, failure=verdict)
                for each in agreed.groups
            )
        )

    def key(
        self, side: ClientSide, server: ServerTls, server_unix_s: int
    ) -> tuple[object, ...]:
        """Everything that a handshake of this device with this server depends on."""
        key = (
            side.bundle.fingerprint,
            side.groups,
            side.rules,
            side.host,
            self._fingerprint(server),
            interval_of(self.dates_of(side, server), side.unix_s),
        )
        if side.identity is None or not server.client_cas:
            return key
        client = self._client(side.identity, server)
        return (*key, client.kind, interval_of(client.dates, server_unix_s))

    def dates_of(self, side: ClientSide, server: ServerTls) -> tuple[int, ...]:
        """Every second at which the device's verdict on the server may change."""
        key = (side.bundle.fingerprint, self._fingerprint(server))
        dates = self._dates.get(key)
        if dates is None:
            chains = (one for pair in server.certificates for one in pair.chain)
            dates = dates_of((*side.bundle.certificates, *chains))
            self._dates.put(key, dates)
        return dates

    def waits(
        self, side: ClientSide, server: ServerTls, server_unix_s: int, horizon_s: int
    ) -> tuple[int, ...]:
        """Now, and how long until each date within a horizon, seconds, sorted.

        Between them no handshake of this device with this server changes.
        """
        waits = {date - side.unix_s for date in self.dates_of(side, server)}
        if side.identity is not None and server.client_cas:
            dates = self._client(side.identity, server).dates
            waits.update(date - server_unix_s for date in dates)
        return (0, *sorted(wait_s for wait_s in waits if 0 < wait_s <= horizon_s))

    def _client(self, identity: ClientIdentity, server: ServerTls) -> _Client:
        key = (identity.certificate, self._fingerprint(server))
        client = self._clients.get(key)
        if client is None:
            client = _Client(class_of(identity, server), server_dates(server, identity))
            self._clients.put(key, client)
        return client

    def _fingerprint(self, server: ServerTls) -> str:
        known = self._servers.get(id(server))
        if known is None:
            known = _Server(server, fingerprint_of(server))
            self._servers.put(id(server), known)
        return known.fingerprint

    def _context(self, server: ServerTls) -> ServerContext:
        fingerprint = self._fingerprint(server)
        context = self._server_contexts.get(fingerprint)
        if context is None:
            context = ServerContext(server)
            self._server_contexts.put(fingerprint, context)
        return context
