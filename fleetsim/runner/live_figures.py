"""LiveFigures: the figures that conditions of the timeline are about, while it runs.

What the fleet counts by itself comes from the fleet. The shares of an over-the-air
rollout are proved by what the server *stored*: the device.json in the bucket lists the
hashes of the certificates, the checksum of the configuration and the firmware version
that the device uses.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from fleetsim.scenario.condition import FIGURES


class Shares(Protocol):
    """How far the newest over-the-air objects got."""

    def bundle_share(self) -> float:
        """Share of the fleet that proved the newest bundle, 0..1."""

    def config_share(self) -> float:
        """Share of the fleet that proved the newest configuration, 0..1."""

    def firmware_share(self) -> float:
        """Share of the fleet that proved the newest firmware, 0..1."""


class LiveFigures(Mapping[str, float]):
    """Figures by name; each is worked out when it is asked for.

    Args:
        fleet: Gives what the fleet counts.
        shares: Over-the-air shares.
        crl_revoked: Gives the number of certificates on the revocation lists.
    """

    def __init__(
        self,
        fleet: Callable[[], Mapping[str, float]],
        shares: Shares,
        crl_revoked: Callable[[], int],
    ) -> None:
        self._fleet = fleet
        self._more: dict[str, Callable[[], float]] = {
            "bundle_share": shares.bundle_share,
            "config_share": shares.config_share,
            "firmware_share": shares.firmware_share,
            "crl_revoked": lambda: float(crl_revoked()),
        }

    def __getitem__(self, name: str) -> float:
        """Value of one figure now."""
        more = self._more.get(name)
        return self._fleet()[name] if more is None else more()

    def __iter__(self) -> Iterator[str]:
        return iter(FIGURES)

    def __len__(self) -> int:
        return len(FIGURES)
