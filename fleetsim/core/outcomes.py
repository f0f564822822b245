"""Outcomes: what became of a device, of the generator and of the uploads.

Plain values that several rooms exchange: the engine makes them, the truth check makes
them, the recording writes them, the report reads them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOutcome:
    """How one device ended.

    Attributes:
        device: Device id, 8 hex digits.
        cohort: Cohort name.
        state: Contact state at the end (see :mod:`fleetsim.core.contact`).
        cipher_group: Group of its last successful handshake, empty when none.
        files_closed: Log files closed.
        files_acknowledged: Uploads the server confirmed to the device.
        files_backlog: Files still on the card.
        files_lost: Files the card had to give up (full, cyclic deletion).
        handshakes: Completed TLS handshakes.
        power_cycles: Times power was removed and applied again.
        last_success_ns: Run time of the last success of any operation, -1 = none.
    """

    device: str
    cohort: str
    state: str
    cipher_group: str = ""
    files_closed: int = 0
    files_acknowledged: int = 0
    files_backlog: int = 0
    files_lost: int = 0
    handshakes: int = 0
    power_cycles: int = 0
    last_success_ns: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessHealth:
    """One of the processes of a generator that has several.

    Attributes:
        name: For people; shards count from 1.
        devices: Devices it ran; 0 = the parent.
        cpu_ratio: CPU seconds / wall-clock seconds, of one core.
        rss_bytes: Most memory it held at any time.
        lost_at_ns: When it died, run time; -1 = it lived to the end.
        lost_reason: How it died; empty when it did not.
    """

    name: str
    devices: int
    cpu_ratio: float = 0.0
    rss_bytes: int = 0
    lost_at_ns: int = -1
    lost_reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorHealth:
    """Whether the load generator itself kept up.

    Attributes:
        saturated: The generator, not the target, was the limit; times are suspect.
        reasons: Why, one sentence each; empty when not saturated.
        cpu_ratio: CPU seconds of the generator / wall-clock seconds, of one core.
        late_starts: Attempts that started noticeably after they were due.
        starts: All attempts started.
        start_lag_p99_ms: 99th percentile of started - due.
        loop_lag_p99_ms: 99th percentile of the lag of the event loop.
        seconds: Length of the measurement.
        rss_bytes: Most memory it held at any time, of all processes together.
        processes: The processes, when there is more than one.
    """

    saturated: bool
    reasons: tuple[str, ...] = ()
    cpu_ratio: float = 0.0
    late_starts: int = 0
    starts: int = 0
    start_lag_p99_ms: float = 0.0
    loop_lag_p99_ms: float = 0.0
    seconds: float = 0.0
    rss_bytes: int = 0
    processes: tuple[ProcessHealth, ...] = ()

    @property
    def devices_lost(self) -> int:
        """Devices whose process died before the end."""
        return sum(each.devices for each in self.processes if each.lost_reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One object the fleet sent, all attempts taken together.

    Attributes:
        key: Object key.
        size_bytes: Size of the body.
        content: Content key of the body (see :mod:`fleetsim.core.payload`).
        acknowledged: Whether the device was told that it is stored.
    """

    key: str
    size_bytes: int
    content: int
    acknowledged: bool


@dataclass(frozen=True, slots=True)
class StoredKey:
    """An object that the target said it stored.

    Attributes:
        key: Object key.
        etag: ETag of the answer without quotes; empty when it gave none.
    """

    key: str
    etag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SentKey:
    """A key that a run stored, or may have stored.

    Attributes:
        key: Object key.
        etags: ETags of the answers.
        unsure: Some attempt got no answer, or one without an ETag: what it stored has
            an ETag that is not known.
    """

    key: str
    etags: frozenset[str]
    unsure: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanOutcome:
    """What was deleted of what a run stored, and what was not.

    Every tuple holds at most the first 100; the ``_count`` beside it is complete.

    Attributes:
        failed: The clean-up did not come to its end; ``reason`` says why.
        reason: Words for people, empty when it did.
        dry_run: Nothing was deleted: the figures say what would have been.
        deleted_count: Objects deleted.
        deleted_bytes: Their size together.
        absent_count: Keys the target said it stored that are not in the bucket.
        kept: Keys of this run whose object is another one by now: it was stored before
            or after the run, or its content is not what this run stored.
        refused: Objects the target did not delete, ``key: code``.
        aborted_count: Unfinished multipart uploads of this run that were given up.
        versioned: The bucket keeps versions: the old ones are still there, behind a
            delete marker.
    """

    failed: bool = False
    reason: str = ""
    dry_run: bool = False
    deleted_count: int = 0
    deleted_bytes: int = 0
    absent_count: int = 0
    kept: tuple[str, ...] = ()
    kept_count: int = 0
    refused: tuple[str, ...] = ()
    refused_count: int = 0
    aborted_count: int = 0
    versioned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditOutcome:
    """The truth check: what devices were told against what the bucket holds.

    Every tuple of keys holds at most the first 100 in key order; the ``_count`` beside
    it is complete.

    Attributes:
        checked: Whether the check took place; ``reason`` says why not.
        reason: Empty when it did.
        failed: It was wanted and could not be done: such a run proves nothing.
        listed: Objects listed below the fleet's prefixes.
        acknowledged: Uploads acknowledged to devices.
        stored: Acknowledged uploads found whole: present, right size, right ETag.
        missing: Acknowledged, not in the bucket.
        wrong_size: Acknowledged, present with another size.
        wrong_etag: Acknowledged, right size, content differs by its ETag.
        unexplained: A fleet device's log key in the bucket that no device sent.
        late_count: Present, sent, never acknowledged: explained (the answer was lost).
        earlier_count: Present, but stored before this run began: not this run's.
        size_only_count: Of ``stored``: the ETag is no MD5 (multipart, encrypted), so
            only the size could be compared.
    """

    checked: bool
    reason: str = ""
    failed: bool = False
    listed: int = 0
    acknowledged: int = 0
    stored: int = 0
    missing: tuple[str, ...] = ()
    missing_count: int = 0
    wrong_size: tuple[str, ...] = ()
    wrong_size_count: int = 0
    wrong_etag: tuple[str, ...] = ()
    wrong_etag_count: int = 0
    unexplained: tuple[str, ...] = ()
    unexplained_count: int = 0
    late_count: int = 0
    earlier_count: int = 0
    size_only_count: int = 0

    @property
    def unaccounted(self) -> int:
        """Acknowledged but not stored whole, plus stored but never sent."""
        return (
            self.missing_count
            + self.wrong_size_count
            + self.wrong_etag_count
            + self.unexplained_count
        )
