"""Events: everything that can happen to a device. Fed to ``Device.handle``.

Events carry values only. The driver makes them from the network and from timers, a
scripted transport makes them in tests.
"""

from dataclasses import dataclass

from fleetsim.core.failure import Failure


@dataclass(slots=True, kw_only=True)
class Handshake:
    """What a completed TLS handshake agreed on.

    Attributes:
        version: ``TLSv1.2`` or ``TLSv1.3``.
        suite: Cipher suite, OpenSSL name.
        resumed: Whether an earlier session was resumed (no certificate was sent).
    """

    version: str
    suite: str
    resumed: bool = False


@dataclass(slots=True)
class Response:
    """A complete HTTP response.

    Attributes:
        status: 100..599, never an interim status.
        headers: Names in lower case; of repeated fields the values joined by ``, ``.
        body: Whole body, bounded by the parser.
        keep_alive: Whether the connection may be used again (RFC 9112 9.3).
    """

    status: int
    headers: dict[str, str]
    body: bytes
    keep_alive: bool


@dataclass(frozen=True, slots=True)
class PowerOn:
    """Power was applied: first event of a device's life, and the end of a sleep."""


@dataclass(frozen=True, slots=True)
class PowerOff:
    """Power was removed for longer; an open connection is already gone."""


@dataclass(frozen=True, slots=True)
class PowerCycle:
    """Power was removed and applied again; an open connection is already gone."""


@dataclass(frozen=True, slots=True)
class WaitOver:
    """The time of the last ``Wait`` command has come."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The last ``Connect`` succeeded; ``handshake`` is ``None`` on plain HTTP."""

    handshake: Handshake | None


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """The last ``Connect`` failed; there is no connection."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class ResponseReceived:
    """The last ``Send`` was answered. The connection is open iff ``is_open``."""

    response: Response
    is_open: bool


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """The last ``Send`` got no complete response; the connection is gone."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class ConnectionLost:
    """An idle kept-alive connection was closed by the peer while waiting."""


@dataclass(frozen=True, slots=True)
class Drain:
    """The load is over: no new files, no timers; finish the backlog, then stop."""


Event = (
    PowerOn
    | PowerOff
    | PowerCycle
    | WaitOver
    | Connected
    | ConnectFailed
    | ResponseReceived
    | RequestFailed
    | ConnectionLost
    | Drain
)
