"""Fields of cohorts."""

from typing import Any

import pytest
from pydantic import ValidationError

from fleetsim.scenario.cohort_schema import MAX_DEVICES, CohortSpec


def cohort(**given: Any) -> CohortSpec:
    """A cohort from what differs."""
    return CohortSpec.model_validate({"name": "a", "count": 1, **given})


@pytest.mark.parametrize("count", [0, -1, MAX_DEVICES + 1, 1.0, "1", True, None])
def test_the_count_is_a_whole_number_in_range(count: object) -> None:
    """1 to 1,000,000; nothing is converted silently."""
    with pytest.raises(ValidationError):
        cohort(count=count)
    assert cohort(count=MAX_DEVICES).count == MAX_DEVICES


@pytest.mark.parametrize(
    "given",
    [
        {"overrides": {"retry": {"first": 0}}},
        {"overrides": {"retry": {"factor": 0.5}}},
        {"overrides": {"retry": {"factor": True}}},
        {"overrides": {"retry": {"jitter": 1.5}}},
        {"overrides": {"deadlines": {"dns": 0}}},
        {"overrides": {"card": {"size": 0}}},
        {"overrides": {"tls": {"security_level": 3}}},
        {"overrides": {"bundle": {"max_certificates": 0}}},
        {"workload": {"duplicates": 1.1}},
        {"workload": {"period": -1}},
        {"workload": {"file_size": -1}},
        {"workload": {"upload_delay": "-1s"}},
        {"heartbeat": -1},
        {"client_certificates": {"key": "rsa-512"}},
        {"client_certificates": {"pki": ""}},
        {"name": ""},
        {"profile": ""},
    ],
    ids=repr,
)
def test_absurd_figures_are_refused(given: dict[str, Any]) -> None:
    """What no device can have is no scenario."""
    with pytest.raises(ValidationError):
        cohort(**given)


def test_jitter_and_skew_may_be_negative() -> None:
    """Clocks run behind, files close early."""
    spec = cohort(
        clock={"skew": "-5m"}, workload={"jitter": {"uniform": ["-1s", "1s"]}}
    )
    assert spec.clock.skew.mean() == -300.0
    assert spec.workload.jitter.lowest == -1.0


def test_specs_cannot_be_changed() -> None:
    """A scenario is a value."""
    with pytest.raises(ValidationError, match="frozen"):
        cohort().count = 5
