"""The file schedule: closing times are a law of the seed, not of what the server does."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.draws import Draws
from fleetsim.core.file_schedule import NEVER_NS, FileSchedule
from fleetsim.core.sd_card import SdCard
from fleetsim.core.settings import CardRules, Workload
from tests.core.conversation import Always, S, make_settings

END_NS = 1000 * S


@dataclass(frozen=True)
class Between:
    """Evenly between two values."""

    low: float
    high: float

    @property
    def fixed(self) -> float | None:
        """Samples differ."""
        return None

    def sample(self, draws: Draws) -> float:
        """Draw one."""
        return self.low + (self.high - self.low) * draws.uniform()


def work(**changes: object) -> Workload:
    """A file of 1000 bytes every 10 s."""
    return replace(make_settings().workload, **changes)  # type: ignore[arg-type]  # keywords of a test


def files(
    schedule: FileSchedule, workload: Workload, looks_ns: list[int], end_ns: int
) -> list[tuple[int, int]]:
    """Closing times and sizes of a device that looks at these times."""
    card = SdCard(CardRules())
    card.power_cycle()
    schedule.start(workload, 0, end_ns)
    found = []
    for now_ns in looks_ns:
        schedule.close_due(card, workload, now_ns, end_ns)
        while (file := card.oldest()) is not None:
            found.append((file.closed_ns, file.size_bytes))
            card.confirm(file)
    return found


@pytest.mark.parametrize(
    ("phase_s", "power_on_s", "first_s"),
    [
        pytest.param(0, 0, 10, id="the boundary of power-on has no file yet"),
        pytest.param(3, 0, 3, id="phase"),
        pytest.param(3, 3, 13, id="power-on exactly on a boundary"),
        pytest.param(3, 3.1, 13, id="power-on after the boundary"),
        pytest.param(3, 95, 103, id="power-on periods later"),
    ],
)
def test_first_file(phase_s: float, power_on_s: float, first_s: float) -> None:
    """Files that would close before the device is powered on do not exist."""
    schedule = FileSchedule(1, int(phase_s * S))
    schedule.start(work(), int(power_on_s * S), END_NS)
    assert schedule.next_ns == first_s * S


def test_period_0_logs_nothing() -> None:
    """A device without a period never closes a file."""
    schedule = FileSchedule(1, 0)
    schedule.start(work(period_s=0.0), 0, END_NS)
    assert schedule.next_ns == NEVER_NS
    assert schedule.next_upload_ns(work()) == NEVER_NS


def test_nothing_closes_at_or_after_the_end() -> None:
    """The last file closes before the end of the load."""
    found = files(FileSchedule(1, 0), work(), [200 * S], 30 * S)
    assert [closed_ns for closed_ns, _ in found] == [10 * S, 20 * S]


def test_stop_ends_the_files() -> None:
    """After a stop no further file closes."""
    schedule = FileSchedule(1, 0)
    schedule.start(work(), 0, END_NS)
    schedule.stop()
    card = SdCard(CardRules())
    schedule.close_due(card, work(), 500 * S, END_NS)
    assert card.oldest() is None


def test_upload_delay_is_added_and_never_negative() -> None:
    """A file is due for upload when its delay is over; a negative delay is none."""
    schedule = FileSchedule(1, 0)
    schedule.start(work(), 0, END_NS)
    assert schedule.next_upload_ns(work(upload_delay=Always(2.5))) == 12.5 * S
    assert schedule.next_upload_ns(work(upload_delay=Always(-2.5))) == 10 * S


def test_negative_sizes_are_empty_files() -> None:
    """A distribution may dip below zero; a file cannot."""
    found = files(FileSchedule(1, 0), work(file_size=Always(-5)), [15 * S], END_NS)
    assert found == [(10 * S, 0)]


LIVELY = {
    "file_size": Between(100, 5000),
    "jitter": Between(-9, 9),
    "upload_delay": Between(0, 4),
}
looks = st.lists(st.integers(0, 300 * S), max_size=30).map(
    lambda times: [*sorted(times), 300 * S]
)


@given(seed=st.integers(0, 2**64 - 1), phase_ns=st.integers(0, 10 * S - 1), looks=looks)
def test_files_do_not_depend_on_when_the_device_looks(
    seed: int, phase_ns: int, looks: list[int]
) -> None:
    """One look at the end and many on the way find the same files: the model is open."""
    workload = work(**LIVELY)
    once = files(FileSchedule(seed, phase_ns), workload, [300 * S], END_NS)
    often = files(FileSchedule(seed, phase_ns), workload, looks, END_NS)
    assert once == often
    times = [closed_ns for closed_ns, _ in once]
    assert times == sorted(times)
    assert len(times) in range(28, 32)


@given(seed=st.integers(0, 2**64 - 1), other=st.integers(0, 2**64 - 1))
def test_the_seed_decides(seed: int, other: int) -> None:
    """Same seed, same sizes and delays; another seed, other ones."""
    workload = work(**LIVELY)

    def life(of: int) -> list[tuple[int, int, int]]:
        schedule = FileSchedule(of, 0)
        return [
            (closed_ns, size, schedule.upload_ns(workload, closed_ns))
            for closed_ns, size in files(schedule, workload, [300 * S], END_NS)
        ]

    assert life(seed) == life(seed)
    assert (life(seed) == life(other)) == (seed == other)
