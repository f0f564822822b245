"""Member: what is known of a shard before it said much, and after it died."""

import asyncio

import pytest

from fleetsim.core.progress import Stage
from fleetsim.recording.shards import LostDevices
from fleetsim.runner.shards.member import Member
from fleetsim.runner.shards.messages import Answer
from tests.runner.plans import plan_of
from tests.runner.shards.crew import glance, puppets, tick

PLAN = plan_of({"count": 4})
LOST = LostDevices(at_ns=7, reason="SIGKILL", cohorts={})


def member() -> Member:
    """A shard of four devices without a process."""
    with puppets():
        made = Member(
            name="shard 1 of 1",
            devices=PLAN.devices,
            on_message=lambda _member, _message: None,
            on_gone=lambda _member, _how: None,
        )
    made.process.job = made  # type: ignore[attr-defined]  # a puppet: devices and name
    return made


def test_before_the_first_glance() -> None:
    """Nothing is made up."""
    with pytest.raises(RuntimeError, match="not ready"):
        _ = member().tally


def test_before_the_first_tick() -> None:
    """Its devices are known, and that none was switched on."""
    one = member()
    one.saw(glance(one.process))  # type: ignore[arg-type]  # a puppet
    assert one.progress.stage is Stage.LOAD
    assert (one.progress.devices, one.progress.powered) == (4, 0)
    assert one.progress.states["unreached"] == 4
    assert one.process_health.rss_bytes == 0


def test_after_it_died() -> None:
    """Devices asleep, whether or not it ever ticked; its last words are kept."""
    one = member()
    one.saw(glance(one.process, state="connected"))  # type: ignore[arg-type]  # a puppet
    one.lost = LOST
    assert one.progress.stage is Stage.OVER
    assert one.progress.states["asleep"] == 4
    one.ticked(tick(one.process))  # type: ignore[arg-type]  # a puppet
    assert one.progress.states == {"asleep": 4}
    assert one.tally.total()["asleep"] == 4
    health = one.process_health
    assert (health.devices, health.lost_at_ns, health.lost_reason) == (4, 7, "SIGKILL")
    assert health.rss_bytes == 1000


def test_answers_find_their_question() -> None:
    """Two calls at once get each its own answer; a stray one is nobody's."""

    async def main() -> tuple[int, int]:
        one = member()
        puppet = one.process
        async with asyncio.TaskGroup() as group:
            first = group.create_task(one.call("sleep", [0]))
            second = group.create_task(one.call("wake", [0]))
            await asyncio.sleep(0)
            for number, changed in ((2, 20), (9, 90), (1, 10)):
                puppet.say(Answer(number, changed))  # type: ignore[attr-defined]  # a puppet
        return first.result(), second.result()

    assert asyncio.run(main()) == (10, 20)
