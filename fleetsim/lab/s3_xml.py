"""S3's XML: documents out, and the few request bodies in.

Reading is expat with document types refused: no entity of a client's making is ever
expanded. Source: Amazon S3 API reference (namespace of 2006-03-01).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote
from xml.parsers import expat

from fleetsim.lab.s3_errors import S3Error

NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
_MAX_DEPTH: Final = 8
_MAX_ELEMENTS: Final = 100_000

# Characters that XML 1.0 (2.2) has no way to write are written as references all the
# same, as S3 does; clients that list such keys ask for encoding-type=url.
_ESCAPES: Final = re.compile(
    r"[&<>\"\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]"
)
_NAMED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def escape(text: str) -> str:
    """Escape character data."""
    return _ESCAPES.sub(
        lambda match: _NAMED.get(match[0]) or f"&#x{ord(match[0]):x};", text
    )


def url_encode(text: str) -> str:
    """Encode a key for ``encoding-type=url``."""
    return quote(text, safe="/-_.~", errors="surrogateescape")


@lru_cache(maxsize=4096)
def iso_time(unix_s: float) -> str:
    """Write a time as listings do: ``2026-01-31T12:00:00.000Z``."""
    moment = datetime.fromtimestamp(unix_s, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def element(name: str, value: object) -> str:
    """Write an element that has only text."""
    return f"<{name}>{escape(str(value))}</{name}>"


def elements(items: Iterable[tuple[str, object]]) -> str:
    """Write elements one after the other, leaving out those of value ``None``."""
    return "".join(element(name, value) for name, value in items if value is not None)


def document(name: str, content: str) -> bytes:
    """Write a whole document in the S3 namespace."""
    return (f'{_DECLARATION}<{name} xmlns="{NAMESPACE}">{content}</{name}>').encode()


def error_document(error: S3Error, resource: str, request_id: str) -> bytes:
    """Write an error document; it has no namespace."""
    content = elements(
        (
            ("Code", error.code),
            ("Message", error.message),
            *error.details,
            ("Resource", resource),
            ("RequestId", request_id),
            ("HostId", "fleetsim"),
        )
    )
    return f"{_DECLARATION}<Error>{content}</Error>".encode()


@dataclass(slots=True)
class Node:
    """An element of a request body, its name without namespace."""

    name: str
    text: str = ""
    children: list["Node"] = field(default_factory=list)

    def all(self, name: str) -> list["Node"]:
        """Children of a name."""
        return [child for child in self.children if child.name == name]

    def get(self, name: str) -> str | None:
        """Text of the first child of a name."""
        for child in self.children:
            if child.name == name:
                return child.text
        return None


def parse(body: bytes, root: str) -> Node:
    """Read a request body.

    Args:
        body: Whole body.
        root: Name the root element must have.

    Raises:
        S3Error: ``MalformedXML``.
    """
    top = Node("")
    open_nodes = [top]
    count = 0

    def start(name: str, _attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if count > _MAX_ELEMENTS or len(open_nodes) > _MAX_DEPTH:
            raise S3Error("MalformedXML")
        node = Node(name.rpartition(" ")[2])
        open_nodes[-1].children.append(node)
        open_nodes.append(node)

    def end(_name: str) -> None:
        open_nodes.pop()

    def text(data: str) -> None:
        open_nodes[-1].text += data

    def doctype(*_arguments: object) -> None:
        raise S3Error("MalformedXML")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = doctype
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError, LookupError) as exc:
        raise S3Error("MalformedXML") from exc
    node = top.children[0]
    if node.name != root:
        raise S3Error("MalformedXML")
    return node
