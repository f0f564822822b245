"""FrontControl: what a rehearsal can do to the fronts of a lab, whatever runs them."""

from collections.abc import Mapping
from typing import Any, Protocol

from fleetsim.lab.process import LabProcess
from fleetsim.lab.settings import TlsSettings

Answer = Mapping[str, Any]
"""What was done, JSON values."""


class FrontControl(Protocol):
    """Commands to fronts. ``front=None`` = all of them, the control plane's left out.

    Every method raises ``InputError`` when the front refuses and ``TargetError`` when
    it cannot be reached.
    """

    async def swap_front(self, front: str, tls: TlsSettings) -> None:
        """Use other TLS settings for new handshakes; returns once they do."""

    async def outage(self, front: str | None, duration_s: float | None) -> Answer:
        """Refuse connections and reset the open ones, for a while."""

    async def slow(
        self, front: str | None, delay_s: float, duration_s: float | None
    ) -> Answer:
        """Delay every answer, for a while."""

    async def reset(self, front: str | None) -> Answer:
        """Reset every open connection."""

    async def fault(
        self,
        front: str | None,
        kind: str,
        values: Mapping[str, float],
        *,
        share: float,
        duration_s: float | None,
    ) -> Answer:
        """Disturb new connections, for a while; see :mod:`fleetsim.lab.faults`."""


class LabFronts:
    """The fronts of the lab's own process.

    Args:
        lab: The lab.
    """

    def __init__(self, lab: LabProcess) -> None:
        self._lab = lab

    async def swap_front(self, front: str, tls: TlsSettings) -> None:
        """See :class:`FrontControl`."""
        await self._lab.request(
            "swap_front", front=front, tls=tls.model_dump(mode="json")
        )

    async def outage(self, front: str | None, duration_s: float | None) -> Answer:
        """See :class:`FrontControl`."""
        return await self._lab.request("outage", front=front, duration_s=duration_s)

    async def slow(
        self, front: str | None, delay_s: float, duration_s: float | None
    ) -> Answer:
        """See :class:`FrontControl`."""
        return await self._lab.request(
            "slow", front=front, delay_s=delay_s, duration_s=duration_s
        )

    async def reset(self, front: str | None) -> Answer:
        """See :class:`FrontControl`."""
        return await self._lab.request("reset", front=front)

    async def fault(
        self,
        front: str | None,
        kind: str,
        values: Mapping[str, float],
        *,
        share: float,
        duration_s: float | None,
    ) -> Answer:
        """See :class:`FrontControl`."""
        return await self._lab.request(
            "fault",
            front=front,
            kind=kind,
            share=share,
            duration_s=duration_s,
            **values,
        )
