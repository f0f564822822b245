"""Escapes in request targets, undone and made canonical byte by byte."""

import re

from fleetsim.core.sigv4 import uri_encode

_PLAIN_PATH = re.compile(r"[A-Za-z0-9._~/-]*")
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


def canonical_uri(raw_path: str) -> str:
    """Encode the path in the one canonical way, whatever way the client chose.

    Works on bytes: ``%2F`` inside a key and a plain ``/`` are the same key and the
    same signature, ``+`` is a plus, and bytes that are no UTF-8 stay as they are.
    """
    if _PLAIN_PATH.fullmatch(raw_path):
        return raw_path
    return uri_encode(unquote_bytes(raw_path), keep_slash=True)


def unquote_bytes(text: str) -> bytes:
    """Decode percent escapes; a lone ``%`` stands for itself."""
    raw = text.encode("utf-8", "surrogateescape")
    return _ESCAPE.sub(lambda match: bytes((int(match[1], 16),)), raw)
