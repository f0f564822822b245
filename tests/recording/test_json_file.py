"""JSON files are whole or not there."""

from pathlib import Path

import pytest

from fleetsim.exceptions import InputError, RecordingError
from fleetsim.recording.json_file import read_json, write_json


def test_content_comes_back(tmp_path: Path) -> None:
    """Unicode survives, no temporary file stays."""
    write_json(tmp_path / "a.json", {"über": [1, 2.5, None]})
    assert read_json(tmp_path / "a.json") == {"über": [1, 2.5, None]}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_no_file_is_none(tmp_path: Path) -> None:
    """A missing file is for the caller to judge."""
    assert read_json(tmp_path / "a.json") is None


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff\xfe"], ids=repr)
def test_damage_is_bad_input(tmp_path: Path, content: bytes) -> None:
    """Neither cut, foreign nor undecodable content passes."""
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.json"):
        read_json(tmp_path / "a.json")


def test_a_failed_write_leaves_nothing_half_written(tmp_path: Path) -> None:
    """The old content stays, the temporary file goes."""
    write_json(tmp_path / "a.json", {"old": True})
    (tmp_path / "a.json.part").symlink_to("/dev/full")
    with pytest.raises(RecordingError, match=r"a\.json: No space left on device"):
        write_json(tmp_path / "a.json", {"new": True})
    assert read_json(tmp_path / "a.json") == {"old": True}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_not_a_number_is_refused(tmp_path: Path) -> None:
    """JSON has no NaN: nothing is written that others cannot read."""
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []
