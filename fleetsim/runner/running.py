"""Running: a fleet as the timeline sees it, whether it runs here or in several processes."""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from fleetsim.core.outcomes import DeviceOutcome, GeneratorHealth
from fleetsim.engine.actions import Devices
from fleetsim.engine.fleet import Ending, Fleet
from fleetsim.runner.stranding import Stranding, Surroundings
from fleetsim.transport.base import ClientIdentity


class Names(Protocol):
    """What names mean to the devices; see :class:`fleetsim.transport.resolver.Resolver`."""

    def override(
        self,
        host: str,
        addresses: Iterable[str] | None,
        *,
        port: int | None = None,
        to_port: int | None = None,
    ) -> None:
        """Let a name mean something else."""

    def restore(self, host: str, *, port: int | None = None) -> None:
        """Take an override back."""


class RunningFleet(Devices, Protocol):
    """A fleet, from before its start to after its end."""

    @property
    def resolver(self) -> Names:
        """What names mean to the devices; there once the run has begun."""

    def now_ns(self) -> int:
        """Run time."""

    def figures(self) -> Mapping[str, float]:
        """Live figures, by the names that conditions of a scenario use."""

    def states(self) -> Mapping[str, Mapping[str, int]]:
        """Devices by contact state, of every cohort."""

    def surround(
        self,
        look: Callable[[], Surroundings],
        *,
        identity: Callable[[str], ClientIdentity | None],
        server_unix_s: Callable[[int], int],
    ) -> None:
        """Let devices be declared stranded where these surroundings prove it.

        Args:
            look: Gives the surroundings as they are.
            identity: Gives the present client certificate of a device id.
            server_unix_s: The servers' clock at a run time.
        """

    async def run(self) -> Ending:
        """Run to the end."""

    def interrupt(self) -> None:
        """First call: end the load and drain. Second call: stop at once."""

    def abort(self) -> None:
        """End at once, but as a completed run: its verdict is known."""

    def outcomes(self) -> list[DeviceOutcome]:
        """How every device ended."""

    def health(self) -> GeneratorHealth:
        """Whether the generator kept up."""


class LocalFleet(Fleet):
    """A fleet in this process."""

    def surround(
        self,
        look: Callable[[], Surroundings],
        *,
        identity: Callable[[str], ClientIdentity | None],
        server_unix_s: Callable[[int], int],
    ) -> None:
        """See :meth:`RunningFleet.surround`."""
        self.set_stranding(
            Stranding(
                look,
                identity=identity,
                dialled_port=self.resolver.dialled_port,
                now_ns=self.now_ns,
                server_unix_s=server_unix_s,
            ).reason
        )
