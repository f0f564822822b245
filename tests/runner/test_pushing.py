"""Objects are judged by the devices' rules, and a push tells how far it came."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from fleetsim.core.settings import Endpoint
from fleetsim.exceptions import InputError, TargetError
from fleetsim.profiles import catalog
from fleetsim.runner.pushing import (
    ObjectKind,
    PushObject,
    devices_of,
    faults_of,
    kind_of,
    plan_for,
    push,
)
from fleetsim.scenario.plan import Plan
from fleetsim.target.control import Control
from tests.integration.runs import cohort, plan_of, scenario

RULES = [catalog.load("canedge2").profile.bundle]


def load(name: str) -> Any:
    """Profile of a name."""
    return catalog.load(name).profile


class Bucket(Control):
    """A control plane that stores in memory, and refuses after some."""

    def __init__(self, room: int = 1_000_000) -> None:
        super().__init__(
            Endpoint(scheme="http", host="s3.example", port=80, bucket="fleet"),
            cast("Any", None),
        )
        self.stored: dict[str, bytes] = {}
        self.busy = 0
        self.most_busy = 0
        self._room = room

    async def put(self, key: str, body: bytes) -> None:
        """Store, in a turn of the loop."""
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        await asyncio.sleep(0)
        self.busy -= 1
        if len(self.stored) >= self._room:
            raise TargetError("http://s3.example/fleet", "says that a quota is used up")
        self.stored[key] = body


def pushed(name: str = "firmware.bin", data: bytes = b"FWFW\1\2\3") -> PushObject:
    """An object."""
    return PushObject(name=name, kind=kind_of(name, name), data=data)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("certs_server.p7b", ObjectKind.BUNDLE),
        ("config-01.07.json", ObjectKind.CONFIG),
        ("firmware.bin", ObjectKind.FIRMWARE),
    ],
)
def test_kinds_by_name(name: str, kind: ObjectKind) -> None:
    """A device finds an object by its name alone."""
    assert kind_of(name, "file") is kind


@pytest.mark.parametrize("name", ["config-1.7.json", "Firmware.bin", "a/firmware.bin"])
def test_other_names_reach_no_device(name: str) -> None:
    """Refused with the names that do."""
    with pytest.raises(InputError, match=r"certs_server\.p7b.*--as"):
        kind_of(name, "file")


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("certs_server.p7b", b"", b"rubbish"),
        ("config-01.07.json", b"{}", b"{"),
        ("firmware.bin", b"FWFW\1\2\3", b"FW"),
    ],
)
def test_what_devices_would_refuse_is_found(name: str, good: bytes, bad: bytes) -> None:
    """By the code that the devices themselves run; an empty bundle is an answer."""
    assert faults_of(pushed(name, bad), RULES, "file")
    assert faults_of(pushed(name, good), RULES, "file") == ()


@pytest.mark.parametrize(
    ("cohorts", "ids", "count"),
    [
        ([], [], 5),
        (["a"], [], 2),
        (["a", "b"], [], 5),
        ([], ["0000002A"], 1),
        (["b"], ["0000002A", "0000002A"], 4),
    ],
    ids=["all", "one cohort", "both", "one by id", "cohort and id"],
)
def test_devices_are_chosen(cohorts: list[str], ids: list[str], count: int) -> None:
    """Nobody twice; ids alone mean these alone."""
    _, plan = plan_of(scenario(cohort("a", 2), cohort("b", 3)))
    chosen = devices_of(plan, cohorts, ids)
    assert len(chosen) == len(set(chosen)) == count


def a_plan() -> Plan:
    """A plan of one cohort ``a``."""
    return plan_of(scenario(cohort("a", 2)))[1]


@pytest.mark.parametrize(
    ("make", "cohorts", "ids", "problems"),
    [
        (a_plan, ["b", "a"], ["2A", "xyz"], 3),
        (lambda: None, ["a"], [], 1),
        (lambda: None, [], [], 1),
    ],
    ids=["all at once", "a cohort of nothing", "nothing at all"],
)
def test_devices_that_are_none(
    make: Callable[[], Plan | None], cohorts: list[str], ids: list[str], problems: int
) -> None:
    """Every wrong name and id has its problem."""
    with pytest.raises(InputError) as caught:
        devices_of(make(), cohorts, ids)
    assert len(caught.value.problems) == problems


def test_a_target_without_a_scenario_names_the_options() -> None:
    """What is wrong is said of the option that gave it."""
    target = {"bucket": "A", "endpoint": "ftp://x", "ca_file": None}
    with pytest.raises(InputError) as caught:
        plan_for(target, "canedge2", load)
    assert {each.where for each in caught.value.problems} == {"--bucket", "--endpoint"}
    plan = plan_for({"bucket": "fleet", "region": None}, "canedge2", load)
    assert plan.target is not None
    assert plan.target.bucket == "fleet"


async def test_every_device_gets_the_object() -> None:
    """Once each, a bounded number at a time."""
    ids = [f"{number:08X}" for number in range(200)]
    bucket = Bucket()
    assert await push(bucket, pushed(), ids) == 200
    assert set(bucket.stored) == {f"{each}/firmware.bin" for each in ids}
    assert bucket.most_busy == 16


async def test_a_push_that_stops_tells_how_far_it_came() -> None:
    """The first refusal ends it, in one sentence."""
    ids = [f"{number:08X}" for number in range(200)]
    with pytest.raises(TargetError, match=r"quota.*stored for 50 of 200 devices"):
        await push(Bucket(room=50), pushed(), ids)
