"""The driver when power and network come and go: records and slots."""

import pytest

from fleetsim.core.commands import Connect, Send
from fleetsim.core.events import Connected, Handshake, ResponseReceived
from fleetsim.core.settings import AdvanceOn, ConnectionUse, FallbackPolicy
from fleetsim.transport.scripted import Answer
from tests.core.conversation import S, make_device, make_settings, ok
from tests.engine.virtual_time import VirtualFleet

MS = 1_000_000
HANDSHAKE = Connected(Handshake(version="TLSv1.2", suite="AES128-GCM-SHA256"))


def obliging(command: Connect | Send) -> tuple[Answer, int]:
    """A network on which everything works: 20 ms to connect, 30 ms to answer."""
    if isinstance(command, Connect):
        return HANDSHAKE, 20 * MS
    return ResponseReceived(ok(), is_open=command.keep_open), 30 * MS


def test_power_off_cuts_the_attempt_and_nothing_follows() -> None:
    """The attempt is recorded as cut off; no record while off; life goes on after."""
    fleet = VirtualFleet()
    driver = fleet.add(make_device(), obliging)
    driver.start_due(0)
    fleet.run_until(10 * S + 25 * MS)
    assert driver.is_in_flight
    assert driver.power_off()
    assert not driver.power_off()
    assert (driver.is_asleep, driver.is_on) == (True, False)
    driver.set_network(is_up=False)
    fleet.run_until(55 * S)
    driver.set_network(is_up=True)
    assert [r.kind for r in fleet.records] == ["device.power_cycle"]
    assert fleet.limiter.taken == 0
    assert driver.power_on()
    assert not driver.power_on()
    fleet.run_until(65 * S)
    kinds = [(r.kind, r.planned_ns // S) for r in fleet.records]
    assert kinds == [("device.power_cycle", 10), ("", 10), ("", 60)]
    assert driver.device.power_cycles == 1


def test_a_device_put_to_sleep_before_its_start() -> None:
    """It does not start when its time comes; woken after that, it does."""
    fleet = VirtualFleet()
    driver = fleet.add(make_device(), obliging)
    assert driver.power_off()
    driver.start_due(0)
    fleet.run_until(40 * S)
    assert fleet.records == []
    assert driver.power_on()
    fleet.run_until(55 * S)
    assert [r.planned_ns // S for r in fleet.records] == [50]
    assert driver.device.power_cycles == 0, "its first start"


def test_woken_before_its_start() -> None:
    """Woken before its time has come, it starts when it comes."""
    fleet = VirtualFleet()
    driver = fleet.add(make_device(), obliging)
    driver.power_off()
    assert driver.power_on()
    was_on = driver.is_on
    driver.start_due(0)
    assert (was_on, driver.is_on) == (False, True)
    fleet.run_until(15 * S)
    assert [r.kind for r in fleet.records] == [""]


def test_no_power_to_cycle() -> None:
    """A device that is off, or not switched on yet, is not power-cycled."""
    fleet = VirtualFleet()
    driver = fleet.add(make_device(), obliging)
    assert not driver.power_cycle()
    driver.start_due(0)
    assert driver.power_cycle()
    driver.power_off()
    assert not driver.power_cycle()
    assert driver.device.power_cycles == 1


def test_drained_device_stays_as_it_is() -> None:
    """Who has nothing more to do neither sleeps nor wakes nor cycles."""
    fleet = VirtualFleet()
    driver = fleet.add(make_device(), obliging)
    driver.start_due(0)
    fleet.run_until(12 * S)
    driver.drain()
    assert driver.is_over
    assert not driver.power_off()
    assert not driver.power_on()
    assert not driver.power_cycle()
    assert driver.set_network(is_up=False)


def test_asleep_through_the_drain() -> None:
    """A sleeping device takes the end of the load without a word, and can be stopped."""
    fleet = VirtualFleet()
    driver = fleet.add(make_device(), obliging)
    driver.start_due(0)
    fleet.run_until(12 * S)
    driver.power_off()
    driver.drain()
    fleet.run_until(200 * S)
    assert fleet.over == []
    driver.stop()
    assert driver.is_over
    assert [r.kind for r in fleet.records] == [""]


def test_power_off_while_queued_for_a_slot() -> None:
    """A sleeping device gives up its place in the queue."""
    fleet = VirtualFleet(limit=1)
    drivers = [fleet.add(make_device(), obliging) for _ in range(3)]
    for driver in drivers:
        driver.start_due(0)
    fleet.run_until(10 * S + 5 * MS)
    drivers[1].power_off()
    fleet.run_until(15 * S)
    assert sorted(r.kind for r in fleet.records) == ["", "", "device.power_cycle"]
    assert fleet.limiter.taken == 0


# ---------------------------------------------------------------- network


def test_no_network_fails_at_once_and_burns_groups() -> None:
    """Every attempt is ``tcp.unreachable`` without a wait, and moves the ladder on."""
    fleet = VirtualFleet()
    driver = fleet.add(make_device(), obliging)
    driver.start_due(0)
    assert driver.set_network(is_up=False)
    assert not driver.set_network(is_up=False)
    fleet.run_until(16 * S)
    assert [(r.kind, r.phase, r.group) for r in fleet.records] == [
        ("tcp.unreachable", "tcp", "group 1"),
        ("tcp.unreachable", "tcp", "group 2"),
        ("tcp.unreachable", "tcp", "group 3"),
        ("tcp.unreachable", "tcp", "group 3"),
    ]
    assert all(r.ended_ns == r.started_ns for r in fleet.records)
    assert {r.tcp_ns for r in fleet.records} == {-1}
    assert driver.set_network(is_up=True)
    fleet.run_until(25 * S)
    assert [r.kind for r in fleet.records[4:]] == ["", ""]
    assert driver.last_group == "group 3"
    assert fleet.limiter.taken == 0


def test_no_network_burns_no_group_when_the_profile_says_so() -> None:
    """A device that falls back after TLS failures only keeps its group."""
    policy = FallbackPolicy(advance_on=AdvanceOn.TLS_FAILURE)
    fleet = VirtualFleet()
    driver = fleet.add(make_device(make_settings(fallback=policy)), obliging)
    driver.start_due(0)
    driver.set_network(is_up=False)
    fleet.run_until(16 * S)
    assert {r.group for r in fleet.records} == {"group 1"}


@pytest.mark.parametrize(
    ("at_ns", "kinds"),
    [
        pytest.param(10 * S + 5 * MS, ["tcp.unreachable"] * 3, id="connecting"),
        pytest.param(10 * S + 35 * MS, ["http.reset"], id="requesting"),
        pytest.param(12 * S, [""], id="idle"),
    ],
)
def test_what_is_open_breaks_with_the_network(at_ns: int, kinds: list[str]) -> None:
    """A dial becomes unreachable, a request is reset, an idle connection is gone."""
    fleet = VirtualFleet()
    settings = make_settings(connection=ConnectionUse.KEEP_ALIVE)
    driver = fleet.add(make_device(settings), obliging)
    driver.start_due(0)
    fleet.run_until(at_ns)
    driver.set_network(is_up=False)
    assert [r.kind for r in fleet.records] == kinds
    driver.set_network(is_up=True)
    fleet.run_until(22 * S)
    assert [r.kind for r in fleet.records[len(kinds) :]][-1] == ""
    assert not fleet.records[-1].reused or kinds[0] != ""
    assert fleet.limiter.taken == 0


def test_network_lost_while_queued_for_a_slot() -> None:
    """Whoever queues without a network fails and leaves the queue; nobody is stuck."""
    fleet = VirtualFleet(limit=1)
    drivers = [fleet.add(make_device(), obliging) for _ in range(3)]
    for driver in drivers:
        driver.start_due(0)
    fleet.run_until(10 * S + 5 * MS)
    drivers[1].set_network(is_up=False)
    fleet.run_until(10 * S + 500 * MS)
    assert [r.kind for r in fleet.records].count("") == 2
    assert [r.kind for r in fleet.records].count("tcp.unreachable") == 3
    assert fleet.limiter.taken == 0


def test_thousands_without_a_network_behind_one_slot() -> None:
    """Devices without a network need no slot: no chain of callbacks, however many."""
    fleet = VirtualFleet(limit=1)
    drivers = [fleet.add(make_device(), obliging) for _ in range(2000)]
    for driver in drivers:
        driver.start_due(0)
    for driver in drivers[1:]:
        driver.set_network(is_up=False)
    fleet.run_until(12 * S)
    kinds = [r.kind for r in fleet.records]
    assert kinds.count("tcp.unreachable") == 3 * 1999
    assert kinds.count("") == 1
    assert fleet.limiter.queued == 0
