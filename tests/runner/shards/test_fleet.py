"""ShardedFleet: what it is told and asked, when shards answer, fail, die or say nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fleetsim.core.device import Reported
from fleetsim.core.settings import Credentials
from fleetsim.core.trust_bundle import EMPTY_BUNDLE
from fleetsim.engine.fleet import Ending
from fleetsim.exceptions import GeneratorError, RecordingError
from fleetsim.runner.shards import fleet as fleet_module
from fleetsim.runner.shards.messages import (
    Answer,
    Around,
    Call,
    Failed,
    Go,
    Identities,
    Order,
    Override,
    Ready,
)
from fleetsim.runner.stranding import Surroundings
from tests.runner.plans import plan_of
from tests.runner.shards.crew import Crew, ended, glance, puppets, tick, until

PLAN = plan_of({"count": 7})
SHARED = Credentials(access_key="AKIA", secret_key="secret")
Story = Callable[[Crew], Awaitable[None]]


@pytest.fixture(autouse=True)
def _no_processes() -> Iterator[None]:
    with puppets():
        yield


def play(folder: Path, story: Story, *, count: int = 3) -> tuple[Crew, Ending]:
    """Run a fleet of puppets while a story goes on."""
    told: list[Crew] = []

    async def main() -> Ending:
        crew = Crew(PLAN, count, folder)
        told.append(crew)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            running = group.create_task(crew.fleet.run())
            await until(lambda: all(puppet.job for puppet in crew.puppets))
            await story(crew)
        return running.result()

    ending = asyncio.run(main())
    return told[0], ending


async def begin(crew: Crew) -> None:
    """Get ready and go."""
    crew.ready()
    await until(lambda: all(puppet.heard_of(Go) for puppet in crew.puppets))


def answer(crew: Crew, changed: int = 1) -> None:
    """Answer every call that waits."""
    for puppet in crew.puppets:
        for call in puppet.heard_of(Call):
            puppet.say(Answer(call.number, changed))


def test_every_device_has_one_shard(tmp_path: Path) -> None:
    """The jobs hold the whole plan, and its bound of attempts, once."""

    async def story(crew: Crew) -> None:
        await begin(crew)
        crew.end()

    crew, ending = play(tmp_path, story)
    jobs = [puppet.job for puppet in crew.puppets if puppet.job is not None]
    indexes = [device.index for job in jobs for device in job.devices]
    assert sorted(indexes) == list(range(7))
    assert sum(job.in_flight for job in jobs) == PLAN.in_flight
    assert len({job.folder for job in jobs}) == 3
    assert ending is Ending.COMPLETED
    ids = [device.device_id for device in PLAN.devices]
    assert sorted(o.device for o in crew.fleet.outcomes()) == sorted(ids)


def test_all_have_one_run_time(tmp_path: Path) -> None:
    """Nobody begins before all are ready; run time 0 is the same for all."""

    async def story(crew: Crew) -> None:
        for puppet in crew.puppets[:-1]:
            puppet.say(_ready(puppet))
        await asyncio.sleep(0.01)
        assert not any(puppet.heard_of(Go) for puppet in crew.puppets)
        await begin(crew)
        assert len({p.heard_of(Go)[0].origin_ns for p in crew.puppets}) == 1
        crew.end()

    play(tmp_path, story)


def _ready(puppet: Any) -> Ready:

    return Ready(glance(puppet))


@pytest.mark.parametrize(
    ("act", "action", "arguments"),
    [
        (lambda f, i: f.sleep(i), "sleep", ()),
        (lambda f, i: f.wake(i), "wake", ()),
        (lambda f, i: f.skew_clock(i, 3.0), "skew_clock", (3.0,)),
        (lambda f, i: f.set_clock(i, 99), "set_clock", (99,)),
        (lambda f, i: f.lose_rtc(i), "set_clock", (946_684_800,)),
        (lambda f, i: f.set_network(i, is_up=False), "set_network", (False,)),
        (lambda f, i: f.set_credentials(i, SHARED), "set_credentials", (SHARED,)),
        (lambda f, i: f.power_cycle(i), "power_cycle", ()),
    ],
    ids=lambda value: value if isinstance(value, str) and value else None,
)
def test_actions_reach_the_shards_concerned(
    tmp_path: Path, act: Any, action: str, arguments: tuple[Any, ...]
) -> None:
    """Each shard is told its own devices, in the order given; answers are added."""

    async def story(crew: Crew) -> None:
        await begin(crew)
        async with asyncio.TaskGroup() as group:
            acting = group.create_task(act(crew.fleet, [6, 4, 0, 3]))
            await until(lambda: bool(crew.puppets[1].heard_of(Call)))
            assert [
                (call.action, *call.arguments)
                for puppet in crew.puppets
                for call in puppet.heard_of(Call)
            ] == [(action, [6, 0, 3], *arguments), (action, [4], *arguments)]
            answer(crew, changed=2)
        assert acting.result() == 4
        crew.end()

    play(tmp_path, story)


def test_power_cycles_keep_their_times(tmp_path: Path) -> None:
    """A cycle that is spread over time is spread over all devices, not within a shard."""

    async def story(crew: Crew) -> None:
        await begin(crew)
        async with asyncio.TaskGroup() as group:
            group.create_task(crew.fleet.power_cycle([0, 1, 2, 3], over_s=4.0))
            await until(lambda: bool(crew.puppets[2].heard_of(Call)))
            due = dict(
                pair
                for puppet in crew.puppets
                for call in puppet.heard_of(Call)
                for pair in call.arguments[0]
            )
            first = due[0]
            assert [due[i] - first for i in range(4)] == [
                0,
                10**9,
                2 * 10**9,
                3 * 10**9,
            ]
            answer(crew)
        crew.end()

    play(tmp_path, story)


def test_a_shard_that_dies_owes_nothing(tmp_path: Path) -> None:
    """An action does not wait for it, its devices are asleep, and the run goes on."""

    async def story(crew: Crew) -> None:
        await begin(crew)
        for puppet in crew.puppets:
            puppet.say(glance(puppet, state="connected", uploads=5))
            puppet.say(tick(puppet, seen=5))
        async with asyncio.TaskGroup() as group:
            acting = group.create_task(crew.fleet.sleep(range(7)))
            await until(lambda: bool(crew.puppets[2].heard_of(Call)))
            crew.puppets[2].die("its process was ended by SIGKILL")
            for puppet in crew.puppets[:2]:
                puppet.say(Answer(1, 1))
        assert acting.result() == 2
        assert await crew.fleet.sleep([2, 5]) == 0
        figures = crew.fleet.figures()
        assert (figures["asleep"], figures["connected"], figures["uploads"]) == (
            2,
            5,
            15,
        )
        assert crew.fleet.snapshot().acknowledged == 15
        for puppet in crew.puppets[:2]:
            puppet.say(ended(puppet))

    crew, ending = play(tmp_path, story)
    assert ending is Ending.COMPLETED
    assert crew.lost == ["shard 3 of 3"]
    (lost,) = crew.fleet.lost
    assert sorted(lost.cohorts) == sorted(PLAN.devices[i].device_id for i in (2, 5))
    health = crew.fleet.health()
    assert health.devices_lost == 2
    assert "ended by SIGKILL" in health.reasons[0]
    assert len(crew.fleet.outcomes()) == 5


def test_all_shards_died(tmp_path: Path) -> None:
    """Then there is no fleet, and no verdict about one."""

    async def story(crew: Crew) -> None:
        await begin(crew)
        for puppet in crew.puppets:
            puppet.die("its process was ended by SIGKILL")

    with pytest.raises(ExceptionGroup) as caught:
        play(tmp_path, story)
    assert caught.group_contains(GeneratorError, match="every process")


def test_a_shard_that_cannot_start(tmp_path: Path) -> None:
    """A run begins whole or not at all; nobody waits for the others."""

    async def story(crew: Crew) -> None:
        crew.puppets[1].die("its process ended with exit code 1; its last words: no")

    with pytest.raises(ExceptionGroup) as caught:
        play(tmp_path, story)
    assert caught.group_contains(GeneratorError, match="shard 2 of 3: could not.*no")


@pytest.mark.parametrize(
    ("failed", "error", "words"),
    [
        (Failed("records.arrows", "disk full"), RecordingError, "disk full"),
        (Failed("", "Traceback: boom"), RuntimeError, "shard 1 of 3: Traceback: boom"),
    ],
    ids=["disk", "bug"],
)
def test_a_shard_that_fails(
    tmp_path: Path, failed: Failed, error: type[Exception], words: str
) -> None:
    """A full disk and a bug end the run, as they do in one process."""

    async def story(crew: Crew) -> None:
        await begin(crew)
        crew.puppets[0].say(failed)
        assert Order.ABORT in crew.puppets[1].heard
        for puppet in crew.puppets[1:]:
            puppet.say(ended(puppet))

    with pytest.raises(ExceptionGroup) as caught:
        play(tmp_path, story)
    assert caught.group_contains(error, match=words)


def test_they_finish_together(tmp_path: Path) -> None:
    """Nobody ends before all who live have drained."""

    async def story(crew: Crew) -> None:
        await begin(crew)
        one, two, three = crew.puppets
        one.say(glance(one, is_settled=True))
        two.say(glance(two, is_settled=True))
        assert Order.FINISH not in one.heard
        three.die("its process was ended by SIGKILL")
        assert Order.FINISH in one.heard
        one.say(ended(one))
        two.say(ended(two))

    play(tmp_path, story)


def test_signals(tmp_path: Path) -> None:
    """Ctrl-C reaches every shard, once for each time; the run says it was interrupted."""

    async def story(crew: Crew) -> None:
        await begin(crew)
        crew.fleet.interrupt()
        crew.fleet.interrupt()
        assert [p.heard.count(Order.INTERRUPT) for p in crew.puppets] == [2, 2, 2]
        crew.end(Ending.INTERRUPTED)

    assert play(tmp_path, story)[1] is Ending.INTERRUPTED


def test_a_shard_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is killed when it has not ended long after it should have, and counts as died."""
    monkeypatch.setattr(fleet_module, "GRACE_NS", 1_000_000)

    async def story(crew: Crew) -> None:
        await begin(crew)
        crew.fleet.abort()
        for puppet in crew.puppets[:2]:
            puppet.say(ended(puppet))
        await until(lambda: crew.puppets[2].is_killed)

    crew, _ = play(tmp_path, story)
    assert crew.lost == ["shard 3 of 3"]


def test_the_world_is_told_first(tmp_path: Path) -> None:
    """A change of the surroundings arrives before what follows from it, and once."""
    world = [Surroundings(accepted_keys=frozenset({"old"}))]

    async def story(crew: Crew) -> None:
        await begin(crew)
        crew.fleet.surround(
            lambda: world[0], identity=lambda _: None, server_unix_s=lambda _: 0
        )
        world[0] = Surroundings(accepted_keys=frozenset({"old", "AKIA"}))
        async with asyncio.TaskGroup() as group:
            group.create_task(crew.fleet.set_credentials([0, 1, 2], SHARED))
            await until(lambda: bool(crew.puppets[2].heard_of(Call)))
            answer(crew)
        crew.fleet.resolver.override("lab.test", None)
        for puppet in crew.puppets:
            kinds = [type(m) for m in puppet.heard if type(m) is not Order]
            assert kinds == [Go, Around, Around, Call, Override]
            assert puppet.heard_of(Around)[1].surroundings == world[0]
        crew.end()

    play(tmp_path, story)


def test_identities_travel_together(tmp_path: Path) -> None:
    """Certificates given one by one are sent in one message, before what follows."""

    async def story(crew: Crew) -> None:
        await begin(crew)
        for index in range(7):
            assert crew.fleet.set_identity(index, None)
        crew.fleet.resolver.override("lab.test", None)
        for number, puppet in enumerate(crew.puppets):
            (message,) = puppet.heard_of(Identities)
            assert list(message.given) == list(range(number, 7, 3))
            assert puppet.heard.index(message) < puppet.heard.index(
                puppet.heard_of(Override)[0]
            )
        crew.end()

    play(tmp_path, story)


def test_what_follows_waits_for_identities(tmp_path: Path) -> None:
    """A rotation is done when every shard that lives has the new certificates."""

    async def story(crew: Crew) -> None:
        await begin(crew)
        crew.fleet.set_identity(0, None)
        crew.fleet.set_identity(1, None)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(crew.fleet.all_given())
            await until(lambda: bool(crew.puppets[1].heard_of(Identities)))
            crew.puppets[0].say(
                Answer(crew.puppets[0].heard_of(Identities)[0].number, 1)
            )
            await asyncio.sleep(0.01)
            assert not waiting.done()
            crew.puppets[1].die("its process was ended by SIGKILL")
        await crew.fleet.all_given()
        crew.end()

    play(tmp_path, story)


def test_reports_are_counted_here(tmp_path: Path) -> None:
    """What device.json files prove is known without asking a shard."""

    async def story(crew: Crew) -> None:
        await begin(crew)
        for number, puppet in enumerate(crew.puppets[:2]):
            report = Reported(EMPTY_BUNDLE, "crc", f"01.0{number}.00")
            puppet.say(glance(puppet, reported={number: report, number + 3: report}))
        fleet = crew.fleet
        assert fleet.count_reported(lambda said: said.config_crc32 == "crc") == 4
        assert fleet.count_reported(lambda said: said.fw_ver == "01.01.00") == 2
        assert fleet.count_reported(lambda _said: True, [0, 2, 5]) == 1
        assert fleet.reported(6) is None
        assert fleet.reported(0) is fleet.reported(3)
        crew.end()

    play(tmp_path, story)


def test_latencies_of_a_second_are_added(tmp_path: Path) -> None:
    """One interval of the log holds what all shards counted; nothing is in two."""

    async def story(crew: Crew) -> None:
        await begin(crew)
        for number, puppet in enumerate(crew.puppets):
            puppet.say(tick(puppet, latencies_ns=(10 + number,), seen=1))
        for number, puppet in enumerate(crew.puppets):
            puppet.say(tick(puppet, latencies_ns=(20 + number,), seen=2))
        assert len(crew.ticks) == 2
        assert crew.ticks[0].devices == 7
        assert crew.fleet.snapshot().acknowledged == 6
        crew.end()

    crew, _ = play(tmp_path, story)
    seen = [each["total"].count for _, _, each in crew.log.intervals if "total" in each]
    assert sum(seen) == 6
    assert seen[:2] == [3, 3]
    starts = [start for start, _, _ in crew.log.intervals]
    assert starts == [0, *(end for _, end, _ in crew.log.intervals[:-1])]
