"""Names: a change is judged here and told to every shard."""

import asyncio

import pytest

from fleetsim.exceptions import InputError
from fleetsim.runner.shards.messages import Override, Restore
from fleetsim.runner.shards.names import SharedNames
from fleetsim.transport.resolver import Resolver


@pytest.fixture
def told() -> list[Override | Restore]:
    """What the shards heard."""
    return []


@pytest.fixture
def names(told: list[Override | Restore]) -> SharedNames:
    """Names of a fleet."""
    loop = asyncio.new_event_loop()
    loop.close()
    return SharedNames(Resolver(loop, lambda: 0), told.append)


def test_changes_are_told(names: SharedNames, told: list[Override | Restore]) -> None:
    """What is told is what a resolver of a shard needs to do the same."""
    names.override("lab.test", ["127.0.0.1"], port=1, to_port=2)
    names.override("lab.test", None)
    names.restore("lab.test", port=1)
    assert told == [
        Override("lab.test", ("127.0.0.1",), 1, 2),
        Override("lab.test", None, None, None),
        Restore("lab.test", 1),
    ]


def test_nonsense_is_not_told(
    names: SharedNames, told: list[Override | Restore]
) -> None:
    """A change that makes no sense fails here, before a shard hears of it."""
    with pytest.raises(InputError, match="no IP address"):
        names.override("lab.test", ["nowhere"])
    assert told == []
