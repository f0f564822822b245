"""Prover: whether a device can reach a server, and whether it ever will again.

*Reach* is found out by real handshakes in memory (:mod:`fleetsim.forecast.handshakes`),
one per cipher group. A thousand devices alike cost one: results are kept by everything
a handshake can depend on (:mod:`fleetsim.forecast.fingerprints`), time included only as
the interval between two dates of the certificates involved.

*Stranded* is a proof, in this order; the first way out ends it without one:

1. No group reaches any front that stands at the device's one endpoint. Over-the-air
   checks use that endpoint and the same trust, so what waits in the bucket is no help.
2. Nor will it when time goes on: not at any date within :data:`HORIZON_S` at which a
   certificate involved becomes valid.
3. Nor after a renewal of the server's certificate by its present issuer. What counts as
   renewal, and what as a decision that stands, says :mod:`fleetsim.forecast.renewal`.
4. Nor with a roll-back to an earlier server, if the caller names some.

A device that does reach its server is stranded all the same when its clock is more than
15 minutes off and nothing sets it (Amazon S3 then refuses every signed request:
RequestTimeTooSkewed), or when its S3 key is no longer accepted: over-the-air checks are
signed like everything else.

What anybody but the device would mend without such a decision is never stranding: a
server that is down, a name that does not resolve. Nor is anything proved about a chain
of which nobody here knows the issuer.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from cryptography import x509

from fleetsim.core.device import Device
from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.core.settings import AdvanceOn, ClockSync, GroupMemory
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
from fleetsim.forecast.renewal import (
    StandIn,
    StandIns,
    has_lasting_anchor,
    is_complete,
    with_renewed_lists,
)
from fleetsim.forecast.wording import Finding, skew_words, stranding_words
from fleetsim.transport.base import ClientIdentity
from fleetsim.transport.tls_context import ClientContexts
from fleetsim.transport.tls_server import ServerContext, ServerTls

__all__ = [
    "ClientSide",
    "DeviceView",
    "Front",
    "GroupReach",
    "Prover",
    "Reach",
    "certificates_of",
    "view_of",
]

HORIZON_S: Final = 30 * 86_400
"""How long "time will mend it" may take: a month."""

MAX_SKEW_S: Final = 900
"""Amazon S3 refuses requests signed more than 15 minutes off."""

KEY_WORDS: Final = (
    "its S3 key is no longer accepted, and over-the-air checks are signed with it too"
)

_NO_TRUST: Final = Failure(Kind.DEVICE_NO_TRUST, Phase.DEVICE, "the bundle is empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """What stands at an endpoint.

    Attributes:
        name: For people.
        tls: How it speaks TLS; ``None`` = plain HTTP.
    """

    name: str
    tls: ServerTls | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceView:
    """A device as far as its way to the server goes.

    Attributes:
        side: Its TLS side.
        is_tls: Whether its endpoint is HTTPS.
        sets_clock: Whether others set its clock before it connects.
        access_key: S3 access key id it signs with.
    """

    side: ClientSide
    is_tls: bool = True
    sets_clock: bool = False
    access_key: str = ""


def view_of(device: Device, identity: ClientIdentity | None, now_ns: int) -> DeviceView:
    """See a simulated device as the prover does.

    Args:
        device: The device.
        identity: Client certificate it presents.
        now_ns: Run time.
    """
    settings = device.settings
    profile = settings.profile
    groups = settings.cipher_table.groups
    if profile.fallback.advance_on is AdvanceOn.NEVER:
        groups = groups[device.position : device.position + 1]
    elif profile.fallback.memory is GroupMemory.FOREVER:
        # There is no way down the ladder but a success.
        groups = groups[device.position :]
    return DeviceView(
        side=ClientSide(
            bundle=device.bundle,
            groups=groups,
            rules=profile.tls,
            host=settings.endpoint.host,
            unix_s=device.unix_s(now_ns),
            identity=identity,
        ),
        is_tls=settings.endpoint.is_tls,
        sets_clock=profile.clock.sync is ClockSync.WHEN_CONNECTED,
        access_key=settings.credentials.access_key,
    )


class _Server(NamedTuple):
    """A server with its fingerprint; keeps it alive, so that its id stays its own."""

    server: ServerTls
    fingerprint: str


class _Client(NamedTuple):
    """What a server can tell of a client certificate, and when its verdict changes."""

    kind: tuple[object, ...]
    dates: tuple[int, ...]


class Prover:
    """Proves reach and stranding; keeps what it found.

    Args:
        contexts: TLS contexts of the devices; own ones by default.

    Attributes:
        handshakes: Handshakes carried out so far.
    """

    def __init__(self, contexts: ClientContexts | None = None) -> None:
        self.handshakes = 0
        self._contexts = contexts or ClientContexts(identities=256)
        self._stand_ins = StandIns()
        self._reaches: Cache[tuple[object, ...], Reach] = Cache(8192)
        self._reasons: Cache[tuple[object, ...], str | None] = Cache(8192)
        self._servers: Cache[int, _Server] = Cache(256)
        self._server_contexts: Cache[str, ServerContext] = Cache(64)
        self._dates: Cache[tuple[str, str], tuple[int, ...]] = Cache(1024)
        self._clients: Cache[tuple[x509.Certificate, str], _Client] = Cache(65_536)
        self._made: Cache[tuple[str, str], StandIn] = Cache(64)

    # ------------------------------------------------------------ reach

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
        key = self._key(side, server, server_unix_s)
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
            made = self._stand_ins.certificate(chain[0], side.host)
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

    def _key(
        self, side: ClientSide, server: ServerTls, server_unix_s: int
    ) -> tuple[object, ...]:
        """Everything a handshake of this device with this server depends on."""
        key = (
            side.bundle.fingerprint,
            side.groups,
            side.rules,
            side.host,
            self._fingerprint(server),
            interval_of(self._dates_of(side, server), side.unix_s),
        )
        if side.identity is None or not server.client_cas:
            return key
        client = self._client(side.identity, server)
        return (*key, client.kind, interval_of(client.dates, server_unix_s))

    def _dates_of(self, side: ClientSide, server: ServerTls) -> tuple[int, ...]:
        key = (side.bundle.fingerprint, self._fingerprint(server))
        dates = self._dates.get(key)
        if dates is None:
            chains = (one for pair in server.certificates for one in pair.chain)
            dates = dates_of((*side.bundle.certificates, *chains))
            self._dates.put(key, dates)
        return dates

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

    # ------------------------------------------------------------ stranded

    def stranded_reason(
        self,
        view: DeviceView,
        fronts: Sequence[Front],
        server_unix_s: int,
        *,
        known: Sequence[x509.Certificate] = (),
        rollback: Sequence[ServerTls] = (),
        accepted_keys: Collection[str] | None = None,
    ) -> str | None:
        """Prove that a device has no way back but a visit to its SD card.

        Args:
            view: The device.
            fronts: Everything that stands at its endpoint (by host and port), as it is
                now, whether or not it is up; none = nothing is proved about TLS.
            server_unix_s: The servers' clock.
            known: Certificates of authorities that exist besides those that are sent:
                the operator could send them.
            rollback: Earlier servers the operator could still go back to.
            accepted_keys: S3 access key ids the server knows; ``None`` = not looked at.

        Returns:
            The proof in words that name anchors, chain, dates and the check that
            fails, alike for devices alike; ``None`` = there is a way, or no proof.

        Raises:
            InputError: A server's settings, a group or the host cannot be used.
        """
        if view.sets_clock:
            side = replace(view.side, unix_s=server_unix_s)
        else:
            side = view.side
        if view.is_tls:
            reason = self._no_way(side, fronts, server_unix_s, known, rollback)
            if reason is not None:
                return reason
        skew_s = side.unix_s - server_unix_s
        if abs(skew_s) > MAX_SKEW_S:
            return skew_words(skew_s)
        if accepted_keys is not None and view.access_key not in accepted_keys:
            return KEY_WORDS
        return None

    def _no_way(
        self,
        side: ClientSide,
        fronts: Sequence[Front],
        server_unix_s: int,
        known: Sequence[x509.Certificate],
        rollback: Sequence[ServerTls],
    ) -> str | None:
        servers = [front.tls for front in fronts if front.tls is not None]
        if not servers or len(servers) < len(fronts):
            return None
        key = (
            *(self._proof_key(side, one, server_unix_s) for one in servers),
            *(self._proof_key(side, one, server_unix_s) for one in rollback),
            len(rollback),
            tuple(front.name for front in fronts),
            tuple(known),
        )
        if key in self._reasons:
            return self._reasons.get(key)
        findings = []
        reason: str | None = None
        if not any(self._is_reached(side, one, server_unix_s) for one in rollback):
            for front, server in zip(fronts, servers, strict=True):
                finding = self._examine(side, front.name, server, server_unix_s, known)
                if finding is None:
                    break
                findings.append(finding)
            else:
                reason = stranding_words(side, findings)
        self._reasons.put(key, reason)
        return reason

    def _proof_key(
        self, side: ClientSide, server: ServerTls, server_unix_s: int
    ) -> tuple[object, ...]:
        """A proof depends on the present and on each date within the horizon."""
        return tuple(
            self._key(
                replace(side, unix_s=side.unix_s + wait_s),
                server,
                server_unix_s + wait_s,
            )
            for wait_s in self._waits(side, server, server_unix_s)
        )

    def _examine(
        self,
        side: ClientSide,
        name: str,
        server: ServerTls,
        server_unix_s: int,
        known: Sequence[x509.Certificate],
    ) -> Finding | None:
        """Look for a way to one server; ``None`` = there is one, or no proof."""
        reach = self.reach(side, server, server_unix_s)
        if side.bundle.is_empty:
            return Finding(front=name, server=server, reach=reach, renewed=None)
        if self._is_reached(side, server, server_unix_s):
            return None
        beyond = (*known, *side.bundle.certificates)
        if not all(is_complete(one.chain, beyond) for one in server.certificates):
            return None
        waits = self._waits(side, server, server_unix_s)
        moments = [side.unix_s + wait_s for wait_s in waits]
        trusted = tuple(
            one
            for one in server.certificates
            if has_lasting_anchor(one.chain, side.bundle, known, moments)
        )
        if not trusted:
            return Finding(front=name, server=server, reach=reach, renewed=None)
        identity = side.identity.certificate if side.identity else None
        base = with_renewed_lists(replace(server, certificates=trusted), identity)
        stand_in = self._stand_in(base, side.host)
        believer = replace(side, bundle=stand_in.bundle)
        renewed = self.reach(believer, stand_in.server, server_unix_s)
        if self._is_reached(believer, stand_in.server, server_unix_s):
            return None
        return Finding(front=name, server=server, reach=reach, renewed=renewed)

    def _stand_in(self, base: ServerTls, host: str) -> StandIn:
        key = (fingerprint_of(base), host)
        stand_in = self._made.get(key)
        if stand_in is None:
            stand_in = self._stand_ins.server(base, host)
            self._made.put(key, stand_in)
        return stand_in

    def _is_reached(
        self, side: ClientSide, server: ServerTls, server_unix_s: int
    ) -> bool:
        """Whether a device reaches a server now or within the horizon."""
        return any(
            self.reach(
                replace(side, unix_s=side.unix_s + wait_s),
                server,
                server_unix_s + wait_s,
            ).ok
            for wait_s in self._waits(side, server, server_unix_s)
        )

    def _waits(
        self, side: ClientSide, server: ServerTls, server_unix_s: int
    ) -> tuple[int, ...]:
        """Now, and how long until each date within the horizon, seconds."""
        waits = {date - side.unix_s for date in self._dates_of(side, server)}
        if side.identity is not None and server.client_cas:
            dates = self._client(side.identity, server).dates
            waits.update(date - server_unix_s for date in dates)
        return (0, *sorted(wait_s for wait_s in waits if 0 < wait_s <= HORIZON_S))


def certificates_of(servers: Iterable[ServerTls]) -> tuple[x509.Certificate, ...]:
    """Every certificate that some servers send besides their leaves."""
    found = {
        one: None
        for server in servers
        for pair in server.certificates
        for one in pair.chain[1:]
    }
    return tuple(found)
