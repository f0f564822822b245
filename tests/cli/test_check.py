"""``fleetsim check``."""

import json
import resource
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fleetsim.cli.app import app
from fleetsim.cli.check import machine_notes
from fleetsim.profiles import catalog
from fleetsim.scenario.plan import make_plan
from fleetsim.scenario.schema import Scenario

CANARY = "hunter2-canary"


def check(*arguments: str) -> Result:
    """Run the command."""
    return CliRunner().invoke(app, ["check", *arguments], env={"COLUMNS": "120"})


def test_the_quickstart_is_planned_in_words() -> None:
    """Devices, cohorts, rates, needs and thresholds; nothing to warn of."""
    result = check("quickstart")
    assert result.exit_code == 0
    for words in (
        "quickstart: 500 devices for 30s",
        "ordinary",
        "modern_server",
        "front ecdhe_only",
        "First starts:",
        "requests/s",
        "open files",
        "unaccounted == 0",
        "Warnings: none",
    ):
        assert words in result.stdout


def test_the_plan_is_one_json_object() -> None:
    """For programs; the same seed gives the same digest, another one another."""
    first, again = check("quickstart", "--json"), check("quickstart", "--json")
    plan = json.loads(first.stdout)
    assert plan == json.loads(again.stdout)
    assert plan["needs"]["devices"] == 500
    assert [cohort["name"] for cohort in plan["cohorts"]] == [
        "ordinary",
        "modern_server",
    ]
    other = json.loads(check("quickstart", "--json", "--seed", "7").stdout)
    assert other["seed"] == 7
    assert other["digest"] != plan["digest"]


def test_values_can_be_replaced() -> None:
    """--set changes the plan, several times."""
    plan = json.loads(
        check(
            "quickstart",
            *("--set", "cohorts[ordinary].count=5", "--set", "cohorts.1.count=6"),
            "--json",
        ).stdout
    )
    assert plan["needs"]["devices"] == 11


def test_all_problems_come_at_once_with_exit_code_2(tmp_path: Path) -> None:
    """One line each on stderr, nothing on stdout."""
    path = tmp_path / "s.yaml"
    path.write_text(
        f"name: X\nlab: {{}}\ncohorts:\n- {{name: a, credentials: {CANARY}}}\n"
    )
    result = check(str(path), "--set", "duration=-3s")
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.strip().splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        f"{path}:1",
        f"{path}:4",
        f"{path}:4",
        "--set duration",
    ]
    assert CANARY not in result.output


def test_problems_are_json_when_asked() -> None:
    """So that an editor or a pipeline can point at them."""
    result = check("quickstart", "--set", "cohorts.0.count=0", "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout) == {
        "problems": [
            {
                "where": "--set cohorts.0.count: cohorts[0].count",
                "what": "must be at least 1, not 0",
            }
        ]
    }


def test_an_unknown_scenario_is_exit_code_2() -> None:
    """With the nearest name."""
    result = check("quikstart")
    assert result.exit_code == 2
    assert "did you mean 'quickstart'?" in result.stderr


def test_profile_files_are_relative_to_the_scenario(tmp_path: Path) -> None:
    """A scenario and its profile travel together."""
    (tmp_path / "mine.yaml").write_text(
        "extends: canedge2\nname: mine\ndescription: Ours.\n"
    )
    path = tmp_path / "s.yaml"
    path.write_text(
        "name: x\nlab: {}\ncohorts: [{name: a, count: 1, profile: ./mine.yaml}]\n"
    )
    result = check(str(path), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["cohorts"][0]["profile"] == "mine"


@pytest.mark.parametrize(
    ("limit", "is_noted"), [(100, True), (5000, False), (resource.RLIM_INFINITY, False)]
)
def test_too_few_files_are_noted_before_the_run(limit: int, *, is_noted: bool) -> None:
    """A machine that cannot carry the plan is named before anything starts."""
    scenario = Scenario.model_validate(
        {"name": "x", "lab": {}, "cohorts": [{"name": "a", "count": 500}]}
    )
    plan = make_plan(scenario, lambda name: catalog.load(name).profile)
    assert bool(machine_notes(plan, limit)) is is_noted


REHEARSAL = """\
name: rehearsal
lab: {}
cohorts:
  - {name: a, count: 20, ota: 5s, workload: {upload_delay: 0}}
timeline:
  - {name: ca, at: 5s, issue_ca: {}}
  - {name: push, after: ca, push_bundle: {certificates: [root, ca]}}
  - {after: push, run_command: {argv: [certbot, renew]}}
"""


def test_a_timeline_is_shown_before_it_runs(tmp_path: Path) -> None:
    """When, what and to whom; programs only by the operator's word."""
    path = tmp_path / "r.yaml"
    path.write_text(REHEARSAL, encoding="utf-8")
    refused = check(str(path))
    assert refused.exit_code == 2
    assert "--allow-commands" in refused.output
    result = check(str(path), "--allow-commands")
    assert result.exit_code == 0
    for words in ("at 5s", "issue_ca", "not before 5s", "20 devices", "certbot"):
        assert words in result.stdout


def test_the_time_scale_shortens_the_plan(tmp_path: Path) -> None:
    """As `--set shorten_by` does; what cannot be that short is refused."""
    path = tmp_path / "r.yaml"
    path.write_text(REHEARSAL, encoding="utf-8")
    options = (str(path), "--allow-commands", "--json")
    plan = json.loads(check(*options, "--time-scale", "5").stdout)
    assert plan == json.loads(check(*options, "--set", "shorten_by=5").stdout)
    assert plan["shortened_by"] == 5
    assert plan["duration_s"] == 6
    assert [entry["earliest_s"] for entry in plan["timeline"]] == [1, 1, 1]
    refused = check(*options, "--time-scale", "501")
    assert refused.exit_code == 2
    assert "at most 500" in refused.stdout
    for wrong in ("0.5", "-1", "nan", "inf"):
        assert check(*options, "--time-scale", wrong).exit_code == 2
