"""``fleetsim ui``: which run, where to serve it."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fleetsim.cli import ui
from fleetsim.cli.app import app
from fleetsim.report.live.address import Address
from tests.recording.records import record
from tests.report.runs import make_run


@pytest.mark.parametrize(
    ("arguments", "address"),
    [
        ((), Address("127.0.0.1", 8089)),
        (("latest", "--listen", "[::1]:0"), Address("::1", 0)),
    ],
    ids=["defaults", "given"],
)
def test_what_is_served(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    address: Address,
) -> None:
    """The latest run, on this machine only, unless something else is said."""
    folder = make_run(tmp_path, [record()])
    asked: list[Any] = []

    async def serve(*given: Any) -> None:
        asked.extend(given)
        given[3]("here")

    monkeypatch.setattr(ui, "serve_run", serve)
    result = CliRunner().invoke(app, ["ui", *arguments, "--results", str(tmp_path)])
    assert result.exit_code == 0
    assert result.stderr == "here\n"
    assert asked[:3] == [folder, address, "--listen"]


def test_what_cannot_be_served(tmp_path: Path) -> None:
    """No run, or no address: exit code 2."""
    arguments = ["ui", str(tmp_path), "--listen"]
    assert CliRunner().invoke(app, [*arguments, "0"]).exit_code == 2
    assert CliRunner().invoke(app, [*arguments, "x"]).exit_code == 2
