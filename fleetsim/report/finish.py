"""Finish: what a run leaves for people, made from its folder: summary and page."""

from pathlib import Path
from typing import Any

from fleetsim.recording.json_file import write_json
from fleetsim.recording.names import SUMMARY
from fleetsim.report.html.page import write_report
from fleetsim.report.load import load_run
from fleetsim.report.summary import summarise


def finish_run(folder: Path) -> dict[str, Any]:
    """Write ``summary.json`` and ``report.html``; the records are read once for both.

    Returns:
        The summary.

    Raises:
        InputError: If this is no run folder or a file in it is damaged.
        RecordingError: If a file cannot be written.
    """
    run = load_run(folder)
    summary = summarise(run)
    write_json(folder / SUMMARY, summary)
    write_report(run, summary)
    return summary
