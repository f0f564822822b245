"""A small scenario and the built-in profiles, for all tests of this room."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from fleetsim.core.settings import DeviceProfile
from fleetsim.profiles import catalog
from fleetsim.scenario.parse import parse_scenario
from fleetsim.scenario.plan import Plan, make_plan
from fleetsim.scenario.schema import Scenario

LoadProfile = Callable[[str], DeviceProfile]


@pytest.fixture
def load_profile() -> LoadProfile:
    """The built-in profiles by name."""
    return lambda name: catalog.load(name).profile


@pytest.fixture
def scenario_of(load_profile: LoadProfile) -> Callable[..., Scenario]:
    """Make a scenario of one cohort from what differs."""

    def make(
        cohort: Mapping[str, Any] | None = None,
        *more: Mapping[str, Any],
        **top: Any,
    ) -> Scenario:
        cohorts = [
            {"name": f"c{index}", "count": 10, **given}
            for index, given in enumerate((cohort or {}, *more))
        ]
        data = {"name": "x", "cohorts": cohorts, **top}
        if "target" not in data:
            data.setdefault("lab", {})
        # The dump of a model is JSON, which is YAML: the whole path is taken.
        text = Scenario.model_validate(data).model_dump_json(exclude_none=True)
        return parse_scenario(text, "x.yaml", load_profile)

    return make


@pytest.fixture
def plan_of(
    scenario_of: Callable[..., Scenario], load_profile: LoadProfile
) -> Callable[..., Plan]:
    """Make a plan of one cohort from what differs."""

    def make(*cohorts: Mapping[str, Any], **top: Any) -> Plan:
        return make_plan(scenario_of(*cohorts, **top), load_profile)

    return make
