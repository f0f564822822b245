"""Needs: what a plan will ask of the machine and of the server, before it starts.

Counts of files and timers follow from the plan and are exact, up to jitter and as long as
nothing fails; rates are averages over the load; CPU and memory are estimates from the
figures below. A plan that will not
fit should be found by ``fleetsim check`` and not in the middle of a run.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fleetsim.core.draws import Distribution
from fleetsim.core.settings import ConnectionUse, Phasing, Security
from fleetsim.scenario.probability import AnyDistribution
from fleetsim.scenario.quantities import approximate_size, format_duration
from fleetsim.scenario.roster import CohortPlan, DevicePlan, to_ns
from fleetsim.scenario.target_schema import FrontSpec, LabSpec

NS_PER_S: Final = 1_000_000_000

EPHEMERAL_PORTS: Final = 28_232
"""Linux default ``net.ipv4.ip_local_port_range``, 32768..60999, per destination."""
TIME_WAIT_S: Final = 60.0
"""Linux ``TCP_TIMEWAIT_LEN``: how long a closed connection keeps its port."""
LOOPBACK_TIME_WAIT_S: Final = 1.0
"""On loopback Linux takes such a port again after 1 s (``tcp_tw_reuse`` = 2)."""

REQUEST_OVERHEAD_BYTES: Final = 800
"""Request head with signature and metadata headers."""
HANDSHAKE_OVERHEAD_BYTES: Final = 700
"""What a device sends in a full TLS 1.2 handshake, without its own certificate."""
CLIENT_CERTIFICATE_BYTES: Final = 2_500
"""Device certificate, one intermediate and CertificateVerify with RSA-2048."""
HEARTBEAT_BYTES: Final = 700

BASE_MEMORY_BYTES: Final = 120 * 1024**2
DEVICE_MEMORY_BYTES: Final = 10 * 1024
CONNECTION_MEMORY_BYTES: Final = 40 * 1024
CPU_NEW_TLS_S: Final = 900e-6
"""New TLS 1.2 connection and a 16 KiB PUT (RSA-2048 chain, 2.25 GHz Zen 2 core)."""
CPU_REQUEST_S: Final = 150e-6
"""Signed 16 KiB PUT on an open connection, likewise."""
CPU_SDK_REQUEST_S: Final = 2340e-6
"""The same PUT through aioboto3."""
SDK_MEMORY_BYTES: Final = 640 * 1024
"""S3 client of one device with its connection (500 devices, measured)."""
CPU_BYTES_PER_S: Final = 400e6
BUSY_CPU_RATIO: Final = 0.7
FILE_DESCRIPTOR_RESERVE: Final = 64
OTA_REQUESTS: Final = 3
"""One over-the-air check looks at certificates, configuration and firmware."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What a plan will need and make.

    Attributes:
        devices: Number of devices.
        uploads: Log files the devices close and upload, duplicates included.
        requests: HTTP requests of all kinds.
        uploads_per_s: Average over the load.
        requests_per_s: Average over the load.
        connections_per_s: New connections, average over the load.
        bytes_per_s: Sent by the devices, average over the load.
        upload_bytes: Bodies of all uploads together.
        largest_burst: Most devices that act at the same instant by the plan.
        file_descriptors: Most open at the same time.
        ephemeral_ports: Most local ports taken at the same time towards one endpoint,
            ports of closed connections in TIME-WAIT included.
        memory_bytes: Estimate for the generator process.
        cpu_ratio: Estimate for the generator, in cores.
        warnings: What will not work as the scenario's author may think; sentences.
    """

    devices: int
    uploads: int
    requests: int
    uploads_per_s: float
    requests_per_s: float
    connections_per_s: float
    bytes_per_s: float
    upload_bytes: float
    largest_burst: int
    file_descriptors: int
    ephemeral_ports: int
    memory_bytes: int
    cpu_ratio: float
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """What one cohort adds."""

    cohort: CohortPlan
    uploads: float
    requests: float
    connections: float
    sent_bytes: float
    handshakes: float
    kept_open: int
    burst: int


def needs_of(
    *,
    cohorts: Sequence[CohortPlan],
    devices: Sequence[DevicePlan],
    duration_ns: int,
    drain_ns: int,
    in_flight: int,
    lab: LabSpec | None,
) -> Needs:
    """Work out what a plan needs.

    Args:
        cohorts: All cohorts of the plan.
        devices: All devices of the plan or shard.
        duration_ns: Length of the load, > 0.
        drain_ns: Longest wait for the backlog.
        in_flight: Most attempts at the same time.
        lab: The embedded server, if any.
    """
    seconds = duration_ns / NS_PER_S
    turns = _turns(cohorts, devices, duration_ns)
    shares = [_share(cohort, turns[cohort.index]) for cohort in cohorts]
    total = sum(share.requests for share in shares)
    upload_bytes = sum(
        s.uploads * law(s.cohort.workload.file_size).mean() for s in shares
    )
    sent = sum(share.sent_bytes for share in shares)
    handshakes = sum(share.handshakes for share in shares)
    kept_open = sum(share.kept_open for share in shares)
    passing = sum(s.cohort.count for s in shares if not s.kept_open)
    open_at_once = kept_open + min(in_flight, passing)
    burst = max((share.burst for share in shares), default=0)
    needs = Needs(
        devices=len(devices),
        uploads=round(sum(share.uploads for share in shares)),
        requests=round(total),
        uploads_per_s=sum(share.uploads for share in shares) / seconds,
        requests_per_s=total / seconds,
        connections_per_s=sum(share.connections for share in shares) / seconds,
        bytes_per_s=sent / seconds,
        upload_bytes=upload_bytes,
        largest_burst=burst,
        file_descriptors=FILE_DESCRIPTOR_RESERVE + open_at_once,
        ephemeral_ports=_ports(shares, seconds, in_flight, is_loopback=lab is not None),
        memory_bytes=BASE_MEMORY_BYTES
        + DEVICE_MEMORY_BYTES * len(devices)
        + SDK_MEMORY_BYTES * sum(c.count for c in cohorts if c.sdk is not None)
        + CONNECTION_MEMORY_BYTES * open_at_once,
        cpu_ratio=(
            handshakes * (CPU_NEW_TLS_S - CPU_REQUEST_S)
            + sum(share.requests * _cpu_request_s(share.cohort) for share in shares)
            + upload_bytes / CPU_BYTES_PER_S
        )
        / seconds,
        warnings=(),
    )
    warnings = (
        *_machine_warnings(needs, in_flight=in_flight, is_lab=lab is not None),
        *_load_warnings(shares, needs, drain_ns / NS_PER_S, lab),
        *_security_warnings(cohorts, lab),
    )
    return _with_warnings(needs, warnings)


def _cpu_request_s(cohort: CohortPlan) -> float:
    return CPU_REQUEST_S if cohort.sdk is None else CPU_SDK_REQUEST_S


def _kept_open(cohort: CohortPlan) -> int:
    """Connections of a cohort that stay open."""
    sdk = cohort.sdk
    if (
        sdk is None
        or law(cohort.workload.file_size).highest < sdk.multipart_threshold_bytes
    ):
        return cohort.count
    return cohort.count * min(sdk.max_concurrency, sdk.max_pool_connections)


def _with_warnings(needs: Needs, warnings: tuple[str, ...]) -> Needs:
    values = {name: getattr(needs, name) for name in Needs.__slots__}
    return Needs(**{**values, "warnings": warnings})


@dataclass(slots=True)
class _Turns:
    """How often the devices of one cohort do what the plan says."""

    files: int = 0
    heartbeats: int = 0
    checks: int = 0


def _turns(
    cohorts: Sequence[CohortPlan], devices: Sequence[DevicePlan], duration_ns: int
) -> list[_Turns]:
    """Count, device by device: files after power-on, timers from power-on on."""
    turns = [_Turns() for _ in cohorts]
    periods = [
        (
            to_ns(cohort.workload.period_s),
            to_ns(cohort.workload.heartbeat_s),
            to_ns(cohort.workload.ota_s),
        )
        for cohort in cohorts
    ]
    for device in devices:
        turn, start_ns = turns[device.cohort], device.start_ns
        period, heartbeat, check = periods[device.cohort]
        if period and start_ns < duration_ns:
            turn.files += _times(duration_ns, device.phase_ns, period)
            turn.files -= _times(start_ns + 1, device.phase_ns, period)
        if heartbeat:
            turn.heartbeats += _times(duration_ns, start_ns, heartbeat)
        if check:
            turn.checks += _times(duration_ns, start_ns, check)
    return turns


def _times(before_ns: int, first_ns: int, period_ns: int) -> int:
    """How many k >= 0 have first + k * period < before."""
    return max(0, -((first_ns - before_ns) // period_ns))


def _share(cohort: CohortPlan, turns: _Turns) -> _Share:
    work, profile, count = cohort.workload, cohort.profile, cohort.count
    beats, checks = turns.heartbeats, turns.checks
    uploads = turns.files * (1.0 + work.duplicate_ratio)
    schemas = count if profile.boot_uploads_schema else 0
    configs = count if work.ota_s else 0  # a bucket without one gets the device's own
    requests = uploads + beats + OTA_REQUESTS * checks + schemas + configs
    is_kept = work.connection is ConnectionUse.KEEP_ALIVE
    connections = float(count) if is_kept else uploads + beats + checks + schemas
    is_tls = cohort.security is not Security.LOW
    handshake_bytes = HANDSHAKE_OVERHEAD_BYTES if is_tls else 0
    if cohort.security is Security.HIGH:
        handshake_bytes += CLIENT_CERTIFICATE_BYTES
    sent = (
        uploads * law(work.file_size).mean()
        + requests * REQUEST_OVERHEAD_BYTES
        + beats * HEARTBEAT_BYTES
        + connections * handshake_bytes
    )
    bursts = [
        work.phasing is Phasing.HERD
        and work.period_s > 0
        and _is_constant(work.upload_delay)
        and _is_constant(work.jitter),
        cohort.start_over_s == 0,
    ]
    return _Share(
        cohort=cohort,
        uploads=uploads,
        requests=requests,
        connections=connections,
        sent_bytes=sent,
        handshakes=connections if is_tls else 0.0,
        kept_open=_kept_open(cohort) if is_kept else 0,
        burst=count if any(bursts) else min(count, 1),
    )


def law(distribution: Distribution) -> AnyDistribution:
    """A distribution as the kind this room makes: with mean and bounds.

    Raises:
        TypeError: It is of another kind, about which nothing is known but samples.
    """
    if isinstance(distribution, AnyDistribution):
        return distribution
    raise TypeError(f"no scenario distribution: {distribution!r}")


def _is_constant(distribution: Distribution) -> bool:
    return law(distribution).lowest == law(distribution).highest


def _ports(
    shares: Sequence[_Share], seconds: float, in_flight: int, *, is_loopback: bool
) -> int:
    """Ports towards the endpoint that takes most."""
    wait_s = LOOPBACK_TIME_WAIT_S if is_loopback else TIME_WAIT_S
    per_front: Counter[str] = Counter()
    for share in shares:
        closed = share.connections * min(1.0, wait_s / seconds)
        at_once = share.kept_open or min(in_flight, share.cohort.count)
        per_front[share.cohort.front] += round(
            at_once + (0 if share.kept_open else closed)
        )
    return max(per_front.values(), default=0)


def _machine_warnings(needs: Needs, *, in_flight: int, is_lab: bool) -> Iterator[str]:
    if needs.cpu_ratio > BUSY_CPU_RATIO:
        yield (
            f"The generator needs about {needs.cpu_ratio:.2g} cores; one process has "
            "one. Use several processes, fewer devices, keep_alive or a longer period."
        )
    if is_lab and BUSY_CPU_RATIO >= needs.cpu_ratio > BUSY_CPU_RATIO / 2:
        yield (
            "The lab server shares this machine and needs about as much CPU as the "
            "generator: latency figures will include its own load."
        )
    if needs.ephemeral_ports > EPHEMERAL_PORTS:
        yield (
            f"About {needs.ephemeral_ports:,} local ports towards one endpoint, more "
            f"than Linux has by default ({EPHEMERAL_PORTS:,}): use keep_alive, several "
            "source addresses, or widen net.ipv4.ip_local_port_range."
        )
    if needs.largest_burst > in_flight:
        yield (
            f"{needs.largest_burst:,} devices act at the same instant but only "
            f"{in_flight:,} attempts may be under way (limits.in_flight): the rest "
            "start late, and are counted as late."
        )


def _load_warnings(
    shares: Sequence[_Share], needs: Needs, drain_s: float, lab: LabSpec | None
) -> Iterator[str]:
    if lab is not None and needs.upload_bytes > lab.store.limit:
        yield (
            f"The fleet uploads about {approximate_size(needs.upload_bytes)}, the lab "
            f"keeps {approximate_size(lab.store.limit)} (lab.store.limit): uploads "
            "will be refused."
        )
    for share in shares:
        cohort, work = share.cohort, share.cohort.workload
        if cohort.count and work.period_s and not share.uploads:
            yield (
                f"Cohort {cohort.name} closes no file during the load: its period is "
                f"{format_duration(work.period_s)}."
            )
        delay_s = law(work.upload_delay).mean()
        if delay_s > drain_s and share.uploads:
            yield (
                f"Cohort {cohort.name} waits {_about(delay_s)} before "
                f"an upload, longer than the drain of {format_duration(drain_s)}: its "
                "last files stay behind."
            )
        jitter = law(work.jitter)
        if work.period_s and jitter.highest - jitter.lowest > work.period_s:
            yield (
                f"Cohort {cohort.name} may jitter by more than a period: files can "
                "close out of order and counts are approximate."
            )
        if law(work.file_size).mean() > cohort.profile.card.size_bytes:
            yield (
                f"Cohort {cohort.name} logs files larger than its SD card "
                f"({approximate_size(cohort.profile.card.size_bytes)}): all are lost."
            )


def _security_warnings(
    cohorts: Sequence[CohortPlan], lab: LabSpec | None
) -> Iterator[str]:
    fronts = {front.name: front for front in lab.fronts} if lab is not None else {}
    for front in fronts.values():
        tls = front.effective_tls
        if tls is not None and front.host not in tls.certificate.names:
            yield (
                f"The certificate of front {front.name} does not name {front.host}: "
                "devices that check the name refuse it."
            )
    for cohort in cohorts:
        if cohort.front in fronts:
            yield from _front_warnings(cohort, fronts[cohort.front])


def _front_warnings(cohort: CohortPlan, front: FrontSpec) -> Iterator[str]:
    if cohort.security is Security.MEDIUM and front.security is Security.HIGH:
        yield (
            f"Cohort {cohort.name} has no client certificates (security medium) but "
            f"front {front.name} requires them: it will be refused."
        )
    if cohort.security is Security.HIGH and front.security is Security.MEDIUM:
        yield (
            f"Cohort {cohort.name} has client certificates (security high) but front "
            f"{front.name} never asks for them."
        )
    tls = front.effective_tls
    rules = cohort.profile.tls
    if tls is not None and not any(
        rules.min_version <= version <= rules.max_version for version in tls.versions
    ):
        yield (
            f"Cohort {cohort.name} and front {front.name} share no TLS version: no "
            "device will connect."
        )


def _about(seconds: float) -> str:
    return f"about {format_duration(float(f'{seconds:.3g}'))}"
