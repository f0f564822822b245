"""Shared options and the ``run:`` table: file < environment < command line."""

import json
from pathlib import Path

import jsonschema
import pytest
import typer
from typer.testing import CliRunner, Result

from fleetsim.cli.app import app, program
from fleetsim.cli.lazy import long_name
from fleetsim.cli.options import (
    NOT_IN_A_FILE,
    complete_profile,
    shortening,
    table_options,
    table_schema,
)

SCENARIO = """\
version: 1
name: table
duration: 2s
lab: {{}}
cohorts: [{{name: some, count: 3}}]
run: {table}
"""


def check(folder: Path, table: str, *arguments: str, **environment: str) -> Result:
    """Check a scenario with this table."""
    path = folder / "table.yaml"
    path.write_text(SCENARIO.format(table=table))
    return CliRunner().invoke(
        app, ["check", str(path), *arguments], env={"COLUMNS": "200", **environment}
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "seed"),
    [
        pytest.param([], {}, 4, id="file"),
        pytest.param([], {"FLEETSIM_SEED": "5"}, 5, id="environment"),
        pytest.param(["--seed", "6"], {"FLEETSIM_SEED": "5"}, 6, id="command line"),
    ],
)
def test_precedence(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], seed: int
) -> None:
    """The command line wins over the environment, that over the file."""
    result = check(tmp_path, "{seed: 4}", "--json", *arguments, **environment)
    assert json.loads(result.stdout)["seed"] == seed


def test_the_table_is_checked_with_the_rest(tmp_path: Path) -> None:
    """Every problem is told at once, each with its line."""
    table = "{frnt: nginx, front: apache, quiet: 3, set: [a=b], results: {a: b}}"
    result = check(tmp_path, table, "--set", "duration=-1s")
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert "--set duration" in lines[0]
    where = f"{tmp_path}/table.yaml:6: run."
    assert lines[1] == (
        f"{where}frnt: is no option of fleetsim run (did you mean 'front'?)"
    )
    assert lines[2].startswith(f"{where}front: ")
    assert "builtin" in lines[2]
    assert lines[3:] == [
        f"{where}quiet: expected true or false",
        f"{where}set: {NOT_IN_A_FILE['set']}",
        f"{where}results: expected one value",
    ]


def test_json_has_the_problems_of_the_table(tmp_path: Path) -> None:
    """A script that reads problems as JSON sees these, too."""
    result = check(tmp_path, "{frnt: nginx}", "--json")
    problems = json.loads(result.stdout)["problems"]
    assert [each["what"] for each in problems] == [
        "is no option of fleetsim run (did you mean 'front'?)"
    ]


def test_a_file_cannot_allow_itself_to_run_programs(tmp_path: Path) -> None:
    """The person who runs a scenario decides that, not its author."""
    result = check(tmp_path, "{allow_commands: true}")
    assert result.exit_code == 2
    assert "cannot allow itself" in result.stderr


def test_the_table_is_no_mapping(tmp_path: Path) -> None:
    """The schema says what it should be."""
    result = check(tmp_path, "[front, nginx]")
    assert result.exit_code == 2
    assert "table.yaml:6: run: expected a mapping of options" in result.stderr


@pytest.mark.parametrize("override", ["run.front=nginx", "run={}", "run[a]=1"])
def test_overrides_do_not_reach_the_table(tmp_path: Path, override: str) -> None:
    """``--set run.…`` would come too late to mean anything: it is refused."""
    result = check(tmp_path, "{}", "--set", override)
    assert result.exit_code == 2
    assert "give the option itself" in result.stderr


def test_one_value_of_many_needs_no_list(tmp_path: Path) -> None:
    """``source_address: 127.0.0.1`` is a list of one."""
    result = check(tmp_path, "{source_address: 127.0.0.1}")
    assert result.exit_code == 0, result.stderr


def test_the_schema_of_the_table_is_made_of_the_options() -> None:
    """Editors offer every option of run but those no file may hold."""
    command = program().load("run")
    options = table_options(command)
    schema = table_schema(options)
    names = {long_name(each).replace("-", "_") for each in command.params[1:]}
    assert set(schema["properties"]) == names - set(NOT_IN_A_FILE)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate({"front": "nginx", "pin": True, "time_scale": 2}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"pin": "x"}, schema)


def test_shortening_is_an_override() -> None:
    """``--time-scale 2.5`` is short for ``--set shorten_by=2.5``."""
    assert shortening(None) == []
    assert shortening(2.5) == ["shorten_by=2.5"]


def test_profiles_are_completed() -> None:
    """Shell completion knows the built-in profiles."""
    assert complete_profile("cane") == ["canedge2", "canedge3"]


def test_scenarios_are_completed() -> None:
    """Shell completion knows the library."""
    assert isinstance(app, typer.Typer)
    done = CliRunner().invoke(
        app,
        [],
        prog_name="fleetsim",
        env={
            "_FLEETSIM_COMPLETE": "complete_bash",
            "COMP_WORDS": "fleetsim run quick",
            "COMP_CWORD": "2",
        },
    )
    assert done.stdout.split() == ["quickstart"]
