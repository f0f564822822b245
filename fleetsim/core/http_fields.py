"""HTTP fields: the grammar of header and trailer fields (RFC 9110 5, RFC 9112 5)."""

import re
from typing import Final

MAX_FIELDS: Final = 256

TCHAR: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]"  # RFC 9110 5.6.2
VALUE: Final = r"[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]"

_BLOCK = re.compile(rf"(?:{TCHAR}++:{VALUE}*+\r\n)*+")


def parse_fields(block: str) -> dict[str, str] | None:
    r"""Parse header or trailer fields.

    Args:
        block: Field lines decoded as Latin-1, each ended by CRLF.

    Returns:
        Names in lower case; of repeated fields the values joined by ``, ``. ``None``
        when a line is not a field (no token before the colon, control character,
        folded line) or there are more than :data:`MAX_FIELDS`.
    """
    if _BLOCK.fullmatch(block) is None:
        return None
    lines = block.split("\r\n")
    lines.pop()
    if len(lines) > MAX_FIELDS:
        return None
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name = name.lower()
        if name in fields:
            fields[name] += ", " + value.strip(" \t")
        else:
            fields[name] = value.strip(" \t")
    return fields


def is_persistent(fields: dict[str, str], *, is_1_0: bool) -> bool:
    """Tell whether the sender keeps the connection open (RFC 9112 9.3).

    Args:
        fields: Parsed header fields.
        is_1_0: The message is HTTP/1.0, which closes unless it says otherwise.
    """
    connection = fields.get("connection")
    if connection is None:
        return not is_1_0
    if connection == "keep-alive":
        return True
    options = {option.strip() for option in connection.lower().split(",")}
    return "close" not in options and (not is_1_0 or "keep-alive" in options)
