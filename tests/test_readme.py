"""The README says what the program does: commands, options, scenarios, exit codes."""

import re
import textwrap
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleetsim.cli.app import app, program
from fleetsim.cli.lazy import long_name, walk
from fleetsim.core.exit_codes import EXIT_CODES
from fleetsim.profiles import catalog
from fleetsim.scenario.parse import parse_scenario

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROGRAM = program()
COMMANDS = {path: command for path, command in walk(PROGRAM) if path}
BLOCKS = re.findall(r"^( *)```(\w+)\n(.*?)^\1```", README, re.DOTALL | re.MULTILINE)
SCENARIOS = [
    textwrap.dedent(text)
    for _, kind, text in BLOCKS
    if kind == "yaml" and "version: 1" in text
]


RUN_TABLES = [text for _, kind, text in BLOCKS if kind == "yaml" and "run:" in text]


@pytest.mark.parametrize("name", PROGRAM.lazy)
def test_every_command_is_in_the_table(name: str) -> None:
    """Who reads the README knows what there is."""
    assert re.search(rf"^\| `fleetsim {name}\b", README, re.MULTILINE)


@pytest.mark.parametrize(
    "name", sorted(set(re.findall(r"fleetsim ([a-z][a-z-]+)", README)))
)
def test_every_command_it_names_exists(name: str) -> None:
    """No command of the README is gone or misspelled."""
    if name not in {"and", "writes"}:
        assert name in PROGRAM.lazy


def test_every_option_it_names_exists() -> None:
    """Options in the README are options of some command."""
    known = {
        name
        for command in COMMANDS.values()
        for option in command.params
        if option.param_type_name == "option"
        for name in (*option.opts, *option.secondary_opts)
    } | {"--help", "--install-completion"}
    ours = re.sub(
        r".*python -m tests\..*|`--front\s+nginx\|haproxy\|envoy`", "", README
    )
    named = set(re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", ours))
    assert named <= known, named - known


@pytest.mark.parametrize("text", SCENARIOS, ids=lambda text: text.split("\n")[1])
def test_every_scenario_in_it_is_one(text: str) -> None:
    """What is copied from the README can be run."""
    scenario = parse_scenario(
        text, "README.md", lambda name: catalog.load(name).profile
    )
    assert scenario.cohorts


@pytest.mark.parametrize("table", RUN_TABLES, ids=lambda text: text.split("\n")[1])
def test_every_run_table_in_it_is_taken(table: str, tmp_path: Path) -> None:
    """Names and values of options in the README's ``run:`` tables are right."""
    path = tmp_path / "table.yaml"
    path.write_text(f"name: t\nlab: {{}}\ncohorts: [{{name: a, count: 1}}]\n{table}")
    result = CliRunner().invoke(app, ["check", str(path)])
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("code", [code for code in EXIT_CODES if code < 141])
def test_every_exit_code_is_in_it(code: int) -> None:
    """With the words of the reference."""
    line = re.search(r"\*\*Exit codes\*\*:(.*?)\n\n", README, re.DOTALL)
    assert line is not None
    words = " ".join(line[1].split())
    assert f"{code} {EXIT_CODES[code][0]}" in words


def test_variables_it_names_are_read() -> None:
    """FLEETSIM_* of the README are variables of options."""
    known = set()
    for command in COMMANDS.values():
        for option in command.params:
            if option.param_type_name == "option" and long_name(option) != "help":
                names = option.envvar
                known |= {names} if isinstance(names, str) else set(names)
    assert set(re.findall(r"FLEETSIM_[A-Z_]+[A-Z]", README)) <= known
