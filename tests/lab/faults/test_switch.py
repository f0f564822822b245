from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.lab.faults.blackhole import Blackhole
from fleetsim.lab.faults.delay import Delay
from fleetsim.lab.faults.path import Path
from fleetsim.lab.faults.reset import Reset
from fleetsim.lab.faults.switch import FaultSwitch, Turns
from tests.lab.faults.bench import BenchLoop, BenchServer, BenchTransport


@given(share=st.integers(0, 100), count=st.integers(1, 500))
def test_share_is_exact_at_every_moment(share: int, count: int) -> None:
    """After n connections the share of n, rounded up, has been chosen."""
    turns = Turns(share / 100)
    chosen = [turns.is_next_chosen() for _ in range(count)]
    for n in range(1, count + 1):
        assert sum(chosen[:n]) == ceil(n * share / 100 - 1e-9)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, "......"),
        (1.0, "xxxxxx"),
        (0.5, "x.x.x."),
        (1 / 3, "x..x.."),
        (0.1, "x....."),
    ],
)
def test_turns_are_even(share: float, expected: str) -> None:
    """The chosen ones are spread evenly and the first is one of them."""
    turns = Turns(share)
    assert "".join("x" if turns.is_next_chosen() else "." for _ in expected) == expected


def wrapped(switch: FaultSwitch, loop: BenchLoop, count: int) -> list[bool]:
    """Accept connections; tells which were hit."""
    servers = [BenchServer() for _ in range(count)]
    return [switch.wrap(loop.as_loop(), each) is not each for each in servers]


def test_only_new_connections_in_turn_are_hit() -> None:
    """Before, after and between its turns a fault touches nobody."""
    switch, loop = FaultSwitch(), BenchLoop()
    assert wrapped(switch, loop, 2) == [False, False]
    switch.begin(Delay(1.0), 0.5)
    assert wrapped(switch, loop, 4) == [True, False, True, False]
    assert switch.hits == {"delay": 2}
    assert switch.end("delay") == ("delay",)
    assert wrapped(switch, loop, 2) == [False, False]
    assert switch.hits == {}


def test_faults_share_nothing_but_the_connection() -> None:
    """Two faults take their turns apart, so that some connections meet both."""
    switch, loop = FaultSwitch(), BenchLoop()
    switch.begin(Delay(1.0), 0.5)
    switch.begin(Reset(), 1 / 3)
    assert wrapped(switch, loop, 6) == [True, False, True, True, True, False]
    assert switch.hits == {"delay": 3, "reset": 2}
    assert switch.end() == ("delay", "reset")
    assert switch.end("delay") == ()


def test_fault_that_is_over_lets_live_connections_go_on() -> None:
    """What a blackhole swallowed arrives when it is lifted; gone paths are forgotten."""
    switch, loop = FaultSwitch(), BenchLoop()
    switch.begin(Blackhole())
    server, tcp = BenchServer(), BenchTransport()
    path = switch.wrap(loop.as_loop(), server)
    assert isinstance(path, Path)
    path.connection_made(tcp)
    path.data_received(b"hello")
    assert server.received == b""
    switch.end()
    assert server.received == b"hello"
    assert switch.live == {path}
    path.connection_lost(None)
    assert switch.live == set()


def test_one_of_a_kind() -> None:
    """A fault begun again replaces the earlier one, also on live connections."""
    switch, loop = FaultSwitch(), BenchLoop()
    switch.begin(Delay(60.0))
    server = BenchServer()
    path = switch.wrap(loop.as_loop(), server)
    assert isinstance(path, Path)
    path.connection_made(BenchTransport())
    path.data_received(b"hello")
    switch.begin(Delay(1.0))
    assert server.received == b"hello"
    assert switch.hits == {"delay": 0}
