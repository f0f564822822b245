"""Prover: whether a device can reach a server, and whether it ever will again.

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
from dataclasses import replace
from typing import Final

from cryptography import x509

from fleetsim.forecast.cache import Cache
from fleetsim.forecast.device_view import DeviceView, Front, view_of
from fleetsim.forecast.fingerprints import fingerprint_of
from fleetsim.forecast.handshakes import ClientSide, Reach
from fleetsim.forecast.reacher import Reacher
from fleetsim.forecast.renewal import (
    StandIn,
    has_lasting_anchor,
    is_complete,
    with_renewed_lists,
)
from fleetsim.forecast.wording import Finding, skew_words, stranding_words
from fleetsim.transport.tls_server import ServerTls

__all__ = ["DeviceView", "Front", "Prover", "certificates_of", "view_of"]

HORIZON_S: Final = 30 * 86_400
"""How long "time will mend it" may take: a month."""

MAX_SKEW_S: Final = 900
"""Amazon S3 refuses requests signed more than 15 minutes off."""

KEY_WORDS: Final = (
    "its S3 key is no longer accepted, and over-the-air checks are signed with it too"
)


class Prover:
    """Proves stranding; keeps what it found: a device alike to others costs 30 µs.

    Args:
        reacher: Makes the handshakes; an own one by default.
    """

    def __init__(self, reacher: Reacher | None = None) -> None:
        self._reacher = reacher or Reacher()
        self._reasons: Cache[tuple[object, ...], str | None] = Cache(8192)
        self._made: Cache[tuple[str, str], StandIn] = Cache(64)

    @property
    def handshakes(self) -> int:
        """Handshakes carried out so far."""
        return self._reacher.handshakes

    def reach(self, side: ClientSide, server: ServerTls, server_unix_s: int) -> Reach:
        """As :meth:`fleetsim.forecast.reacher.Reacher.reach`."""
        return self._reacher.reach(side, server, server_unix_s)

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
            self._reacher.key(
                replace(side, unix_s=side.unix_s + wait_s),
                server,
                server_unix_s + wait_s,
            )
            for wait_s in self._reacher.waits(side, server, server_unix_s, HORIZON_S)
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
        reach = self._reacher.reach(side, server, server_unix_s)
        if side.bundle.is_empty:
            return Finding(front=name, server=server, reach=reach, renewed=None)
        if self._is_reached(side, server, server_unix_s):
            return None
        beyond = (*known, *side.bundle.certificates)
        if not all(is_complete(one.chain, beyond) for one in server.certificates):
            return None
        waits = self._reacher.waits(side, server, server_unix_s, HORIZON_S)
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
        renewed = self._reacher.reach(believer, stand_in.server, server_unix_s)
        if self._is_reached(believer, stand_in.server, server_unix_s):
            return None
        return Finding(front=name, server=server, reach=reach, renewed=renewed)

    def _stand_in(self, base: ServerTls, host: str) -> StandIn:
        key = (fingerprint_of(base), host)
        stand_in = self._made.get(key)
        if stand_in is None:
            stand_in = self._reacher.stand_ins.server(base, host)
            self._made.put(key, stand_in)
        return stand_in

    def _is_reached(
        self, side: ClientSide, server: ServerTls, server_unix_s: int
    ) -> bool:
        """Whether a device reaches a server now or within the horizon."""
        return any(
            self._reacher.reach(
                replace(side, unix_s=side.unix_s + wait_s),
                server,
                server_unix_s + wait_s,
            ).ok
            for wait_s in self._reacher.waits(side, server, server_unix_s, HORIZON_S)
        )


def certificates_of(servers: Iterable[ServerTls]) -> tuple[x509.Certificate, ...]:
    """Every certificate that some servers send besides their leaves."""
    found = {
        one: None
        for server in servers
        for pair in server.certificates
        for one in pair.chain[1:]
    }
    return tuple(found)
