"""Progress log: readable up to its last whole line."""

from pathlib import Path

import pytest

from fleetsim.exceptions import InputError, RecordingError
from fleetsim.recording.names import PROGRESS
from fleetsim.recording.progress_log import ProgressLog, read_progress


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Line by line, at once: a kill loses nothing that was added."""
    log = ProgressLog(tmp_path)
    log.add({"at_s": 1})
    assert read_progress(tmp_path) == ({"at_s": 1},)
    log.add({"at_s": 2, "states": {"connected": 3}})
    log.close()
    log.close()
    assert read_progress(tmp_path)[1]["states"] == {"connected": 3}


def test_cut_short(tmp_path: Path) -> None:
    """Half a last line is left out; half a line before it is damage."""
    file = tmp_path / PROGRESS
    file.write_text('{"at_s":1}\n{"at_')
    assert read_progress(tmp_path) == ({"at_s": 1},)
    file.write_text('{"at_\n{"at_s":1}\n')
    with pytest.raises(InputError, match=r"progress\.jsonl:1"):
        read_progress(tmp_path)


def test_no_log(tmp_path: Path) -> None:
    """An older run kept none."""
    assert read_progress(tmp_path) == ()


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    """Is an error of the recording."""
    with pytest.raises(RecordingError):
        ProgressLog(tmp_path / "gone")
