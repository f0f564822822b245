"""Stranding: what stands at a device's endpoint now, put before the prover.

A device reaches the fronts of the lab by port: names may lead elsewhere, and the resolver
of the devices knows where. Whether a front is up does not matter: an outage ends. Nothing
is known about somebody else's server, so there only a clock can strand a device.
"""

from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509

from fleetsim.core.device import Device
from fleetsim.forecast.device_view import view_of
from fleetsim.forecast.prover import Front, Prover
from fleetsim.lab.settings import TlsSettings
from fleetsim.lab.tls_files import load_tls
from fleetsim.transport.base import ClientIdentity

DialledPort = Callable[[str, int], int]
"""Port that connections to a host and port go to."""


@dataclass(frozen=True, slots=True)
class FrontPlace:
    """A front of the lab.

    Attributes:
        name: For people.
        port: Where it listens.
        settings: How it speaks TLS; ``None`` = plain HTTP.
    """

    name: str
    port: int
    settings: TlsSettings | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a proof must know of the world around a device, as it is now.

    Attributes:
        fronts: All fronts of the lab; none = somebody else's server.
        known: Certificates of authorities that exist, sent or not.
        accepted_keys: S3 access key ids the server accepts; ``None`` = not known.
    """

    fronts: tuple[FrontPlace, ...] = ()
    known: tuple[x509.Certificate, ...] = ()
    accepted_keys: frozenset[str] | None = None

    def is_as(self, other: "Surroundings") -> bool:
        """Whether nothing has changed since another look.

        Settings are compared by identity: a swap makes new ones even when they look
        alike, because the files behind them may differ.
        """
        return (
            len(self.fronts) == len(other.fronts)
            and self.accepted_keys == other.accepted_keys
            and all(
                one.settings is two.settings and one.port == two.port
                for one, two in zip(self.fronts, other.fronts, strict=True)
            )
            and self.known == other.known
        )


class Stranding:
    """Proves that devices of a run cannot come back by themselves.

    Args:
        look: Gives the surroundings as they are.
        identity: Gives the present client certificate of a device id.
        dialled_port: Where connections of the devices go.
        now_ns: Run time.
        server_unix_s: The servers' clock at a run time.
        prover: Carries the handshakes out and remembers them.
    """

    def __init__(
        self,
        look: Callable[[], Surroundings],
        *,
        identity: Callable[[str], ClientIdentity | None],
        dialled_port: DialledPort,
        now_ns: Callable[[], int],
        server_unix_s: Callable[[int], int],
        prover: Prover | None = None,
    ) -> None:
        self._look = look
        self._identity = identity
        self._dialled_port = dialled_port
        self._now_ns = now_ns
        self._server_unix_s = server_unix_s
        self._prover = prover or Prover()
        self._known: dict[str, tuple[TlsSettings | None, Front]] = {}

    def reason(self, device: Device) -> str | None:
        """The proof that a device is stranded; ``None`` = there is none."""
        now_ns, around = self._now_ns(), self._look()
        return self._prover.stranded_reason(
            view_of(device, self._identity(device.device_id), now_ns),
            self.fronts_of(device),
            self._server_unix_s(now_ns),
            known=around.known,
            accepted_keys=around.accepted_keys,
        )

    def fronts_of(self, device: Device) -> tuple[Front, ...]:
        """The fronts that a device's endpoint leads to, as they are now."""
        fronts = self._look().fronts
        if not fronts:
            return ()
        endpoint = device.settings.endpoint
        port = self._dialled_port(endpoint.host, endpoint.port)
        return tuple(self._front(each) for each in fronts if each.port == port)

    def _front(self, place: FrontPlace) -> Front:
        """A front as it is now; its files are read again only after a swap."""
        known = self._known.get(place.name)
        if known is not None and known[0] is place.settings:
            return known[1]
        tls = None if place.settings is None else load_tls(place.settings)
        front = Front(name=place.name, tls=tls)
        self._known[place.name] = (place.settings, front)
        return front
