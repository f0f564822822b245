"""PreparedRequest: a request that is signed again and again with few values changed.

A fleet sends the same PUT with another key, time and number each time. What stays is
written once, canonical form and head alike; a request then costs two fillings of a
template, one SHA-256 and one HMAC. The canonical form comes from
:mod:`fleetsim.core.sigv4` itself, with marks where the values go, so that there is one
set of rules.
"""

import re
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, Final

from fleetsim.core.http1 import request_head
from fleetsim.core.sigv4 import (
    UNSIGNED_PAYLOAD,
    Signer,
    amz_date,
    canonical_request,
    signed_headers,
)
from fleetsim.exceptions import InputError, Problem

# Private use: no header, key or date holds one.
_FIRST_MARK: Final = 0xF0000
_MARK: Final = re.compile("[\U000f0000-\U000f00ff]")
_URI, _PAYLOAD, _STAMP, _AUTHORIZATION, _FIRST_VALUE = range(5)

Given = tuple[str, str | None]
"""A header: its name, and its value or ``None`` when every request brings its own."""


class PreparedRequest:
    """One kind of request of one signer.

    Args:
        signer: Signs.
        method: HTTP method.
        signed: Headers that are signed, as :meth:`Signer.sign` takes them.
        unsigned: Headers that are sent after ``Authorization`` and not signed.

    Raises:
        InputError: A header cannot be sent.
    """

    __slots__ = (
        "_canonical",
        "_canonical_values",
        "_head",
        "_head_values",
        "_lines",
        "_names",
        "_signer",
    )

    def __init__(
        self,
        signer: Signer,
        method: str,
        signed: Sequence[Given],
        unsigned: Sequence[Given] = (),
    ) -> None:
        fixed = [(name, value or "0") for name, value in (*signed, *unsigned)]
        request_head(method, "/", fixed)
        if any(_MARK.search(name + value) for name, value in fixed):
            raise InputError(Problem("header", "holds a private use character"))
        marks = [chr(_FIRST_MARK + number) for number in range(256)]
        values = iter(marks[_FIRST_VALUE:])
        marked = [(name, v or next(values)) for name, v in signed]
        framing = [(name, v or next(values)) for name, v in unsigned]
        own = signer.own_headers(marks[_PAYLOAD], marks[_STAMP])
        canonical = [("host", signer.host), *own]
        canonical += [(name.lower(), value) for name, value in marked]
        sent = [("Host", signer.host), *marked, *own]
        sent += [("Authorization", marks[_AUTHORIZATION]), *framing]
        lines = [f"{method} {marks[_URI]} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in sent]
        self._signer = signer
        self._names = signed_headers(canonical)
        self._lines = len(lines) + 1
        self._canonical, self._canonical_values = _template(
            canonical_request(method, marks[_URI], "", canonical, marks[_PAYLOAD])
        )
        self._head, self._head_values = _template("\r\n".join(lines) + "\r\n\r\n")

    def head(
        self, key: str, unix_s: int, payload_sha256: str | None, *values: str
    ) -> bytes:
        """Write request line and headers of one request, signed.

        Args:
            key: Object key, decoded.
            unix_s: Time of the signature, Unix seconds.
            payload_sha256: Hex digest of the body, ``None`` = not signed.
            values: Those left open, in the order of the headers; each without white
                space and control characters.

        Raises:
            InputError: A value would add a line.
        """
        signer = self._signer
        stamp = amz_date(unix_s)
        filled = (
            signer.uri(key),
            payload_sha256 or UNSIGNED_PAYLOAD,
            stamp,
            "",
            *values,
        )
        request = self._canonical % self._canonical_values(filled)
        filled = (
            *filled[:_AUTHORIZATION],
            signer.authorization(stamp, self._names, request),
            *values,
        )
        head: str = self._head % self._head_values(filled)
        if head.count("\n") != self._lines:
            raise InputError(Problem("header", "a value holds a line break"))
        return head.encode()


def _template(text: str) -> tuple[str, Callable[[Sequence[str]], tuple[Any, ...]]]:
    """Turn marks into ``%s``, and tell which values go there."""
    order = [ord(mark) - _FIRST_MARK for mark in _MARK.findall(text)]
    return _MARK.sub("%s", text.replace("%", "%%")), itemgetter(*order)
