"""A run folder is readable at every moment of its life and holds no secret."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from fleetsim.exceptions import InputError, RecordingError
from fleetsim.recording.run_folder import (
    RunFolder,
    RunOutcome,
    RunStart,
    latest_run,
    read_manifest,
    read_timeline,
)

NOW = datetime(2026, 3, 1, 12, 30, 5, 250_000, tzinfo=UTC)


def suffixes(*given: str) -> Any:
    """Give these suffixes one after the other."""
    source: Iterator[str] = iter(given)
    return lambda: next(source)


def start(**changes: Any) -> RunStart:
    """A run of two minutes."""
    facts: dict[str, Any] = {
        "scenario_name": "quickstart",
        "scenario": {"cohorts": [{"name": "a", "profile": "canedge2"}]},
        "plan_digest": "ab" * 32,
        "seed": 42,
        "warm_up_ns": 5,
        "duration_ns": 120,
        "thresholds": ("unaccounted == 0",),
        "devices": 500,
    }
    return RunStart(**(facts | changes))


@pytest.mark.parametrize(
    ("scenario", "name"),
    [
        ("quickstart", "20260301T123005Z-quickstart-0a1b2c"),
        ("../../etc/x y", "20260301T123005Z-etc-x-y-0a1b2c"),
        ("…", "20260301T123005Z-run-0a1b2c"),
        ("n" * 300, f"20260301T123005Z-{'n' * 80}-0a1b2c"),
    ],
    ids=["plain", "a path", "no letter", "very long"],
)
def test_the_name_tells_when_and_what(tmp_path: Path, scenario: str, name: str) -> None:
    """UTC time, scenario and six hex digits; never a path out of the folder."""
    berlin = NOW.astimezone(timezone(timedelta(hours=1)))
    folder = RunFolder.create(tmp_path / "new", scenario, berlin, lambda: "0a1b2c")
    assert folder.path == tmp_path / "new" / name
    assert folder.path.is_dir()


def test_a_taken_name_is_not_taken_over(tmp_path: Path) -> None:
    """Two runs in the same second get two folders."""
    source = suffixes("000000", "000000", "000001")
    first = RunFolder.create(tmp_path, "x", NOW, source)
    second = RunFolder.create(tmp_path, "x", NOW, source)
    assert first.path != second.path
    with pytest.raises(RecordingError, match="no free name"):
        RunFolder.create(tmp_path, "x", NOW, lambda: "000000")


def test_a_root_that_is_a_file_is_named(tmp_path: Path) -> None:
    """Nothing is written and the place is named."""
    (tmp_path / "results").write_text("")
    with pytest.raises(RecordingError, match=r"results"):
        RunFolder.create(tmp_path / "results", "x", NOW, lambda: "000000")


def test_the_manifest_tells_the_whole_life(tmp_path: Path) -> None:
    """Outcome ``running`` from the start, the real one at the end, all else kept."""
    folder = RunFolder.create(tmp_path, "quickstart", NOW, lambda: "0a1b2c")
    folder.begin(start(), NOW)
    begun = read_manifest(folder.path)
    assert begun["outcome"] == "running"
    assert begun["started"] == "2026-03-01T12:30:05.250Z"
    assert begun["ended"] is None
    assert begun["run"] == folder.name
    assert begun["seed"] == 42
    assert begun["plan_sha256"] == "ab" * 32
    assert begun["scenario"]["cohorts"][0]["profile"] == "canedge2"
    assert begun["thresholds"] == ["unaccounted == 0"]
    assert {"fleetsim", "python", "openssl", "pyarrow"} <= set(begun["versions"])
    assert begun["host"]["cpus"] >= 1
    folder.end(RunOutcome.INTERRUPTED, NOW + timedelta(seconds=9), detail="SIGINT")
    ended = read_manifest(folder.path)
    assert ended == begun | {
        "outcome": "interrupted",
        "ended": "2026-03-01T12:30:14.250Z",
        "detail": "SIGINT",
    }


def test_no_secret_of_the_environment_reaches_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the environment is copied into any file of the folder."""
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "FLEETSIM_ANY"):
        monkeypatch.setenv(name, "canary-5f2e")
    folder = RunFolder.create(tmp_path, "x", NOW, lambda: "0a1b2c")
    folder.begin(start(), NOW)
    folder.note("start", planned_ns=0, actual_ns=1)
    folder.end(RunOutcome.COMPLETED, NOW)
    written = [path.read_text() for path in folder.path.iterdir()]
    assert len(written) == 2
    assert not any("canary-5f2e" in text for text in written)
    assert not any(os.uname().nodename in text for text in written)


def test_the_timeline_grows_line_by_line(tmp_path: Path) -> None:
    """Every line says what, when planned and when really."""
    folder = RunFolder(tmp_path)
    assert read_timeline(tmp_path) == ()
    folder.note("load", planned_ns=0, actual_ns=3)
    folder.note("drain", planned_ns=10, actual_ns=12, backlog=4)
    assert read_timeline(tmp_path) == (
        {"action": "load", "planned_ns": 0, "actual_ns": 3},
        {"action": "drain", "planned_ns": 10, "actual_ns": 12, "backlog": 4},
    )


def test_a_timeline_cut_short_loses_its_last_line_only(tmp_path: Path) -> None:
    """A kill in the middle of a line costs that line."""
    folder = RunFolder(tmp_path)
    folder.note("load", planned_ns=0, actual_ns=3)
    with (tmp_path / "timeline.jsonl").open("a") as file:
        file.write('{"action": "dra')
    assert [line["action"] for line in read_timeline(tmp_path)] == ["load"]


def test_a_damaged_timeline_is_bad_input(tmp_path: Path) -> None:
    """A broken line in the middle is not passed over."""
    (tmp_path / "timeline.jsonl").write_text("{}\n{broken\n{}\n")
    with pytest.raises(InputError, match="damaged line"):
        read_timeline(tmp_path)


@pytest.mark.parametrize(
    "content", [None, "", "[]", '{"a": '], ids=["none", "empty", "a list", "cut"]
)
def test_a_folder_without_a_manifest_is_no_run(
    tmp_path: Path, content: str | None
) -> None:
    """Bad input names the folder or the file."""
    if content is not None:
        (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(InputError, match=str(tmp_path)):
        read_manifest(tmp_path)


def test_the_latest_run_is_found_by_its_name(tmp_path: Path) -> None:
    """The newest start wins; other folders and runs without manifest are passed."""
    with pytest.raises(InputError, match="no run yet"):
        latest_run(tmp_path)
    for day, suffix in ((2, "000001"), (1, "ffffff")):
        folder = RunFolder.create(tmp_path, "x", NOW.replace(day=day), suffixes(suffix))
        folder.begin(start(), NOW)
    RunFolder.create(tmp_path, "x", NOW.replace(day=9), lambda: "000000")
    (tmp_path / "zzz").mkdir()
    assert latest_run(tmp_path).name == "20260302T123005Z-x-000001"
    with pytest.raises(InputError, match="missing"):
        latest_run(tmp_path / "missing")


def test_a_manifest_is_replaced_whole(tmp_path: Path) -> None:
    """A failing write leaves the manifest before it as it was."""
    folder = RunFolder.create(tmp_path, "x", NOW, lambda: "0a1b2c")
    folder.begin(start(), NOW)
    before = (folder.path / "manifest.json").read_text()
    (folder.path / "manifest.json.part").symlink_to("/dev/full")
    with pytest.raises(RecordingError, match=r"manifest\.json: No space left"):
        folder.end(RunOutcome.COMPLETED, NOW)
    assert (folder.path / "manifest.json").read_text() == before
    assert json.loads(before)["outcome"] == "running"
