"""Observed: what servers say about a run, by their own logs and counters.

Plain values: :mod:`fleetsim.target.observer` and the lab make them, the recording writes
them, the report puts them beside what the devices say.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique


@unique
class Layer(StrEnum):
    """Where on the way a source stands. Values are written to results."""

    FRONT = "front"  # whoever ends TLS
    STORE = "store"  # whoever answers S3 requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshakes:
    """TLS handshakes as a server saw them.

    Attributes:
        completed: Those that ended well and were accepted.
        resumed: Those of them that resumed a session.
        refused: Failure kinds of the others: failed, or completed and then refused
            because of the client's certificate.
    """

    completed: int = 0
    resumed: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    """HTTP requests as a server saw them.

    Attributes:
        answered: Requests it answered.
        stored: Requests that made an object.
        failed: Requests it refused; ``None`` = it does not say.
        by_status: Answers by HTTP status; empty = it does not say.
    """

    answered: int = 0
    stored: int = 0
    failed: int | None = None
    by_status: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One source of evidence.

    Attributes:
        name: For people: a front's name, a path.
        kind: ``lab``, ``nginx_log``, ``haproxy_log`` or ``rgw``.
        layer: Where it stands.
        handshakes: ``None`` = it does not tell.
        requests: ``None`` = it does not tell.
        others: Lines left out because they are of other clients.
        unreadable: Lines that could not be read.
        is_complete: Nothing of it is known to be missing.
        notes: What a reader must know about its figures.
    """

    name: str
    kind: str
    layer: Layer
    handshakes: Handshakes | None = None
    requests: Requests | None = None
    others: int = 0
    unreadable: int = 0
    is_complete: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Refusals of one device by one cause.

    Attributes:
        device: Device id, 8 hex digits.
        kind: What the server says: a failure kind.
        count: How often.
    """

    device: str
    kind: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything the servers say about a run.

    Attributes:
        sources: Where it comes from; counts of one layer add up.
        refusals: Refused devices by name, where a server knows the name.
    """

    sources: tuple[Source, ...] = ()
    refusals: tuple[Refusal, ...] = ()
