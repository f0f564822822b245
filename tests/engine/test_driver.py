"""The driver: records, slots, interruptions, and a week of device life in no time."""

from fleetsim.core.commands import Connect, Send
from fleetsim.core.events import (
    Connected,
    ConnectFailed,
    Handshake,
    RequestFailed,
    ResponseReceived,
)
from fleetsim.core.settings import ConnectionUse
from fleetsim.engine.driver import Driver
from fleetsim.transport.scripted import Answer, ScriptedChannel
from tests.core.conversation import (
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
    if command.head.startswith(b"GET "):
        answer = s3_error(404, "NoSuchKey")
        return ResponseReceived(answer, is_open=command.keep_open), 30 * MS
    return ResponseReceived(ok(etag='"e1"'), is_open=command.keep_open), 30 * MS


def test_one_record_per_attempt_with_both_times() -> None:
    """A record has planned, due, started and ended, and what was negotiated."""
    fleet = VirtualFleet()
    driver = fleet.add(make_device(), obliging)
    driver.start_due(0)
    fleet.run_until(15 * S)
    (record,) = fleet.records
    assert (record.planned_ns, record.due_ns, record.started_ns) == (10 * S,) * 3
    assert record.ended_ns == 10 * S + 50 * MS
    assert (record.tcp_ns, record.wait_ns) == (20 * MS, 30 * MS)
    assert record.suite == "AES128-GCM-SHA256"
    assert record.suites_offered == "AES128-GCM-SHA256"
    assert (record.group, record.status, record.kind) == ("group 1", 200, "")
    assert record.etag == "e1"
    assert record.body_bytes == 1000
    assert driver.handshakes == 1


def test_every_failed_attempt_is_a_record_of_its_own() -> None:
    """Three groups tried are three rows, attempts 1 to 3, same plan, alert named."""

    def ecdhe_only(command: Connect | Send) -> tuple[Answer, int]:
        if isinstance(command, Connect) and command.group != _last(command):
            return ConnectFailed(NO_SHARED_CIPHER), 5 * MS
        return obliging(command)

    def _last(command: Connect) -> object:
        return make_settings().cipher_table.groups[-1] if command.group else None

    fleet = VirtualFleet()
    driver = fleet.add(make_device(), ecdhe_only)
    driver.start_due(0)
    fleet.run_until(15 * S)
    assert [(r.group, r.attempt, r.alert) for r in fleet.records] == [
        ("group 1", 1, "handshake_failure"),
        ("group 2", 2, "handshake_failure"),
        ("group 3", 3, ""),
    ]
    assert {r.planned_ns for r in fleet.records} == {10 * S}
    assert driver.last_group == "group 3"
    assert not driver.has_failed


def test_response_time_counts_the_queue_of_a_slow_server() -> None:
    """A server slower than the period: planned times stay on the plan's grid."""

    def slow(command: Connect | Send) -> tuple[Answer, int]:
        answer, _ = obliging(command)
        return answer, 0 if isinstance(command, Connect) else 15 * S

    fleet = VirtualFleet()
    fleet.add(make_device(), slow).start_due(0)
    fleet.run_until(60 * S)
    assert [r.planned_ns // S for r in fleet.records] == [10, 20, 30]
    assert [(r.ended_ns - r.planned_ns) // S for r in fleet.records] == [15, 20, 25]
    assert [(r.ended_ns - r.started_ns) // S for r in fleet.records] == [15, 15, 15]
    assert fleet.lags == [0, 0, 0, 0], "a busy device is no fault of the generator"


def test_reused_connection_is_a_record_without_connect() -> None:
    """On a kept connection the next record says reused and has no handshake."""
    fleet = VirtualFleet()
    settings = make_settings(connection=ConnectionUse.KEEP_ALIVE)
    driver = fleet.add(make_device(settings), obliging)
    driver.start_due(0)
    fleet.run_until(25 * S)
    assert [(r.reused, r.suite) for r in fleet.records] == [
        (False, "AES128-GCM-SHA256"),
        (True, ""),
    ]
    assert driver.handshakes == 1


def test_waiting_for_a_slot_is_late_and_counted() -> None:
    """With one slot the second device starts late, and the lag says by how much."""
    fleet = VirtualFleet(limit=1)
    for _ in range(2):
        fleet.add(make_device(), obliging).start_due(0)
    fleet.run_until(15 * S)
    assert fleet.lags == [0, 50 * MS]
    assert [r.started_ns - r.due_ns for r in fleet.records] == [0, 50 * MS]
    assert fleet.limiter.queued == 1
    assert fleet.limiter.taken == 0


def test_power_cycle_cuts_the_attempt_off() -> None:
    """An attempt under way at a power cycle is recorded as such; life goes on."""
    fleet = VirtualFleet()
    driver = fleet.add(make_device(), obliging)
    driver.start_due(0)
    fleet.run_until(10 * S + 25 * MS)
    assert driver.is_in_flight
    driver.power_cycle()
    fleet.run_until(15 * S)
    assert [r.kind for r in fleet.records] == ["device.power_cycle", ""]
    assert fleet.limiter.taken == 0


def test_stop_records_what_was_under_way() -> None:
    """Stopping at once leaves ``run.stopped`` for the attempt under way, nothing after."""
    fleet = VirtualFleet()
    driver = fleet.add(make_device(), obliging)
    driver.start_due(0)
    fleet.run_until(10 * S + 5 * MS)
    driver.stop()
    driver.stop()
    fleet.run_until(60 * S)
    assert [r.kind for r in fleet.records] == ["run.stopped"]
    assert fleet.limiter.taken == 0


def test_stop_while_queued_for_a_slot() -> None:
    """A device that waits for a slot can be stopped; the slot goes to nobody twice."""
    fleet = VirtualFleet(limit=1)
    drivers = [fleet.add(make_device(), obliging) for _ in range(2)]
    for driver in drivers:
        driver.start_due(0)
    fleet.run_until(10 * S + 5 * MS)
    drivers[1].stop()
    fleet.run_until(15 * S)
    assert sorted(r.kind for r in fleet.records) == ["", "run.stopped"]
    assert fleet.limiter.taken == 0


def test_a_late_loop_finds_something_planned_later() -> None:
    """What is begun late is due when it was planned, not when the timer was set for."""
    fleet = VirtualFleet()
    settings = make_settings(heartbeat_s=12)
    driver = fleet.add(make_device(settings), obliging)
    driver.start_due(0)
    fleet.run_until(9 * S)
    fleet._now_ns = 13 * S
    fleet.run_until(14 * S)
    assert [(r.operation, r.planned_ns // S, r.due_ns // S) for r in fleet.records] == [
        ("heartbeat", 0, 0),
        ("heartbeat", 12, 12),
        ("upload", 10, 13),
    ]


def test_drain_ends_in_stopped() -> None:
    """After a drain the fleet hears that the device has nothing more to do."""
    fleet = VirtualFleet()
    driver = fleet.add(make_device(), obliging)
    driver.start_due(0)
    fleet.run_until(12 * S)
    driver.drain()
    driver.drain()
    assert fleet.over == [driver]


def test_connection_lost_while_the_request_waits_for_a_slot() -> None:
    """A kept connection that dies in the queue for a slot is one failed attempt."""
    fleet = VirtualFleet(limit=1)
    settings = make_settings(connection=ConnectionUse.KEEP_ALIVE, heartbeat_s=10)
    first = fleet.add(make_device(settings), obliging)
    second = fleet.add(make_device(settings), obliging)
    first.start_due(0)
    second.start_due(0)
    fleet.run_until(10 * S + 1 * MS)
    channel = second.channel
    assert isinstance(channel, ScriptedChannel)
    channel.lose()
    fleet.run_until(19 * S)
    kinds = [r.kind for r in fleet.records]
    assert kinds.count("http.reset") == 1
    assert kinds[-1] == ""
    assert fleet.limiter.taken == 0


def test_a_week_of_device_life() -> None:
    """A week with outages: every file is uploaded, lost or still on the card."""

    def flaky(command: Connect | Send) -> tuple[Answer, int]:
        hour = fleet.now_ns() // (3600 * S)
        if hour % 24 in range(2, 5):
            return (
                (ConnectFailed(NO_SHARED_CIPHER), MS)
                if isinstance(command, Connect)
                else (RequestFailed(RESET), MS)
            )
        if isinstance(command, Send) and hour % 24 == 7:
            return ResponseReceived(s3_error(503, "SlowDown"), is_open=False), MS
        return obliging(command)

    week_s = 7 * 86400.0
    settings = make_settings(
        period_s=600, heartbeat_s=300, ota_s=600, duration_s=week_s
    )
    fleet = VirtualFleet()
    driver: Driver = fleet.add(make_device(settings), flaky)
    driver.start_due(0)
    fleet.run_until(int(week_s) * S)
    driver.drain()
    fleet.run_until(int(week_s + 3600) * S)
    device = driver.device
    assert device.card.files_closed == 7 * 144 - 1
    assert device.files_acknowledged == device.card.files_closed
    assert fleet.over == [driver]
    assert {r.kind for r in fleet.records} == {
        "",
        "tls.alert.handshake_failure",
        "s3.SlowDown",
    }


def test_a_late_power_on_keeps_its_plan() -> None:
    """A loop that comes late to a power-on shows it: planned and due are the plan's."""
    fleet = VirtualFleet()
    driver = fleet.add(make_device(make_settings(boot_uploads_schema=True)), obliging)
    fleet.run_until(3 * S)
    driver.start_due(1 * S)
    fleet.run_until(12 * S)
    schema, upload = fleet.records
    assert (schema.planned_ns, schema.due_ns) == (1 * S, 1 * S)
    assert schema.started_ns == 3 * S
    assert upload.planned_ns == 10 * S
    assert fleet.lags[0] == 2 * S


def test_an_attempt_that_never_got_a_slot_measured_nothing() -> None:
    """The phases of the last attempt do not show in one that only waited."""
    fleet = VirtualFleet(limit=1)
    keep = make_settings(connection=ConnectionUse.KEEP_ALIVE)
    driver = fleet.add(make_device(keep), obliging)
    driver.start_due(0)
    fleet.run_until(15 * S)
    assert fleet.records[0].wait_ns == 30 * MS
    fleet.limiter.take(driver)
    fleet.run_until(25 * S)
    driver.stop()
    record = fleet.records[-1]
    assert record.kind == "run.stopped"
    assert (record.tcp_ns, record.send_ns, record.wait_ns) == (-1, -1, -1)


def test_nothing_is_due_before_its_plan() -> None:
    """A late alarm may find work that was planned after it: due is then the plan."""

    def losing(command: Connect | Send) -> tuple[Answer, int]:
        if isinstance(command, Connect):
            return HANDSHAKE, 0
        return RequestFailed(RESET), 0

    fleet = VirtualFleet()
    driver = fleet.add(make_device(make_settings(heartbeat_s=7)), losing)
    driver.start_due(0)
    fleet.run_until(0)
    fleet._now_ns = 8 * S  # the alarm of 5 s, the end of the hold-off, comes now
    fleet.run_until(8 * S)
    times = [(r.planned_ns, r.due_ns, r.started_ns) for r in fleet.records]
    assert times == [(0, 0, 0), (7 * S, 7 * S, 8 * S)]
