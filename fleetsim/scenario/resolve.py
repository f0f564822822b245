"""Resolve: what a cohort ends up with when defaults, front and profile come together.

One place for "left out means", used by the checks and by the plan alike.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from fleetsim.core.sdk_settings import SDK_TABLE, SdkSettings, sdk_profile
from fleetsim.core.settings import (
    CipherTable,
    ConnectionUse,
    DeviceProfile,
    Phasing,
    RequestStyle,
    Security,
    Workload,
)
from fleetsim.scenario.cohort_schema import (
    DEFAULT_START_OVER_S,
    CohortSpec,
    Overrides,
)
from fleetsim.scenario.model import Part
from fleetsim.scenario.schema import Scenario
from fleetsim.scenario.sdk_schema import Client, SdkSpec, sdk_settings
from fleetsim.scenario.specs import (
    CredentialsSpec,
    EmptyTrust,
    EnvCredentials,
    FileTrust,
    LabCredentials,
    LabTrust,
    TrustSpec,
)
from fleetsim.scenario.target_schema import FrontSpec

_RENAMED: Final[Mapping[str, Mapping[str, str]]] = {
    "fallback": {"delay": "delay_s"},
    "retry": {"first": "first_s", "max": "max_s", "jitter": "jitter_ratio"},
    "deadlines": {
        "dns": "dns_s",
        "connect": "connect_s",
        "handshake": "handshake_s",
        "send": "send_s",
        "response": "response_s",
    },
    "card": {"size": "size_bytes"},
    "bundle": {"max_size": "max_bytes"},
    "clock": {"tolerance": "tolerance_s"},
}
"""Override keys whose setting carries its unit in the name."""


def front_of(scenario: Scenario, cohort: CohortSpec) -> FrontSpec | None:
    """Front a cohort uploads to; ``None`` with a target or an unknown name."""
    if scenario.lab is None:
        return None
    if cohort.front is None:
        return scenario.lab.fronts[0]
    named = (front for front in scenario.lab.fronts if front.name == cohort.front)
    return next(named, None)


def security_of(scenario: Scenario, cohort: CohortSpec) -> Security:
    """Security mode: as written, else as the front, else by the endpoint's scheme.

    An endpoint that only the environment knows counts as https.
    """
    if cohort.security is not None:
        return cohort.security
    front = front_of(scenario, cohort)
    if front is not None:
        return front.security
    if scenario.target is not None and scenario.target.scheme == "http":
        return Security.LOW
    return Security.MEDIUM


def trust_of(scenario: Scenario, cohort: CohortSpec) -> TrustSpec | None:
    """Trust source; ``None`` = nothing is said and nothing can be assumed."""
    if cohort.trust is not None:
        return cohort.trust
    if security_of(scenario, cohort) is Security.LOW:
        return EmptyTrust()
    if scenario.lab is not None:
        return LabTrust()
    if scenario.target is not None and scenario.target.ca_file is not None:
        return FileTrust(scenario.target.ca_file)
    return None


def credentials_of(scenario: Scenario, cohort: CohortSpec) -> CredentialsSpec:
    """Credentials source."""
    if cohort.credentials is not None:
        return cohort.credentials
    return LabCredentials() if scenario.lab is not None else EnvCredentials()


def profile_of(
    scenario: Scenario, cohort: CohortSpec, profile: DeviceProfile
) -> DeviceProfile:
    """Profile with the overrides of the cohort and the target's request style."""
    changes: dict[str, Any] = {}
    for name in Overrides.model_fields:
        given = getattr(cohort.overrides, name)
        if isinstance(given, Part):
            renamed = _RENAMED.get(name, {})
            figures = {
                renamed.get(key, key): value
                for key, value in given
                if value is not None
            }
            if figures:
                changes[name] = replace(getattr(profile, name), **figures)
        elif given is not None:
            changes[name] = given
    if cohort.overrides.style is None and scenario.target is not None:
        changes["style"] = scenario.target.style or profile.style
    if cohort.heartbeat is not None:
        changes["heartbeat_s"] = cohort.heartbeat
    if cohort.ota is not None:
        changes["ota_s"] = cohort.ota
    return replace(profile, **changes) if changes else profile


def cipher_table_of(cohort: CohortSpec, profile: DeviceProfile) -> CipherTable | None:
    """Cipher table by name, else the profile's first; ``None`` = no such table."""
    if cohort.cipher_table is None:
        return profile.cipher_tables[0]
    named = (t for t in profile.cipher_tables if t.name == cohort.cipher_table)
    return next(named, None)


def workload_of(cohort: CohortSpec, profile: DeviceProfile) -> Workload:
    """Workload with the timers and the upload delay of the resolved profile."""
    spec = cohort.workload
    delay = spec.upload_delay
    return Workload(
        file_size=spec.file_size,
        period_s=spec.period,
        phasing=spec.phase,
        jitter=spec.jitter,
        upload_delay=profile.upload_delay if delay is None else delay,
        connection=spec.connection or _usual_connection(cohort),
        heartbeat_s=profile.heartbeat_s,
        ota_s=profile.ota_s,
        duplicate_ratio=spec.duplicates,
    )


def _usual_connection(cohort: CohortSpec) -> ConnectionUse:
    """What is left out means what the client does by itself."""
    is_sdk = cohort.client is Client.SDK
    return ConnectionUse.KEEP_ALIVE if is_sdk else ConnectionUse.PER_UPLOAD


def sdk_of(cohort: CohortSpec) -> SdkSettings | None:
    """Settings of the SDK; ``None`` = the devices upload as their firmware does."""
    if cohort.client is not Client.SDK:
        return None
    return sdk_settings(cohort.sdk or SdkSpec())


def network_side_of(
    cohort: CohortSpec, profile: DeviceProfile
) -> tuple[DeviceProfile, CipherTable | None]:
    """Profile and cipher table as they count for the client of a cohort.

    Args:
        cohort: The cohort.
        profile: Its resolved profile.

    Returns:
        Those of the SDK with ``client: sdk``; no table = the profile has none of that
        name.
    """
    table = cipher_table_of(cohort, profile)
    if cohort.client is not Client.SDK or table is None:
        return profile, table
    return sdk_profile(profile), SDK_TABLE


def start_over_s(scenario: Scenario, cohort: CohortSpec) -> float:
    """Length of the start-up of a cohort, seconds; 0 = all at once."""
    if cohort.start_up.phase is Phasing.HERD:
        return 0.0
    if cohort.start_up.over is not None:
        return cohort.start_up.over
    return min(DEFAULT_START_OVER_S, scenario.duration / 4)


def endpoint_host(scenario: Scenario, cohort: CohortSpec) -> str | None:
    """Host name or address the devices connect to; ``None`` = not known yet."""
    front = front_of(scenario, cohort)
    if front is not None:
        return front.host
    return scenario.target.host if scenario.target is not None else None


def is_virtual(profile: DeviceProfile) -> bool:
    """Whether a resolved profile puts the bucket into the host name."""
    return profile.style is RequestStyle.VIRTUAL
