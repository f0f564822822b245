import pytest

from fleetsim.exceptions import InputError
from fleetsim.lab.faults.blackhole import Blackhole
from fleetsim.lab.faults.catalog import FAULTS, make_fault
from fleetsim.lab.faults.delay import Delay
from fleetsim.lab.faults.flow import Fault
from fleetsim.lab.faults.reset import Reset
from fleetsim.lab.faults.throttle import Throttle
from fleetsim.scenario.timeline_schema import FaultKind


@pytest.mark.parametrize(
    ("kind", "values", "made"),
    [
        ("blackhole", {}, Blackhole()),
        ("delay", {"latency_s": 0.5}, Delay(0.5)),
        ("delay", {"latency_s": 0.5, "jitter_s": 1}, Delay(0.5, 1)),
        ("reset", {}, Reset(0)),
        ("reset", {"after_bytes": 9}, Reset(9)),
        ("throttle", {"bytes_per_s": 1}, Throttle(1)),
    ],
)
def test_fault_is_made_of_its_word_and_values(
    kind: str, values: dict[str, float], made: Fault
) -> None:
    """Values go into the fields of their name, others keep their default."""
    assert make_fault(kind, values) == made


@pytest.mark.parametrize(
    ("kind", "values", "where"),
    [
        ("flood", {}, ["kind"]),
        ("delay", {}, ["latency_s"]),
        ("delay", {"latency_s": -1}, ["latency_s"]),
        (
            "delay",
            {"latency_s": float("nan"), "jitter_s": 1e9},
            ["jitter_s", "latency_s"],
        ),
        ("throttle", {"bytes_per_s": 0}, ["bytes_per_s"]),
        ("throttle", {"rate": 5}, ["bytes_per_s", "rate"]),
        ("reset", {"after_bytes": -1}, ["after_bytes"]),
        ("blackhole", {"delay_s": 1}, ["delay_s"]),
    ],
)
def test_every_bad_value_is_named_at_once(
    kind: str, values: dict[str, float], where: list[str]
) -> None:
    """Unknown kinds and values, missing ones and absurd ones are all refused."""
    with pytest.raises(InputError) as caught:
        make_fault(kind, values)
    assert sorted(problem.where for problem in caught.value.problems) == where


def test_every_fault_of_a_timeline_can_be_made() -> None:
    """A scenario can ask for no kind that the lab does not have."""
    assert {kind.value for kind in FaultKind} <= set(FAULTS)
