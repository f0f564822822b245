"""``fleetsim compare``: a verdict for people, an exit code for CI."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fleetsim.cli.app import app
from tests.recording.records import MS
from tests.report.compare.pairs_of_runs import SCENARIO, records, run


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A run, one like it, a slower one, and one of another plan."""
    root = tmp_path_factory.mktemp("runs")
    made = {
        "first": run(root / "a", records(1)),
        "like": run(root / "b", records(2)),
        "slow": run(root / "c", records(3, slower_ns=20 * MS)),
        "other": run(root / "d", records(1), scenario=SCENARIO | {"duration": 9.0}),
    }
    manifest = made["other"] / "manifest.json"
    manifest.write_text(manifest.read_text().replace('256": "00"', '256": "01"'))
    return {name: str(path) for name, path in made.items()}


def compared(folders: dict[str, str], *words: str) -> Result:
    """Run the command; names of runs stand for their folders."""
    return CliRunner().invoke(
        app, ["compare", *(folders.get(word, word) for word in words)]
    )


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        pytest.param(("first", "like"), 0, "NO EVIDENCE B against A", id="the same"),
        pytest.param(("first", "slow"), 0, "WORSE B against A", id="worse is told"),
        pytest.param(("slow", "first"), 0, "BETTER B against A", id="better"),
        pytest.param(
            ("first", "slow", "--fail-on", "worse:upload.response_time.p50"),
            99,
            "WORSE B against A",
            id="a gate closes",
        ),
        pytest.param(
            ("first", "like", "--fail-on", "worse"), 0, "NO EVIDENCE", id="stays open"
        ),
        pytest.param(
            ("first", "slow", "--resolution", "30ms", "--fail-on", "worse"),
            0,
            "NO EVIDENCE",
            id="below what matters",
        ),
        pytest.param(("first", "other", "--force"), 0, "changes the load", id="forced"),
    ],
)
def test_the_verdict_and_the_exit_code(
    folders: dict[str, str], words: tuple[str, ...], code: int, told: str
) -> None:
    """Only a demand makes a difference fail."""
    found = compared(folders, *words)
    assert found.exit_code == code
    assert told in found.stdout
    assert bool(found.stderr) is (code == 99)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("first", "other"), "duration is 9.0, but 30.0 in the baseline"),
        (("first",), "two to eight runs"),
        (("first", "like", "--fail-on", "worse:tls.p51"), "there is no metric"),
        (("first", "like", "--fail-on", "slower"), "write worse:METRIC"),
        (("first", "like", "--fail-on", "worse:ota.response_time.p50"), "no run has"),
        (("first", "like", "--confidence", "100%"), "must be 0.5 to 0.999"),
        (("first", "like", "--tolerance", "x"), "--tolerance"),
        (("first", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_2(
    folders: dict[str, str], words: tuple[str, ...], told: str
) -> None:
    """With the reason, and nothing on standard output."""
    found = compared(folders, *words)
    assert found.exit_code == 2
    assert told in found.stderr
    assert found.stdout == ""


def test_every_mistake_in_the_numbers_is_told_at_once(folders: dict[str, str]) -> None:
    """Three options, three lines."""
    found = compared(
        folders,
        *("first", "like", "--confidence", "1", "--tolerance", "x"),
        *("--resolution", "soon"),
    )
    assert len(found.stderr.strip().splitlines()) == 3


def test_a_comparison_goes_out_in_every_format(
    folders: dict[str, str], tmp_path: Path
) -> None:
    """Page, Markdown and JSON tell the same verdict."""
    page = tmp_path / "page.html"
    compared(folders, "first", "slow", "--html", "-o", str(page))
    assert "B worse" in page.read_text()
    assert "**worse**" in compared(folders, "first", "slow", "--md").stdout
    data = json.loads(compared(folders, "first", "slow", "--json").stdout)
    assert data["against_first"][0]["verdict"] == "worse"
