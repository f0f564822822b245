"""ShardFleet: a fleet in shards lives the life it would have in one piece."""

from collections import defaultdict

import pytest

from fleetsim.core.contact import Change
from fleetsim.core.settings import RetryPolicy
from fleetsim.core.sums import add_up
from fleetsim.engine.fleet import Ending, Fleet
from fleetsim.engine.shard_fleet import ShardFleet
from tests.core.conversation import S
from tests.engine.rehearsal import Actor, Rehearsal, until
from tests.engine.test_same_history import (
    DEVICES,
    PERIOD_S,
    by_device,
    rehearse,
    trouble,
    troubled,
)


def as_shard(act: Actor) -> Actor:
    """The same, and then the end that a parent gives."""

    async def actor(fleet: Fleet) -> None:
        await act(fleet)
        assert isinstance(fleet, ShardFleet)
        await fleet.settled.wait()
        fleet.finish()

    return actor


async def nothing(_fleet: Fleet) -> None:
    """Nobody acts."""


@pytest.mark.slow
def test_shards_have_the_histories_of_the_whole() -> None:
    """Every device goes through the same states for the same reasons.

    The times agree as those of two network timings do: see ``test_same_history``.
    """
    whole = by_device(rehearse(1))
    parts: dict[str, list[Change]] = {}
    for index in range(3):
        run = Rehearsal(troubled, index, ShardFleet, (index, 3))
        run.run(
            as_shard(trouble),
            devices=DEVICES,
            duration_s=220.0,
            period_s=PERIOD_S,
            heartbeat_s=30.0,
            retry=RetryPolicy(first_s=4.0, jitter_ratio=0.5),
        )
        found = by_device(run)
        assert not parts.keys() & found.keys()
        parts |= found
    assert parts.keys() == whole.keys()
    for device, changes in whole.items():
        assert [(c.was, c.now, c.reason) for c in changes] == [
            (c.was, c.now, c.reason) for c in parts[device]
        ], device
        for change, other in zip(changes, parts[device], strict=True):
            assert abs(change.at_ns - other.at_ns) < (PERIOD_S + 1) * S


def test_it_waits_for_the_others() -> None:
    """With nothing left to do it goes on until it is told to finish."""
    seen = []

    async def actor(fleet: Fleet) -> None:
        assert isinstance(fleet, ShardFleet)
        await fleet.settled.wait()
        seen.append(fleet.glance().is_settled)
        await until(fleet, 25.0)
        seen.append(fleet.glance().is_settled)
        fleet.finish()

    run = Rehearsal(fleet_class=ShardFleet, shard=(1, 2))
    assert run.run(actor, duration_s=20.0, drain_s=60.0) is Ending.COMPLETED
    assert seen == [True, True]
    assert 25 * S <= run.loop.monotonic_ns() < 26 * S


def test_the_drain_has_an_end_without_the_others() -> None:
    """A parent that never answers does not keep it for ever."""
    run = Rehearsal(fleet_class=ShardFleet, shard=(0, 2))
    run.run(duration_s=20.0, drain_s=15.0)
    assert 35 * S <= run.loop.monotonic_ns() < 36 * S


def test_run_time_0_is_named_by_somebody_else() -> None:
    """The clock starts at the origin that is given once every device is built."""
    origins = []

    class Late(ShardFleet):
        """Begins when a parent says so."""

        async def _begin(self) -> None:
            async def origin() -> int:
                origins.append(len(self._drivers))
                return self._clock.origin_ns + 5 * S

            self._origin = origin
            await super()._begin()

    run = Rehearsal(fleet_class=Late)
    run.run(as_shard(nothing), duration_s=20.0)
    assert origins == [10]
    assert min(record.started_ns for record in run.records) >= 0
    assert run.loop.monotonic_ns() > 24 * S


def test_reports_are_told_once() -> None:
    """A device.json that was stored is in the next glance, and in no later one."""
    glances = defaultdict(list)

    async def actor(fleet: Fleet) -> None:
        assert isinstance(fleet, ShardFleet)
        await until(fleet, 10.0)
        first = fleet.glance()
        for index, report in first.reported.items():
            glances[index].append(report)
            assert fleet.reported(index) == report
        assert fleet.glance().reported == {}
        assert add_up([first.tally]).figures()["uploads"] == first.tally.uploads
        await fleet.settled.wait()
        fleet.finish()

    run = Rehearsal(fleet_class=ShardFleet, shard=(1, 3))
    run.run(actor, duration_s=20.0, heartbeat_s=5.0)
    assert sorted(glances) == [1, 4, 7]


def test_identities_are_known_to_the_shard() -> None:
    """What was given last is what a proof looks at."""
    run = Rehearsal(fleet_class=ShardFleet)

    async def actor(fleet: Fleet) -> None:
        assert isinstance(fleet, ShardFleet)
        given: object = object()
        assert fleet.identity("00000003") is None
        assert fleet.set_identity(3, given)  # type: ignore[arg-type]  # any mark will do
        assert fleet.identity("00000003") is given
        assert not fleet.set_identity(99, None)
        fleet.abort()

    run.run(actor, duration_s=5.0)
