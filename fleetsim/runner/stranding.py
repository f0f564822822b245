"""Stranding: what stands at a device's endpoint now, put before the prover.

A device reaches the fronts of the lab by port: names may lead elsewhere, and the resolver
of the devices knows where. Whether a front is up does not matter: an outage ends. Nothing
is known about somebody else's server, so there only a clock can strand a device.
"""

from collections.abc import Callable

from fleetsim.core.device import Device
from fleetsim.forecast.device_view import view_of
from fleetsim.forecast.prover import Front, Prover
from fleetsim.lab.settings import TlsSettings
from fleetsim.lab.tls_files import load_tls
from fleetsim.runner.actions import Desks


class Stranding:
    """Proves that devices of a run cannot come back by themselves.

    Args:
        desks: What the timeline works with: fronts, identities and keys as they are.
        server_unix_s: The servers' clock at a run time.
        prover: Carries the handshakes out and remembers them.
    """

    def __init__(
        self,
        desks: Desks,
        server_unix_s: Callable[[int], int],
        prover: Prover | None = None,
    ) -> None:
        self._desks = desks
        self._server_unix_s = server_unix_s
        self._prover = prover or Prover()
        self._known: dict[str, tuple[TlsSettings | None, Front]] = {}
        self._indexes = {each.device_id: each.index for each in desks.plan.devices}

    def reason(self, device: Device) -> str | None:
        """The proof that a device is stranded; ``None`` = there is none."""
        desks = self._desks
        now_ns = desks.fleet.now_ns()
        identity = desks.identities.identity(self._indexes[device.device_id])
        return self._prover.stranded_reason(
            view_of(device, identity, now_ns),
            self.fronts_of(device),
            self._server_unix_s(now_ns),
            known=tuple(each.certificate for each in desks.registry.authorities),
            accepted_keys=None
            if desks.credentials is None
            else desks.credentials.accepted,
        )

    def fronts_of(self, device: Device) -> tuple[Front, ...]:
        """The fronts that a device's endpoint leads to, as they are now."""
        desks = self._desks
        spec, address = desks.plan.lab, desks.target.address
        if spec is None or address is None or desks.fronts is None:
            return ()
        endpoint = device.settings.endpoint
        port = desks.fleet.resolver.dialled_port(endpoint.host, endpoint.port)
        return tuple(
            self._front(each.name, desks.fronts.settings.get(each.name))
            for each in spec.fronts
            if address.fronts[each.name][1] == port
        )

    def _front(self, name: str, settings: TlsSettings | None) -> Front:
        """A front as it is now; its files are read again only after a swap."""
        known = self._known.get(name)
        if known is not None and known[0] is settings:
            return known[1]
        tls = None if settings is None else load_tls(settings)
        front = Front(name=name, tls=tls)
        self._known[name] = (settings, front)
        return front
