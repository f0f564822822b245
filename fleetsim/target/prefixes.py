"""Prefixes: cut a fleet's part of a bucket into listings of bounded size.

Object keys of a fleet look alike (:mod:`fleetsim.core.object_key`)::

    <ID 8 hex digits>/<SESSION 8 digits>/<SPLIT 8 digits>-…
    <ID 8 hex digits>/device.json, certs_server.p7b, config-…, firmware.bin, schema-…

so every prefix has a known handful of continuations. Starting from one prefix per device
(few devices: somebody else's objects are not even listed) or from one hex digit (many),
a prefix below which the run sent more than :data:`KEYS_AT_ONCE` keys is replaced by its
continuations. The parts cover every key of the fleet's devices exactly once, also those
that the run did not send.
"""

from collections.abc import Iterator, Set
from typing import Final, Protocol

KEYS_AT_ONCE: Final = 20_000
"""Keys a part may hold, so that what is in memory does not grow with the run."""

LISTINGS: Final = 4
"""Parts worked on at a time."""

_FEW_DEVICES: Final = 32
_HEX: Final = "0123456789ABCDEF"
_DIGITS: Final = "0123456789"
_FILES: Final = "cdfs"  # first letters of the objects beside the sessions
_ID_LENGTH: Final = 8
_SESSION_END: Final = 17
_SPLIT_END: Final = 26


class Sent(Protocol):
    """Keys that a run sent."""

    @property
    def devices(self) -> Set[str]:
        """Ids of the fleet's devices."""

    def count(self, prefix: str) -> int:
        """Number of keys, or more, that start with ``prefix``."""


def roots(devices: Set[str]) -> tuple[str, ...]:
    """Prefixes that together hold every object of these devices."""
    if len(devices) <= _FEW_DEVICES:
        return tuple(f"{device}/" for device in sorted(devices))
    return tuple(_HEX)


def parts(sent: Sent) -> Iterator[str]:
    """Prefixes with at most :data:`KEYS_AT_ONCE` keys each, as far as keys allow."""
    waiting = list(reversed(roots(sent.devices)))
    while waiting:
        prefix = waiting.pop()
        further = _continuations(prefix)
        if further and sent.count(prefix) > KEYS_AT_ONCE:
            waiting += [prefix + each for each in reversed(further)]
        else:
            yield prefix


def _continuations(prefix: str) -> str:
    """Characters that may follow; empty = the prefix is not to be cut further."""
    at = len(prefix)
    if at < _ID_LENGTH:
        return _HEX
    if at in {_ID_LENGTH, _SESSION_END}:
        return "/"
    if at == _ID_LENGTH + 1:
        return _DIGITS + _FILES
    is_session = prefix[_ID_LENGTH + 1] in _DIGITS
    return _DIGITS if is_session and at < _SPLIT_END else ""
