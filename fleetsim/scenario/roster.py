"""Roster: the cohorts of a plan, resolved, and every one of their devices.

Every device has its own stream of random numbers, derived from the plan's seed and its
index alone: a shard of the plan gives its devices exactly the life they would have had
in one piece.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fleetsim.core.draws import Draws, derive_seed
from fleetsim.core.sdk_settings import SdkSettings
from fleetsim.core.settings import (
    CipherTable,
    DeviceProfile,
    Phasing,
    Security,
    Workload,
)
from fleetsim.exceptions import InputError, Problem
from fleetsim.scenario import resolve
from fleetsim.scenario.cohort_schema import ClientCertificatesSpec, CohortSpec
from fleetsim.scenario.schema import Scenario
from fleetsim.scenario.specs import CredentialsSpec, TrustSpec

NS_PER_S: Final = 1_000_000_000
_IDS, _LIFE, _START, _PHASE, _SKEW = range(5)
"""Streams of random numbers of a plan, by purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortPlan:
    """A cohort, resolved as far as it can be without files, network or keys.

    Attributes:
        index: Position in the plan.
        name: Name in reports.
        count: Devices of the cohort in this plan (in a shard: in the shard).
        profile: Device model, overrides applied.
        cipher_table: Ladder of cipher groups in use.
        security: Security mode.
        front: Front of the lab; empty with a target.
        trust: Where the trust anchors come from.
        credentials: Where the S3 credentials come from.
        client_key: Key type of the device certificates; empty unless security is high.
        unique_keys: A key per device instead of a pool.
        client_pki: PKI folder that issues the device certificates; empty = the lab's.
        workload: What is logged and how it is uploaded.
        start_over_s: The devices are powered on within this time; 0 = all at once.
        sdk: Settings of the SDK they upload through; ``None`` = they upload as their
            firmware does.
    """

    index: int
    name: str
    count: int
    profile: DeviceProfile
    cipher_table: CipherTable
    security: Security
    front: str
    trust: TrustSpec
    credentials: CredentialsSpec
    client_key: str
    unique_keys: bool
    client_pki: str
    workload: Workload
    start_over_s: float
    sdk: SdkSettings | None = None


@dataclass(slots=True)
class DevicePlan:
    """One device. Not frozen: a plan makes up to a million of them.

    Attributes:
        index: Position in the whole plan, from 0.
        device_id: 8 upper-case hex digits, unique in the plan.
        cohort: Index of its cohort.
        seed: 64-bit seed of everything random in its life.
        start_ns: Run time of its power-on.
        phase_ns: Where in the period its files close, 0 <= phase < period.
        clock_skew_s: Its clock minus the true time.
    """

    index: int
    device_id: str
    cohort: int
    seed: int
    start_ns: int
    phase_ns: int
    clock_skew_s: float


def make_cohort(
    scenario: Scenario, index: int, spec: CohortSpec, loaded: DeviceProfile
) -> CohortPlan:
    """Resolve a cohort.

    Args:
        scenario: The scenario it belongs to.
        index: Its position.
        spec: As written.
        loaded: Its profile, without overrides.

    Raises:
        InputError: The scenario was never checked and does not fit together.
    """
    profile = resolve.profile_of(scenario, spec, loaded)
    profile, table = resolve.network_side_of(spec, profile)
    trust = resolve.trust_of(scenario, spec)
    front = resolve.front_of(scenario, spec)
    if table is None or trust is None or (scenario.lab is not None and front is None):
        raise InputError(
            Problem(f"cohorts[{index}]", "unknown cipher table, trust source or front")
        )
    security = resolve.security_of(scenario, spec)
    certificates = spec.client_certificates or ClientCertificatesSpec()
    is_high = security is Security.HIGH
    return CohortPlan(
        index=index,
        name=spec.name,
        count=spec.count,
        profile=profile,
        cipher_table=table,
        security=security,
        front=front.name if front else "",
        trust=trust,
        credentials=resolve.credentials_of(scenario, spec),
        client_key=certificates.key if is_high else "",
        unique_keys=is_high and certificates.unique_keys,
        client_pki=(certificates.pki or "") if is_high else "",
        workload=resolve.workload_of(spec, profile),
        start_over_s=resolve.start_over_s(scenario, spec),
        sdk=resolve.sdk_of(spec),
    )


def make_devices(
    seed: int, cohorts: Sequence[CohortPlan], specs: Sequence[CohortSpec]
) -> tuple[DevicePlan, ...]:
    """Decide id, seed, start, phase and clock of every device.

    Args:
        seed: Seed of the plan.
        cohorts: Resolved cohorts.
        specs: The same cohorts as written.
    """
    offset = derive_seed(seed, _IDS)
    devices: list[DevicePlan] = []
    for cohort, spec in zip(cohorts, specs, strict=True):
        over_ns = to_ns(cohort.start_over_s)
        period_ns = to_ns(cohort.workload.period_s)
        spread_ns = period_ns if cohort.workload.phasing is Phasing.SPREAD else 0
        skew = spec.clock.skew
        for index in range(len(devices), len(devices) + cohort.count):
            life = derive_seed(seed, _LIFE, index)
            devices.append(
                DevicePlan(
                    index,
                    _device_id(index, offset),
                    cohort.index,
                    life,
                    _below(over_ns, derive_seed(seed, _START, index)),
                    _below(spread_ns, derive_seed(seed, _PHASE, index)),
                    skew.sample(Draws(derive_seed(seed, _SKEW, index))),
                )
            )
    return tuple(devices)


def _below(limit: int, bits: int) -> int:
    """Uniform integer 0 <= n < limit from 64 bits; 0 when the limit is 0."""
    return limit * bits >> 64


def _device_id(index: int, offset: int) -> str:
    """Scramble an index: a bijection on 32 bits, so that no id occurs twice.

    Odd multipliers and xor-shifts are invertible modulo 2**32.
    """
    value = (index + offset) & 0xFFFFFFFF
    value = ((value ^ (value >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    value = ((value ^ (value >> 15)) * 0x846CA68B) & 0xFFFFFFFF
    return f"{value ^ (value >> 16):08X}"


def to_ns(seconds: float) -> int:
    """Seconds as whole nanoseconds."""
    return round(seconds * NS_PER_S)
