"""Conversations about power and clocks: sleeping, waking, skewed and flat clocks."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.commands import Send, Stop, Wait
from fleetsim.core.device import Device, Reported, State
from fleetsim.core.device_settings import LAST_UNIX_S, RunClock
from fleetsim.core.events import (
    Connected,
    ConnectFailed,
    Drain,
    Handshake,
    PowerCycle,
    PowerOff,
    PowerOn,
    ResponseReceived,
    WaitOver,
)
from fleetsim.core.file_schedule import NEVER_NS
from fleetsim.core.settings import (
    ClockRules,
    ClockSync,
    ConnectionUse,
    FallbackPolicy,
    GroupMemory,
)
from tests.core.conversation import (
    EPOCH_S,
    NO_SHARED_CIPHER,
    REFUSED,
    Conversation,
    S,
    connect,
    make_device,
    make_settings,
    ok,
    s3_error,
    send,
    wait,
)

SUITE = Connected(Handshake(version="TLSv1.2", suite="AES128-GCM-SHA256"))
NEVER_S = NEVER_NS / S
SYNCED = ClockRules(sync=ClockSync.WHEN_CONNECTED, tolerance_s=30.0)


def test_no_file_closes_while_off() -> None:
    """Off for 35 s: the files of that time never exist; what was on the card stays."""
    talk = Conversation(make_device())
    talk >> PowerOn() << wait(until_s=10)
    talk.at(10) >> WaitOver() << connect()
    talk >> ConnectFailed(REFUSED) << connect()
    talk.at(15) >> PowerOff() << wait(until_s=NEVER_S)
    assert talk.device.state is State.OFF
    assert talk.device.card.backlog == 1
    (
        talk.at(50)
        >> PowerOn()
        << connect(
            planned_s=10.0, key=f"AABBCCDD/00000001/00000001-{EPOCH_S + 50:08X}.MF4"
        )
    )
    talk >> SUITE << send()
    talk >> ResponseReceived(ok(), is_open=False) << wait(until_s=60.0)
    assert talk.device.card.files_closed == 1
    (
        talk.at(60)
        >> WaitOver()
        << connect(
            planned_s=60.0, key=f"AABBCCDD/00000002/00000001-{EPOCH_S + 60:08X}.MF4"
        )
    )


def test_files_that_closed_before_the_switch_are_kept() -> None:
    """Files due until the moment of switching off are on the card, later ones are not."""
    talk = Conversation(make_device())
    talk >> PowerOn() << wait()
    talk.at(35) >> PowerOff() << wait(until_s=NEVER_S)
    assert talk.device.card.backlog == 3
    assert talk.device.card.used_bytes == 3000


def test_waking_is_a_power_cycle() -> None:
    """A new session, the boot agenda in order, the first group again, one more cycle."""
    settings = make_settings(heartbeat_s=300, ota_s=600, boot_uploads_schema=True)
    talk = Conversation(make_device(settings))
    talk >> PowerOn() << connect(operation="schema", group="group 1")
    talk >> ConnectFailed(NO_SHARED_CIPHER) << connect(group="group 2")
    talk.at(5) >> PowerOff() << Wait
    assert talk.device.power_cycles == 0
    (
        talk.at(7)
        >> PowerOn()
        << connect(operation="schema", group="group 1", attempt=1, planned_s=7.0)
    )
    assert (talk.device.power_cycles, talk.device.card.session) == (1, 2)
    for operation in ("schema", "heartbeat"):
        talk << connect(operation=operation)
        talk >> SUITE << send(operation=operation)
        talk >> ResponseReceived(ok(), is_open=False)
    talk << connect(operation="ota_bundle")


def test_group_memory_survives_sleep_as_the_profile_says() -> None:
    """With memory "forever" the group reached is used after waking."""
    forever = make_settings(fallback=FallbackPolicy(memory=GroupMemory.FOREVER))
    talk = Conversation(make_device(forever))
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver() << connect(group="group 1")
    talk >> ConnectFailed(REFUSED) << connect(group="group 2")
    talk >> PowerOff() << Wait
    talk.at(20) >> PowerOn() << connect(group="group 2")


def test_what_is_known_of_the_bucket_survives_sleep() -> None:
    """Trust, firmware, configuration checksum and counts are not lost with the power."""
    talk = Conversation(make_device())
    talk >> PowerOn() << wait()
    device = talk.device
    device.ota.fw_ver, device.ota.config_crc32 = "01.07.09", "DEADBEEF"
    bundle = device.bundle
    talk.at(10) >> WaitOver() << connect()
    talk >> SUITE << send()
    talk >> ResponseReceived(ok(), is_open=False) << wait()
    talk.at(12) >> PowerOff() << Wait
    talk.at(13) >> PowerOn() << wait()
    assert (device.ota.fw_ver, device.ota.config_crc32) == ("01.07.09", "DEADBEEF")
    assert device.bundle is bundle
    assert device.files_acknowledged == 1


def test_off_in_the_middle_of_a_request() -> None:
    """An upload that power cut off is sent again after waking, as a further attempt."""
    settings = make_settings(connection=ConnectionUse.KEEP_ALIVE)
    talk = Conversation(make_device(settings))
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver() << connect(attempt=1)
    talk >> SUITE << send()
    talk.at(11) >> PowerOff() << Wait
    talk.at(12) >> PowerOn() << connect(operation="upload", attempt=2)


def test_off_twice_and_cycled_while_off() -> None:
    """Switching off twice changes nothing, a power cycle finds no power to cut."""
    talk = Conversation(make_device())
    talk >> PowerOn() << wait()
    talk.at(5) >> PowerOff() << wait(until_s=NEVER_S)
    talk.at(6) >> PowerOff() << wait(until_s=NEVER_S)
    talk.at(7) >> PowerCycle() << wait(until_s=NEVER_S)
    assert talk.device.state is State.OFF
    assert (talk.device.power_cycles, talk.device.card.session) == (0, 1)


def test_drained_in_its_sleep() -> None:
    """A sleeping device takes note of the end; woken, it sends its backlog and stops."""
    settings = make_settings(heartbeat_s=300, boot_uploads_schema=True)
    talk = Conversation(make_device(settings))
    talk >> PowerOn() << connect(operation="schema")
    talk.at(35) >> PowerOff() << wait(until_s=NEVER_S)
    talk.at(100) >> Drain() << wait(until_s=NEVER_S)
    assert talk.device.state is State.OFF
    talk.at(110) >> PowerOn() << connect(operation="upload", planned_s=10.0)
    for _ in range(3):
        talk << connect(operation="upload")
        talk >> SUITE << send()
        talk >> ResponseReceived(ok(), is_open=False)
    talk << Stop
    assert talk.device.card.files_closed == 3


def test_power_cycle_during_the_drain_brings_nothing_up() -> None:
    """After Drain a restart neither boots the agenda nor arms a timer."""
    settings = make_settings(heartbeat_s=10, ota_s=10, boot_uploads_schema=True)
    talk = Conversation(make_device(settings))
    talk >> PowerOn() << connect(operation="schema")
    talk.at(15) >> Drain() << connect(operation="schema")
    talk.at(16) >> PowerCycle() << connect(operation="upload")
    talk >> SUITE << send()
    talk >> ResponseReceived(ok(), is_open=False) << Stop


@given(
    naps=st.lists(
        st.tuples(st.integers(1, 40 * S), st.integers(1, 40 * S)), max_size=12
    )
)
def test_files_close_exactly_while_on(naps: list[tuple[int, int]]) -> None:
    """The files of a sleeper are those of the plan whose time it was awake."""
    device = make_device(make_settings(duration_s=500.0))
    device.handle(PowerOn(), 0)
    now_ns, awake = 0, [0]
    for on_ns, off_ns in naps:
        now_ns += on_ns
        device.handle(PowerOff(), now_ns)
        awake.append(now_ns)
        now_ns += off_ns
        device.handle(PowerOn(), now_ns)
        awake.append(now_ns)
    end_ns = max(now_ns, 499 * S)
    device.handle(PowerOff(), end_ns)
    awake.append(end_ns)
    spans = list(zip(awake[::2], awake[1::2], strict=True))
    expected = [
        closed_ns
        for closed_ns in range(0, 500 * S, 10 * S)
        if any(on_ns < closed_ns <= off_ns for on_ns, off_ns in spans)
    ]
    assert device.card.files_closed == len(expected)
    assert device.card.session == len(naps) + 1


# ---------------------------------------------------------------- clocks


def awake_at(device: Device, seconds: int) -> Conversation:
    """A device that was switched on and whose file of this time is due."""
    talk = Conversation(device)
    talk >> PowerOn()
    return talk.at(seconds)


def test_skew_at_run_time_shows_in_the_next_attempt() -> None:
    """Key, signature and verification follow the clock as it is at the attempt."""
    talk = awake_at(make_device(), 10)
    talk.device.clock_skew_s -= 86400
    late = EPOCH_S + 10 - 86400
    (
        talk
        >> WaitOver()
        << connect(verify_unix_s=late, key=f"AABBCCDD/00000001/00000001-{late:08X}.MF4")
    )
    talk >> SUITE << send()
    assert isinstance(talk.command, Send)
    assert b"x-amz-date: 20270114t080010z" in talk.command.head.lower()


def test_set_clock_goes_on_from_there() -> None:
    """Set to a date, the clock ticks on at the rate of the calendar."""
    device = make_device()
    device.set_clock(946_684_800, 5 * S)
    assert device.unix_s(5 * S) == 946_684_800
    assert device.unix_s(65 * S) == 946_684_860


def test_set_clock_in_a_calendar() -> None:
    """With a scaled calendar the same: a run second is many calendar seconds."""
    clock = RunClock(EPOCH_S * S, 3600.0)
    assert clock.unix_s(2 * S) == EPOCH_S + 7200
    assert clock.unix_s(0, -1.0) == EPOCH_S - 1


def test_a_calendar_reaches_everything_with_a_time_in_it() -> None:
    """Verification, key, signature and metadata follow the scaled date, skew included."""
    settings = replace(make_settings(), clock=RunClock(EPOCH_S * S, 86400.0))
    talk = awake_at(make_device(settings, skew_s=3600.0), 11)
    now_s = EPOCH_S + 11 * 86400 + 3600
    (
        talk
        >> WaitOver()
        << connect(
            verify_unix_s=now_s, key=f"AABBCCDD/00000001/00000001-{now_s:08X}.MF4"
        )
    )
    talk >> SUITE << send()
    assert isinstance(talk.command, Send)
    head = talk.command.head.decode().lower()
    assert "x-amz-date: 20270126t090000z" in head
    assert "/20270126/us-east-1/s3/aws4_request" in head
    assert "x-amz-meta-timestamp: 20270125t090000z" in head, "closed at 10 s"


def test_a_clock_has_32_bits() -> None:
    """Far in the past or the future a device's clock stands still at its end."""
    clock = RunClock(EPOCH_S * S)
    assert clock.unix_s(0, -1e12) == 0
    assert clock.unix_s(0, 1e12) == LAST_UNIX_S
    talk = awake_at(make_device(skew_s=1e12), 10)
    talk >> WaitOver() << connect(verify_unix_s=LAST_UNIX_S)
    talk >> SUITE << send()
    talk = awake_at(make_device(skew_s=-1e12), 10)
    talk >> WaitOver() << connect(verify_unix_s=0)
    talk >> SUITE << send()


def test_the_clock_goes_on_in_its_sleep() -> None:
    """The clock is kept when the power is off (rule schema, rtc.sync)."""
    talk = Conversation(make_device(skew_s=100.0))
    talk >> PowerOn() << wait()
    talk.at(5) >> PowerOff() << Wait
    talk.at(50) >> PowerOn() << wait()
    talk.at(60) >> WaitOver() << connect(verify_unix_s=EPOCH_S + 160)


def test_sync_sets_the_clock_before_the_connection() -> None:
    """With sync on, the first attempt already uses the true time."""
    device = make_device(make_settings(clock=SYNCED), skew_s=-1e9)
    awake_at(device, 10) >> WaitOver() << connect(verify_unix_s=EPOCH_S + 10)
    assert device.clock_skew_s == 0.0


def test_sync_leaves_what_is_within_the_tolerance() -> None:
    """A clock that is off by no more than 30 s is left alone (rule schema)."""
    device = make_device(make_settings(clock=SYNCED), skew_s=30.0)
    awake_at(device, 10) >> WaitOver() << connect(verify_unix_s=EPOCH_S + 40)
    device = make_device(make_settings(clock=SYNCED), skew_s=-30.001)
    awake_at(device, 10) >> WaitOver() << connect(verify_unix_s=EPOCH_S + 10)


def test_no_sync_without_a_network() -> None:
    """Time servers are out of reach without a network; back on it, they are asked."""
    device = make_device(make_settings(clock=SYNCED), skew_s=-100.0)
    device.has_network = False
    talk = awake_at(device, 10)
    talk >> WaitOver() << connect(verify_unix_s=EPOCH_S - 90)
    device.has_network = True
    talk.at(12) >> ConnectFailed(REFUSED) << connect(verify_unix_s=EPOCH_S + 12)


def test_no_sync_by_default() -> None:
    """A wrong clock stays wrong unless the profile says otherwise."""
    device = make_device(skew_s=-100.0)
    awake_at(device, 10) >> WaitOver() << connect(verify_unix_s=EPOCH_S - 90)


# ---------------------------------------------------------------- device.json


def test_reported_is_what_the_server_stored() -> None:
    """Only an acknowledged device.json proves what it lists."""
    settings = make_settings(heartbeat_s=20, period_s=0)
    talk = Conversation(make_device(settings))
    talk >> PowerOn() << connect(operation="heartbeat")
    talk >> SUITE << send()
    assert talk.device.reported is None
    talk >> ResponseReceived(s3_error(503, "SlowDown"), is_open=False) << wait()
    assert talk.device.reported is None
    talk.at(20) >> WaitOver() << connect(operation="heartbeat")
    talk >> SUITE << send()
    talk.device.ota.fw_ver = "99.99.99"
    talk >> ResponseReceived(ok(), is_open=False) << wait()
    device = talk.device
    fw_ver = settings.profile.identity.fw_ver
    assert device.reported == Reported(device.bundle, "00000000", fw_ver)
