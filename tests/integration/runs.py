"""Whole runs in this process, and what they left behind."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import uvloop

from fleetsim.profiles import catalog
from fleetsim.runner.run import RunOptions, Watcher, run_plan
from fleetsim.scenario.parse import parse_scenario
from fleetsim.scenario.plan import Plan, make_plan
from fleetsim.scenario.schema import Scenario

FLEETSIM = (sys.executable, "-m", "fleetsim")

LIVELY = {
    "heartbeat": "1s",
    "ota": "2s",
    "start_up": {"over": "300ms"},
    "workload": {"file_size": "4KiB", "period": "1s", "upload_delay": "0s"},
    "overrides": {"retry": {"first": "500ms", "factor": 1}},
}
"""What makes a cohort busy enough for a test of a few seconds."""


def cohort(name: str, count: int = 3, **changes: Any) -> dict[str, Any]:
    """A busy cohort; maps are merged one level deep."""
    made: dict[str, Any] = {"name": name, "count": count, **LIVELY}
    for key, value in changes.items():
        old = made.get(key)
        made[key] = {**old, **value} if isinstance(old, Mapping) else value
    return made


def scenario(*cohorts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A scenario of three seconds."""
    made = {
        "version": 1,
        "name": "test",
        "duration": "3s",
        "drain": "4s",
        "cohorts": list(cohorts),
        **changes,
    }
    if "target" not in made:
        made.setdefault("lab", {})
    return made


def plan_of(data: Mapping[str, Any]) -> tuple[Scenario, Plan]:
    """Parse and plan, through the text of the scenario as the program does."""

    def load(name: str) -> Any:
        return catalog.load(name).profile

    text = json.dumps(Scenario.model_validate(data).to_data())
    parsed = parse_scenario(text, "test.yaml", load)
    return parsed, make_plan(parsed, load)


@dataclass(frozen=True)
class Finished:
    """A run that is over.

    Attributes:
        folder: Its folder.
        summary: Its summary.
    """

    folder: Path
    summary: dict[str, Any]

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """All rows of ``records.parquet``."""
        table = pq.read_table(self.folder / "records.parquet")
        rows: list[dict[str, Any]] = table.to_pylist()
        return rows

    def of(self, cohort: str, operation: str = "") -> list[dict[str, Any]]:
        """Rows of a cohort, of one operation or of all."""
        return [
            row
            for row in self.records
            if row["cohort"] == cohort and operation in {"", row["operation"]}
        ]

    def kinds(self, cohort: str) -> set[str]:
        """How the attempts of a cohort ended; an empty text is success."""
        return {row["kind"] for row in self.of(cohort)}


def run(data: Mapping[str, Any], results: Path, **options: Any) -> Finished:
    """Run a scenario to its end."""
    parsed, plan = plan_of(data)
    chosen = RunOptions(
        results=results, base_folder=results, scenario=parsed.to_data(), **options
    )
    return Finished(*uvloop.run(run_plan(plan, chosen, Watcher())))
