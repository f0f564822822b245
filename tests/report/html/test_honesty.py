"""Honesty: what was checked about the run itself, good news and bad."""

from pathlib import Path
from typing import Any

import pytest

from fleetsim.core.outcomes import AuditOutcome, GeneratorHealth
from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.html import honesty
from fleetsim.report.load import load_run
from fleetsim.report.summary import summarise
from tests.recording.records import record
from tests.report.runs import SATURATED, make_run


def remarks(folder: Path) -> dict[str, honesty.Remark]:
    """Remarks about a run by their names."""
    run = load_run(folder)
    return {each.name: each for each in honesty.remarks(run, summarise(run))}


def health(starts: int) -> GeneratorHealth:
    """A generator that kept up."""
    return GeneratorHealth(
        saturated=False, cpu_ratio=0.5, starts=starts, seconds=10.0, late_starts=0
    )


@pytest.mark.parametrize(
    ("options", "name", "tone", "words"),
    [
        pytest.param(
            {"generator": health(1)},
            "Records",
            "good",
            "1 attempt started, as many recorded",
            id="no row dropped",
        ),
        pytest.param(
            {"generator": health(3)},
            "Records",
            "bad",
            "3 attempts started but 1 recorded: 2 rows are missing",
            id="rows dropped",
        ),
        pytest.param(
            {"outcome": RunOutcome.RUNNING},
            "Records",
            "warn",
            "up to the last flush",
            id="killed",
        ),
        pytest.param(
            {"generator": SATURATED},
            "Load generator",
            "bad",
            "Times are the generator's",
            id="saturated",
        ),
        pytest.param(
            {"generator": health(1)},
            "Load generator",
            "good",
            "50% of one core, 5.00 s of CPU for each attempt",
            id="cpu per attempt",
        ),
        pytest.param(
            {"audit": AuditOutcome(checked=True, missing=("k",), missing_count=1)},
            "Truth check",
            "bad",
            "1 missing; for example k",
            id="bucket differs",
        ),
        pytest.param({}, "Truth check", "warn", "was not compared", id="no check"),
        pytest.param(
            {"scenario": {"shorten_by": 10, "calendar": {"start": "2027-03-02"}}},
            "Clock",
            "soft",
            "a calendar from 2027-03-02",
            id="calendar",
        ),
        pytest.param(
            {},
            "Failures without a kind",
            "good",
            "None.",
            id="classified",
        ),
    ],
)
def test_remarks(
    tmp_path: Path, options: dict[str, Any], name: str, tone: str, words: str
) -> None:
    """Each says what was found and whether that is well."""
    found = remarks(make_run(tmp_path, [record()], **options))[name]
    assert found.tone == tone
    assert words in found.told


def test_the_command_names_the_seed_that_was_used() -> None:
    """Also where ``--seed`` replaced that of the scenario."""
    assert honesty.command({"seed": 7}) == "fleetsim run scenario.yaml --seed 7"


def test_facts_name_run_host_and_versions(tmp_path: Path) -> None:
    """What was run, on what, with which versions."""
    found = dict(honesty.facts(load_run(make_run(tmp_path, [record()]))))
    assert found["seed"] == "42"
    assert "usable cores" in found["host"]
    assert "pyOpenSSL" in found["versions"]
