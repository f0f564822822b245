"""The contact book: states over a device's life, sweeps, proofs, live figures."""

from fleetsim.core.commands import Connect, Send
from fleetsim.core.contact import Change, ContactState
from fleetsim.core.events import (
    Connected,
    ConnectFailed,
    Handshake,
    RequestFailed,
    ResponseReceived,
)
from fleetsim.core.settings import (
    CardRules,
    FallbackPolicy,
    GroupMemory,
    RetryPolicy,
)
from fleetsim.engine.contacts import SWEPT_AT_ONCE, ContactBook
from fleetsim.scenario.condition import FIGURES
from fleetsim.transport.scripted import Answer
from tests.core.conversation import (
    LADDER,
    NO_SHARED_CIPHER,
    RESET,
    S,
    make_device,
    make_settings,
    ok,
    s3_error,
)
from tests.engine.virtual_time import VirtualFleet

MS = 1_000_000
HANDSHAKE = Connected(Handshake(version="TLSv1.2", suite="AES128-GCM-SHA256"))


def obliging(command: Connect | Send) -> tuple[Answer, int]:
    """A network on which everything works: 20 ms to connect, 30 ms to answer."""
    if isinstance(command, Connect):
        return HANDSHAKE, 20 * MS
    return ResponseReceived(ok(), is_open=command.keep_open), 30 * MS


class History:
    """Keeps changes."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def add(self, device: str, cohort: str, change: Change) -> None:
        """Keep one."""
        assert device
        assert cohort
        self.changes.append(change)

    def flush(self) -> None:
        """Nothing to write."""

    @property
    def states(self) -> list[str]:
        """The states in order."""
        return [change.now.value for change in self.changes]


def test_the_contact_follows_an_outage() -> None:
    """Connected, failing once three tries failed, recovered, connected: with times."""
    history = History()
    fleet = VirtualFleet(states=history)

    def outage(command: Connect | Send) -> tuple[Answer, int]:
        if 15 * S < fleet.now_ns() < 45 * S:
            return ConnectFailed(NO_SHARED_CIPHER), 5 * MS
        return obliging(command)

    driver = fleet.add(make_device(), outage)
    driver.start_due(0)
    fleet.run_until(99 * S)
    assert history.states == [
        "unreached",
        "connected",
        "failing",
        "recovered",
        "degraded",
    ]
    failing, recovered, degraded = history.changes[2:]
    # Tries at 20 s (three groups), 25 s and 30 s, each waiting from the end of the last.
    assert failing.at_ns == 30 * S + (3 + 1 + 1) * 5 * MS
    assert 45 * S <= recovered.at_ns < 46 * S
    assert degraded.reason == "fell back from group 1 to group 3"
    assert driver.contact.state is ContactState.DEGRADED


def test_one_broken_try_is_no_loss_of_contact() -> None:
    """Three groups tried in vain within one try do not make a device failing."""
    history = History()
    fleet = VirtualFleet(states=history)

    def blip(command: Connect | Send) -> tuple[Answer, int]:
        if 19 * S < fleet.now_ns() < 21 * S:
            return ConnectFailed(NO_SHARED_CIPHER), 5 * MS
        return obliging(command)

    fleet.add(make_device(), blip).start_due(0)
    fleet.run_until(60 * S)
    assert history.states == ["unreached", "connected", "degraded"]
    assert fleet.book.failed_attempts == 3


def test_requests_that_fail_after_a_climb_are_tries() -> None:
    """A handshake that needed a later group does not hide the failed request after it."""
    fleet = VirtualFleet()

    def grudging(command: Connect | Send) -> tuple[Answer, int]:
        if isinstance(command, Send) and fleet.now_ns() > 15 * S:
            return RequestFailed(RESET), 5 * MS
        if isinstance(command, Connect) and command.group == LADDER.groups[0]:
            return ConnectFailed(NO_SHARED_CIPHER), 5 * MS
        return obliging(command)

    settings = make_settings(fallback=FallbackPolicy(memory=GroupMemory.CONNECTION))
    driver = fleet.add(make_device(settings), grudging)
    driver.start_due(0)
    fleet.run_until(29 * S)
    assert driver.contact.failed_tries == 2
    fleet.run_until(35 * S)
    assert driver.contact.state is ContactState.FAILING


def test_silence_is_noticed_at_the_end_of_a_long_try() -> None:
    """A try that took so long that three periods went by is noticed when it fails."""
    history = History()
    fleet = VirtualFleet(states=history)
    settings = make_settings(period_s=10, duration_s=1000)

    def broken(command: Connect | Send) -> tuple[Answer, int]:
        if isinstance(command, Send) and fleet.now_ns() > 15 * S:
            return RequestFailed(RESET), 25 * S
        return obliging(command)

    fleet.add(make_device(settings), broken).start_due(0)
    fleet.run_until(100 * S)
    failing = next(c for c in history.changes if c.now is ContactState.FAILING)
    assert failing.reason == "no success for 3 contact periods of 10 s"
    # The last success was at 10.05 s, the first failed try ended at 45.02 s.
    assert failing.at_ns == 45 * S + 20 * MS


def test_silence_is_noticed_by_the_sweep() -> None:
    """With long waits between tries the sweep, once a second, notices the silence."""
    history = History()
    fleet = VirtualFleet(states=history)
    patient = RetryPolicy(first_s=5.0, factor=20.0)

    def broken(command: Connect | Send) -> tuple[Answer, int]:
        if fleet.now_ns() > 15 * S:
            return ConnectFailed(NO_SHARED_CIPHER), 5 * MS
        return obliging(command)

    driver = fleet.add(make_device(make_settings(retry=patient)), broken)
    driver.start_due(0)
    fleet.sweep_every_second(60 * S)
    fleet.run_until(60 * S)
    assert driver.contact.failed_tries == 2, "at 20 s and 25 s, the next at 125 s"
    # The last success was at 10.05 s; looks are at whole seconds.
    assert [(c.now.value, c.at_ns) for c in history.changes[2:]] == [
        ("failing", 41 * S)
    ]


def test_who_comes_back_during_a_sweep_is_left_alone() -> None:
    """A sweep that lets others work does not examine a device that they mended."""
    fleet = VirtualFleet()
    is_broken = True

    def broken(command: Connect | Send) -> tuple[Answer, int]:
        if is_broken:
            return ConnectFailed(NO_SHARED_CIPHER), 5 * MS
        return obliging(command)

    drivers = [fleet.add(make_device(), broken) for _ in range(SWEPT_AT_ONCE + 5)]
    for driver in drivers:
        driver.start_due(0)
    fleet.run_until(40 * S)
    asked: list[object] = []
    for _ in fleet.book.sweep(asked.append):
        is_broken = False
        fleet.run_until(60 * S)
    assert len(asked) == SWEPT_AT_ONCE
    assert fleet.book.total()["connected"] == len(drivers)


def test_a_sweep_asks_for_proofs_of_devices_in_trouble_only() -> None:
    """The proof is asked for once a second for failing devices, never for healthy."""
    history = History()
    fleet = VirtualFleet(states=history)

    def refusing(command: Connect | Send) -> tuple[Answer, int]:
        if isinstance(command, Send) and fleet.now_ns() > 15 * S:
            answer = s3_error(403, "InvalidAccessKeyId")
            return ResponseReceived(answer, is_open=False), 5 * MS
        return obliging(command)

    healthy = fleet.add(make_device(), obliging)
    broken = fleet.add(make_device(), refusing)
    for driver in (healthy, broken):
        driver.start_due(0)
    asked: list[int] = []

    def prove(device: object) -> str | None:
        assert device is broken.device
        asked.append(fleet.now_ns() // S)
        return "the key is gone" if fleet.now_ns() > 50 * S else None

    fleet.sweep_every_second(100 * S, prove)
    fleet.run_until(90 * S)
    assert asked[0] == 31, "tries at 20, 25 and 30 s"
    assert asked == list(range(31, 91))
    assert broken.contact.state is ContactState.STRANDED
    stranded = history.changes[-1]
    assert (stranded.reason, stranded.at_ns) == ("the key is gone", 51 * S)


def test_figures_are_counted_as_they_change() -> None:
    """Counts, shares, backlog, uploads and failures follow from the attempts."""
    fleet = VirtualFleet()

    def broken(_command: Connect | Send) -> tuple[Answer, int]:
        return ConnectFailed(NO_SHARED_CIPHER), 5 * MS

    settings = make_settings(card=CardRules(size_bytes=2500))
    drivers = [fleet.add(make_device(settings), obliging) for _ in range(2)]
    drivers.append(fleet.add(make_device(settings), broken))
    drivers.append(fleet.add(make_device(settings), obliging))
    for driver in drivers[:3]:
        driver.start_due(0)
    fleet.run_until(45 * S)
    drivers[1].power_off()
    figures = fleet.book.figures()
    assert {name: count for name, count in figures.items() if count} == {
        "connected": 1,
        "connected_share": 0.25,
        "asleep": 1,
        "asleep_share": 0.25,
        "unreached": 2,
        "unreached_share": 0.5,
        "backlog": 2,
        "files_lost": 2,
        "uploads": 8,
        "failed_attempts": 3 + 6,
    }
    assert set(figures) == FIGURES.keys() - {
        "bundle_share",
        "config_share",
        "firmware_share",
        "elapsed_s",
        "crl_revoked",
    }
    assert fleet.book.failing_now == 1
    assert fleet.book.by_cohort() == {"cohort": fleet.book.total()}


def test_counts_of_an_empty_fleet() -> None:
    """A shard without devices has figures too, all of them 0."""
    assert set(ContactBook(lambda: 0).figures().values()) == {0.0}


def test_asleep_devices_are_not_examined() -> None:
    """A device in trouble that is switched off is left alone until it is on again."""
    fleet = VirtualFleet()

    def broken(command: Connect | Send) -> tuple[Answer, int]:
        if fleet.now_ns() < 15 * S:
            return obliging(command)
        return ConnectFailed(NO_SHARED_CIPHER), 5 * MS

    driver = fleet.add(make_device(make_settings(duration_s=1000)), broken)
    driver.start_due(0)
    asked: list[int] = []

    def prove(_device: object) -> None:
        asked.append(fleet.now_ns() // S)

    fleet.sweep_every_second(200 * S, prove)
    fleet.run_until(40 * S)
    driver.power_off()
    before = len(asked)
    fleet.run_until(100 * S)
    assert before == len(asked) > 0
    driver.power_on()
    assert driver.contact.state is ContactState.FAILING
    fleet.run_until(103 * S)
    assert asked[before:] == [101, 102, 103]


def test_cut_off_by_the_simulation_is_no_failure() -> None:
    """Power cycles and the end of the run count neither as tries nor as failures."""
    fleet = VirtualFleet()
    driver = fleet.add(make_device(make_settings(heartbeat_s=5)), obliging)
    driver.start_due(0)
    fleet.run_until(11 * S)
    for at_s in (15, 20, 25, 30):
        fleet.run_until(at_s * S + 5 * MS)
        assert driver.power_cycle()
    fleet.run_until(30 * S + 10 * MS)
    driver.stop()
    kinds = {r.kind for r in fleet.records}
    assert kinds == {"", "device.power_cycle", "run.stopped"}
    assert driver.contact.state is ContactState.CONNECTED
    assert fleet.book.failed_attempts == 0


def test_many_are_swept_in_slices() -> None:
    """A sweep lets others work after every slice."""
    fleet = VirtualFleet()

    def broken(_command: Connect | Send) -> tuple[Answer, int]:
        return ConnectFailed(NO_SHARED_CIPHER), 5 * MS

    for _ in range(2 * SWEPT_AT_ONCE + 1):
        fleet.add(make_device(), broken).start_due(0)
    fleet.run_until(40 * S)
    assert len(list(fleet.book.sweep(None))) == 2
    asked: list[object] = []
    for _ in fleet.book.sweep(asked.append):
        assert len(asked) % SWEPT_AT_ONCE == 0
    assert len(set(asked)) == 2 * SWEPT_AT_ONCE + 1
