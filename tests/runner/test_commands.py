"""Commands: real programs, no shell, in time, with bounded output and no secrets."""

import asyncio
import os
import sys
import time
from pathlib import Path

import pytest
import uvloop

from fleetsim.runner.commands import KEPT_BYTES, run_command
from fleetsim.runner.timeline import ActionFailedError, Facts


def run(*argv: str, timeout_s: float = 20.0, **options: object) -> Facts:
    """Run a command on the loop the program uses."""
    variables = options.pop("variables", {})
    assert isinstance(variables, dict)
    secrets = options.pop("secrets", ())
    assert isinstance(secrets, tuple)
    return uvloop.run(
        run_command(argv, timeout_s=timeout_s, variables=variables, secrets=secrets)
    )


def python(code: str) -> tuple[str, ...]:
    """A command that runs Python code."""
    return (sys.executable, "-c", code)


def is_alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pid: int) -> None:
    """Give the kernel time to end a process that was killed; fails after 10 s."""
    until = time.monotonic() + 10
    while is_alive(pid):
        assert time.monotonic() < until, f"process {pid} lives on"
        time.sleep(0.01)


def test_exit_code_and_output() -> None:
    """Both streams, in the order they were written."""
    facts = run("sh", "-c", "echo out; echo err >&2; exit 0")
    assert facts["exit_code"] == 0
    assert facts["output"] == "out\nerr\n"
    assert facts["output_bytes"] == 8


def test_there_is_no_shell() -> None:
    """Nothing in an argument is expanded or split."""
    facts = run("printf", "%s|", "$HOME", "a b", "*", ";false")
    assert facts["output"] == "$HOME|a b|*|;false|"


def test_environment() -> None:
    """The process's own, and what the run adds."""
    facts = run(
        *python("import os; print(os.environ['PATH'], os.environ['FLEETSIM_X'])"),
        variables={"FLEETSIM_X": "yes"},
    )
    assert facts["output"].split() == [os.environ["PATH"], "yes"]


def test_no_input() -> None:
    """A program that asks gets the end of file, not the terminal."""
    assert run(*python("import sys; print(repr(sys.stdin.read()))"))["output"] == "''\n"


@pytest.mark.parametrize(
    ("argv", "words", "code"),
    [
        pytest.param(("sh", "-c", "echo why; exit 3"), "exit code 3", 3, id="exit"),
        pytest.param(("sh", "-c", "echo why; kill -9 $$"), "signal 9", -9, id="signal"),
    ],
)
def test_a_command_that_fails(argv: tuple[str, ...], words: str, code: int) -> None:
    """An exit code other than 0 fails the action; the output says why."""
    with pytest.raises(ActionFailedError, match=words) as caught:
        run(*argv)
    assert caught.value.facts["exit_code"] == code
    assert caught.value.facts["output"] == "why\n"


@pytest.mark.parametrize("name", ["no-such-program-anywhere", "/etc/passwd", "/"])
def test_a_command_that_cannot_be_started(name: str) -> None:
    """It is said in words of the operating system."""
    with pytest.raises(ActionFailedError, match="cannot be started"):
        run(name)


@pytest.mark.slow
def test_time_is_limited_and_the_whole_group_dies(tmp_path: Path) -> None:
    """What the command started is killed with it; its output so far is kept."""
    pid_file = tmp_path / "pid"
    with pytest.raises(
        ActionFailedError, match=r"killed: not done after 1 s"
    ) as caught:
        run(
            "sh",
            "-c",
            f"sleep 600 & echo $! > {pid_file}; echo begun; wait",
            timeout_s=1.0,
        )
    assert caught.value.facts["output"] == "begun\n"
    assert caught.value.facts["exit_code"] is None
    wait_until_gone(int(pid_file.read_text()))


@pytest.mark.slow
def test_what_it_leaves_running_goes_on(tmp_path: Path) -> None:
    """A hook may start a server; its open output does not hold the rehearsal up."""
    pid_file = tmp_path / "pid"
    facts = run("sh", "-c", f"sleep 600 & echo $! > {pid_file}; echo started")
    pid = int(pid_file.read_text())
    try:
        assert facts["output"] == "started\n"
        assert is_alive(pid)
    finally:
        os.kill(pid, 9)


def test_a_cancelled_command_is_killed(tmp_path: Path) -> None:
    """The end of the run ends its commands."""
    pid_file = tmp_path / "pid"

    async def begin_and_cancel() -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(
                run_command(
                    ("sh", "-c", f"echo $$ > {pid_file}; exec sleep 600"),
                    timeout_s=60,
                    variables={},
                )
            )
            while not (pid_file.exists() and pid_file.read_text().strip()):  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.01)
            task.cancel()

    uvloop.run(begin_and_cancel())
    wait_until_gone(int(pid_file.read_text()))


def test_output_is_bounded() -> None:
    """The beginning is kept, the rest is read and counted."""
    facts = run(*python("import sys; sys.stdout.write('x' * 3_000_000)"))
    assert facts["output"] == "x" * KEPT_BYTES
    assert facts["output_bytes"] == 3_000_000


def test_secrets_are_blotted_out() -> None:
    """Neither the output nor the arguments in the timeline show them."""
    facts = run("echo", "key=TOPSECRET", "a", secrets=("TOPSECRET", "", "a"))
    assert "TOPSECRET" not in repr(facts)
    assert facts["output"] == "key=*** a\n"


def test_output_that_is_no_text() -> None:
    """It is kept as far as it can be shown."""
    facts = run(*python("import sys; sys.stdout.buffer.write(b'\\xff\\x00ok')"))
    assert facts["output"] == "\ufffd\x00ok"
