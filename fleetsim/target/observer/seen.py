"""Seen: one line of a front's log, whoever wrote it."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fleetsim.core.object_key import is_device_id

_PACKED: Final = re.compile(r"error:([0-9A-Fa-f]{8}):")
_LIBRARY_SHIFT: Final = 23
_REASON_MASK: Final = 0x7FFFFF
_SSL_LIBRARY: Final = 20
_MOST_CHARACTERS: Final = 200


class UnreadableLineError(ValueError):
    """A line in our format that makes no sense, or is cut."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of OpenSSL, as the room that knows them translates them.

    Attributes:
        verdict_of: Name of a verdict on a certificate by OpenSSL's text for it, empty
            when it is none.
        verdict_named: Name of a verdict by its number (``X509_V_ERR_``).
        failure_kind: Failure kind of an OpenSSL reason; 0 = none is known.
    """

    verdict_of: Callable[[str], str]
    verdict_named: Callable[[int], str]
    failure_kind: Callable[[int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What one line says.

    Attributes:
        unix_s: When it was written, the front's clock.
        peer: Client as ``host:port``, ``host`` where the port is not logged, or empty.
        result: ``ok`` or the failure kind of the handshake.
        detail: Words of the front about a failure.
        version: Negotiated version, empty when it did not come that far.
        suite: Negotiated suite (OpenSSL name), empty likewise.
        resumed: Whether an earlier session was resumed.
        server_name: Name the client asked for (SNI), empty when none.
        subject: Subject of the client certificate (RFC 4514), empty when none.
        serial: Its serial number in lower-case hex, empty when none.
        is_first: The line tells of a handshake: it failed, or this is the first request
            on its connection.
        method: Method of the request, empty when there is none.
        uri: Target of the request as it was sent.
        status: Status of the answer; 0 = none.
    """

    unix_s: float
    peer: str = ""
    result: str = "ok"
    detail: str = ""
    version: str = ""
    suite: str = ""
    resumed: bool = False
    server_name: str = ""
    subject: str = ""
    serial: str = ""
    is_first: bool = True
    method: str = ""
    uri: str = ""
    status: int = 0

    @property
    def address(self) -> str:
        """Address of the client without its port."""
        host, colon, port = self.peer.rpartition(":")
        if not colon or not port.isdecimal() or (":" in host and host[-1:] != "]"):
            return self.peer.strip("[]")
        return host.strip("[]")

    @property
    def device(self) -> str:
        """Device id in the common name of the client certificate; empty = none."""
        for part in self.subject.split(","):
            name, _, value = part.strip().partition("=")
            if name.strip().upper() == "CN" and is_device_id(value.strip()):
                return value.strip()
        return ""


def fields_of(line: str) -> Mapping[str, str] | None:
    """Read the JSON object in a line; a syslog header may stand before it.

    Returns:
        Its text values, a lone dash as an empty text; ``None`` = there is no object.

    Raises:
        UnreadableLineError: What looks like one is none.
    """
    start = line.find("{")
    if start < 0:
        return None
    try:
        values: Any = json.loads(line[start:])
    except (ValueError, RecursionError) as exc:
        raise UnreadableLineError("is no JSON") from exc
    if not isinstance(values, dict):
        raise UnreadableLineError("is no JSON object")
    return {
        name: ""
        if value == "-"
        else value[:_MOST_CHARACTERS]
        if name != "uri"
        else value
        for name, value in values.items()
        if isinstance(value, str)
    }


def number(text: str) -> int:
    """A decimal number in a log, 0 when there is none."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else 0


def seconds(text: str) -> float:
    """A time in a log, seconds since 1970.

    Raises:
        UnreadableLineError: It is none.
    """
    whole, _, part = text.partition(".")
    if not (whole.isascii() and whole.isdecimal() and len(whole) <= 12):
        raise UnreadableLineError("has no time")
    if part and not (part.isascii() and part.isdecimal()):
        raise UnreadableLineError("has no time")
    return float(f"{whole}.{part[:9] or 0}")


def openssl_reason(said: str) -> int:
    """Reason code of the first packed OpenSSL 3 error in a text; 0 = there is none.

    ``error:0A0000C1:SSL routines::no shared cipher``: eight hex digits, library number
    from bit 23 up, reason below (``ERR_PACK`` of OpenSSL 3's err.h); libssl is 20.
    """
    found = _PACKED.search(said)
    if found is None:
        return 0
    packed = int(found[1], 16)
    return packed & _REASON_MASK if packed >> _LIBRARY_SHIFT == _SSL_LIBRARY else 0
