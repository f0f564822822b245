from pathlib import Path
from typing import Any

import pytest

from fleetsim.lab.settings import FrontProgram, FrontSettings, LabSettings
from fleetsim.runner.real_fronts import FOLDER, front_problems, with_front
from tests.runner.plans import TARGET, plan_of

SETTINGS = LabSettings(fronts=(FrontSettings(name="a", scheme="http"),))
MUTUAL = {"fronts": [{"name": "main"}, {"name": "mutual", "security": "high"}]}
CALENDAR = {"start": "2027-03-02", "time_scale": 3600}


@pytest.mark.parametrize(
    ("top", "words"),
    [
        ({}, []),
        ({"calendar": CALENDAR}, []),
        ({"calendar": CALENDAR, "lab": MUTUAL}, ["calendar"]),
        ({"target": {**TARGET, "ca_file": "root.pem"}}, ["is for the lab"]),
    ],
    ids=["lab", "calendar", "calendar and client certificates", "target"],
)
@pytest.mark.parametrize("program", FrontProgram)
def test_what_a_program_cannot_do(
    program: FrontProgram, top: dict[str, Any], words: list[str]
) -> None:
    """It needs the lab, and for client certificates this machine's clock."""
    problems = list(front_problems(plan_of(**top), program))
    expected = [] if program is FrontProgram.BUILTIN else words
    assert len(problems) == len(expected)
    for problem, word in zip(problems, expected, strict=True):
        assert word in problem.what
        assert problem.where == f"--front {program}"


@pytest.mark.parametrize("program", FrontProgram)
def test_settings_name_the_program(program: FrontProgram, tmp_path: Path) -> None:
    """The program's files lie in the private folder of the run."""
    settings = with_front(SETTINGS, program, tmp_path)
    assert settings.front_program is program
    is_real = program is not FrontProgram.BUILTIN
    assert settings.front_folder == (tmp_path / FOLDER if is_real else None)
    # What a copy is not checked for, the lab's own process checks.
    assert LabSettings.model_validate(settings.wire()) == settings
