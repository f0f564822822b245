"""Tally: lines of a front's log, sorted into the fleet's and other clients', and counted.

Whose a line is:

* with a request: the fleet's when its key begins with one of the fleet's device ids;
* without one, by the common name of the client certificate when there is one;
* else by the client's address: the fleet's when requests of the fleet came from it too,
  or it is an address that the fleet dials from.

What is outside the time of the run is nobody's.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from fleetsim.core.observed import Handshakes, Refusal, Requests
from fleetsim.target.observer.seen import Seen, UnreadableLineError

SLACK_S: Final = 2.0
"""Lines are written when a request is over, and error logs know whole seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """How the fleet is told from other clients.

    Attributes:
        bucket: Its bucket.
        devices: Device ids.
        addresses: Local addresses it dials from, as far as they are known.
        begin_unix_s: Start of the run, the front's clock.
        end_unix_s: End of the run, the front's clock.
    """

    bucket: str
    devices: Set[str]
    addresses: Set[str]
    begin_unix_s: float
    end_unix_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Tallied:
    """Counted lines.

    Attributes:
        handshakes: The fleet's.
        requests: The fleet's.
        refusals: Refused devices, where a line names the device.
        others: Lines of other clients, or outside the run.
        unreadable: Lines in our format that make no sense.
        foreign: Lines in no format of ours.
    """

    handshakes: Handshakes
    requests: Requests
    refusals: tuple[Refusal, ...]
    others: int
    unreadable: int
    foreign: int


def tally(
    lines: Iterable[str], read: Callable[[str], Seen | None], own: Own
) -> Tallied:
    """Count the lines of one front.

    Args:
        lines: Lines of all its logs.
        read: Reads one line, see :mod:`fleetsim.target.observer.nginx_log`.
        own: How the fleet is told from others.
    """
    counting = _Counting(own)
    unreadable = foreign = 0
    for line in lines:
        try:
            seen = read(line)
        except UnreadableLineError:
            unreadable += 1
            continue
        if seen is None:
            foreign += bool(line.strip())
        else:
            counting.take(seen)
    return counting.result(unreadable, foreign)


class _Counting:
    def __init__(self, own: Own) -> None:
        self._own = own
        self._addresses = set(own.addresses)
        self._others = 0
        self._completed = 0
        self._resumed = 0
        self._refused: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        self._stored = 0
        self._by_device: Counter[tuple[str, str]] = Counter()
        # Whose these are shows only when all addresses of the fleet are known.
        self._unnamed: Counter[tuple[str, str]] = Counter()

    def take(self, seen: Seen) -> None:
        own = self._own
        if not own.begin_unix_s - SLACK_S <= seen.unix_s <= own.end_unix_s + SLACK_S:
            self._others += 1
        elif seen.method or seen.uri:
            self._request(seen)
        elif seen.device:
            self._named(seen)
        else:
            self._unnamed[seen.address, seen.result] += 1

    def _request(self, seen: Seen) -> None:
        if device_of(seen.uri, self._own.bucket) not in self._own.devices:
            self._others += 1
            return
        self._addresses.add(seen.address)
        if seen.status:
            self._statuses[seen.status] += 1
        if seen.method == "PUT" and seen.status == 200:
            self._stored += 1
        if not seen.is_first:
            return
        if seen.result == "ok":
            self._completed += 1
            self._resumed += seen.resumed
        else:
            self._refuse(seen, seen.device or device_of(seen.uri, self._own.bucket))

    def _named(self, seen: Seen) -> None:
        if seen.device not in self._own.devices:
            self._others += 1
            return
        self._addresses.add(seen.address)
        self._refuse(seen, seen.device)

    def _refuse(self, seen: Seen, device: str) -> None:
        self._refused[seen.result] += 1
        self._by_device[device, seen.result] += 1

    def result(self, unreadable: int, foreign: int) -> Tallied:
        others, refused = self._others, Counter(self._refused)
        for (address, kind), count in self._unnamed.items():
            # A front behind a Unix socket logs no address: then it is ours alone.
            if not address or address in self._addresses:
                refused[kind] += count
            else:
                others += count
        statuses = {str(key): self._statuses[key] for key in sorted(self._statuses)}
        return Tallied(
            handshakes=Handshakes(
                completed=self._completed,
                resumed=self._resumed,
                refused=dict(sorted(refused.items())),
            ),
            requests=Requests(
                answered=self._statuses.total(),
                stored=self._stored,
                failed=sum(n for key, n in self._statuses.items() if key >= 400),
                by_status=statuses,
            ),
            refusals=tuple(
                Refusal(device=device, kind=kind, count=count)
                for (device, kind), count in sorted(self._by_device.items())
            ),
            others=others,
            unreadable=unreadable,
            foreign=foreign,
        )


def device_of(uri: str, bucket: str) -> str:
    """First part of the key in a request target; a device id if it is the fleet's.

    Args:
        uri: Target as it was sent, in path style or, without the bucket, in
            virtual-hosted style.
        bucket: The bucket.
    """
    path = uri.partition("?")[0].lstrip("/")
    first, _, rest = path.partition("/")
    if unquote(first) == bucket and rest:
        first = rest.partition("/")[0]
    return unquote(first)
