"""Scenario files: a path as given, or the name of a scenario that comes with the package.

The library lies in ``fleetsim/_scenarios/`` of an installed package and in
``scenarios/`` of a source checkout.
"""

from pathlib import Path
from typing import Final

import fleetsim
from fleetsim.exceptions import InputError, Problem
from fleetsim.scenario.suggest import did_you_mean
from fleetsim.scenario.yaml_document import MAX_TEXT

SUFFIXES: Final = (".yaml", ".yml")


def library_folder() -> Path | None:
    """Folder of the scenarios that come with the package, ``None`` = there is none."""
    package = Path(fleetsim.__file__).resolve().parent
    for folder in (package / "_scenarios", package.parent / "scenarios"):
        if folder.is_dir():
            return folder
    return None


def library_names() -> tuple[str, ...]:
    """Names of the library scenarios, sorted."""
    folder = library_folder()
    if folder is None:
        return ()
    found = (path for path in folder.iterdir() if path.suffix in SUFFIXES)
    return tuple(sorted(path.stem for path in found if path.is_file()))


def library_path(name: str) -> Path:
    """File of a library scenario, whatever the working directory holds.

    Raises:
        InputError: There is no such scenario.
    """
    folder = library_folder()
    for suffix in SUFFIXES:
        if folder is not None and (folder / f"{name}{suffix}").is_file():
            return folder / f"{name}{suffix}"
    raise InputError(Problem("scenario", f"the library has no scenario {name[:200]!r}"))


def find_scenario(name: str) -> Path:
    """Find a scenario by path or by library name.

    What exists as a file is that file; a name with a slash or a YAML suffix is a path in
    any case.

    Raises:
        InputError: There is no such file and no such scenario.
    """
    path = Path(name)
    try:
        if path.is_file():
            return path
    except (OSError, ValueError):
        pass  # too long, or holds a NUL: no file has such a name
    known = library_names()
    if name in known:
        return library_path(name)
    if "/" in name or name.endswith(SUFFIXES):
        hint = did_you_mean(path.stem, known)
        raise InputError(Problem(name[:200], f"there is no such file{hint}"))
    library = "'fleetsim list' shows the library" if known else "the library is empty"
    raise InputError(
        Problem(
            "scenario",
            f"there is no file and no library scenario {name[:200]!r}"
            f"{did_you_mean(name, known)}; {library}",
        )
    )


def read_scenario(path: Path) -> str:
    """Read the text of a scenario file, bounded.

    Raises:
        InputError: Not readable, not UTF-8 or absurdly large.
    """
    where = str(path)
    try:
        with path.open("rb") as file:
            content = file.read(4 * MAX_TEXT + 1)
    except OSError as exc:
        what = f"cannot be read: {exc.strerror or exc}"
        raise InputError(Problem(where, what)) from exc
    if len(content) > 4 * MAX_TEXT:
        raise InputError(Problem(where, f"larger than {4 * MAX_TEXT // 1024} KiB"))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = content.count(b"\n", 0, exc.start) + 1
        raise InputError(Problem(f"{where}:{line}", "not UTF-8 text")) from exc
