"""CredentialDesk: new keys before old ones go, and never a gap."""

from collections.abc import Iterable
from typing import Any

import pytest

from fleetsim.core.settings import Credentials
from fleetsim.runner.credential_actions import CredentialDesk
from fleetsim.runner.lab_setup import new_credentials
from fleetsim.runner.timeline import Facts
from fleetsim.scenario.timeline_schema import RotateCredentials
from tests.runner.stage import S, Stage, staged_plan

COUNT = 10


class Order:
    """Fleet and lab in one: writes down the order of things."""

    def __init__(self) -> None:
        self.order: list[tuple[str, str]] = []

    async def set_credentials(
        self, indexes: Iterable[int], credentials: Credentials
    ) -> int:
        """Devices have new keys."""
        self.order.append(("keys", credentials.access_key))
        return len(tuple(indexes))

    async def request(self, command: str, **arguments: Any) -> Facts:
        """A command to the lab."""
        self.order.append((command, arguments["access_key"]))
        return {}


@pytest.mark.parametrize("overlap_s", [0, 4])
def test_credentials_overlap(overlap_s: float) -> None:
    """Accept the new, hand them out, refuse the old: in this order, never a gap."""
    plan = staged_plan({"count": COUNT}, {"name": "k", "at": "0s"})
    order, stage = Order(), Stage()
    fleet: Any = order
    old = new_credentials()
    desk = CredentialDesk(plan, fleet=fleet, lab=fleet, credentials=old)
    facts = stage.complete(
        desk.rotate(
            stage.execution(plan.timeline[0]), RotateCredentials(overlap=overlap_s)
        )
    )
    new = facts["new_access_key"]
    assert order.order == [
        ("add_credentials", new),
        ("keys", new),
        ("remove_credentials", old.access_key),
    ]
    assert round(stage.now_ns() / S, 3) == overlap_s
    assert desk.accepted == {new}
    assert old.secret_key not in repr(facts)


def test_a_second_rotation_replaces_the_first() -> None:
    """What was new is old then."""
    plan = staged_plan({"count": COUNT}, {"name": "k", "at": "0s"})
    order, stage = Order(), Stage()
    fleet: Any = order
    first = new_credentials()
    desk = CredentialDesk(plan, fleet=fleet, lab=fleet, credentials=first)

    async def twice() -> None:
        for _ in range(2):
            execution = stage.execution(plan.timeline[0])
            await desk.rotate(execution, RotateCredentials())

    stage.complete(twice())
    removed = [key for command, key in order.order if command == "remove_credentials"]
    added = [key for command, key in order.order if command == "add_credentials"]
    assert removed == [first.access_key, added[0]]
    assert desk.accepted == {added[1]}
