"""The agenda: what comes first after power-on, and timers that never pile up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.agenda import Agenda
from fleetsim.core.commands import Operation
from fleetsim.core.file_schedule import NEVER_NS
from fleetsim.core.over_the_air import CHECKS
from fleetsim.core.settings import Workload
from tests.core.conversation import S, make_settings

FOREVER_NS = 1 << 60


def work(heartbeat_s: float = 0.0, ota_s: float = 0.0) -> Workload:
    """A workload with these timers."""
    return make_settings(heartbeat_s=heartbeat_s, ota_s=ota_s).workload


def emptied(agenda: Agenda) -> list[tuple[Operation, int]]:
    """Take everything that is queued."""
    entries = []
    while (entry := agenda.first) is not None:
        entries.append(entry)
        agenda.done()
    return entries


@pytest.mark.parametrize(
    ("with_schema", "heartbeat_s", "ota_s", "wanted"),
    [
        pytest.param(False, 0, 0, (), id="nothing"),
        pytest.param(True, 0, 0, (Operation.SCHEMA,), id="schema"),
        pytest.param(False, 5, 0, (Operation.HEARTBEAT,), id="heartbeat"),
        pytest.param(False, 0, 5, CHECKS, id="checks"),
        pytest.param(
            True, 5, 5, (Operation.SCHEMA, Operation.HEARTBEAT, *CHECKS), id="all"
        ),
    ],
)
def test_boot_order(
    *, with_schema: bool, heartbeat_s: float, ota_s: float, wanted: tuple[Operation]
) -> None:
    """Rule schema, device.json, then the check of three objects; 0 switches off."""
    agenda = Agenda()
    agenda.boot(work(heartbeat_s, ota_s), 3 * S, with_schema=with_schema)
    assert emptied(agenda) == [(operation, 3 * S) for operation in wanted]


def test_timers_run_from_power_on() -> None:
    """The first timer is due one period after power-on; none armed means never."""
    agenda = Agenda()
    assert agenda.next_timer_ns == NEVER_NS
    agenda.boot(work(heartbeat_s=7, ota_s=20), 3 * S, with_schema=False)
    assert agenda.next_timer_ns == 10 * S


def test_an_operation_still_queued_is_not_queued_twice() -> None:
    """A device that is busy for ten periods owes one heartbeat, planned by the first."""
    settings = work(heartbeat_s=5)
    agenda = Agenda()
    agenda.boot(settings, 0, with_schema=False)
    agenda.done()
    agenda.queue_due(settings, 52 * S, FOREVER_NS)
    assert emptied(agenda) == [(Operation.HEARTBEAT, 5 * S)]
    assert agenda.next_timer_ns == 55 * S


def test_no_timer_at_or_after_the_end() -> None:
    """A timer that would be due when the load is over is not armed."""
    settings = work(heartbeat_s=5)
    agenda = Agenda()
    agenda.boot(settings, 0, with_schema=False)
    agenda.queue_due(settings, 5 * S, 10 * S)
    assert agenda.next_timer_ns == NEVER_NS


def test_a_check_goes_on_until_its_last_object() -> None:
    """The connection of a check is kept for the objects that follow, and no longer."""
    agenda = Agenda()
    agenda.boot(work(ota_s=5), 0, with_schema=False)
    follows = []
    while agenda.first is not None:
        follows.append(agenda.check_goes_on)
        agenda.done()
    assert follows == [True, True, False]


@pytest.mark.parametrize("keep_first", [True, False])
def test_stop_spares_what_is_under_way(*, keep_first: bool) -> None:
    """After a stop nothing is left but, if asked for, the operation under way."""
    agenda = Agenda()
    agenda.boot(work(heartbeat_s=5, ota_s=5), 0, with_schema=True)
    agenda.stop(keep_first=keep_first)
    assert emptied(agenda) == ([(Operation.SCHEMA, 0)] if keep_first else [])
    assert agenda.next_timer_ns == NEVER_NS


def test_insert_goes_before_all_others() -> None:
    """The upload of the device's own configuration does not wait for the rest."""
    agenda = Agenda()
    agenda.boot(work(heartbeat_s=5), 0, with_schema=False)
    agenda.insert(Operation.CONFIG, S)
    assert agenda.first == (Operation.CONFIG, S)


@given(
    period_s=st.floats(0.001, 1000),
    looks_ns=st.lists(st.integers(0, 10**13), min_size=1, max_size=20).map(sorted),
)
def test_timers_stay_on_their_grid(period_s: float, looks_ns: list[int]) -> None:
    """However late the device looks, plans are multiples of the period, and past."""
    settings = work(heartbeat_s=period_s)
    period_ns = int(period_s * S)
    agenda = Agenda()
    agenda.boot(settings, 0, with_schema=False)
    agenda.done()
    for now_ns in looks_ns:
        agenda.queue_due(settings, now_ns, FOREVER_NS)
        for operation, planned_ns in emptied(agenda):
            assert operation is Operation.HEARTBEAT
            assert planned_ns % period_ns == 0
            assert 0 < planned_ns <= now_ns
        assert now_ns < agenda.next_timer_ns <= now_ns + period_ns
