"""YAML with line numbers: text to plain data plus the line every value stands on.

Read with PyYAML's safe node composer, never with constructors for foreign types.
Bounded in every direction, because profiles and scenarios are passed between people:
length of the text, nesting, and the number of values after aliases are followed (a
file of ten lines can otherwise stand for 10**9 values).
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Final

import yaml

from fleetsim.exceptions import InputError, Problem

MAX_CHARACTERS: Final = 1 << 19
MAX_DEPTH: Final = 40
MAX_VALUES: Final = 100_000

Path = tuple[str | int, ...]

_MERGE = "tag:yaml.org,2002:merge"
_TIMESTAMP = "tag:yaml.org,2002:timestamp"


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A document as plain data.

    Attributes:
        data: Nested dicts, lists and scalars; ``None`` for an empty document. Dates
            stay texts.
        lines: Line of each value by its path, from 1. The root is the empty path.
    """

    data: object
    lines: dict[Path, int]

    def line_of(self, path: Path) -> int:
        """Line of a value, or of the nearest enclosing one that exists."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_yaml(text: str, where: str) -> YamlDocument:
    """Read one YAML document.

    Args:
        text: The document.
        where: Name of the file for messages.

    Raises:
        InputError: Syntax error, duplicate keys, foreign tags, several documents, or a
            document beyond the bounds; with all problems that can be found at once.
    """
    if len(text) > MAX_CHARACTERS:
        what = f"{len(text)} characters; at most {MAX_CHARACTERS} are read"
        raise InputError(Problem(where, what))
    try:
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            builder = _Builder(loader, where)
            data = None if node is None else builder.value(node, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = f"{where}:{mark.line + 1}" if mark else where
        what = exc.problem or exc.context or "unreadable"
        raise InputError(Problem(place, f"not YAML: {what}")) from exc
    except yaml.YAMLError as exc:  # characters that YAML does not admit
        what = " ".join(str(exc).split())[:200]
        raise InputError(Problem(where, f"not YAML: {what}")) from exc
    except RecursionError as exc:
        what = f"nested deeper than {MAX_DEPTH} levels"
        raise InputError(Problem(where, what)) from exc
    if builder.problems:
        raise InputError(builder.problems)
    return YamlDocument(data, builder.lines)


class _Builder:
    """Turns nodes into plain data and notes lines and problems on the way."""

    def __init__(self, loader: yaml.SafeLoader, where: str) -> None:
        self.problems: list[Problem] = []
        self.lines: dict[Path, int] = {}
        self._loader = loader
        self._where = where
        self._left = MAX_VALUES

    def value(self, node: yaml.Node, path: Path) -> object:
        """Build the value of a node; ``None`` in place of what cannot be built."""
        self.lines.setdefault(path, node.start_mark.line + 1)
        self._left -= 1
        if self._left <= 0 or len(path) > MAX_DEPTH:
            if self._left >= 0:
                self._refuse(
                    node,
                    f"nested deeper than {MAX_DEPTH} levels"
                    if self._left
                    else f"more than {MAX_VALUES} values (aliases followed)",
                )
            return None
        match node:
            case yaml.MappingNode():
                return self._mapping(node, path)
            case yaml.SequenceNode():
                return [
                    self.value(child, (*path, index))
                    for index, child in enumerate(node.value)
                ]
            case _:
                return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[Hashable, object]:
        found: dict[Hashable, object] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                self._refuse(key_node, "merge keys (<<) are not supported")
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._refuse(key_node, "a key is a single word")
                continue
            key = self._scalar(key_node)
            step = key if isinstance(key, int) else str(key)
            if key in found:
                first = self.lines[*path, step]
                self._refuse(key_node, f"duplicate key {step!r}, first in line {first}")
                continue
            # The key's line: a value may start on the next one.
            self.lines[*path, step] = key_node.start_mark.line + 1
            found[key] = self.value(value_node, (*path, step))
        return found

    def _scalar(self, node: yaml.Node) -> object:
        if node.tag == _TIMESTAMP:
            return str(node.value)
        try:
            return self._loader.construct_object(node)
        except yaml.constructor.ConstructorError as exc:
            self._refuse(node, f"not accepted here: {exc.problem}")
        except (ValueError, OverflowError, KeyError, RecursionError) as exc:
            self._refuse(node, f"unreadable value: {exc}")
        return None

    def _refuse(self, node: yaml.Node, what: str) -> None:
        place = f"{self._where}:{node.start_mark.line + 1}"
        self.problems.append(Problem(place, what))
