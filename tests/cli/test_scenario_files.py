"""Finding and reading scenario files."""

from pathlib import Path

import pytest

import fleetsim
from fleetsim.cli.scenario_files import find_scenario, library_names, read_scenario
from fleetsim.exceptions import InputError


def test_the_library_has_the_quickstart() -> None:
    """What `make demo` runs is found by name."""
    assert "quickstart" in library_names()
    assert find_scenario("quickstart").name == "quickstart.yaml"


def test_a_file_is_found_by_its_path(tmp_path: Path) -> None:
    """Whatever its suffix."""
    path = tmp_path / "mine.scenario"
    path.write_text("name: x")
    assert find_scenario(str(path)) == path


def test_a_file_of_the_working_directory_goes_before_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path that exists is that file."""
    (tmp_path / "quickstart").write_text("name: x")
    monkeypatch.chdir(tmp_path)
    assert find_scenario("quickstart") == Path("quickstart")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("quikstart", "did you mean 'quickstart'?"),
        ("no/such/file", "there is no such file"),
        ("quikstart.yaml", "did you mean 'quickstart'?"),
        ("", "no library scenario ''"),
        ("a\0b", "no library scenario"),
        ("x" * 5000, "no library scenario"),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_what_is_not_there_is_said(name: str, says: str) -> None:
    """With the nearest name of the library."""
    with pytest.raises(InputError) as caught:
        find_scenario(name)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 600


def test_an_installed_package_has_its_own_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a wheel the scenarios lie inside the package."""
    package = tmp_path / "fleetsim"
    (package / "_scenarios").mkdir(parents=True)
    (package / "_scenarios" / "other.yaml").write_text("name: other")
    (package / "_scenarios" / "notes.txt").write_text("")
    monkeypatch.setattr(fleetsim, "__file__", str(package / "__init__.py"))
    assert library_names() == ("other",)
    assert find_scenario("other") == package / "_scenarios" / "other.yaml"


def test_a_package_without_library_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No folder is no crash."""
    monkeypatch.setattr(fleetsim, "__file__", str(tmp_path / "fleetsim" / "x.py"))
    with pytest.raises(InputError, match="the library is empty"):
        find_scenario("quickstart")


def test_text_is_utf_8_with_or_without_mark(tmp_path: Path) -> None:
    """Editors of Windows write a byte order mark."""
    path = tmp_path / "s.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: \xc3\xa4")
    assert read_scenario(path) == "name: ä"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"name: x\nb: \xff\xfe", "s.yaml:2: not UTF-8 text"),
        (b"#" * (3 * 1024 * 1024), "larger than 2048 KiB"),
    ],
    ids=["bytes", "size"],
)
def test_unusable_files_are_refused(tmp_path: Path, content: bytes, says: str) -> None:
    """Bytes that are no text, and files no person wrote."""
    path = tmp_path / "s.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_scenario(path)
    assert says in str(caught.value)


def test_a_folder_is_no_scenario(tmp_path: Path) -> None:
    """The system's own words are passed on."""
    with pytest.raises(InputError, match="cannot be read"):
        read_scenario(tmp_path)
