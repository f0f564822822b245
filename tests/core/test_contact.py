"""Contact states: every row of the transition table, every definition, and its laws."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.contact import (
    SILENT_PERIODS,
    TRIES,
    Change,
    Contact,
    ContactRules,
    ContactState,
    contact_rules,
    is_try,
)
from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.core.settings import RetryPolicy
from tests.core.conversation import NO_SHARED_CIPHER, REFUSED, S, make_settings

RULES = ContactRules(period_ns=10 * S, file_period_ns=10 * S)
PROOF = "the chain ends in a root that is not in the bundle"


def succeed(contact: Contact, at_s: float, group: int = 0) -> Change | None:
    """A try that succeeds."""
    return contact.succeeded(RULES, int(at_s * S), group=group)


def fail(contact: Contact, at_s: float, failure: Failure = REFUSED) -> Change | None:
    """A try that fails."""
    return contact.failed(RULES, int(at_s * S), failure)


def connected(at_s: float = 0.0) -> Contact:
    """A device in touch."""
    contact = Contact()
    contact.powered_on(0)
    succeed(contact, at_s)
    return contact


def failing(at_s: float = 10.0) -> Contact:
    """A device that lost contact."""
    contact = connected()
    for _ in range(TRIES):
        fail(contact, at_s)
    return contact


def stranded(at_s: float = 11.0) -> Contact:
    """A device that is proved to have lost contact for good."""
    contact = failing()
    contact.judged(PROOF, int(at_s * S))
    return contact


def test_the_first_success_connects() -> None:
    """A device begins unreached; one success of any kind connects it, in any group."""
    contact = Contact()
    assert contact.state is ContactState.UNREACHED
    assert contact.powered_on(0) is None
    assert succeed(contact, 2.5, group=2) == Change(
        at_ns=2_500_000_000,
        was=ContactState.UNREACHED,
        now=ContactState.CONNECTED,
        reason="first success",
    )
    assert contact.since_ns == 2_500_000_000


def test_three_tries_in_a_row_make_it_fail() -> None:
    """Two failed tries are noise, the third is trouble; the reason names the failure."""
    contact = connected()
    assert fail(contact, 10) is None
    assert fail(contact, 11) is None
    change = fail(contact, 12, NO_SHARED_CIPHER)
    assert change is not None
    assert change.now is ContactState.FAILING
    assert change.reason.endswith("the last: tls.alert.handshake_failure")
    assert fail(contact, 13) is None


def test_a_success_between_failures_starts_the_count_again() -> None:
    """Only tries in a row count."""
    contact = connected()
    for at_s in range(10, 30, 5):
        fail(contact, at_s)
        fail(contact, at_s + 1)
        succeed(contact, at_s + 2)
    assert contact.state is ContactState.CONNECTED


def test_silence_after_a_failure_makes_it_fail() -> None:
    """One failed try and no success for three contact periods is trouble too."""
    contact = connected(at_s=1)
    fail(contact, 5)
    limit_s = 1 + SILENT_PERIODS * 10
    assert contact.examined(RULES, int((limit_s - 0.001) * S)) is None
    change = contact.examined(RULES, limit_s * S)
    assert change is not None
    assert change.now is ContactState.FAILING
    assert change.reason == "no success for 3 contact periods of 10 s"


def test_silence_without_a_failure_is_none() -> None:
    """A device that has nothing to say is not failing, however long it says nothing."""
    contact = connected()
    assert contact.examined(RULES, 10**6 * S) is None
    assert not contact.is_in_trouble(RULES, 10**6 * S)


def test_never_reached_is_not_lost_contact() -> None:
    """A device that never got through stays unreached, but a proof is asked for."""
    contact = Contact()
    contact.powered_on(0)
    for _ in range(TRIES - 1):
        fail(contact, 1)
    assert not contact.is_in_trouble(RULES, 1 * S)
    fail(contact, 1)
    assert contact.state is ContactState.UNREACHED
    assert contact.is_in_trouble(RULES, 1 * S)
    change = contact.judged(PROOF, 2 * S)
    assert change is not None
    assert (change.was, change.now, change.reason) == (
        ContactState.UNREACHED,
        ContactState.STRANDED,
        PROOF,
    )
    back = contact.judged(None, 3 * S)
    assert back is not None
    assert back.now is ContactState.UNREACHED


def test_stranded_only_by_proof() -> None:
    """No number of failures and no time strands a device; a proof does, at once."""
    contact = failing()
    for at_s in range(20, 2000, 10):
        assert fail(contact, at_s) is None
        assert contact.judged(None, at_s * S) is None
        assert contact.examined(RULES, at_s * S) is None
    change = contact.judged(PROOF, 2000 * S)
    assert change is not None
    assert (change.now, change.reason) == (ContactState.STRANDED, PROOF)
    assert contact.judged("another reason", 2001 * S) is None


def test_a_proof_that_no_longer_holds_is_taken_back() -> None:
    """When the way back opens again the device is failing, not stranded."""
    contact = stranded()
    change = contact.judged(None, 20 * S)
    assert change is not None
    assert change.now is ContactState.FAILING


@pytest.mark.parametrize(
    "lost", [pytest.param(failing, id="failing"), pytest.param(stranded, id="stranded")]
)
def test_recovered_for_one_period_without_failure(lost: Callable[[], Contact]) -> None:
    """Success after trouble is "recovered"; a whole period without failure heals it."""
    contact = lost()
    was = contact.state
    change = succeed(contact, 100)
    assert change is not None
    assert (change.now, change.reason) == (
        ContactState.RECOVERED,
        f"success after {was.value}",
    )
    assert succeed(contact, 109.9) is None
    assert contact.state is ContactState.RECOVERED
    change = succeed(contact, 110)
    assert change is not None
    assert change.now is ContactState.CONNECTED


def test_a_failed_try_prolongs_the_recovery() -> None:
    """The healthy period starts again after a failed try; three lose contact again."""
    contact = failing()
    succeed(contact, 100)
    fail(contact, 105)
    assert succeed(contact, 112) is None
    assert succeed(contact, 115) is not None
    assert contact.state is ContactState.CONNECTED
    contact = failing()
    succeed(contact, 100)
    changes = [fail(contact, at_s) for at_s in (101, 102, 103)]
    assert [change and change.now for change in changes] == [
        None,
        None,
        ContactState.FAILING,
    ]


def test_falling_back_degrades_and_coming_back_heals() -> None:
    """A later group than ever used is degraded; the usual one is connected again."""
    contact = connected()
    change = succeed(contact, 10, group=2)
    assert change is not None
    assert (change.now, change.reason) == (
        ContactState.DEGRADED,
        "fell back from group 1 to group 3",
    )
    assert succeed(contact, 20, group=2) is None
    change = succeed(contact, 30, group=0)
    assert change is not None
    assert change.now is ContactState.CONNECTED


def test_the_usual_group_is_the_earliest_that_worked() -> None:
    """A fleet of a server that knows the last group only is well there, until more."""
    contact = Contact()
    succeed(contact, 1, group=2)
    assert succeed(contact, 2, group=2) is None
    assert succeed(contact, 3, group=0) is None
    change = succeed(contact, 4, group=2)
    assert change is not None
    assert change.now is ContactState.DEGRADED


def test_recovery_in_a_later_group_ends_in_degraded() -> None:
    """Who comes back on a later group has recovered, and then is degraded."""
    contact = failing()
    succeed(contact, 100, group=2)
    assert contact.state is ContactState.RECOVERED
    change = succeed(contact, 110, group=2)
    assert change is not None
    assert change.now is ContactState.DEGRADED


def test_a_growing_backlog_degrades() -> None:
    """Two uploads in a row more than a period late, the second later, degrade."""
    contact = connected()
    contact.uploaded(RULES, 15 * S)
    assert succeed(contact, 25) is None
    contact.uploaded(RULES, 20 * S)
    change = succeed(contact, 40)
    assert change is not None
    assert (change.now, change.reason) == (
        ContactState.DEGRADED,
        "two files or more are late, and growing",
    )
    contact.uploaded(RULES, 12 * S)
    assert succeed(contact, 50) is None, "still more than a period late"
    contact.uploaded(RULES, 9 * S)
    change = succeed(contact, 60)
    assert change is not None
    assert change.now is ContactState.CONNECTED


def test_catching_up_is_not_degrading() -> None:
    """After one hold-off the files are late, less and less: that is no growth."""
    contact = connected()
    for number, late_s in enumerate((30, 25, 20, 15, 10, 5, 0)):
        contact.uploaded(RULES, late_s * S)
        assert succeed(contact, 40 + number) is None
    assert contact.state is ContactState.CONNECTED


def test_late_uploads_that_fail_degrade_beside_a_healthy_heartbeat() -> None:
    """A file that never goes out shows, although device.json keeps going out."""
    contact = connected()
    states = []
    for late_s in (5, 15, 25):
        contact.uploaded(RULES, late_s * S)
        fail(contact, 10 + late_s)
        states.append(contact.state)
        succeed(contact, 11 + late_s)
    assert states == [
        ContactState.CONNECTED,
        ContactState.CONNECTED,
        ContactState.DEGRADED,
    ]
    assert contact.state is ContactState.DEGRADED


def test_asleep_and_awake() -> None:
    """Switched off is asleep; switched on is what it was, and silence starts again."""
    for make, was in (
        (Contact, ContactState.UNREACHED),
        (connected, ContactState.CONNECTED),
        (failing, ContactState.FAILING),
        (stranded, ContactState.STRANDED),
    ):
        contact = make()
        change = contact.powered_off(50 * S)
        assert change is not None
        assert (change.was, change.now) == (was, ContactState.ASLEEP)
        assert contact.powered_off(51 * S) is None
        assert not contact.is_in_trouble(RULES, 10**6 * S)
        change = contact.powered_on(10**6 * S)
        assert change is not None
        assert change.now is was
    contact = connected()
    fail(contact, 5)
    contact.powered_off(6 * S)
    contact.powered_on(1000 * S)
    assert contact.failed_tries == 0
    fail(contact, 1001)
    assert contact.examined(RULES, 1002 * S) is None


def test_nothing_wakes_a_sleeper_but_power() -> None:
    """What ends after the power is gone says nothing any more."""
    contact = failing()
    contact.powered_off(20 * S)
    assert succeed(contact, 21) is None
    assert contact.state is ContactState.ASLEEP


@pytest.mark.parametrize(
    ("failure", "counts"),
    [
        (Failure(Kind.RUN_STOPPED, Phase.RUN), False),
        (Failure(Kind.DEVICE_POWER_CYCLE, Phase.DEVICE), False),
        (Failure(Kind.TCP_LOCAL_PORTS, Phase.TCP), False),
        (Failure(Kind.TCP_LOCAL_FILES, Phase.TCP), False),
        (Failure(Kind.TCP_REFUSED, Phase.TCP), True),
        (Failure(Kind.DEVICE_NO_TRUST, Phase.DEVICE), True),
        (Failure("s3.SlowDown", Phase.WAIT), True),
    ],
    ids=lambda value: value.kind if isinstance(value, Failure) else "",
)
def test_what_the_simulation_broke_off_is_no_try(
    failure: Failure, *, counts: bool
) -> None:
    """Only what a real device would have seen says something about its contact."""
    assert is_try(failure) is counts


@pytest.mark.parametrize(
    ("timers", "first_s", "period_s"),
    [
        ({"period_s": 60.0}, 10.0, 60),
        ({"period_s": 60.0, "heartbeat_s": 30.0, "ota_s": 600.0}, 10.0, 30),
        ({"period_s": 0.0, "heartbeat_s": 300.0, "ota_s": 600.0}, 10.0, 300),
        ({"period_s": 1.0}, 10.0, 10),
        ({"period_s": 0.0}, 10.0, 10),
    ],
    ids=["files", "heartbeat", "no-files", "first-repetition", "nothing"],
)
def test_the_contact_period(
    timers: dict[str, float], first_s: float, period_s: int
) -> None:
    """The shortest rhythm of the device, at least its first wait."""
    settings = make_settings(retry=RetryPolicy(first_s=first_s), **timers)  # type: ignore[arg-type]  # numbers only
    rules = contact_rules(settings.workload, settings.profile.retry)
    assert rules.period_ns == period_s * S
    assert rules == settings.contact_rules


def step(contact: Contact, what: str, now_ns: int, number: int) -> Change | None:
    """Let something happen, unless it cannot happen now."""
    if what == "off":
        return contact.powered_off(now_ns)
    if what == "on":
        return contact.powered_on(now_ns)
    if what == "time":
        return contact.examined(RULES, now_ns)
    if what in {"proof", "no proof"}:
        if not contact.is_in_trouble(RULES, now_ns):
            return None
        return contact.judged(PROOF if what == "proof" else None, now_ns)
    if contact.state is ContactState.ASLEEP:
        return None
    if what == "success":
        return contact.succeeded(RULES, now_ns, group=number % 3)
    if what == "failure":
        return contact.failed(RULES, now_ns, REFUSED)
    contact.uploaded(RULES, number)
    return None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["success", "failure", "late", "time", "proof", "no proof", "off", "on"]
            ),
            st.integers(0, 20 * S),
        ),
        max_size=80,
    )
)
def test_laws_of_every_history(steps: list[tuple[str, int]]) -> None:
    """Changes chain, go forward in time, never repeat a state, and obey the table."""
    contact, now_ns = Contact(), 0
    changes: list[Change] = []
    for what, wait_ns in steps:
        now_ns += wait_ns
        change = step(contact, what, now_ns, wait_ns)
        if change is None:
            continue
        assert change.now is contact.state
        assert change.was is not change.now
        assert change.at_ns == now_ns == contact.since_ns
        assert change.reason
        if change.reason != "switched on":
            if change.now is ContactState.STRANDED:
                assert change.reason == PROOF
            if change.now is ContactState.RECOVERED:
                assert change.was in {ContactState.FAILING, ContactState.STRANDED}
            if change.now is ContactState.UNREACHED:
                assert not contact.was_reached
        changes.append(change)
    for before, after in pairwise(changes):
        assert before.now is after.was
