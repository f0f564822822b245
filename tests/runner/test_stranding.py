"""Stranding: the prover is asked about what really stands at a device's endpoint."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fleetsim.core.device import Device
from fleetsim.core.settings import Credentials
from fleetsim.core.trust_bundle import EMPTY_BUNDLE, TrustBundle
from fleetsim.lab.settings import LabAddress
from fleetsim.pki.leaves import Leaf
from fleetsim.runner.bindings import Site, bind
from fleetsim.runner.front_actions import FrontDesk
from fleetsim.runner.lab_setup import LabKit, build_lab, new_credentials
from fleetsim.runner.pki_registry import PkiRegistry
from fleetsim.runner.rehearsal import surroundings_of
from fleetsim.runner.sites import front_endpoint
from fleetsim.runner.stranding import Stranding
from fleetsim.scenario.timeline_schema import IssueCa, IssueServerCertificate
from fleetsim.transport.resolver import Resolver
from tests.runner.stage import only, staged_plan, timeline_of

NOW = datetime.now(UTC).replace(microsecond=0)
FRONTS = {"fronts": [{"name": "one"}, {"name": "two"}]}
PLAN = staged_plan({"front": "one"}, lab=FRONTS)
ADDRESS = LabAddress({"one": ("127.0.0.1", 9001), "two": ("127.0.0.1", 9002)})


class World:
    """A lab, a device that trusts its root, and a judge of the two."""

    def __init__(self, folder: Path, **device: Any) -> None:
        lab = PLAN.lab
        assert lab is not None
        self.kit: LabKit = build_lab(lab, folder, NOW, base_folder=folder)
        self.loop = asyncio.new_event_loop()
        self.resolver = Resolver(self.loop, lambda: 0)
        self.registry = PkiRegistry(self.kit, lambda: NOW)
        self.accepted: set[str] = set()
        control: Any = self
        self.fronts = FrontDesk(
            control,
            {f.name: f.tls for f in self.kit.settings.fronts if f.tls is not None},
            folder,
        )
        site = Site(
            endpoint=front_endpoint(lab, "one", 9001, PLAN.cohorts[0].profile.style),
            credentials=device.pop("credentials", self.kit.credentials),
        )
        bindings, _ = bind(
            PLAN, [site], kit=self.kit, authorities={}, base_folder=folder, now=NOW
        )
        plan = PLAN.devices[0]
        self.device = Device(
            bindings[0].settings,
            device_id=plan.device_id,
            seed=plan.seed,
            phase_ns=0,
            clock_skew_s=device.pop("clock_skew_s", 0.0),
            bundle=device.pop("bundle", bindings[0].bundle),
        )
        desks: Any = SimpleNamespace(
            plan=PLAN,
            target=SimpleNamespace(address=ADDRESS),
            registry=self.registry,
            fronts=self.fronts,
            credentials=SimpleNamespace(
                accepted=frozenset({self.kit.credentials.access_key})
            ),
        )
        self.desks = desks
        self.judge = Stranding(
            lambda: surroundings_of(desks),
            identity=lambda _device: None,
            dialled_port=self.resolver.dialled_port,
            now_ns=lambda: 0,
            server_unix_s=lambda _now_ns: int(NOW.timestamp()),
        )

    async def swap_front(self, front: str, tls: object) -> None:
        """A front takes whatever it is given."""

    def foreign_leaf(self) -> Leaf:
        """A certificate of another root."""
        ca, server = IssueCa(key="p256"), IssueServerCertificate(ca="new")
        for name, action in (("new", ca), ("server", server)):
            entry = only(timeline_of({"name": name, "at": "0s", "issue_ca": ca}))
            if isinstance(action, IssueCa):
                self.registry.issue_ca(entry, action)
            else:
                self.registry.issue_server(entry, action)
        return self.registry.leaf("server")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A device that gets through."""
    made = World(tmp_path)
    yield made
    made.loop.close()


def test_a_device_that_gets_through(world: World) -> None:
    """There is no proof against it."""
    assert [front.name for front in world.judge.fronts_of(world.device)] == ["one"]
    assert world.judge.reason(world.device) is None


def test_a_swap_is_seen(world: World) -> None:
    """The front is looked at as it is now, and only the device's own."""
    before = world.judge.fronts_of(world.device)
    assert world.judge.fronts_of(world.device)[0] is before[0]
    leaf = world.foreign_leaf()
    world.loop.run_until_complete(world.fronts.swap_certificate("two", leaf))
    assert world.judge.reason(world.device) is None
    world.loop.run_until_complete(world.fronts.swap_certificate("one", leaf))
    assert "by CN=new" in (world.judge.reason(world.device) or "")
    world.loop.run_until_complete(world.loop.shutdown_default_executor())


def test_a_name_that_leads_elsewhere(world: World) -> None:
    """What counts is where connections go."""
    world.resolver.override("localhost", ["127.0.0.1"], port=9001, to_port=9002)
    assert [front.name for front in world.judge.fronts_of(world.device)] == ["two"]


def test_a_name_that_is_gone_strands_nobody(world: World) -> None:
    """It may come back without a visit to the device."""
    world.resolver.override("localhost", None, port=9001)
    assert world.judge.reason(world.device) is None


@pytest.mark.parametrize(
    ("device", "words"),
    [
        pytest.param({"bundle": EMPTY_BUNDLE}, "bundle is empty", id="no trust"),
        pytest.param({"clock_skew_s": -1800.0}, "30 minutes behind", id="clock"),
        pytest.param(
            {"credentials": new_credentials()}, "no longer accepted", id="key"
        ),
    ],
)
def test_what_strands_a_device(
    tmp_path: Path, device: dict[str, TrustBundle | Credentials], words: str
) -> None:
    """No trust, a clock too far off, a key that the server does not know."""
    world = World(tmp_path, **device)
    try:
        reason = world.judge.reason(world.device)
    finally:
        world.loop.close()
    assert words in (reason or "")


def test_somebody_elses_server(world: World) -> None:
    """Nothing is known about it, so nothing is proved about trust."""
    world.desks.fronts = None
    world.desks.credentials = None
    assert world.judge.fronts_of(world.device) == ()
    assert world.judge.reason(world.device) is None
