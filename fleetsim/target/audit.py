"""Audit: the truth check. What devices were told against what the bucket holds.

For every upload a device was told is stored, the bucket must hold an object of that
key, that size and that content (ETag = MD5 of the body, computed again from the seed);
and no fleet device's log key may be in the bucket that no device ever sent.

An ETag that cannot be an MD5 (multipart upload, or encryption with a KMS key: AWS,
"Object") proves the size only; such objects count as stored and, apart, as size only.

Sent but not acknowledged and yet stored is no fault of anybody: the answer got lost.
Such objects are counted as late. Objects that the target stored before this run began
(same seed, same device ids, same bucket) belong to an earlier run and are counted
apart.

Listings go part by part (:mod:`fleetsim.target.prefixes`). Memory: the uploads of
:data:`~fleetsim.target.prefixes.LISTINGS` parts and :data:`EXAMPLES` keys of every kind
of finding, however large the run and the bucket are. Nothing relies on the order of a
listing.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Iterator, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from fleetsim.core.object_key import parse_log_key
from fleetsim.core.outcomes import AuditOutcome, Upload
from fleetsim.target.control import StoredObject
from fleetsim.target.prefixes import LISTINGS, parts
from fleetsim.target.prefixes import Sent as SentKeys

EXAMPLES: Final = 100

_HASHED_AT_ONCE: Final = 256
_MD5: Final = re.compile("[0-9a-f]{32}")
_RESOLUTION: Final = timedelta(seconds=1)  # of LastModified and of Date


class Listing(Protocol):
    """Where objects are listed: :class:`fleetsim.target.control.Control`."""

    @property
    def clock_skew_s(self) -> float:
        """Target's clock minus ours, seconds."""

    def list(self, prefix: str = "") -> AsyncIterator[StoredObject]:
        """List objects by prefix."""

    async def has_opaque_etag(self, key: str) -> bool:
        """Whether the ETag of an object is no MD5 because it is encrypted."""


class Sent(SentKeys, Protocol):
    """What was sent: :class:`fleetsim.recording.ledger.Ledger`."""

    def uploads(self, prefix: str) -> Iterator[Upload]:
        """Uploads by key prefix, one per key."""


class Contents(Protocol):
    """What bodies consist of: :class:`fleetsim.core.payload.PayloadBlock`."""

    def md5_hex(self, content: int, size: int) -> str:
        """MD5 of a body, hex."""


@dataclass(slots=True)
class _Keys:
    """How many keys, and the first of them."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, key: str) -> None:
        self.count += 1
        self.first.append(key)
        if len(self.first) >= 2 * EXAMPLES:
            self.first = sorted(self.first)[:EXAMPLES]


@dataclass(slots=True)
class _Findings:
    """Keys found wrong in one part, and counts."""

    listed: int = 0
    acknowledged: int = 0
    stored: int = 0
    late: int = 0
    earlier: int = 0
    size_only: int = 0
    missing: _Keys = field(default_factory=_Keys)
    wrong_size: _Keys = field(default_factory=_Keys)
    wrong_etag: _Keys = field(default_factory=_Keys)
    unexplained: _Keys = field(default_factory=_Keys)


async def audit(
    control: Listing,
    ledger: Sent,
    payload_block: Contents,
    *,
    started: datetime | None = None,
    unsure: Set[str] = frozenset(),
) -> AuditOutcome:
    """Compare what devices were told with what the bucket holds.

    Args:
        control: Lists the bucket.
        ledger: Uploads of this run.
        payload_block: Bodies of this run, from its seed.
        started: Aware start of the run by our clock; older objects belong to earlier
            runs. ``None`` = every object is this run's.
        unsure: Devices whose last records may be lost: an object of theirs without a
            record is late, not unexplained.

    Raises:
        TargetError: If the bucket cannot be listed.
    """
    oldest = None
    if started is not None:
        skew = timedelta(seconds=control.clock_skew_s)
        oldest = started + skew - 2 * _RESOLUTION
    waiting = parts(ledger)
    total = AuditOutcome(checked=True)

    async def work() -> None:
        nonlocal total
        for prefix in waiting:
            found = await _check_part(
                control, ledger, payload_block, prefix, oldest=oldest, unsure=unsure
            )
            total = _sum(total, found)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(LISTINGS):
                group.create_task(work())
    except ExceptionGroup as failures:
        # all workers fail for the same reason; one sentence is enough
        raise failures.exceptions[0] from failures
    return total


async def _check_part(
    control: Listing,
    ledger: Sent,
    payload_block: Contents,
    prefix: str,
    *,
    oldest: datetime | None,
    unsure: Set[str],
) -> _Findings:
    found = _Findings()
    sent = {upload.key: upload for upload in ledger.uploads(prefix)}
    to_hash: list[tuple[Upload, StoredObject]] = []
    async for stored in control.list(prefix):
        key = parse_log_key(stored.key)
        if key is None or key.device_id not in ledger.devices:
            continue
        found.listed += 1
        upload = sent.pop(stored.key, None)
        if upload is None:
            if oldest is not None and stored.modified < oldest:
                found.earlier += 1
            elif key.device_id in unsure:
                found.late += 1
            else:
                found.unexplained.add(stored.key)
        elif not upload.acknowledged:
            found.late += 1
        else:
            found.acknowledged += 1
            to_hash.append((upload, stored))
        if len(to_hash) >= _HASHED_AT_ONCE:
            await asyncio.to_thread(_compare, found, to_hash, payload_block)
            to_hash = []
    await asyncio.to_thread(_compare, found, to_hash, payload_block)
    if found.wrong_etag.count and await control.has_opaque_etag(
        found.wrong_etag.first[0]
    ):
        # devices send no encryption headers: what holds for one holds for all
        found.size_only += found.wrong_etag.count
        found.stored += found.wrong_etag.count
        found.wrong_etag = _Keys()
    for upload in sent.values():
        if upload.acknowledged:
            found.acknowledged += 1
            found.missing.add(upload.key)
    return found


def _compare(
    found: _Findings,
    pairs: Iterable[tuple[Upload, StoredObject]],
    payload_block: Contents,
) -> None:
    for upload, stored in pairs:
        if upload.size_bytes != stored.size_bytes:
            found.wrong_size.add(upload.key)
        elif not _is_md5(stored.etag):
            found.stored += 1
            found.size_only += 1
        elif stored.etag != payload_block.md5_hex(upload.content, upload.size_bytes):
            found.wrong_etag.add(upload.key)
        else:
            found.stored += 1


def _is_md5(etag: str) -> bool:
    # AWS, "Object": the ETag of a multipart upload ends in "-<parts>"
    return _MD5.fullmatch(etag) is not None


def _sum(total: AuditOutcome, found: _Findings) -> AuditOutcome:
    return replace(
        total,
        listed=total.listed + found.listed,
        acknowledged=total.acknowledged + found.acknowledged,
        stored=total.stored + found.stored,
        missing=_first(total.missing, found.missing.first),
        missing_count=total.missing_count + found.missing.count,
        wrong_size=_first(total.wrong_size, found.wrong_size.first),
        wrong_size_count=total.wrong_size_count + found.wrong_size.count,
        wrong_etag=_first(total.wrong_etag, found.wrong_etag.first),
        wrong_etag_count=total.wrong_etag_count + found.wrong_etag.count,
        unexplained=_first(total.unexplained, found.unexplained.first),
        unexplained_count=total.unexplained_count + found.unexplained.count,
        late_count=total.late_count + found.late,
        earlier_count=total.earlier_count + found.earlier,
        size_only_count=total.size_only_count + found.size_only,
    )


def _first(keys: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({*keys, *more})[:EXAMPLES])
