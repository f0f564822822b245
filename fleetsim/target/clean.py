"""Clean: delete what a run stored, and nothing else.

An object is deleted when its key is one that this run wrote and what lies there is what
this run put there:

* it was stored while the run went on, by the target's clock, and
* its ETag is one that the target gave in an answer to this run. When some attempt at
  that key was left without an answer, what it stored has an unknown ETag and the time
  alone decides.

Everything else stays, also below the fleet's own prefixes: objects of other runs and of
real devices, and a ``device.json`` that somebody has replaced since. Objects overwritten
by the run cannot come back: a device id of a simulated fleet should be nobody else's.

Parts of multipart uploads that the run began and did not complete are given up by the
same rule. Between listing and deleting lies a moment; S3 has no condition on the
deletion in general purpose buckets that would close it.

Memory: the keys of :data:`~fleetsim.target.prefixes.LISTINGS` parts.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol

from fleetsim.core.outcomes import CleanOutcome, SentKey
from fleetsim.exceptions import TargetError
from fleetsim.target.control import DELETE_AT_ONCE, OpenUpload, StoredObject
from fleetsim.target.deletion import Deleted
from fleetsim.target.prefixes import LISTINGS, parts, roots
from fleetsim.target.prefixes import Sent as SentKeys

EXAMPLES: Final = 100
_RESOLUTION: Final = timedelta(seconds=2)  # of LastModified and of Date, both ways


class Bucket(Protocol):
    """Where objects are deleted: :class:`fleetsim.target.control.Control`."""

    @property
    def clock_skew_s(self) -> float:
        """Target's clock minus ours, seconds."""

    def list(self, prefix: str = "") -> AsyncIterator[StoredObject]:
        """List objects by prefix."""

    async def delete(self, keys: Sequence[str]) -> Deleted:
        """Delete objects by key."""

    def open_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        """List unfinished multipart uploads by prefix."""

    async def abort_upload(self, upload: OpenUpload) -> None:
        """Give up a multipart upload."""


class Stored(SentKeys, Protocol):
    """What the run wrote: :class:`fleetsim.recording.stored_keys.StoredKeys`."""

    def sent(self, prefix: str) -> Iterator[SentKey]:
        """Keys by prefix, each once."""


@dataclass(frozen=True, slots=True)
class Window:
    """When the run stored things, aware, by our clock.

    Attributes:
        start: Its start.
        end: Its end, clean-up excluded.
    """

    start: datetime
    end: datetime


def _ignore(_stored: StoredObject) -> None:
    """Nobody wants to know."""


async def clean(
    bucket: Bucket,
    stored: Stored,
    window: Window | None,
    *,
    dry_run: bool = False,
    on_object: Callable[[StoredObject], None] = _ignore,
) -> CleanOutcome:
    """Delete what a run stored.

    Args:
        bucket: Where.
        stored: What the run wrote.
        window: When the run went on; ``None`` = do not look at times (the lab's
            calendar dates its objects).
        dry_run: Only find out what would be deleted.
        on_object: Told about every object before it is deleted.

    Returns:
        What was deleted; ``failed`` when the target stopped answering in the middle.
    """
    work = _Work(bucket, stored, _shifted(window, bucket.clock_skew_s), on_object)
    waiting = parts(stored)

    async def clean_parts() -> None:
        for prefix in waiting:
            await work.clean_part(prefix, dry_run=dry_run)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(LISTINGS):
                group.create_task(clean_parts())
        for prefix in roots(stored.devices):
            await work.abort_uploads(prefix, dry_run=dry_run)
    except* TargetError as failures:
        # all workers fail for the same reason; one sentence is enough
        reason = str(failures.exceptions[0])
        work.outcome = replace(work.outcome, failed=True, reason=reason)
    return replace(work.outcome, dry_run=dry_run)


def _shifted(window: Window | None, skew_s: float) -> Window | None:
    if window is None:
        return None
    skew = timedelta(seconds=skew_s)
    return Window(window.start + skew - _RESOLUTION, window.end + skew + _RESOLUTION)


class _Work:
    """A clean-up under way."""

    def __init__(
        self,
        bucket: Bucket,
        stored: Stored,
        window: Window | None,
        on_object: Callable[[StoredObject], None],
    ) -> None:
        self.outcome = CleanOutcome()
        self._bucket = bucket
        self._stored = stored
        self._window = window
        self._on_object = on_object

    async def clean_part(self, prefix: str, *, dry_run: bool) -> None:
        sent = {each.key: each for each in self._stored.sent(prefix)}
        if not sent:
            return
        batch: list[StoredObject] = []
        async for found in self._bucket.list(prefix):
            key = sent.pop(found.key, None)
            if key is None:
                continue
            if not self._is_ours(key, found):
                self._keep(found.key)
                continue
            batch.append(found)
            if len(batch) == DELETE_AT_ONCE:
                await self._delete(batch, dry_run=dry_run)
                batch = []
        if batch:
            await self._delete(batch, dry_run=dry_run)
        absent = sum(1 for each in sent.values() if not each.unsure)
        self._add(absent_count=self.outcome.absent_count + absent)

    async def abort_uploads(self, prefix: str, *, dry_run: bool) -> None:
        async for upload in self._bucket.open_uploads(prefix):
            is_sent = any(
                each.key == upload.key for each in self._stored.sent(upload.key)
            )
            if is_sent and self._in_window(upload.initiated):
                if not dry_run:
                    await self._bucket.abort_upload(upload)
                self._add(aborted_count=self.outcome.aborted_count + 1)

    def _is_ours(self, key: SentKey, found: StoredObject) -> bool:
        return self._in_window(found.modified) and (
            key.unsure or found.etag in key.etags
        )

    def _in_window(self, time: datetime) -> bool:
        window = self._window
        return window is None or window.start <= time <= window.end

    async def _delete(self, batch: list[StoredObject], *, dry_run: bool) -> None:
        for each in batch:
            self._on_object(each)
        answer = Deleted(len(batch))
        if not dry_run:
            answer = await self._bucket.delete([each.key for each in batch])
        refused = {text.rpartition(": ")[0] for text in answer.refused}
        size = sum(each.size_bytes for each in batch if each.key not in refused)
        now = self.outcome
        self._add(
            deleted_count=now.deleted_count + answer.count,
            deleted_bytes=now.deleted_bytes + size,
            refused=(*now.refused, *answer.refused)[:EXAMPLES],
            refused_count=now.refused_count + len(answer.refused),
            versioned=now.versioned or answer.versioned,
        )

    def _keep(self, key: str) -> None:
        now = self.outcome
        self._add(kept=(*now.kept, key)[:EXAMPLES], kept_count=now.kept_count + 1)

    def _add(self, **changes: object) -> None:
        self.outcome = replace(self.outcome, **changes)  # type: ignore[arg-type]  # fields by name
