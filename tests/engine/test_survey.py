"""Survey: what a look at the devices sees, and that it lets the loop work."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fleetsim.core.contact import ContactState
from fleetsim.core.progress import STATES, BundleSeen
from fleetsim.core.trust_bundle import EMPTY_BUNDLE, TrustBundle
from fleetsim.engine.driver import Driver
from fleetsim.engine.survey import DEVICES_PER_S, SLICE, Surveyor, every_s
from tests.core.certificates import make_certificate

ROOT = make_certificate("root", key="p256")


@dataclass
class Looked:
    """The part of a driver that a survey looks at."""

    state: ContactState = ContactState.UNREACHED
    last_group: str = ""
    bundle: TrustBundle = field(default=EMPTY_BUNDLE)

    @property
    def contact(self) -> Any:
        """Its contact."""
        return SimpleNamespace(state=self.state)

    @property
    def device(self) -> Any:
        """Its device."""
        return SimpleNamespace(ota=SimpleNamespace(bundle=self.bundle))


def surveyor(*looked: Looked) -> Surveyor:
    """A surveyor of these devices."""
    return Surveyor([cast("Driver", each) for each in looked], first=0, stride=1)


async def test_what_it_sees() -> None:
    """State, group and bundle of every device; equal bundles count as one."""
    devices = (
        Looked(),
        Looked(ContactState.STRANDED, "group3", TrustBundle.of([ROOT])),
        Looked(ContactState.CONNECTED, "group1", TrustBundle.of([ROOT])),
        Looked(ContactState.ASLEEP, "group3", TrustBundle.of([ROOT, ROOT])),
    )
    seen = await surveyor(*devices).look()
    assert [STATES[code] for code in seen.states] == [each.state for each in devices]
    assert seen.by_group() == {"group3": 2, "group1": 1}
    one = TrustBundle.of([ROOT]).fingerprint[:12]
    two = TrustBundle.of([ROOT, ROOT]).fingerprint[:12]
    assert seen.by_bundle() == {
        BundleSeen(): 1,
        BundleSeen(one, 1): 2,
        BundleSeen(two, 2): 1,
    }


async def test_codes_stay() -> None:
    """A name keeps its code from look to look."""
    device = Looked(last_group="group2")
    watching = surveyor(device)
    await watching.look()
    device.last_group = "group1"
    seen = await watching.look()
    assert seen.group_names == ("", "group2", "group1")
    assert seen.groups == bytes([2])


async def test_it_lets_the_loop_work() -> None:
    """Others get their turn after every slice."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(other())
        seen = await surveyor(*[Looked()] * (4 * SLICE)).look()
        task.cancel()
    assert len(seen) == 4 * SLICE
    assert turns >= 4


@pytest.mark.parametrize(
    ("devices", "seconds"),
    [(0, 1), (DEVICES_PER_S, 1), (DEVICES_PER_S + 1, 2), (10 * DEVICES_PER_S, 10)],
)
def test_large_fleets_are_looked_at_less_often(devices: int, seconds: int) -> None:
    """The cost of watching does not grow with the fleet."""
    assert every_s(devices) == seconds
