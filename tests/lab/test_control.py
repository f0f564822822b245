import json
from typing import Any

import pytest

from fleetsim.exceptions import InputError, Problem
from fleetsim.lab.control import Control, encode, problem_values, problems_of
from fleetsim.lab.server import LabServer
from fleetsim.lab.settings import LabSettings, parse_settings

SETTINGS = {
    "fronts": [{"name": "plain", "scheme": "http"}],
    "credentials": [{"access_key": "AK", "secret_key": "s3cret"}],
}


@pytest.fixture
async def control() -> Control:
    """Control of a lab that does not listen."""
    settings = parse_settings(LabSettings, SETTINGS)
    return Control(LabServer(settings, clock=lambda: 0.0))


async def ask(control: Control, command: object, **arguments: Any) -> dict[str, Any]:
    """Send one request line and read the answer line."""
    line = await control.answer(
        encode({"id": 7, "command": command, "arguments": arguments})
    )
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    answer: dict[str, Any] = json.loads(line)
    return answer


async def test_answer_carries_the_number_of_the_question(control: Control) -> None:
    """Result and refusal both name their request."""
    assert (await ask(control, "stats"))["id"] == 7
    assert (await ask(control, "nothing"))["id"] == 7


async def test_stats_have_their_shape(control: Control) -> None:
    """Figures of a lab that has done nothing yet."""
    result = (await ask(control, "stats"))["result"]
    assert result["requests"]["total"] == 0
    assert result["store"] == {"objects": 0, "bytes": 0}
    assert set(result) == {
        "uptime_s",
        "cpu_s",
        "loop_lag",
        "requests",
        "store",
        "fronts",
    }


async def test_stop_is_left_to_whoever_runs_the_lab(control: Control) -> None:
    """Stop answers with the last figures and leaves the grace behind."""
    assert control.stop_grace_s is None
    assert "requests" in (await ask(control, "stop", grace_s=2))["result"]
    assert control.stop_grace_s == 2.0


async def test_credentials_come_and_go(control: Control) -> None:
    """Removing what is not there is refused, secrets are never repeated."""
    assert (await ask(control, "add_credentials", access_key="B", secret_key="t0p"))[
        "result"
    ] == {}
    assert (await ask(control, "remove_credentials", access_key="B"))["result"] == {}
    (problem,) = (await ask(control, "remove_credentials", access_key="B"))["problems"]
    assert "not known" in problem["what"]
    refused = await ask(control, "add_credentials", access_key="B,", secret_key="t0p")
    assert "t0p" not in json.dumps(refused)


@pytest.mark.parametrize(
    ("command", "arguments", "where"),
    [
        ("nothing", {}, "command"),
        (None, {}, "command"),
        (["stats"], {}, "command"),
        ("stats", {"extra": 1}, "extra"),
        ("swap_front", {}, "front"),
        ("handshake_log", {"front": "none"}, "front none"),
        ("handshake_log", {"front": "plain", "limit": 0}, "limit"),
        ("handshake_log", {"front": "plain", "after": -1}, "after"),
        ("refused", {"front": "plain"}, "front"),
        ("reload", {"front": "none"}, "front none"),
        ("close_connections", {"front": "none"}, "front none"),
        ("stop", {"grace_s": -1}, "grace_s"),
    ],
)
async def test_bad_requests_are_refused(
    control: Control, command: object, arguments: dict[str, Any], where: str
) -> None:
    """Every refusal names its place and nothing stops the lab."""
    answer = await ask(control, command, **arguments)
    assert answer["problems"][0]["where"] == where
    assert control.stop_grace_s is None


@pytest.mark.parametrize("line", [b"\n", b"[]\n", b"{\n", b"\xff\n", b"5\n"])
async def test_nonsense_is_answered(control: Control, line: bytes) -> None:
    """A line that is no request gets an answer without a number."""
    answer = json.loads(await control.answer(line))
    assert answer["id"] is None
    assert "JSON object" in answer["problems"][0]["what"]


async def test_arguments_must_be_an_object(control: Control) -> None:
    """A list of arguments is refused."""
    line = encode({"id": 1, "command": "stats", "arguments": [1]})
    assert json.loads(await control.answer(line))["problems"][0]["where"] == "arguments"


def test_problems_survive_the_pipe() -> None:
    """What is refused in the child is raised in the parent unchanged."""
    error = InputError([Problem("a", "b"), Problem("", "c")])
    assert problems_of(problem_values(error)).problems == error.problems


@pytest.mark.parametrize("values", [None, [], "x", [1], {}])
def test_unreadable_problems_are_still_a_refusal(values: object) -> None:
    """A refusal without reasons is an InputError all the same."""
    assert problems_of(values).problems
