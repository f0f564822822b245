import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.exceptions import InputError
from fleetsim.target.observer.log_file import LogFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log with two lines from before."""
    path = tmp_path / "access.log"
    path.write_text("old 1\nold 2\n")
    return path


def append(path: Path, text: str) -> None:
    """Write as a server does."""
    with path.open("a") as file:
        file.write(text)


def gained(log: LogFile) -> tuple[list[str], list[str]]:
    """New lines, and what was lost."""
    lines = list(log.lines())
    return lines, log.lost


def test_only_what_is_new(path: Path) -> None:
    """From the end of the file on; a line under way is left for later."""
    log = LogFile(path)
    assert gained(log) == ([], [])
    append(path, "new 1\nnew 2\nnew")
    assert gained(log) == (["new 1", "new 2"], [])
    append(path, " 3\n")
    assert gained(log) == (["new 1", "new 2", "new 3"], [])


def test_renamed_and_begun_anew(path: Path) -> None:
    """``logrotate`` without copying: nothing is lost."""
    log = LogFile(path)
    append(path, "new 1\n")
    path.rename(path.with_name("access.log.1"))
    append(path.with_name("access.log.1"), "new 2\n")
    assert gained(log) == (["new 1", "new 2"], [])
    append(path, "new 3\n")
    assert gained(log) == (["new 1", "new 2", "new 3"], [])


def test_rotated_twice(path: Path) -> None:
    """What lies between is not read, and that is said."""
    log = LogFile(path)
    append(path, "new 1\n")
    path.rename(path.with_name("access.log.2"))
    path.with_name("access.log.1").write_text("between\n")
    path.write_text("new 3\n")
    for number, name in enumerate(("access.log.2", "access.log.1", "access.log")):
        os.utime(path.with_name(name), ns=(number, number))
    lines, (lost,) = gained(log)
    assert lines == ["new 1", "new 3"]
    assert "more than once" in lost


def test_replaced_and_gone(path: Path) -> None:
    """The old file was moved elsewhere, deleted or compressed away."""
    log = LogFile(path)
    (path.parent / "archive").mkdir()
    path.rename(path.parent / "archive" / "access.log")
    append(path, "new\n")
    lines, (lost,) = gained(log)
    assert lines == ["new"]
    assert "old content is gone" in lost


def test_another_file_with_the_old_inode(path: Path) -> None:
    """An inode is given out again; what stood before the mark tells files apart."""
    log = LogFile(path)
    path.rename(path.with_name("other"))
    path.with_name("other").write_text("something quite different\n")
    append(path, "new\n")
    lines, (lost,) = gained(log)
    assert lines == ["new"]
    assert "old content is gone" in lost


@pytest.mark.parametrize(
    "after",
    [
        pytest.param("new\n", id="shorter than before"),
        pytest.param("x" * 30 + "\nnew\n", id="longer than before"),
    ],
)
def test_cut(path: Path, after: str) -> None:
    """``copytruncate``: what is there is read, what was cut is missed."""
    log = LogFile(path)
    append(path, "lost\n")
    path.write_text(after)
    lines, (lost,) = gained(log)
    assert lines == after.splitlines()
    assert "was cut" in lost


def test_a_log_that_begins_later(tmp_path: Path) -> None:
    """It need not exist yet; one that is never written is missed."""
    log = LogFile(tmp_path / "later.log")
    lines, (lost,) = gained(log)
    assert not lines
    assert "never written" in lost
    assert log.size_bytes() == 0
    append(tmp_path / "later.log", "new\n")
    assert gained(log) == (["new"], [])
    assert log.size_bytes() == 4


def test_no_such_folder(tmp_path: Path) -> None:
    """A path that is wrong shows before the run."""
    with pytest.raises(InputError, match="no such file"):
        LogFile(tmp_path / "nowhere" / "access.log")


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    """The reason is the system's."""
    with pytest.raises(InputError, match="directory"):
        LogFile(tmp_path)


def test_bytes_that_are_no_text(path: Path) -> None:
    """Lines of strangers may hold anything."""
    log = LogFile(path)
    with path.open("ab") as file:
        file.write(b"\xff\xfe\x00\nnext\n")
    lines, lost = gained(log)
    assert lines[1:] == ["next"]
    assert not lost


@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line)))
def test_every_line_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    """Whatever they hold, as many lines come out as went in."""
    path = tmp_path_factory.mktemp("log") / "a.log"
    log = LogFile(path)
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    assert list(log.lines()) == [line.decode("utf-8", "replace") for line in lines]
