"""The truth check finds every difference, and only differences."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.object_key import log_key
from fleetsim.core.outcomes import AuditOutcome, Upload
from fleetsim.core.payload import PayloadBlock
from fleetsim.exceptions import TargetError
from fleetsim.target.audit import EXAMPLES, audit
from fleetsim.target.control import StoredObject
from fleetsim.target.prefixes import LISTINGS

STARTED = datetime(2026, 3, 1, 12, 0, 0, 500_000, tzinfo=UTC)
BLOCK = PayloadBlock(seed=42, block_bytes=4096)


@dataclass
class Bucket:
    """A bucket in memory."""

    objects: dict[str, StoredObject] = field(default_factory=dict)
    clock_skew_s: float = 0.0
    is_encrypted: bool = False
    prefixes: list[str] = field(default_factory=list)
    busy: int = 0
    most_busy: int = 0

    async def list(self, prefix: str = "") -> AsyncIterator[StoredObject]:
        """List in no particular order."""
        self.prefixes.append(prefix)
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        for key in sorted(self.objects, reverse=True):
            if key.startswith(prefix):
                yield self.objects[key]
        self.busy -= 1

    async def has_opaque_etag(self, key: str) -> bool:
        """Say whether the bucket encrypts."""
        return self.is_encrypted and key in self.objects

    def put(self, key: str, size: int, etag: str, **changes: datetime) -> None:
        """Store an object at the start of the run."""
        modified = changes.get("modified", STARTED)
        self.objects[key] = StoredObject(
            key=key, size_bytes=size, etag=etag, modified=modified
        )


@dataclass
class Fleet:
    """Uploads in memory."""

    sent: list[Upload] = field(default_factory=list)
    devices: frozenset[str] = frozenset()

    def count(self, prefix: str) -> int:
        """Number of uploads below a prefix."""
        return sum(1 for _ in self.uploads(prefix))

    def uploads(self, prefix: str) -> Iterator[Upload]:
        """Uploads below a prefix."""
        return (upload for upload in self.sent if upload.key.startswith(prefix))


FATES = (
    "stored",
    "missing",
    "wrong size",
    "wrong etag",
    "multipart",
    "late",
    "never arrived",
    "unexplained",
    "earlier",
    "foreign device",
    "device.json",
)


def make(fates: list[str], device_count: int) -> tuple[Bucket, Fleet]:
    """Give every fate in the list to one object of some device of the fleet."""
    devices = [
        f"{number * 0x0123_4567 & 0xFFFF_FFFF:08X}" for number in range(device_count)
    ]
    bucket, fleet = Bucket(), Fleet(devices=frozenset(devices))
    for number, fate in enumerate(fates):
        device = devices[number % device_count]
        key = log_key(device, 1, number + 1, 0x5E0BE100, "MF4")
        size, content = 100 + number, number + 1
        etag = BLOCK.md5_hex(content, size)
        match fate:
            case "device.json":
                bucket.put(f"{device}/device.json", 5, "0" * 32)
                continue
            case "foreign device":
                bucket.put(log_key("FFFFFFF0", 1, number, 1, "MF4"), 5, etag)
                continue
            case "unexplained":
                bucket.put(key, size, etag)
                continue
            case "earlier":
                old = STARTED - timedelta(seconds=60)
                bucket.put(key, size, etag, modified=old)
                continue
            case _:
                pass
        is_told = fate not in {"late", "never arrived"}
        fleet.sent.append(
            Upload(key=key, size_bytes=size, content=content, acknowledged=is_told)
        )
        match fate:
            case "stored" | "late":
                bucket.put(key, size, etag)
            case "wrong size":
                bucket.put(key, size - 1, etag)
            case "wrong etag":
                bucket.put(key, size, BLOCK.md5_hex(content + 1, size))
            case "multipart":
                bucket.put(key, size, f"{etag}-2")
            case _:
                pass
    return bucket, fleet


@given(
    fates=st.lists(st.sampled_from(FATES), max_size=40),
    device_count=st.sampled_from([1, 7, 32, 33, 200]),
)
async def test_every_fate_is_counted_once_and_under_its_name(
    fates: list[str], device_count: int
) -> None:
    """Whatever became of objects, listed by device or by digit, the counts add up."""
    bucket, fleet = make(fates, device_count)
    found = await audit(bucket, fleet, BLOCK, started=STARTED)
    of = {fate: fates.count(fate) for fate in FATES}
    assert found.checked
    assert found.stored == of["stored"] + of["multipart"]
    assert found.size_only_count == of["multipart"]
    assert found.missing_count == len(found.missing) == of["missing"]
    assert found.wrong_size_count == len(found.wrong_size) == of["wrong size"]
    assert found.wrong_etag_count == len(found.wrong_etag) == of["wrong etag"]
    assert found.unexplained_count == len(found.unexplained) == of["unexplained"]
    assert found.late_count == of["late"]
    assert found.earlier_count == of["earlier"]
    assert found.acknowledged == sum(upload.acknowledged for upload in fleet.sent)
    assert found.unaccounted == sum(
        of[fate] for fate in ("missing", "wrong size", "wrong etag", "unexplained")
    )
    listed = {*FATES} - {"missing", "never arrived", "foreign device", "device.json"}
    assert found.listed == sum(of[fate] for fate in listed)


async def test_an_equal_bucket_is_equal() -> None:
    """Acknowledged = stored, nothing else to say."""
    bucket, fleet = make(["stored"] * 5, 2)
    assert await audit(bucket, fleet, BLOCK) == AuditOutcome(
        checked=True, listed=5, acknowledged=5, stored=5
    )


async def test_parts_are_listed_once_and_a_few_at_a_time() -> None:
    """No prefix twice, and never more listings at once than are meant to be."""
    bucket, fleet = make(["stored"] * 40, 40)
    await audit(bucket, fleet, BLOCK)
    assert len(bucket.prefixes) == len(set(bucket.prefixes)) == 16
    assert bucket.most_busy <= LISTINGS


async def test_examples_are_bounded_counts_are_not() -> None:
    """The first hundred keys in key order, and the whole number."""
    bucket, fleet = make(["missing"] * 850, 2)
    found = await audit(bucket, fleet, BLOCK)
    assert found.missing_count == 850
    assert found.missing == tuple(sorted(u.key for u in fleet.sent)[:EXAMPLES])


async def test_an_encrypting_bucket_proves_the_size_only() -> None:
    """SSE-KMS: 32 hex digits that are no MD5 (AWS, "Object"), and the bucket says so."""
    bucket, fleet = make(["wrong etag", "stored", "wrong size"], 1)
    bucket.is_encrypted = True
    found = await audit(bucket, fleet, BLOCK)
    assert (found.stored, found.size_only_count) == (2, 1)
    assert (found.wrong_etag_count, found.wrong_size_count) == (0, 1)


@pytest.mark.parametrize(
    ("skew_s", "age_s", "is_earlier"),
    [(0, 60, True), (0, 1, False), (-3600, 0, False), (3600, 0, True)],
    ids=["long before", "rounding", "their clock is behind", "their clock is ahead"],
)
async def test_earlier_is_judged_by_the_targets_clock(
    skew_s: float, age_s: float, *, is_earlier: bool
) -> None:
    """Times of a listing are the target's; its offset is known and allowed for."""
    bucket, fleet = make(["unexplained"], 1)
    bucket.clock_skew_s = skew_s
    shift = timedelta(seconds=age_s + (3600 if skew_s == -3600 else 0))
    (key,) = bucket.objects
    bucket.put(key, 1, "0" * 32, modified=STARTED - shift)
    found = await audit(bucket, fleet, BLOCK, started=STARTED)
    assert found.earlier_count == int(is_earlier)
    assert found.unexplained_count == int(not is_earlier)


async def test_a_target_that_cannot_be_listed_ends_the_check() -> None:
    """One clear error, not a group of them and not a clean bill."""
    numbers = count()

    @dataclass
    class Gone(Bucket):
        async def list(self, prefix: str = "") -> AsyncIterator[StoredObject]:
            for number in numbers:
                raise TargetError("https://gone", f"cannot be reached {number}")
            yield self.objects[prefix]

    _, fleet = make(["stored"] * 5, 5)
    with pytest.raises(TargetError, match="cannot be reached"):
        await audit(Gone(), fleet, BLOCK)
