"""Relayed path: when devices are led through a relay, and when not any more."""

import asyncio
from typing import Any

import pytest

from fleetsim.runner.relayed_path import Place, RelayedPath, wants_relay
from fleetsim.scenario.timeline_schema import Fault, FaultKind
from fleetsim.transport.resolver import Resolver
from tests.runner.plans import TARGET
from tests.runner.stage import Stage, only, staged_plan, timeline_of

WAYS: dict[Place, Place] = {
    ("s3.example.org", 443): ("127.0.0.1", 9001),
    ("192.0.2.7", 443): ("127.0.0.1", 9002),
}
ENTRY = only(timeline_of({"name": "t", "at": "0s"}))
FAULT = {"at": "0s", "fault": {"kind": "blackhole", "duration": "1s"}}


class Relays:
    """A process of relays that writes down what it is asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    async def request(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Write it down."""
        self.asked.append({"command": command, **arguments})
        return {"fronts": {"relay-1": {}, "relay-2": {}}}


def ports(resolver: Resolver) -> list[int]:
    """Ports dialled for the places of WAYS."""
    return [resolver.dialled_port(host, port) for host, port in WAYS]


def test_a_detour_as_long_as_any_fault_lasts() -> None:
    """Two overlapping faults, one way; when the last is over the target is dialled."""
    stage, relays = Stage(), Relays()
    process: Any = relays
    path = RelayedPath(process, WAYS)
    resolver = Resolver(stage.loop, stage.now_ns)
    seen: list[list[int]] = []

    async def look(*at_s: float) -> None:
        for each in at_s:
            await stage.sleep_until(round(each * 1e9))
            seen.append(ports(resolver))

    async def one(kind: FaultKind, begin_s: float, duration_s: float) -> Any:
        await stage.sleep_until(round(begin_s * 1e9))
        action = Fault(kind=kind, duration=duration_s, delay=0.5)
        return await path.fault(stage.execution(ENTRY), action, resolver)

    async def play() -> Any:
        async with asyncio.TaskGroup() as group:
            group.create_task(look(0.5, 1.5, 3.5, 4.5))
            group.create_task(one(FaultKind.DELAY, 1.0, 2.0))
            last = group.create_task(one(FaultKind.SLOW_FIRST_BYTE, 2.0, 2.0))
        return last.result()

    facts = stage.complete(play())
    direct, relayed = [443, 443], [9001, 9002]
    assert seen == [direct, relayed, relayed, direct]
    assert facts["relayed"] == ["192.0.2.7:443", "s3.example.org:443"]
    assert [(x["command"], x["kind"], x["front"]) for x in relays.asked] == [
        ("fault", "delay", None),
        ("fault", "slow_first_byte", None),
    ]


def test_the_detour_ends_with_a_fault_that_cannot_be_made() -> None:
    """A relay that refuses leaves the devices their way."""

    class Refusing:
        async def request(self, command: str, **_: Any) -> dict[str, Any]:
            raise RuntimeError(command)

    process: Any = Refusing()
    stage = Stage()
    resolver = Resolver(stage.loop, stage.now_ns)
    path = RelayedPath(process, WAYS)
    action = Fault(kind=FaultKind.RESET, duration=1)
    with pytest.raises(RuntimeError):
        stage.complete(path.fault(stage.execution(ENTRY), action, resolver))
    assert ports(resolver) == [443, 443]


@pytest.mark.parametrize(
    ("cohort", "entries", "top", "wanted"),
    [
        pytest.param({}, [FAULT], {}, False, id="the lab has faults of its own"),
        pytest.param(
            {"trust": "empty"}, [FAULT], {"target": TARGET}, True, id="target"
        ),
        pytest.param(
            {"trust": "empty"},
            [{"at": "0s", "lose_rtc": {}}],
            {"target": TARGET},
            False,
            id="no fault",
        ),
    ],
)
def test_who_wants_a_relay(
    cohort: dict[str, Any],
    entries: list[dict[str, Any]],
    top: dict[str, Any],
    wanted: bool,
) -> None:
    """Faults on the way to a target, unless a command does them."""
    plan = staged_plan(cohort, *entries, **top)
    assert wants_relay(plan) is wanted
