"""The clean-up deletes what the run stored, and nothing else."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.object_key import log_key
from fleetsim.core.outcomes import CleanOutcome, SentKey
from fleetsim.exceptions import TargetError
from fleetsim.target.clean import EXAMPLES, Window, clean
from fleetsim.target.control import OpenUpload, StoredObject
from fleetsim.target.deletion import Deleted

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
WINDOW = Window(START, START + timedelta(minutes=5))
DURING = START + timedelta(minutes=1)
DEVICE = "0000002A"


@dataclass
class Bucket:
    """A bucket in memory."""

    objects: dict[str, StoredObject] = field(default_factory=dict)
    uploads: list[OpenUpload] = field(default_factory=list)
    clock_skew_s: float = 0.0
    locked: frozenset[str] = frozenset()
    batches: list[int] = field(default_factory=list)

    def put(self, key: str, etag: str = "e", modified: datetime = DURING) -> None:
        """Store an object of ten bytes."""
        self.objects[key] = StoredObject(
            key=key, size_bytes=10, etag=etag, modified=modified
        )

    async def list(self, prefix: str = "") -> AsyncIterator[StoredObject]:
        """List what is there now."""
        for key in sorted(self.objects):
            if key.startswith(prefix):
                yield self.objects[key]

    async def delete(self, keys: Sequence[str]) -> Deleted:
        """Delete what is not locked."""
        self.batches.append(len(keys))
        free = [key for key in keys if key not in self.locked]
        for key in free:
            del self.objects[key]
        return Deleted(
            len(free), tuple(f"{k}: AccessDenied" for k in keys if k in self.locked)
        )

    async def open_uploads(self, prefix: str) -> AsyncIterator[OpenUpload]:
        """List unfinished uploads."""
        for upload in list(self.uploads):
            if upload.key.startswith(prefix):
                yield upload

    async def abort_upload(self, upload: OpenUpload) -> None:
        """Forget one."""
        self.uploads.remove(upload)


@dataclass
class Keys:
    """What a run wrote, in memory."""

    keys: list[SentKey]

    @property
    def devices(self) -> frozenset[str]:
        """Ids."""
        return frozenset(each.key[:8] for each in self.keys)

    def count(self, prefix: str) -> int:
        """Keys below a prefix."""
        return sum(each.key.startswith(prefix) for each in self.keys)

    def sent(self, prefix: str) -> Iterator[SentKey]:
        """Keys below a prefix."""
        return (each for each in self.keys if each.key.startswith(prefix))


def key(number: int) -> str:
    """A log file's key."""
    return log_key(f"{DEVICE[:-1]}{number % 10}", 1, number, 1, "MF4")


def wrote(name: str, *etags: str, unsure: bool = False) -> SentKey:
    """A key the run wrote; told the ETag ``e`` unless said otherwise."""
    return SentKey(key=name, etags=frozenset(etags or ("e",)), unsure=unsure)


FATES = {
    "ours": True,
    "answer lost": True,
    "written twice": True,
    "not in the bucket": None,
    "replaced since": False,
    "same content, stored later": False,
    "same content, stored earlier": False,
    "answer lost, stored later": False,
    "never sent": False,
}
"""What may be at a key; whether it goes, stays, or is not there at all."""


@given(fates=st.lists(st.sampled_from(sorted(FATES)), max_size=50), dry=st.booleans())
async def test_only_what_the_run_stored_goes(fates: list[str], *, dry: bool) -> None:
    """Every mixture: exactly the run's objects go, and every other one stays."""
    bucket, sent = Bucket(), []
    late, early = WINDOW.end + timedelta(minutes=1), START - timedelta(minutes=1)
    for number, fate in enumerate(fates):
        name = key(number)
        match fate:
            case "ours":
                bucket.put(name)
            case "answer lost":
                bucket.put(name, "unknown")
            case "written twice":
                bucket.put(name, "second")
            case "replaced since":
                bucket.put(name, "another")
            case "same content, stored later" | "answer lost, stored later":
                bucket.put(name, modified=late)
            case "same content, stored earlier":
                bucket.put(name, modified=early)
            case "never sent":
                bucket.put(name)
                continue
            case _:
                pass
        etags = ("first", "second") if fate == "written twice" else ()
        sent.append(wrote(name, *etags, unsure=fate.startswith("answer lost")))
    before = dict(bucket.objects)
    found = await clean(bucket, Keys(sent), WINDOW, dry_run=dry)
    gone = {key(n) for n, fate in enumerate(fates) if FATES[fate]}
    assert set(bucket.objects) == set(before) - (set() if dry else gone)
    assert found.deleted_count == len(gone)
    assert found.deleted_bytes == 10 * len(gone)
    assert found.absent_count == fates.count("not in the bucket")
    assert found.kept_count == sum(
        FATES[fate] is False and fate != "never sent" for fate in fates
    )
    assert not found.failed
    assert found.dry_run is dry


@pytest.mark.parametrize("skew_s", [-3600, 0, 3600])
async def test_times_are_the_targets(skew_s: float) -> None:
    """Its clock's offset is known and allowed for."""
    bucket = Bucket(clock_skew_s=skew_s)
    bucket.put(key(1), modified=DURING + timedelta(seconds=skew_s))
    bucket.put(key(2), modified=DURING + timedelta(seconds=skew_s + 7200))
    await clean(bucket, Keys([wrote(key(1)), wrote(key(2))]), WINDOW)
    assert set(bucket.objects) == {key(2)}


async def test_without_a_window_the_content_decides() -> None:
    """The lab's calendar dates objects in years to come."""
    bucket = Bucket()
    bucket.put(key(1), modified=START + timedelta(days=4000))
    bucket.put(key(2), "another", modified=START + timedelta(days=4000))
    await clean(bucket, Keys([wrote(key(1)), wrote(key(2))]), None)
    assert set(bucket.objects) == {key(2)}


async def test_what_the_target_will_not_delete_is_told() -> None:
    """Refusals of single objects are counted; the others are deleted."""
    names = [key(10 * number) for number in range(2500)]
    bucket = Bucket(locked=frozenset(names[:3]))
    for name in names:
        bucket.put(name)
    seen: list[StoredObject] = []
    found = await clean(
        bucket, Keys([wrote(name) for name in names]), WINDOW, on_object=seen.append
    )
    assert bucket.batches == [1000, 1000, 500]
    assert set(bucket.objects) == bucket.locked
    assert (found.deleted_count, found.refused_count) == (2497, 3)
    assert found.deleted_bytes == 24_970
    assert found.refused == tuple(f"{name}: AccessDenied" for name in names[:3])
    assert [each.key for each in seen] == names


async def test_examples_are_bounded_counts_are_not() -> None:
    """A hundred keys, and the whole number."""
    bucket = Bucket()
    names = [key(number) for number in range(150)]
    for name in names:
        bucket.put(name, "another")
    found = await clean(bucket, Keys([wrote(name) for name in names]), WINDOW)
    assert (len(found.kept), found.kept_count) == (EXAMPLES, 150)


@pytest.mark.parametrize("dry", [False, True])
async def test_unfinished_uploads_of_the_run_are_given_up(*, dry: bool) -> None:
    """By key and time; other people's are left alone."""
    mine = OpenUpload(key=key(1), upload_id="a", initiated=DURING)
    others = [
        OpenUpload(key=key(1), upload_id="b", initiated=START - timedelta(days=1)),
        OpenUpload(key=key(11), upload_id="c", initiated=DURING),
    ]
    bucket = Bucket(uploads=[mine, *others])
    found = await clean(bucket, Keys([wrote(key(1))]), WINDOW, dry_run=dry)
    assert bucket.uploads == ([mine, *others] if dry else others)
    assert found.aborted_count == 1


async def test_a_target_that_goes_away_leaves_the_truth() -> None:
    """What was deleted until then is told, with one clear reason."""

    @dataclass
    class Gone(Bucket):
        async def list(self, prefix: str = "") -> AsyncIterator[StoredObject]:
            if prefix.startswith(f"{DEVICE[:-1]}9"):
                raise TargetError("https://gone", "cannot be reached")
            async for each in Bucket.list(self, prefix):
                yield each

    bucket = Gone()
    bucket.put(key(1))
    found = await clean(bucket, Keys([wrote(key(1)), wrote(key(9))]), WINDOW)
    assert found.failed
    assert found.reason == "https://gone: cannot be reached"


async def test_a_run_that_stored_nothing_asks_for_nothing() -> None:
    """Not a single listing."""
    bucket = Bucket()
    bucket.put(key(1))
    assert await clean(bucket, Keys([]), WINDOW) == CleanOutcome()
    assert set(bucket.objects) == {key(1)}
