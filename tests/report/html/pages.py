"""Reads pages as a browser would, as far as tests need it."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset({"meta", "link", "br", "hr", "img", "input"})
LOADS = frozenset({"src", "href", "srcset", "data", "action", "poster", "xlink:href"})


@dataclass
class Page(HTMLParser):
    """A page, taken apart.

    Attributes:
        tags: Names of all elements.
        loads: Attributes that name another resource.
        handlers: Attributes that hold script or style.
        ids: All ids.
        text: All text outside of script and style.
        blocks: Content of script and style elements.
        meta: Content of the content security policy.
        unclosed: Elements that were never closed.
    """

    tags: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    handlers: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    blocks: dict[str, str] = field(default_factory=dict)
    policy: str = ""
    unclosed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the parser."""
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append(tag)
        if tag not in VOID:
            self.unclosed.append(tag)
        for name, value in attrs:
            if name in LOADS:
                self.loads.append(value or "")
            if name.startswith("on") or name == "style":
                self.handlers.append(name)
            if name == "id":
                self.ids.append(value or "")
            if name == "content" and "default-src" in (value or ""):
                self.policy = value or ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element without content (in SVG)."""
        self.handle_starttag(tag, attrs)
        self.unclosed.pop()

    def handle_endtag(self, tag: str) -> None:
        """Close an element; the nesting must be right."""
        assert self.unclosed, f"</{tag}> closes nothing"
        assert self.unclosed[-1] == tag, f"</{tag}> closes <{self.unclosed[-1]}>"
        self.unclosed.pop()

    def handle_data(self, data: str) -> None:
        """Note text."""
        if self.unclosed and self.unclosed[-1] in {"script", "style"}:
            self.blocks[self.unclosed[-1]] = data
        else:
            self.text.append(data)


def read_page(page: str) -> Page:
    """Take a page apart."""
    found = Page()
    found.feed(page)
    found.close()
    return found
