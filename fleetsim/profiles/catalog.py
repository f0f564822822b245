"""Catalog: the device profiles that come with the package, and profiles from files.

A profile file of a user may say ``extends: canedge2`` (or any built-in name) and state
only what differs; a figure is replaced as a whole, and its own cipher tables come
before the inherited ones, so that the first of them becomes the default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path

from fleetsim.core.settings import DeviceProfile
from fleetsim.exceptions import InputError, Problem
from fleetsim.scenario.profile_schema import Figure, parse_profile
from fleetsim.scenario.suggest import did_you_mean
from fleetsim.scenario.yaml_document import MAX_TEXT, Document, read_yaml

_BUILT_IN = ("canedge2", "canedge3", "generic-tls12", "generic-tls13")
_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class ProfileEntry:
    """A profile and where its figures come from.

    Attributes:
        profile: Settings for the device logic.
        figures: Every figure with its provenance, in file order.
    """

    profile: DeviceProfile
    figures: tuple[Figure, ...]


def names() -> tuple[str, ...]:
    """Names of the built-in profiles."""
    return _BUILT_IN


def load(name: str, folder: Path | None = None) -> ProfileEntry:
    """Load a profile by name, or from a file when the name looks like one.

    Args:
        name: Built-in name (``canedge2``), or a path that has a slash or ends in
            ``.yaml`` or ``.yml`` (``./mydevice.yaml``).
        folder: What a relative path is relative to; the working directory when absent.

    Raises:
        InputError: Unknown name, unreadable file or broken profile; all problems.
    """
    if "/" in name or name.endswith(_SUFFIXES):
        return load_file((folder or Path()) / name)
    if name in _BUILT_IN:
        return _load_built_in(name)
    known = ", ".join(_BUILT_IN)
    what = (
        f"unknown profile {name!r}{did_you_mean(name, _BUILT_IN)}; there are {known}, "
        "or give a file such as ./mydevice.yaml"
    )
    raise InputError(Problem("profile", what))


def load_file(path: Path) -> ProfileEntry:
    """Load a profile from a YAML file.

    Raises:
        InputError: The file cannot be read or is no valid profile; all problems, each
            with its line.
    """
    where = str(path)
    try:
        with path.open("rb") as file:
            content = file.read(4 * MAX_TEXT + 1)
        text = content.decode("utf-8")
    except UnicodeDecodeError as exc:
        what = f"not UTF-8 text (byte {exc.start})"
        raise InputError(Problem(where, what)) from exc
    except OSError as exc:
        what = f"cannot be read: {exc.strerror or exc}"
        raise InputError(Problem(where, what)) from exc
    document = _extended(read_yaml(text, where), where)
    profile, figures = parse_profile(document, where)
    if profile.name in _BUILT_IN:
        line = document.lines.get(("name",), 1)
        what = (
            f"{profile.name!r} is a built-in profile; reports could not tell them apart"
        )
        raise InputError(Problem(f"{where}:{line}: name", what))
    return ProfileEntry(profile, figures)


def _read_built_in(name: str) -> str:
    return (resources.files("fleetsim.profiles") / f"{name}.yaml").read_text("utf-8")


@lru_cache(maxsize=len(_BUILT_IN))
def _load_built_in(name: str) -> ProfileEntry:
    where = f"{name}.yaml"
    return ProfileEntry(*parse_profile(read_yaml(_read_built_in(name), where), where))


def _extended(document: Document, where: str) -> Document:
    """Fill in what the document inherits from the profile it extends."""
    if not isinstance(document.data, Mapping) or "extends" not in document.data:
        return document
    base = document.data["extends"]
    if not isinstance(base, str) or base not in _BUILT_IN:
        place = f"{where}:{document.lines.get(('extends',), 1)}: extends"
        near = did_you_mean(str(base), _BUILT_IN)
        what = (
            f"{base!r} is no built-in profile{near}; there are {', '.join(_BUILT_IN)}"
        )
        raise InputError(Problem(place, what))
    inherited = read_yaml(_read_built_in(base), f"{base}.yaml").data
    if not isinstance(inherited, Mapping):
        raise TypeError(f"built-in profile {base} is no mapping")
    own = {key: value for key, value in document.data.items() if key != "extends"}
    unnamed = {key: value for key, value in inherited.items() if key != "name"}
    return Document(_merged(own, unnamed), document.lines)


def _merged(own: Mapping[str, object], base: Mapping[str, object]) -> dict[str, object]:
    merged = dict(own)
    for key, value in base.items():
        mine = merged.get(key)
        if key not in merged:
            merged[key] = value
        elif (
            isinstance(mine, Mapping)
            and isinstance(value, Mapping)
            and not {"value", "provenance", "source"} & mine.keys()
            and "value" not in value
        ):
            merged[key] = _merged(mine, value)
    return merged
