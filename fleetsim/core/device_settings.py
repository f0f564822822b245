"""DeviceSettings: what the devices of one cohort share, resolved and ready to use.

The plan knows names (profile, front, trust source); the runner resolves them to this.
One instance serves a whole cohort, and the devices that took over the same
configuration over the air share another.
"""

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from fleetsim.core.contact import ContactRules, contact_rules
from fleetsim.core.device_config import DeviceConfig
from fleetsim.core.payload import PayloadBlock
from fleetsim.core.settings import (
    CipherTable,
    Credentials,
    DeviceProfile,
    Endpoint,
    RequestStyle,
    Security,
    Workload,
)
from fleetsim.core.sigv4 import Signer

NS_PER_S = 1_000_000_000

LAST_UNIX_S: Final = 0xFFFFFFFF
"""2106-02-07T06:28:15Z: a device's clock has 32 bits (its object keys show them)."""


@dataclass(frozen=True, slots=True)
class RunClock:
    """Maps run time onto wall time.

    Attributes:
        epoch_unix_ns: Wall time at run time 0.
        scale: Wall seconds per run second, > 0.
    """

    epoch_unix_ns: int
    scale: float = 1.0

    def unix_s(self, now_ns: int, skew_s: float = 0.0) -> int:
        """Wall clock of a device whose clock is ``skew_s`` ahead, whole seconds.

        Returns:
            0..:data:`LAST_UNIX_S`: at either end a device's clock stands still.
        """
        unix_s = (self.epoch_unix_ns + now_ns * self.scale) / NS_PER_S + skew_s
        return max(0, min(LAST_UNIX_S, int(unix_s)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """Shared settings of a cohort.

    Attributes:
        cohort: Cohort name.
        profile: Device model with the scenario's overrides applied.
        cipher_table: Ladder of cipher groups in use.
        security: Security mode.
        workload: What is logged and how it is uploaded.
        endpoint: Where to.
        credentials: S3 credentials, shared by the fleet (CANedge: one pair for all).
        signer: Signer for them and the endpoint.
        clock: Wall clock of the run.
        payload: Bodies of the log files.
        load_end_ns: Run time after which no file is closed and no timer fires.
        contact_rules: What is usual for its devices; follows from the others.
        authority: ``host:port`` of the endpoint, likewise.
    """

    cohort: str
    profile: DeviceProfile
    cipher_table: CipherTable
    security: Security
    workload: Workload
    endpoint: Endpoint
    credentials: Credentials
    signer: Signer
    clock: RunClock
    payload: PayloadBlock
    load_end_ns: int
    contact_rules: ContactRules = field(init=False, repr=False, compare=False)
    authority: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rules = contact_rules(self.workload, self.profile.retry)
        object.__setattr__(self, "contact_rules", rules)
        authority = f"{self.endpoint.host}:{self.endpoint.port}"
        object.__setattr__(self, "authority", authority)


@lru_cache(maxsize=256)
def reconfigured(settings: DeviceSettings, config: DeviceConfig) -> DeviceSettings:
    """Apply a configuration that came over the air.

    Only what the configuration states is replaced. Secrets are not part of a parsed
    configuration, so the credentials stay.

    Args:
        settings: Settings so far.
        config: Parsed configuration object.

    Returns:
        New settings; equal arguments give the identical object, so that a fleet that
        takes over one configuration shares one settings object.
    """
    old = settings.endpoint
    style = old.style
    if config.virtual_hosted is not None:
        style = RequestStyle.VIRTUAL if config.virtual_hosted else RequestStyle.PATH
    endpoint = Endpoint(
        scheme=config.scheme or old.scheme,
        host=config.host or old.host,
        port=config.port or old.port,
        bucket=config.bucket or old.bucket,
        region=config.region or old.region,
        style=style,
    )
    security = settings.security
    if endpoint.scheme == "http":
        security = Security.LOW
    elif security is Security.LOW:
        security = Security.MEDIUM
    heartbeat_s, ota_s = config.heartbeat_s, config.ota_s
    workload = replace(
        settings.workload,
        heartbeat_s=settings.workload.heartbeat_s
        if heartbeat_s is None
        else heartbeat_s,
        ota_s=settings.workload.ota_s if ota_s is None else ota_s,
    )
    profile = settings.profile
    if config.signed_payload is not None:
        profile = replace(profile, signed_payload=config.signed_payload)
    return replace(
        settings,
        profile=profile,
        security=security,
        workload=workload,
        endpoint=endpoint,
        signer=Signer(settings.credentials, endpoint),
    )


@lru_cache(maxsize=64)
def with_credentials(
    settings: DeviceSettings, credentials: Credentials
) -> DeviceSettings:
    """Sign with other S3 credentials from the next request on.

    Returns:
        New settings; equal arguments give the identical object.
    """
    return replace(
        settings,
        credentials=credentials,
        signer=Signer(credentials, settings.endpoint),
    )
