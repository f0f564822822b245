"""Conversations with the device: every transition and every documented rule."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsim.core.commands import Command, Connect, Send, Stop, Wait
from fleetsim.core.device import State, UnexpectedEventError
from fleetsim.core.events import (
    Connected,
    ConnectFailed,
    ConnectionLost,
    Drain,
    Event,
    Handshake,
    PowerCycle,
    PowerOn,
    RequestFailed,
    ResponseReceived,
    WaitOver,
)
from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.core.settings import (
    AdvanceOn,
    CardRules,
    ConnectionUse,
    FallbackPolicy,
    GroupMemory,
    RetryPolicy,
    StepBack,
)
from tests.core.conversation import (
    EPOCH_S,
    NO_SHARED_CIPHER,
    REFUSED,
    RESET,
    Conversation,
    connect,
    make_device,
    make_settings,
    ok,
    s3_error,
    send,
    wait,
)

SUITE = Connected(Handshake(version="TLSv1.2", suite="AES128-GCM-SHA256"))


def test_first_file_is_uploaded_when_it_closes() -> None:
    """Power on, wait for the first file, connect with group 1, PUT, wait for more."""
    talk = Conversation(make_device())
    talk >> PowerOn() << wait(until_s=10.0)
    (
        talk.at(10)
        >> WaitOver()
        << connect(
            operation="upload", attempt=1, group="group 1", verify_unix_s=EPOCH_S + 10
        )
    )
    talk.at(10.1) >> SUITE << send(method="PUT", keep_open=False, planned_s=10.0)
    talk.at(10.2) >> ResponseReceived(ok(), is_open=False) << wait(until_s=20.0)
    assert talk.device.files_acknowledged == 1
    assert talk.device.card.backlog == 0
    assert talk.device.verdict is None


def test_key_names_session_split_and_upload_time() -> None:
    """The object key is ``<ID>/<session>/<split>-<EPOCH hex>.<EXT>`` at upload time."""
    talk = Conversation(make_device())
    talk.at(0) >> PowerOn() << wait()
    epoch = f"{EPOCH_S + 11:08X}"
    talk.at(11) >> WaitOver() << connect(key=f"AABBCCDD/00000001/00000001-{epoch}.MF4")


def test_failed_attempts_climb_the_ladder_and_stay_on_the_last_group() -> None:
    """Group 1, then 2, then 3 without a pause; then hold off, group 3 is kept."""
    talk = Conversation(make_device())
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver() << connect(group="group 1", attempt=1)
    talk >> ConnectFailed(NO_SHARED_CIPHER) << connect(group="group 2", attempt=2)
    talk >> ConnectFailed(NO_SHARED_CIPHER) << connect(group="group 3", attempt=3)
    talk >> ConnectFailed(NO_SHARED_CIPHER) << wait(until_s=15.0)
    talk.at(15) >> WaitOver() << connect(group="group 3", attempt=4, planned_s=10.0)
    talk >> SUITE << send()
    talk.at(16) >> ResponseReceived(ok(), is_open=False) << wait(until_s=20.0)
    talk.at(20) >> WaitOver() << connect(group="group 3", attempt=1)


def test_any_failed_attempt_burns_a_group_by_default() -> None:
    """A refused TCP connection advances the group too: only "fails" is documented."""
    talk = Conversation(make_device())
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver() << connect(group="group 1")
    talk >> ConnectFailed(REFUSED) << connect(group="group 2")


@pytest.mark.parametrize(
    ("advance_on", "failure", "group"),
    [
        pytest.param(AdvanceOn.TLS_FAILURE, REFUSED, "group 1", id="tls-only-tcp"),
        pytest.param(
            AdvanceOn.TLS_FAILURE, NO_SHARED_CIPHER, "group 2", id="tls-only-tls"
        ),
        pytest.param(
            AdvanceOn.CIPHER_FAILURE,
            Failure("tls.verify.cert_has_expired", Phase.TLS),
            "group 1",
            id="cipher-only-certificate",
        ),
        pytest.param(
            AdvanceOn.CIPHER_FAILURE, NO_SHARED_CIPHER, "group 2", id="cipher-only"
        ),
        pytest.param(AdvanceOn.NEVER, NO_SHARED_CIPHER, "group 1", id="never"),
    ],
)
def test_what_advances_the_group_is_a_knob(
    advance_on: AdvanceOn, failure: Failure, group: str
) -> None:
    """Other readings of "connection attempt fails" are profile settings."""
    policy = FallbackPolicy(advance_on=advance_on)
    talk = Conversation(make_device(make_settings(fallback=policy)))
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver() << connect(group="group 1")
    talk >> ConnectFailed(failure)
    if group == "group 1":
        talk << wait(until_s=15.0)
        talk.at(15) >> WaitOver()
    talk << connect(group=group)


def test_power_cycle_starts_a_session_and_resets_the_group() -> None:
    """After a power cycle: session 2, split 1, group 1 again (default memory)."""
    talk = Conversation(make_device())
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver() << connect(group="group 1")
    talk >> ConnectFailed(NO_SHARED_CIPHER) << connect(group="group 2")
    talk.at(12) >> PowerCycle() << connect(group="group 1")
    talk >> SUITE << send()
    talk >> ResponseReceived(ok(), is_open=False) << wait(until_s=20.0)
    (
        talk.at(20)
        >> WaitOver()
        << connect(key=f"AABBCCDD/00000002/00000001-{EPOCH_S + 20:08X}.MF4")
    )
    assert talk.device.power_cycles == 1


def test_forever_memory_survives_the_power_cycle() -> None:
    """With memory ``forever`` the group is kept over a power cycle."""
    policy = FallbackPolicy(memory=GroupMemory.FOREVER)
    talk = Conversation(make_device(make_settings(fallback=policy)))
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver() >> ConnectFailed(NO_SHARED_CIPHER)
    talk << connect(group="group 2")
    talk >> PowerCycle() << connect(group="group 2")


def test_step_back_after_success() -> None:
    """With step-back the connection after a success starts at group 1 again."""
    policy = FallbackPolicy(step_back=StepBack.AFTER_SUCCESS)
    talk = Conversation(make_device(make_settings(fallback=policy)))
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver() >> ConnectFailed(NO_SHARED_CIPHER)
    talk << connect(group="group 2")
    talk >> SUITE << send()
    talk >> ResponseReceived(ok(), is_open=False) << wait()
    talk.at(20) >> WaitOver() << connect(group="group 1")


def test_connection_memory_starts_every_round_at_group_1() -> None:
    """With memory ``connection`` a new round after the hold-off starts at group 1."""
    policy = FallbackPolicy(memory=GroupMemory.CONNECTION)
    talk = Conversation(make_device(make_settings(fallback=policy)))
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver() << connect(group="group 1")
    for group in ("group 2", "group 3"):
        talk >> ConnectFailed(NO_SHARED_CIPHER) << connect(group=group)
    talk >> ConnectFailed(NO_SHARED_CIPHER) << wait(until_s=15.0)
    talk.at(15) >> WaitOver() << connect(group="group 1")


def test_fallback_delay_pauses_between_groups() -> None:
    """A fallback delay separates the attempts with two groups."""
    policy = FallbackPolicy(delay_s=2.0)
    talk = Conversation(make_device(make_settings(fallback=policy)))
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver() << connect(group="group 1")
    talk >> ConnectFailed(NO_SHARED_CIPHER) << wait(until_s=12.0)
    talk.at(12) >> WaitOver() << connect(group="group 2", attempt=2)


def test_plain_http_has_no_groups() -> None:
    """In low security mode nothing is offered and failures only hold off."""
    talk = Conversation(make_device(make_settings(scheme="http")))
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver() << connect(group=None, bundle=None)
    talk >> ConnectFailed(REFUSED) << wait(until_s=15.0)
    assert talk.device.group_name == ""


def test_backlog_goes_oldest_first_one_at_a_time() -> None:
    """After an outage the files go in the order in which they were closed."""
    talk = Conversation(make_device(make_settings(retry=RetryPolicy(first_s=35.0))))
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver()
    for _ in range(3):
        talk >> ConnectFailed(REFUSED)
    talk << wait(until_s=45.0)
    talk.at(45) >> WaitOver() << connect(planned_s=10.0)
    for planned_s in (20.0, 30.0, 40.0):
        talk >> SUITE << send()
        talk >> ResponseReceived(ok(), is_open=False) << connect(planned_s=planned_s)


def test_full_cyclic_card_loses_the_oldest_files() -> None:
    """A long outage on a small card deletes the oldest files, and they are counted."""
    talk = Conversation(
        make_device(
            make_settings(
                retry=RetryPolicy(first_s=55.0), card=CardRules(size_bytes=2500)
            )
        )
    )
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver()
    for _ in range(3):
        talk >> ConnectFailed(REFUSED)
    talk.at(65) >> WaitOver() << connect(planned_s=50.0, attempt=1)
    assert talk.device.card.files_lost == 4


def test_refused_upload_is_repeated_after_a_pause() -> None:
    """An S3 error keeps the file; the same file is tried again, attempt 2."""
    talk = Conversation(make_device())
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver() >> SUITE << send(attempt=1)
    talk >> ResponseReceived(s3_error(503, "SlowDown"), is_open=False)
    talk << wait(until_s=15.0)
    assert talk.device.verdict is not None
    assert talk.device.verdict.kind == "s3.SlowDown"
    talk.at(15) >> WaitOver() << connect(attempt=2, planned_s=10.0)


def test_http_failures_never_burn_groups() -> None:
    """A failure after the connection is open is no failed connection attempt."""
    talk = Conversation(make_device())
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver() >> SUITE >> RequestFailed(RESET) << wait(until_s=15.0)
    talk.at(15) >> WaitOver() << connect(group="group 1", attempt=2)


def test_keep_alive_reuses_the_connection() -> None:
    """On an open connection the next request goes without a Connect."""
    settings_ = make_settings(connection=ConnectionUse.KEEP_ALIVE)
    talk = Conversation(make_device(settings_))
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver() >> SUITE << send(keep_open=True)
    talk >> ResponseReceived(ok(), is_open=True) << wait(until_s=20.0)
    talk.at(20) >> WaitOver() << send(keep_open=True, attempt=1)


def test_stale_connection_is_replaced_at_once() -> None:
    """A reused connection that turns out dead costs neither a pause nor a group."""
    settings_ = make_settings(connection=ConnectionUse.KEEP_ALIVE)
    talk = Conversation(make_device(settings_))
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver() >> SUITE >> ResponseReceived(ok(), is_open=True)
    talk.at(20) >> WaitOver() >> RequestFailed(RESET)
    talk << connect(group="group 1", attempt=2)


def test_connection_lost_while_idle_is_forgotten() -> None:
    """The peer may close an idle connection; the wait stands, the next file connects."""
    settings_ = make_settings(connection=ConnectionUse.KEEP_ALIVE)
    talk = Conversation(make_device(settings_))
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver() >> SUITE >> ResponseReceived(ok(), is_open=True)
    before = talk.command
    talk.at(12) >> ConnectionLost()
    assert talk.command is before
    talk.at(20) >> WaitOver() << connect()


def test_boot_order_and_ota_share_one_connection() -> None:
    """Schema, device.json, then the three checks on one connection, own config PUT."""
    settings_ = make_settings(
        boot_uploads_schema=True, heartbeat_s=30, ota_s=60, period_s=0
    )
    talk = Conversation(make_device(settings_))
    talk >> PowerOn() << connect(operation="schema")
    talk >> SUITE << send(operation="schema", method="PUT", keep_open=False)
    talk >> ResponseReceived(ok(), is_open=False) << connect(operation="heartbeat")
    talk >> SUITE << send(operation="heartbeat", key="AABBCCDD/device.json")
    talk >> ResponseReceived(ok(), is_open=False) << connect(operation="ota_bundle")
    (
        talk
        >> SUITE
        << send(
            operation="ota_bundle",
            method="GET",
            keep_open=True,
            key="AABBCCDD/certs_server.p7b",
        )
    )
    talk >> ResponseReceived(s3_error(404, "NoSuchKey"), is_open=True)
    assert talk.device.verdict is None, "a missing bundle is no failure"
    talk << send(operation="ota_config", keep_open=True)
    talk >> ResponseReceived(s3_error(404, "NoSuchKey"), is_open=True)
    talk << send(operation="config", method="PUT", key="AABBCCDD/config-01.07.json")
    talk >> ResponseReceived(ok(etag='"abc"'), is_open=True)
    talk << send(operation="ota_firmware", keep_open=False)
    talk >> ResponseReceived(s3_error(404, "NoSuchKey"), is_open=False)
    talk << wait(until_s=30.0)


def test_refused_heartbeat_does_not_starve_uploads() -> None:
    """A heartbeat that the server refuses waits for its next turn."""
    settings_ = make_settings(heartbeat_s=7)
    talk = Conversation(make_device(settings_))
    talk >> PowerOn() << connect(operation="heartbeat")
    talk >> SUITE >> ResponseReceived(s3_error(403, "AccessDenied"), is_open=False)
    talk << wait(until_s=7.0)
    talk.at(10) >> WaitOver() << connect(operation="heartbeat", planned_s=7.0)
    talk >> SUITE >> ResponseReceived(s3_error(403, "AccessDenied"), is_open=False)
    talk << connect(operation="upload", planned_s=10.0)


def test_missed_timers_are_not_made_up_for() -> None:
    """Of several heartbeats missed in an outage one is sent, back on the grid after."""
    settings_ = make_settings(heartbeat_s=10, period_s=0)
    talk = Conversation(make_device(settings_))
    talk >> PowerOn() >> SUITE >> ResponseReceived(ok(), is_open=False)
    talk << wait(until_s=10.0)
    talk.at(47) >> WaitOver() << connect(operation="heartbeat", planned_s=10.0)
    talk >> SUITE >> ResponseReceived(ok(), is_open=False) << wait(until_s=50.0)


def test_verification_and_signature_use_the_devices_own_clock() -> None:
    """A device whose clock is wrong verifies and signs at its wrong time."""
    talk = Conversation(make_device(skew_s=-3600))
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver() << connect(verify_unix_s=EPOCH_S + 10 - 3600)
    talk >> SUITE
    assert isinstance(talk.command, Send)
    assert b"x-amz-date" in talk.command.head.lower()
    assert talk.command.task.device_unix_s == EPOCH_S + 10 - 3600


def test_lost_confirmation_uploads_the_same_file_under_a_new_key() -> None:
    """Duplicates: same session and split, new upload time in the key."""
    settings_ = make_settings(duplicate_ratio=1.0)
    talk = Conversation(make_device(settings_))
    talk >> PowerOn() << wait()
    first = f"AABBCCDD/00000001/00000001-{EPOCH_S + 10:08X}.MF4"
    again = f"AABBCCDD/00000001/00000001-{EPOCH_S + 15:08X}.MF4"
    talk.at(10) >> WaitOver() << connect(key=first)
    talk >> SUITE >> ResponseReceived(ok(), is_open=False) << wait(until_s=15.0)
    talk.at(15) >> WaitOver() << connect(key=again, attempt=2)
    assert talk.device.files_acknowledged == 1


def test_drain_finishes_the_backlog_then_stops() -> None:
    """After Drain: no new files, no timers, the backlog goes out, then Stop."""
    talk = Conversation(make_device(make_settings(heartbeat_s=30)))
    talk >> PowerOn() >> SUITE >> ResponseReceived(ok(), is_open=False) << wait()
    talk.at(25) >> Drain() << connect(planned_s=10.0)
    talk >> SUITE >> ResponseReceived(ok(), is_open=False) << connect(planned_s=20.0)
    talk >> SUITE >> ResponseReceived(ok(), is_open=False) << Stop
    assert talk.device.state is State.STOPPED


def test_drain_during_a_request_leaves_the_command_standing() -> None:
    """Drain while something is on the wire answers the identical command."""
    talk = Conversation(make_device())
    talk >> PowerOn() << wait()
    talk.at(10) >> WaitOver() >> SUITE << send()
    before = talk.command
    talk >> Drain()
    assert talk.command is before
    talk >> ResponseReceived(ok(), is_open=False) << Stop


def test_no_file_closes_after_the_load() -> None:
    """The plan ends with the load: a device with nothing left just waits."""
    talk = Conversation(make_device(make_settings(duration_s=15)))
    talk >> PowerOn() << wait(until_s=10.0)
    talk.at(10) >> WaitOver() >> SUITE >> ResponseReceived(ok(), is_open=False)
    talk << Wait
    assert isinstance(talk.command, Wait)
    assert talk.command.until_ns > 10**15


def test_impossible_event_is_a_bug() -> None:
    """An event that cannot happen is refused loudly."""
    device = make_device()
    with pytest.raises(UnexpectedEventError):
        device.handle(WaitOver(), 0)


def _answers(command: Command) -> Iterator[Event]:
    """Every event that may follow a command."""
    if isinstance(command, Connect):
        yield SUITE
        yield ConnectFailed(REFUSED)
        yield ConnectFailed(NO_SHARED_CIPHER)
        yield ConnectFailed(Failure(Kind.DEVICE_NO_TRUST, Phase.DEVICE))
    elif isinstance(command, Send):
        is_open = command.keep_open
        yield ResponseReceived(ok(etag='"e"'), is_open=is_open)
        yield ResponseReceived(ok(304), is_open=is_open)
        yield ResponseReceived(ok(body=b"garbage"), is_open=is_open)
        yield ResponseReceived(s3_error(404, "NoSuchKey"), is_open=is_open)
        yield ResponseReceived(s3_error(503, "SlowDown"), is_open=False)
        yield RequestFailed(RESET)
    elif isinstance(command, Wait):
        yield WaitOver()
    if not isinstance(command, Stop):
        yield PowerCycle()


@settings(max_examples=150, deadline=None)
@given(
    choices=st.lists(st.integers(0, 6), min_size=1, max_size=120),
    keep_alive=st.booleans(),
    drain_at=st.integers(0, 120),
)
def test_no_sequence_of_events_breaks_a_law(
    choices: list[int], keep_alive: bool, drain_at: int
) -> None:
    """Whatever happens: files add up, groups stay on the ladder, waits are future."""
    use = ConnectionUse.KEEP_ALIVE if keep_alive else ConnectionUse.PER_UPLOAD
    device = make_device(
        make_settings(
            connection=use,
            heartbeat_s=13,
            ota_s=29,
            boot_uploads_schema=True,
            card=CardRules(size_bytes=5000),
            retry=RetryPolicy(first_s=1, factor=2, max_s=20, jitter_ratio=0.5),
        )
    )
    now_ns = 0
    command = device.handle(PowerOn(), now_ns)
    for index, choice in enumerate(choices):
        if isinstance(command, Stop):
            break
        if index == drain_at:
            command = device.handle(Drain(), now_ns)
            continue
        events = list(_answers(command))
        event = events[choice % len(events)]
        if isinstance(event, WaitOver) and isinstance(command, Wait):
            assert command.until_ns > now_ns
            now_ns = min(command.until_ns, now_ns + 200 * 10**9)
        now_ns += 10_000_000
        command = device.handle(event, now_ns)
        card = device.card
        assert (
            card.files_closed == card.files_confirmed + card.backlog + card.files_lost
        )
        assert 0 <= device.position < 3
