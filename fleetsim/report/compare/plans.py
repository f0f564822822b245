"""Plans: which runs may be compared.

Runs can be compared when their fleets were asked to do the same: same cohorts, same
devices, same files at the same times, same timeline. *Where* they did it may differ,
because that is what one compares: the target, the lab, the thresholds, what the scenario
is called. Everything else that differs is a reason to refuse; each is named.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fleetsim.exceptions import Problem

_WHERE: Final = frozenset(
    {"target", "lab", "thresholds", "name", "description", "expect", "version"}
)
_WHERE_OF_COHORTS: Final = frozenset({"front"})
_MOST: Final = 20
_CUT: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something in which two scenarios differ.

    Attributes:
        path: Where, ``cohorts[vehicles].count``.
        first: What the first has there.
        second: What the second has there.
        is_load: Whether it changes what the fleet does, and not only where.
    """

    path: str
    first: str
    second: str
    is_load: bool

    @property
    def parts_pairs(self) -> bool:
        """Whether the same time of two runs no longer holds the same operations.

        A timeline acts upon the fleet; what the fleet plans to do stays the same.
        """
        return self.is_load and not self.path.startswith("timeline")


def differences(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> tuple[Difference, ...]:
    """Find in what two runs differ, by their manifests.

    Args:
        first: Manifest of a run.
        second: Manifest of another.
    """
    if first.get("plan_sha256") == second.get("plan_sha256"):
        return ()
    found = list(
        _walk("", first.get("scenario") or {}, second.get("scenario") or {}, depth=0)
    )
    if first.get("seed") != second.get("seed") and not any(
        each.path == "seed" for each in found
    ):
        found.append(_difference("seed", first.get("seed"), second.get("seed")))
    if not found:
        versions = (first.get("versions") or {}, second.get("versions") or {})
        found.append(
            _difference(
                "plan (a profile or the program changed)",
                _version(versions[0], first),
                _version(versions[1], second),
            )
        )
    return tuple(found)


def refusals(
    first: Mapping[str, Any], second: Mapping[str, Any]
) -> tuple[Problem, ...]:
    """Give the reasons not to compare two runs; none = they may be compared."""
    against = [each for each in differences(first, second) if each.is_load]
    name = str(second.get("run", ""))
    told = [
        Problem(name, f"{each.path} is {each.second}, but {each.first} in the baseline")
        for each in against[:_MOST]
    ]
    if against:
        more = len(against) - len(told)
        rest = f"{more} more differences; " if more else ""
        told.append(
            Problem(
                name,
                f"{rest}runs of different plans tell nothing about each other "
                "(--force compares them nevertheless)",
            )
        )
    return tuple(told)


def _version(versions: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    digest = str(manifest.get("plan_sha256", ""))[:12]
    return f"{digest} by fleetsim {versions.get('fleetsim', '?')}"


def _walk(path: str, first: Any, second: Any, *, depth: int) -> Iterator[Difference]:
    if first == second:
        return
    match first, second:
        case dict(), dict():
            for key in dict.fromkeys([*first, *second]):
                inner = f"{path}.{key}" if path else str(key)
                yield from _walk(
                    inner, first.get(key), second.get(key), depth=depth + 1
                )
        case list(), list():
            yield from _walk_lists(path, first, second, depth=depth)
        case _:
            yield _difference(path, first, second)


def _walk_lists(
    path: str, first: list[Any], second: list[Any], *, depth: int
) -> Iterator[Difference]:
    names = [_names(first), _names(second)]
    if all(names):
        for name in dict.fromkeys([*names[0], *names[1]]):
            yield from _walk(
                f"{path}[{name}]",
                names[0].get(name),
                names[1].get(name),
                depth=depth + 1,
            )
    elif len(first) == len(second):
        for number, (one, other) in enumerate(zip(first, second, strict=True)):
            yield from _walk(f"{path}[{number}]", one, other, depth=depth + 1)
    else:
        yield _difference(path, first, second)


def _names(entries: list[Any]) -> dict[str, Any]:
    """Entries by their names; empty when one has none."""
    found = {
        str(entry["name"]): entry
        for entry in entries
        if isinstance(entry, dict) and "name" in entry
    }
    return found if len(found) == len(entries) else {}


def _difference(path: str, first: Any, second: Any) -> Difference:
    return Difference(
        path=path,
        first=_shown(first),
        second=_shown(second),
        is_load=_is_load(path),
    )


def _is_load(path: str) -> bool:
    top = path.split(".", maxsplit=1)[0].split("[", maxsplit=1)[0]
    if top in _WHERE:
        return False
    return not (top == "cohorts" and path.rsplit(".", 1)[-1] in _WHERE_OF_COHORTS)


def _shown(value: Any) -> str:
    if value is None:
        return "absent"
    told = str(value)
    return told if len(told) <= _CUT else f"{told[:_CUT]}…"
