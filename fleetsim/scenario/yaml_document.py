"""YAML document: text to plain data and the line of everything in it.

The core schema of YAML 1.2 is read, not that of 1.1: ``no`` is a text, ``1:30`` is a
text, a date is a text. Duplicate keys are errors; merge keys (``<<``) are understood.
Nothing in a document can make reading it expensive: size, depth and the number of values
after the expansion of aliases are bounded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from fleetsim.exceptions import InputError, Problem
from fleetsim.scenario.quantities import shown

MAX_TEXT: Final = 512 * 1024
MAX_DEPTH: Final = 32
MAX_VALUES: Final = 100_000

Loc = tuple[str | int, ...]
"""Path to a value: mapping keys and list positions from the root."""

_TAG: Final = "tag:yaml.org,2002:"
_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
_INT = re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z")
_FLOAT = re.compile(
    r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
)
_LONGEST_INT = 40


class _Loader(yaml.SafeLoader):
    """Composes nodes only; resolves plain scalars as YAML 1.2 does."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML declares it, add_… copies it


for _kind, _pattern, _first in (
    ("null", _NULL, ["~", "n", "N", ""]),
    ("bool", _BOOL, list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", _FLOAT, list("-+0123456789.")),
):
    _Loader.add_implicit_resolver(f"{_TAG}{_kind}", _pattern, _first)


@dataclass(frozen=True, slots=True)
class Document:
    """A document that was read.

    Attributes:
        data: ``dict``, ``list``, ``str``, ``int``, ``float``, ``bool`` or ``None``;
            aliases are copies, so that changing one place changes only that.
        lines: Line, from 1, of each value; of a mapping entry, that of its key.
    """

    data: Any
    lines: Mapping[Loc, int]


def read_yaml(text: str, where: str) -> Document:
    """Read one YAML document.

    Args:
        text: The document.
        where: Name of the file, for messages.

    Raises:
        InputError: Syntax errors (YAML's parser stops at the first), or all duplicate
            keys, keys that are no texts, unknown tags and broken limits.
    """
    if len(text) > MAX_TEXT:
        raise InputError(
            Problem(where, f"longer than {MAX_TEXT // 1024} Ki characters")
        )
    try:
        _check_depth(text, where)
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        place = f"{where}:{mark.line + 1}" if mark else where
        says = ", ".join(part for part in (exc.context, exc.problem) if part)
        raise InputError(Problem(place, f"not YAML: {says}")) from None
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        raise InputError(
            Problem(
                f"{where}:{line}", f"not YAML: character {_codepoint(exc.character)}"
            )
        ) from None
    builder = _Builder(where)
    data = builder.value(root, (), 0) if root is not None else None
    if builder.problems:
        raise InputError(builder.problems)
    return Document(data, builder.lines)


def _codepoint(character: object) -> str:
    # The reader gives a number or, for bytes, something printable.
    return f"U+{character:04X}" if isinstance(character, int) else repr(character)


def _check_depth(text: str, where: str) -> None:
    # The composer recurses, so depth is bounded on the flat stream of events first.
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            line = event.start_mark.line + 1 if event.start_mark else 1
            raise InputError(
                Problem(f"{where}:{line}", f"nested deeper than {MAX_DEPTH} levels")
            )


class _LimitReachedError(Exception):
    """Too much after expansion: reading goes no further."""


class _Builder:
    """Turns nodes into data."""

    def __init__(self, where: str) -> None:
        self.problems: list[Problem] = []
        self.lines: dict[Loc, int] = {}
        self._where = where
        self._values = 0

    def value(self, node: yaml.Node, loc: Loc, depth: int) -> Any:
        """Data of a whole tree; problems are gathered on the way."""
        try:
            return self._value(node, loc, depth)
        except _LimitReachedError:
            return None

    def _value(self, node: yaml.Node, loc: Loc, depth: int) -> Any:
        self._values += 1
        if self._values > MAX_VALUES or depth > MAX_DEPTH:
            self._problem(node, "aliases make this document too large or endless")
            raise _LimitReachedError
        self.lines.setdefault(loc, node.start_mark.line + 1)
        kind = node.tag.removeprefix(_TAG)
        match node:
            case yaml.MappingNode() if kind == "map":
                return self._mapping(node, loc, depth)
            case yaml.SequenceNode() if kind == "seq":
                return [
                    self._value(item, (*loc, index), depth + 1)
                    for index, item in enumerate(node.value)
                ]
            case yaml.ScalarNode():
                return self._scalar(node, kind)
            case _:
                self._problem(node, f"unknown tag {shown(node.tag)}")
                return None

    def _mapping(self, node: yaml.MappingNode, loc: Loc, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        first_line: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key is None:
                continue
            line = key_node.start_mark.line + 1
            if key == "<<" and key_node.style is None:
                merged.append(value_node)
                continue
            if key in first_line:
                self._problem(
                    key_node,
                    f"key {shown(key)} is given twice, first in line {first_line[key]}",
                )
                continue
            first_line[key] = line
            # Merged entries come after those written in place, which keep their line.
            self.lines.setdefault((*loc, key), line)
            found[key] = self._value(value_node, (*loc, key), depth + 1)
        for value_node in merged:
            for key, value in self._merge(value_node, loc, depth).items():
                found.setdefault(key, value)
        return found

    def _merge(self, node: yaml.Node, loc: Loc, depth: int) -> dict[str, Any]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found: dict[str, Any] = {}
        for source in sources:
            if not isinstance(source, yaml.MappingNode):
                self._problem(source, "'<<' takes a mapping or a list of mappings")
                continue
            for key, value in self._value(source, loc, depth + 1).items():
                found.setdefault(key, value)
        return found

    def _key(self, node: yaml.Node) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.tag == f"{_TAG}str":
            return str(node.value)
        text = node.value if isinstance(node, yaml.ScalarNode) else "a collection"
        self._problem(node, f"a key must be a text, not {shown(text)}: quote it")
        return None

    def _scalar(self, node: yaml.ScalarNode, kind: str) -> Any:
        text = str(node.value)
        match kind:
            case "str":
                return text
            case "null" if _NULL.match(text):
                return None
            case "bool" if _BOOL.match(text):
                return text.lower() == "true"
            case "int" if _INT.match(text) and len(text) <= _LONGEST_INT:
                return int(text, 0) if text[1:2] in {"o", "x"} else int(text)
            case "float" if _FLOAT.match(text):
                return float(re.sub(r"\.(?=[iInN])", "", text))
            case _:
                self._problem(node, f"cannot read {shown(text)} as {shown(kind)}")
                return None

    def _problem(self, node: yaml.Node, what: str) -> None:
        place = f"{self._where}:{node.start_mark.line + 1}"
        self.problems.append(Problem(place, what))
