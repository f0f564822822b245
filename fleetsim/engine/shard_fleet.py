"""ShardFleet: a fleet that is one of several, and what it tells the others' parent.

It differs from a fleet that is alone in three things: it begins when all have built their
devices, it does not end before all have drained (an action of the timeline may still
concern its devices), and it notes what its parent must know about single devices.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from fleetsim.core.commands import Operation
from fleetsim.core.device import Reported
from fleetsim.core.progress import Stage
from fleetsim.engine.contacts import Tally
from fleetsim.engine.fleet import Fleet
from fleetsim.recording.record import Record
from fleetsim.transport.base import ClientIdentity

_REPORTING: Final = Operation.HEARTBEAT.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What the parent of a shard must know at any time, small enough to tell often.

    Attributes:
        tally: What the contacts come to.
        reported: What the device.json said that were stored since the last glance, by
            index of the device in the plan.
        is_settled: Whether nothing is left to drain; may change again when a device is
            switched on.
    """

    tally: Tally
    reported: Mapping[int, Reported]
    is_settled: bool


class ShardFleet(Fleet):
    """Runs the devices of one shard of several; arguments as of :class:`Fleet`."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._indexes = {plan.device_id: plan.index for plan in self._plans}
        self._reporters: set[int] = set()
        self._identities: dict[int, ClientIdentity | None] = {
            plan.index: self._bindings[plan.cohort].identity(plan)
            for plan in self._plans
        }
        self.settled = asyncio.Event()

    def finish(self) -> None:
        """Every shard has drained: end."""
        self._all_stopped.set()

    def identity(self, device_id: str) -> ClientIdentity | None:
        """Present client certificate of a device."""
        return self._identities[self._indexes[device_id]]

    def set_identity(self, index: int, identity: ClientIdentity | None) -> bool:
        """See :meth:`fleetsim.engine.actions.DeviceActions.set_identity`."""
        if index in self._identities:
            self._identities[index] = identity
        return super().set_identity(index, identity)

    def record(self, record: Record) -> None:
        """Take a finished attempt; notes devices whose device.json was stored."""
        if record.operation == _REPORTING and not record.kind:
            self._reporters.add(self._indexes[record.device])
        super().record(record)

    def glance(self) -> Glance:
        """What changed; the reports are given once."""
        reporters, self._reporters = self._reporters, set()
        return Glance(
            tally=self._book.tally(),
            reported={
                index: report
                for index in reporters
                if (report := self.reported(index)) is not None
            },
            is_settled=self.settled.is_set(),
        )

    def _settle(self) -> None:
        if self._stage is Stage.DRAIN and self._running == 0:
            self.settled.set()
        else:
            self.settled.clear()
