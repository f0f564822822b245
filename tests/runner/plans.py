"""Plans for the tests of this room."""

from typing import Any

from fleetsim.profiles import catalog
from fleetsim.scenario.plan import Plan, make_plan
from fleetsim.scenario.schema import Scenario

TARGET = {"endpoint": "https://s3.test:9000", "bucket": "fleet", "region": "eu-north-1"}


def plan_of(*cohorts: dict[str, Any], **top: Any) -> Plan:
    """Plan a scenario of these cohorts; on a lab unless a target is given."""
    data = {
        "name": "x",
        "cohorts": [
            {"name": f"c{index}", "count": 2, **given}
            for index, given in enumerate(cohorts or ({},))
        ],
        **top,
    }
    if "target" not in data:
        data.setdefault("lab", {})
    return make_plan(
        Scenario.model_validate(data), lambda name: catalog.load(name).profile
    )
