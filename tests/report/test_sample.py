"""The sample in ``results/sample`` is a real run that today's program reads the same."""

import json
import shutil
from pathlib import Path
from typing import Any

from fleetsim.report.summary import write_summary

SAMPLE = Path(__file__).parents[2] / "results/sample/ca_rotation_done_right"
LARGEST_BYTES = 1_500_000


def kept(old: Any, new: Any, at: str = "") -> list[str]:
    """Places where the new document does not say what the old one said."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [
            place
            for key, value in old.items()
            for place in (
                kept(value, new[key], f"{at}.{key}") if key in new else [f"{at}.{key}"]
            )
        ]
    return [] if old == new else [at]


def test_the_summary_can_be_made_again(tmp_path: Path) -> None:
    """From the files alone; a summary may only grow."""
    folder = tmp_path / SAMPLE.name
    shutil.copytree(SAMPLE, folder)
    committed = json.loads((SAMPLE / "summary.json").read_text(encoding="utf-8"))
    assert kept(committed, write_summary(folder)) == []
    assert committed["verdict"] == "passed"


def test_the_sample_is_small() -> None:
    """It is downloaded with every checkout."""
    files = [path for path in SAMPLE.parent.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LARGEST_BYTES


def test_nothing_in_it_tells_where_it_was_made() -> None:
    """No path and no name of the machine it ran on."""
    for path in SAMPLE.rglob("*"):
        if path.suffix in {".json", ".jsonl", ".html"}:
            text = path.read_text(encoding="utf-8")
            assert not any(word in text for word in ("/tmp/", "/home/", "/root/"))  # noqa: S108 - looked for
