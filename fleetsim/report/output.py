"""Output: a report in the format somebody asked for."""

import json
from enum import StrEnum, unique
from pathlib import Path
from typing import Any, assert_never

from fleetsim.recording.json_file import write_json
from fleetsim.recording.names import SUMMARY
from fleetsim.report.csv_figures import render_csv
from fleetsim.report.html.page import gather, render
from fleetsim.report.junit import render_junit
from fleetsim.report.load import load_run
from fleetsim.report.markdown import render_markdown
from fleetsim.report.summary import summarise


@unique
class Format(StrEnum):
    """Formats of a report besides the terminal's."""

    HTML = "html"
    MARKDOWN = "md"
    JSON = "json"
    CSV = "csv"
    JUNIT = "junit"


def make_report(folder: Path, form: Format) -> tuple[str, dict[str, Any]]:
    """Make the report of a run, and its ``summary.json`` with it.

    Args:
        folder: Run folder, of a finished or a killed run.
        form: Format.

    Returns:
        The report, and the summary it was made from.

    Raises:
        InputError: If this is no run folder or a file in it is damaged.
        RecordingError: If ``summary.json`` cannot be written.
    """
    run = load_run(folder)
    summary = summarise(run)
    write_json(folder / SUMMARY, summary)
    match form:
        case Format.HTML:
            return render(gather(run, summary)), summary
        case Format.MARKDOWN:
            return render_markdown(gather(run, summary)), summary
        case Format.JSON:
            text = json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False)
            return text + "\n", summary
        case Format.CSV:
            return render_csv(summary), summary
        case Format.JUNIT:
            return render_junit(summary), summary
        case _:
            assert_never(form)
