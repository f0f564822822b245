import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleetsim.exceptions import InputError
from fleetsim.pki.files import (
    Additions,
    locked,
    new_folder,
    read_file,
    replace_file,
    write_new,
)


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Run a test under a umask, from careless to strict."""
    before = os.umask(request.param)
    try:
        yield request.param
    finally:
        os.umask(before)


def mode_of(path: Path) -> int:
    """Read the permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_0600_under_any_umask(tmp_path: Path, umask: int) -> None:
    """A secret is created 0600; a careless umask does not open it."""
    write_new(tmp_path / "k", b"secret", is_secret=True)
    assert mode_of(tmp_path / "k") == 0o600
    write_new(tmp_path / "c", b"public")
    assert mode_of(tmp_path / "c") == 0o644 & ~umask


def test_secrets_are_created_restricted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mode is part of creating the file: nobody can open it in between."""
    calls: list[tuple[int, int]] = []
    real_open = os.open

    def spy(path: Path, flags: int, mode: int = 0o777) -> int:
        calls.append((flags, mode))
        return real_open(path, flags, mode)

    monkeypatch.setattr(os, "open", spy)
    write_new(tmp_path / "k", b"secret", is_secret=True)
    ((flags, mode),) = calls
    assert mode == 0o600
    assert flags & os.O_EXCL
    assert flags & os.O_NOFOLLOW


@pytest.mark.parametrize("kind", ["file", "link", "dangling"])
def test_nothing_is_written_through_what_is_there(tmp_path: Path, kind: str) -> None:
    """An existing file or a link in the place of a secret is refused, not followed."""
    place, other = tmp_path / "k", tmp_path / "other"
    if kind == "file":
        place.write_bytes(b"old")
    else:
        if kind == "link":
            other.write_bytes(b"old")
        place.symlink_to(other)
    with pytest.raises(FileExistsError):
        write_new(place, b"secret", is_secret=True)
    for path in (place, other):
        assert not path.exists() or path.read_bytes() == b"old"


def test_replacing_keeps_the_old_content_on_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk leaves the old file and no temporary one."""
    place = tmp_path / "pki.json"
    place.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match=r"pki\.json: No space left on device"):
            replace_file(place, b"new")
    assert place.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [place]
    replace_file(place, b"new")
    assert place.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601])
def test_open_secrets_are_refused(tmp_path: Path, mode: int) -> None:
    """A key that group or others can access is refused with the command to run."""
    key = tmp_path / "k"
    key.write_bytes(b"secret")
    key.chmod(mode)
    with pytest.raises(InputError, match=rf"mode {mode:04o}.*chmod 600 {key}"):
        read_file(key, is_secret=True)
    assert read_file(key) == b"secret"
    key.chmod(0o400)
    assert read_file(key, is_secret=True) == b"secret"


def test_unreadable_files_are_input_errors(tmp_path: Path) -> None:
    """A missing file and a folder in its place name the file and the reason."""
    with pytest.raises(InputError, match=r"gone: No such file"):
        read_file(tmp_path / "gone")
    with pytest.raises(InputError, match=r"Is a directory"):
        read_file(tmp_path)


def test_absurdly_large_files_are_refused(tmp_path: Path) -> None:
    """A file of a gigabyte is refused before it is read."""
    big = tmp_path / "big"
    with big.open("wb") as file:
        file.truncate(2**30)
    with pytest.raises(InputError, match="is 1073741824 bytes"):
        read_file(big)


def test_a_new_folder_appears_whole(tmp_path: Path, umask: int) -> None:
    """The folder is 0700 and in its place only once it is complete."""
    del umask
    place = tmp_path / "pki"
    with new_folder(place) as staged:
        assert not place.exists()
        assert mode_of(staged) == 0o700
        (staged / "a").write_bytes(b"")
    assert mode_of(place) == 0o700
    assert [each.name for each in place.iterdir()] == ["a"]
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_a_failed_new_folder_leaves_nothing(
    tmp_path: Path, error: type[BaseException]
) -> None:
    """Whatever goes wrong while filling it, nothing stays behind."""
    expected = InputError if error is OSError else error

    def fill() -> None:
        with new_folder(tmp_path / "pki") as staged:
            (staged / "a").write_bytes(b"")
            raise error

    with pytest.raises(expected):
        fill()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["full", "file", "link", "no-parent"])
def test_a_new_folder_takes_nobodys_place(tmp_path: Path, kind: str) -> None:
    """A folder with content, a file, a link and a missing parent are refused."""
    place = tmp_path / "pki"
    if kind == "full":
        place.mkdir()
        (place / "precious").write_bytes(b"")
    elif kind == "file":
        place.write_bytes(b"")
    elif kind == "link":
        place.symlink_to(tmp_path)
    else:
        place = tmp_path / "no" / "pki"
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError), new_folder(place):
        pytest.fail("was entered")
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_may_be_there(tmp_path: Path) -> None:
    """An empty folder is replaced, its loose mode with it."""
    place = tmp_path / "pki"
    place.mkdir(mode=0o755)
    with new_folder(place):
        pass
    assert mode_of(place) == 0o700


def test_the_lock_keeps_others_out(tmp_path: Path) -> None:
    """Two commands cannot change one folder at once; afterwards it is free again."""
    with (
        locked(tmp_path),
        pytest.raises(InputError, match="another process"),
        locked(tmp_path),
    ):
        pytest.fail("was entered")
    with locked(tmp_path):
        pass
    with pytest.raises(InputError, match="No such file"), locked(tmp_path / "gone"):
        pytest.fail("was entered")


def test_additions_stay_together(tmp_path: Path) -> None:
    """When a command fails, all its files and its new sub-folder go again."""
    index = tmp_path / "pki.json"

    def fail() -> None:
        with Additions(tmp_path) as files:
            files.write("devices/A.pem", b"")
            raise ValueError("later")

    with pytest.raises(ValueError, match="later"):
        fail()
    assert list(tmp_path.iterdir()) == []
    with Additions(tmp_path) as files:
        files.write("devices/A.pem", b"")
        files.commit("pki.json", b"{}")
    assert mode_of(tmp_path / "devices") == 0o700
    assert index.read_bytes() == b"{}"


def test_additions_after_the_commit_point_are_kept(tmp_path: Path) -> None:
    """Files that the index names already are not taken away by a late interruption."""

    def interrupt() -> None:
        with Additions(tmp_path) as files:
            files.write("devices/A.pem", b"")
            files.commit("pki.json", b"{}")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert (tmp_path / "devices/A.pem").exists()


def test_a_failed_commit_takes_the_files_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the index cannot be written, what it would have named goes."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    def add() -> None:
        with Additions(tmp_path) as files:
            files.write("devices/A.pem", b"")
            files.commit("pki.json", b"{}")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space"):
        add()
    assert list(tmp_path.iterdir()) == []


def test_additions_never_overwrite(tmp_path: Path) -> None:
    """A file that is there already is bad input and stays as it is."""
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(InputError, match="File exists"), Additions(tmp_path) as files:
        files.write("a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
