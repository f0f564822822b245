"""A plan in words and as JSON."""

import io
import json
from typing import Any

from rich.console import Console

from fleetsim.cli.plan_text import first_starts, plan_data, print_plan
from fleetsim.profiles import catalog
from fleetsim.scenario.plan import Plan, make_plan
from fleetsim.scenario.schema import Scenario


def plan_of(*cohorts: dict[str, Any], **top: Any) -> Plan:
    """A plan from what differs."""
    data = {
        "name": "x",
        "cohorts": [
            {"name": f"c{index}", "count": 20, **cohort}
            for index, cohort in enumerate(cohorts or ({},))
        ],
        **top,
    }
    if "target" not in data:
        data.setdefault("lab", {})
    return make_plan(
        Scenario.model_validate(data), lambda name: catalog.load(name).profile
    )


def text_of(plan: Plan, *notes: str) -> str:
    """What a person reads."""
    file = io.StringIO()
    print_plan(plan, notes, Console(file=file, width=110, markup=False))
    return file.getvalue()


def test_first_starts_are_the_earliest() -> None:
    """In order, ties by index."""
    plan = plan_of()
    starts = first_starts(plan, 3)
    assert [d.start_ns for d in starts] == sorted(d.start_ns for d in plan.devices)[:3]
    herd = first_starts(plan_of({"start_up": {"phase": "herd"}}), 3)
    assert [device.index for device in herd] == [0, 1, 2]


def test_plain_http_has_no_ciphers() -> None:
    """Security low shows no cipher groups."""
    low = {"fronts": [{"security": "low"}]}
    assert "groups" not in text_of(plan_of(lab=low))
    assert "winc-ecdhe-last" in text_of(plan_of())


def test_warnings_and_notes_are_shown() -> None:
    """Those of the plan and those of this machine."""
    plan = plan_of({"start_up": {"phase": "herd"}}, limits={"in_flight": 2})
    text = text_of(plan, "This machine is small.")
    assert "act at the same instant" in text
    assert "This machine is small." in text
    assert "Thresholds: none" in text
    assert "Herd: up to 20 devices" in text


def test_a_target_is_named() -> None:
    """Endpoint and bucket; what only the environment knows is said to be so."""
    ca = {"bucket": "fleet", "ca_file": "ca.pem"}
    assert "https://h:9000, bucket fleet" in text_of(
        plan_of(target={**ca, "endpoint": "https://h:9000"})
    )
    assert "the endpoint of the environment" in text_of(plan_of(target=ca))


def test_a_cohort_that_logs_nothing_says_none() -> None:
    """Period 0 and timers of 0 are off."""
    text = text_of(plan_of({"workload": {"period": 0}, "heartbeat": 0}))
    assert "heartbeat off" in text
    assert "none" in text


def test_the_data_are_json() -> None:
    """Round trip through text; the same figures as the plan."""
    plan = plan_of({}, {"trust": "empty"})
    data = json.loads(json.dumps(plan_data(plan, ["note"])))
    assert data["digest"] == plan.digest
    assert data["needs"]["uploads"] == plan.needs.uploads
    assert data["warnings"][-1] == "note"
    assert [cohort["trust"] for cohort in data["cohorts"]] == [{"lab": "root"}, "empty"]
