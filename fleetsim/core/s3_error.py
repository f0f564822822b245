"""S3 errors: turns a complete response into success or a failure of the taxonomy.

The document is the one of the Amazon S3 API reference, "REST error responses"::

    <Error><Code>NoSuchKey</Code><Message>…</Message>…</Error>

It is foreign text. A bounded scanner takes ``Code`` and ``Message`` out of it, with or
without namespace prefix or CDATA, and looks at nothing else: no entity is defined, no
DTD is read, no nesting is followed. What it cannot read is an error status without a
document, never an exception.

304 is the success of a conditional GET (RFC 9110 15.4.5). Other redirects are failures:
the device follows none, and the simulator must not hide a wrong region or scheme.
"""

import re
from http import HTTPStatus
from typing import Final

from fleetsim.core.events import Response
from fleetsim.core.failure import Failure, Kind, Phase, s3

MAX_DETAIL_CHARS: Final = 200
_MAX_DOCUMENT_BYTES: Final = 64 * 1024

_PROLOG = re.compile(r"\s*+(?:<\?[^<>]*+(?<=\?)>\s*+|<!--[^<>]*+(?<=--)>\s*+)*+")
_ROOT = re.compile(r"<(?:[A-Za-z_][\w.-]{0,63}:)?Error(?:\s[^<>]*+)?>")
_ELEMENTS = {
    name: re.compile(
        rf"<(?:[A-Za-z_][\w.-]{{0,63}}:)?{name}(?:\s[^<>]{{0,512}})?>"
        r"(?:\s*+<!\[CDATA\[([^\]]{0,4096}+)\]\]>\s*+|([^<]*+))</"
    )
    for name in ("Code", "Message")
}
_TITLE = re.compile(rb"<title>([^<]{1,200})</title>", re.IGNORECASE)
_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")
_ENTITY = re.compile(r"&(?:(amp|lt|gt|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));")
_NAMED: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def failure_of(response: Response) -> Failure | None:
    """Judge a response.

    Args:
        response: A complete response, of any method.

    Returns:
        ``None`` for 2xx and 304; ``s3.<Code>`` with the ``Message`` when the body is an
        S3 error document; ``http.status`` with the status otherwise (HEAD has no
        body), and with the title of the page that came instead. Details are one line
        of at most 200 characters.
    """
    status = response.status
    if 200 <= status < 300 or status == 304:
        return None
    found = _read_document(response.body)
    if found is not None:
        code, message = found
        return s3(code, message)
    return Failure(Kind.HTTP_STATUS, Phase.WAIT, _describe(response))


def _read_document(body: bytes) -> tuple[str, str] | None:
    """Take code and message out of an error document; ``None`` if it is none."""
    text = body[:_MAX_DOCUMENT_BYTES].decode("utf-8-sig", "replace")
    prolog = _PROLOG.match(text)
    start = prolog.end() if prolog is not None else 0
    root = _ROOT.match(text, start)
    if root is None:
        return None
    code = _element(text, root.end(), "Code")
    if _CODE.fullmatch(code) is None:
        return None
    return code, _one_line(_element(text, root.end(), "Message"))


def _element(text: str, start: int, name: str) -> str:
    found = _ELEMENTS[name].search(text, start)
    if found is None:
        return ""
    raw, escaped = found.groups()
    return str(raw if raw is not None else _ENTITY.sub(_unescape, escaped)).strip()


def _unescape(entity: re.Match[str]) -> str:
    named, decimal, hexadecimal = entity.groups()
    if named is not None:
        return _NAMED[named]
    point = int(decimal) if decimal is not None else int(hexadecimal, 16)
    return chr(point) if point <= 0x10FFFF else "\ufffd"


def _describe(response: Response) -> str:
    status = response.status
    try:
        phrase = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        phrase = str(status)
    location = response.headers.get("location", "") if 300 <= status < 400 else ""
    if location:
        # Without its query, which may carry a signature.
        phrase += f", to {location.partition('?')[0]}"
    title = _TITLE.search(response.body[:_MAX_DOCUMENT_BYTES])
    if title is not None:
        # A page for people: the words of whoever stands before the S3 server.
        server = response.headers.get("server", "").partition("/")[0]
        words = title[1].decode("utf-8", "replace")
        phrase += f"; {server or 'it'} says: {words}"
    return _one_line(phrase)


def _one_line(text: str) -> str:
    """Make a text fit for a terminal and a record: printable, one line, bounded."""
    words = "".join(c if c.isprintable() else " " for c in text[: 4 * MAX_DETAIL_CHARS])
    return " ".join(words.split())[:MAX_DETAIL_CHARS]
