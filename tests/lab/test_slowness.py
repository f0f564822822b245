import asyncio

from fleetsim.lab.slowness import Slowness
from tests.lab.tls_clients import turn_until


async def test_no_slowness_holds_nothing() -> None:
    """Without it an answer does not even give way to the loop."""
    slowness = Slowness()
    await slowness.hold()
    assert slowness.held == 0


async def test_answers_are_held_until_it_ends() -> None:
    """Every answer that is ready waits; the end lets all of them go at once."""
    slowness = Slowness()
    slowness.begin(3600.0)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(slowness.hold())
        await turn_until(lambda: slowness.held == 3)
        slowness.end()
    assert slowness.held == 0
    await slowness.hold()


async def test_held_answer_leaves_after_its_delay() -> None:
    """A short delay passes by itself while the slowness goes on."""
    slowness = Slowness()
    slowness.begin(0.001)
    async with asyncio.timeout(10):
        await slowness.hold()
    assert slowness.delay_s == 0.001


async def test_it_can_begin_again() -> None:
    """After an end it holds anew; a change does not shorten what is held."""
    slowness = Slowness()
    slowness.begin(1.0)
    slowness.end()
    slowness.begin(3600.0)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        held = tasks.create_task(slowness.hold())
        await turn_until(lambda: slowness.held == 1)
        slowness.begin(0.001)
        await slowness.hold()
        assert not held.done()
        slowness.end()
