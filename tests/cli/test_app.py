"""The program: its commands, its help, its version, bad usage."""

import itertools
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fleetsim import __version__
from fleetsim.cli.app import app, program
from fleetsim.cli.lazy import long_name, walk
from fleetsim.cli.scenario_files import library_names

PROGRAM = program()
COMMANDS = {path: command for path, command in walk(PROGRAM) if path}
LEAVES = {
    path: command
    for path, command in COMMANDS.items()
    if not getattr(command, "commands", {})
}
OPTIONS = {
    (*path, f"--{long_name(option)}"): option
    for path, command in LEAVES.items()
    for option in command.params
    if option.param_type_name == "option" and long_name(option) != "help"
}


OTHER_MEANING = {
    ("pki", "init", "--seed"): "of serial numbers, not of a plan",
}
"""Options that only share their name with one of run."""


def examples(path: tuple[str, ...]) -> list[list[str]]:
    """Words of the examples in the help of a command, the program's name left out."""
    lines = [line.strip() for line in LEAVES[path].help.splitlines()]
    return [
        shlex.split(line, comments=True)[1:]
        for line in lines
        if line.startswith("fleetsim ")
    ]


def test_version() -> None:
    """``--version`` prints the program's name and version."""
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"fleetsim {__version__}\n")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    """``-h`` works everywhere and the page above names the command."""
    wide = {"COLUMNS": "120"}
    overview = CliRunner().invoke(app, [*path[:-1], "--help"], env=wide)
    assert f" {path[-1]} " in overview.stdout
    explained = CliRunner().invoke(app, [*path, "-h"], env=wide)
    assert explained.exit_code == 0
    assert "Usage" in explained.stdout


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_has_examples(path: tuple[str, ...]) -> None:
    """One is of this command at least, and every one is taken by its parser."""
    found = examples(path)
    assert any(tuple(words[: len(path)]) == path for words in found)
    root = PROGRAM.make_context("fleetsim", ["--help"], resilient_parsing=True)
    for words in found:
        length = max(n for n in range(4) if n == 0 or tuple(words[:n]) in COMMANDS)
        command = LEAVES[tuple(words[:length])]
        arguments = itertools.takewhile(lambda word: word not in "|>&", words[length:])
        context = type(root)(command, info_name=words[0], parent=root)
        command.make_parser(context).parse_args(list(arguments))


@pytest.mark.parametrize(
    "path", [("run",), ("check",), ("init",), ("forecast",)], ids=" ".join
)
def test_examples_name_scenarios_that_exist(path: tuple[str, ...]) -> None:
    """Who copies an example shall not be told that there is no such scenario."""
    named = [words[1] for words in examples(path) if not words[1].startswith("-")]
    assert named
    assert {name for name in named if not name.endswith(".yaml")} <= set(
        library_names()
    )


@pytest.mark.parametrize("path", OPTIONS, ids=" ".join)
def test_every_option_has_help_and_a_variable(path: tuple[str, ...]) -> None:
    """What an option does is said, and FLEETSIM_* can set it."""
    option = OPTIONS[path]
    assert option.help, "no help text"
    names = [option.envvar] if isinstance(option.envvar, str) else option.envvar
    assert names[0].startswith("FLEETSIM_")


@pytest.mark.parametrize("path", OPTIONS, ids=" ".join)
def test_options_of_run_have_one_variable_everywhere(path: tuple[str, ...]) -> None:
    """``FLEETSIM_SEED`` is the seed of every command that has one."""
    same = OPTIONS.get(("run", path[-1]))
    if same is not None and path not in OTHER_MEANING:
        assert OPTIONS[path].envvar == same.envvar
        assert same.envvar == f"FLEETSIM_{path[-1][2:].replace('-', '_').upper()}"


def test_variables_are_not_shared_by_chance() -> None:
    """Two options of different names never read the same variable."""
    by_variable: dict[str, set[str]] = {}
    for path, option in OPTIONS.items():
        names = option.envvar
        first = names if isinstance(names, str) else names[0]
        by_variable.setdefault(first, set()).add(path[-1])
    assert {name for name, options in by_variable.items() if len(options) > 1} == set()


@pytest.mark.parametrize("name", PROGRAM.lazy)
def test_the_overview_says_what_the_command_says(name: str) -> None:
    """The summary in the table is the first paragraph of the command's own help."""
    command = PROGRAM.load(name)
    assert PROGRAM.lazy[name].summary == command.help.split("\n\n")[0]


def test_help_names_the_exit_codes() -> None:
    """What a script must know is on the first page."""
    overview = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"})
    for words in ("0 passed", "2 bad input", "3 target not usable", "99 threshold"):
        assert words in overview.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["dance"], id="no such command"),
        pytest.param(["run"], id="no scenario"),
        pytest.param(["run", "quickstart", "--fast"], id="no such option"),
        pytest.param(["run", "quickstart", "--seed", "x"], id="no number"),
    ],
)
def test_bad_usage_is_2(arguments: list[str]) -> None:
    """Usage errors end with 2, words on standard error, nothing on standard output."""
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Usage" in result.stderr


def test_the_package_runs_as_a_module() -> None:
    """``python -m fleetsim`` is the program, and keeps exit codes."""
    module = [sys.executable, "-m", "fleetsim"]
    done = subprocess.run(
        [*module, "check", "no-such-scenario"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert "no-such-scenario" in done.stderr


def test_control_c_while_importing_is_quiet(tmp_path: Path) -> None:
    """No traceback and 130, however early it comes."""
    script = (
        "import sys\n"
        "class Early:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'fleetsim.cli.app':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Early())\n"
        "from fleetsim.__main__ import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_the_first_signal_of_a_command_is_an_exception_again() -> None:
    """Once imports are over, Ctrl-C is the command's to handle."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        CliRunner().invoke(app, ["profiles", "no-such-profile"])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
