"""Relayed path: faults on the way to a server that is not ours.

::

    device ─► relay on this machine (a process of its own) ─► the target
                 │ delay, throttle, reset … of new connections

While a fault lasts the resolver sends new connections of the devices through the relay;
they go on asking for the same name (SNI, ``Host``), and TLS passes through unread. Before
and after it they dial the target itself: nothing of a run is measured through a relay
but its faults. Connections made through it live on until somebody closes them.

The relay is a front of scheme ``tcp`` in a process as the lab's, so it takes the lab's
commands and keeps the time of its faults itself.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from fleetsim.core.settings import Endpoint
from fleetsim.lab.process import LabProcess
from fleetsim.lab.settings import FrontSettings, LabSettings, UpstreamSettings
from fleetsim.runner.front_control import LabFronts
from fleetsim.runner.running import Names
from fleetsim.runner.timeline import Execution, Facts
from fleetsim.runner.trouble_actions import fault
from fleetsim.scenario.plan import Plan
from fleetsim.scenario.timeline_schema import Fault

Place = tuple[str, int]
"""Host and port."""

_LOOPBACK: Final = "127.0.0.1"
_IDLE_TIMEOUT_S: Final = 86_400.0
"""A relay outlasts what is silent: that may be the fault."""


class RelayedPath:
    """The way to a target, with relays that can stand in it.

    Args:
        relays: Process of the relays.
        ways: Address of each relay by the place it leads to.
    """

    def __init__(self, relays: LabProcess, ways: Mapping[Place, Place]) -> None:
        self._control = LabFronts(relays)
        self._ways = ways
        self._users = 0

    async def fault(
        self, execution: Execution, action: Fault, resolver: Names
    ) -> Facts:
        """Disturb new connections for a while.

        Args:
            execution: The entry.
            action: What happens to them.
            resolver: Name resolution of the devices.

        Raises:
            InputError: The fault cannot be made.
            TargetError: The relay is gone.
        """
        with self._detour(resolver):
            facts = await fault(execution, action, self._control)
        relayed = [f"{host}:{port}" for host, port in self._ways]
        return {**facts, "relayed": sorted(relayed)}

    @contextmanager
    def _detour(self, resolver: Names) -> Iterator[None]:
        """Send new connections through the relays, as long as any fault wants it."""
        self._users += 1
        if self._users == 1:
            for (host, port), (address, relay_port) in self._ways.items():
                resolver.override(host, [address], port=port, to_port=relay_port)
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                for host, port in self._ways:
                    resolver.restore(host, port=port)


def wants_relay(plan: Plan) -> bool:
    """Whether a plan has faults on the way to a server that is not the lab."""
    return plan.lab is None and any(
        isinstance(entry.action, Fault) and entry.replaced_by is None
        for entry in plan.timeline
    )


@asynccontextmanager
async def open_relays(
    endpoints: Iterable[Endpoint],
) -> AsyncIterator[RelayedPath]:
    """Start a relay before each place that devices dial; stop them at the end.

    Raises:
        InputError: No port can be listened on.
        TargetError: The process does not start.
    """
    places = list(dict.fromkeys((each.host, each.port) for each in endpoints))
    fronts = {
        f"relay-{number}": FrontSettings(
            name=f"relay-{number}",
            scheme="tcp",
            host=_LOOPBACK,
            upstream=UpstreamSettings(host=host, port=port),
            idle_timeout_s=_IDLE_TIMEOUT_S,
        )
        for number, (host, port) in enumerate(places, 1)
    }
    relays = LabProcess()
    address = await relays.start(LabSettings(fronts=tuple(fronts.values()), buckets=()))
    try:
        yield RelayedPath(
            relays,
            {
                place: address.fronts[name]
                for place, name in zip(places, fronts, strict=True)
            },
        )
    finally:
        await relays.stop(0.0)
