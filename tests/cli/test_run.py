"""``fleetsim run``: options reach the runner, verdicts become exit codes."""

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fleetsim.cli.app import app
from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.live.lines import Lines
from fleetsim.report.live.page import LivePage
from fleetsim.report.live.view import LiveView
from fleetsim.report.summary import write_summary
from fleetsim.runner import live
from fleetsim.runner.run import RunOptions
from fleetsim.scenario.plan import Plan
from tests.recording.records import record
from tests.report.runs import make_run


@dataclass
class Runner:
    """Stands in for the runner: remembers what it was asked, gives a finished run."""

    folder: Path
    summary: dict[str, Any]
    calls: list[tuple[Plan, RunOptions, list[LiveView]]] = field(default_factory=list)

    async def __call__(
        self, plan: Plan, options: RunOptions, views: list[LiveView]
    ) -> tuple[Path, dict[str, Any]]:
        """Run."""
        self.calls.append((plan, options, views))
        return self.folder, self.summary


@pytest.fixture
def runner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Runner]]:
    """Let the command meet a runner whose run has ended in some way."""
    before = signal.getsignal(signal.SIGTERM)

    def make(**how: Any) -> Runner:
        folder = make_run(tmp_path, [record()], **how)
        made = Runner(folder, write_summary(folder))
        monkeypatch.setattr(live, "run_live", made)
        return made

    yield make
    signal.signal(signal.SIGTERM, before)


def fleetsim(*arguments: str, **environment: str) -> Result:
    """Run the quickstart."""
    return CliRunner().invoke(app, ["run", "quickstart", *arguments], env=environment)


@pytest.mark.parametrize(
    ("how", "code", "word"),
    [
        pytest.param({}, 0, "PASSED", id="passed"),
        pytest.param(
            {"thresholds": ("unclassified == 5",)}, 99, "FAILED", id="threshold"
        ),
        pytest.param(
            {"outcome": RunOutcome.INTERRUPTED}, 130, "INTERRUPTED", id="interrupted"
        ),
    ],
)
def test_verdicts_are_exit_codes(
    runner: Callable[..., Runner], how: dict[str, Any], code: int, word: str
) -> None:
    """0 passed, 99 a threshold failed, 130 interrupted; the folder is named last."""
    made = runner(**how)
    result = fleetsim()
    assert result.exit_code == code
    assert result.stdout.startswith(word)
    assert str(made.folder) in result.stdout.splitlines()[-1]


def test_json_is_the_summary_alone(runner: Callable[..., Runner]) -> None:
    """Standard output is one JSON object."""
    made = runner()
    assert json.loads(fleetsim("--json").stdout) == made.summary


def test_options_reach_the_runner(
    runner: Callable[..., Runner], tmp_path: Path
) -> None:
    """Every option arrives, and changed values are in plan and manifest alike."""
    made = runner()
    result = fleetsim(
        *("--set", "cohorts[ordinary].count=3", "--seed", "9", "--pin", "-q"),
        *("--source-address", "127.0.0.2", "--source-address", "127.0.0.3"),
        *("--create-bucket", "--no-truth-check", "--results", str(tmp_path)),
    )
    assert result.exit_code == 0
    ((plan, options, views),) = made.calls
    assert plan.seed == 9
    assert sum(device.cohort == 0 for device in plan.devices) == 3
    assert options.scenario["cohorts"][0]["count"] == 3
    assert options.source_addresses == ("127.0.0.2", "127.0.0.3")
    assert options.pin
    assert options.create_bucket
    assert not options.check_truth
    assert options.results == tmp_path
    assert not views, "quiet"


def test_options_come_from_the_environment(
    runner: Callable[..., Runner], tmp_path: Path
) -> None:
    """FLEETSIM_* stand for options, for CI."""
    made = runner()
    fleetsim(
        FLEETSIM_SEED="12", FLEETSIM_TRUTH_CHECK="0", FLEETSIM_RESULTS=str(tmp_path)
    )
    ((plan, options, views),) = made.calls
    assert (plan.seed, options.check_truth, options.results) == (12, False, tmp_path)
    assert [type(view) for view in views] == [Lines]


def test_a_page_on_top(runner: Callable[..., Runner]) -> None:
    """--ui shows the run in the browser, also where the terminal shall be quiet."""
    made = runner()
    assert fleetsim("--ui", "0", "--quiet").exit_code == 0
    ((_, _, views),) = made.calls
    assert [type(view) for view in views] == [LivePage]
    refused = fleetsim("--ui", "elsewhere")
    assert refused.exit_code == 2
    assert "the port is a number" in refused.stderr


def test_time_scale_shortens_the_plan(runner: Callable[..., Runner]) -> None:
    """Every time is divided; the resolved scenario says by how much."""
    made = runner()
    assert fleetsim("--time-scale", "10").exit_code == 0
    ((plan, options, _),) = made.calls
    assert plan.duration_ns == 3_000_000_000
    assert plan.shortened_by == 10
    assert options.scenario["shorten_by"] == 10


@pytest.mark.parametrize(("option", "code"), [((), 2), (("--allow-commands",), 0)])
def test_commands_need_leave(
    runner: Callable[..., Runner], tmp_path: Path, option: tuple[str, ...], code: int
) -> None:
    """A scenario that runs programs is refused unless the operator says so."""
    made = runner()
    file = tmp_path / "hook.yaml"
    file.write_text(
        json.dumps(
            {
                "name": "hook",
                "lab": {},
                "cohorts": [{"name": "a", "count": 1}],
                "timeline": [{"at": "1s", "run_command": {"argv": ["true"]}}],
            }
        )
    )
    result = CliRunner().invoke(app, ["run", str(file), *option])
    assert result.exit_code == code, result.output
    assert len(made.calls) == (code == 0)
