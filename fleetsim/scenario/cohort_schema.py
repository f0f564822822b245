"""Cohort schema: devices that are alike, and what they do."""

from typing import Annotated, Final

from pydantic import Field, StrictBool, StrictInt

from fleetsim.core.settings import (
    AdvanceOn,
    ChangeDetection,
    ClockSync,
    ConnectionUse,
    DistinctBy,
    GroupMemory,
    OnBadBundle,
    Phasing,
    RequestStyle,
    Security,
    StepBack,
)
from fleetsim.scenario.distributions import (
    DurationDistribution,
    Fixed,
    SignedDurationDistribution,
    SizeDistribution,
)
from fleetsim.scenario.model import ClientKey, Name, Part, PathText, TlsVersion
from fleetsim.scenario.quantities import Duration, Number, Ratio, Size
from fleetsim.scenario.sdk_schema import Client, SdkSpec
from fleetsim.scenario.specs import CredentialsSource, Trust

MAX_DEVICES: Final = 1_000_000
DEFAULT_START_OVER_S: Final = 5.0


class WorkloadSpec(Part):
    """What a device logs and how it uploads."""

    file_size: SizeDistribution = Fixed(65536.0)
    """Size of a log file when it is closed."""
    period: Duration = 60.0
    """Time between two files; 0 = the device logs nothing."""
    phase: Phasing = Phasing.SPREAD
    """herd = all devices close their files at the same instant; spread = evenly over
    the period."""
    jitter: SignedDurationDistribution = Fixed(0.0)
    """Added to each closing time; may be negative."""
    upload_delay: DurationDistribution | None = None
    """Pause between closing a file and uploading it; left out = as the profile says."""
    connection: ConnectionUse | None = None
    """per_upload = a new connection for every request; keep_alive = one connection;
    left out = per_upload, but keep_alive with client: sdk."""
    duplicates: Ratio = 0.0
    """Share of confirmations that are lost, so that the file is uploaded again."""


class StartUpSpec(Part):
    """When the devices are powered on."""

    phase: Phasing = Phasing.SPREAD
    """herd = all at once; spread = evenly over `over`."""
    over: Duration | None = None
    """Length of a spread start; left out = 5s, at most a quarter of the duration."""


class ClockSpec(Part):
    """The devices' own clocks."""

    skew: SignedDurationDistribution = Fixed(0.0)
    """Device clock minus true time, drawn once per device; negative = behind."""


class ClientCertificatesSpec(Part):
    """Certificates of the devices themselves (security high)."""

    key: ClientKey = "rsa-2048"
    """Type and size of the keys."""
    unique_keys: StrictBool = False
    """A key per device instead of a pool of keys (slow to make)."""
    pki: PathText | None = None
    """PKI folder whose CA issues them, needed with a target; the lab makes its own."""


class FallbackOverrides(Part):
    """Cipher-group fallback."""

    advance_on: AdvanceOn | None = None
    """Which failures advance to the next cipher group."""
    memory: GroupMemory | None = None
    """How long the reached group is remembered."""
    step_back: StepBack | None = None
    """What a success on a later group does."""
    delay: Duration | None = None
    """Pause before the attempt with the next group."""


class RetryOverrides(Part):
    """When to try again after a failure."""

    first: Annotated[Duration, Field(ge=0.001)] | None = None
    """Wait after the first failure."""
    factor: Annotated[Number, Field(ge=1, le=1000)] | None = None
    """Growth of the wait per further failure."""
    max: Annotated[Duration, Field(ge=0.001)] | None = None
    """Longest wait."""
    jitter: Ratio | None = None
    """The wait is drawn from [wait x (1 - jitter), wait]."""


class DeadlineOverrides(Part):
    """Longest time in each phase."""

    dns: Annotated[Duration, Field(ge=0.001)] | None = None
    """Name resolution."""
    connect: Annotated[Duration, Field(ge=0.001)] | None = None
    """TCP connect."""
    handshake: Annotated[Duration, Field(ge=0.001)] | None = None
    """TLS handshake."""
    send: Annotated[Duration, Field(ge=0.001)] | None = None
    """Sending the request; restarts whenever bytes leave."""
    response: Annotated[Duration, Field(ge=0.001)] | None = None
    """From request sent to response complete."""


class TlsOverrides(Part):
    """How the devices speak TLS."""

    resumption: StrictBool | None = None
    """Offer the last session again."""
    check_host: StrictBool | None = None
    """The server certificate must name the endpoint."""
    check_ip: StrictBool | None = None
    """The certificate must name the address when the endpoint is an IP literal."""
    check_key_usage: StrictBool | None = None
    """Static RSA key exchange only with a certificate that allows keyEncipherment."""
    send_sni: StrictBool | None = None
    """Send SNI when the endpoint is a host name."""
    min_version: TlsVersion | None = None
    """Lowest protocol version."""
    max_version: TlsVersion | None = None
    """Highest protocol version."""
    security_level: Annotated[StrictInt, Field(ge=0, le=2)] | None = None
    """OpenSSL security level; 0 admits 1024-bit keys and SHA-1."""


class CardOverrides(Part):
    """The SD card."""

    size: Annotated[Size, Field(ge=1)] | None = None
    """Capacity."""
    cyclic: StrictBool | None = None
    """When full: true = delete the oldest file, false = stop logging."""


class BundleOverrides(Part):
    """What the devices accept as certs_server.p7b."""

    on_bad: OnBadBundle | None = None
    """What to do with a bundle that breaks a rule."""
    max_certificates: Annotated[StrictInt, Field(ge=1, le=1000)] | None = None
    """Most certificates in one bundle."""
    max_size: Annotated[Size, Field(ge=1, le=16 * 1024**2)] | None = None
    """Largest bundle file."""
    distinct_by: DistinctBy | None = None
    """Field in which certificates must differ."""
    require_ca: StrictBool | None = None
    """Whether every certificate needs basicConstraints CA:TRUE."""


class ClockOverrides(Part):
    """When the devices set their clocks by the network's time."""

    sync: ClockSync | None = None
    """`off`, or `when_connected`: before a connection is opened."""
    tolerance: Duration | None = None
    """Set it when it is off by more than this."""


class Overrides(Part):
    """Single figures of the profile, replaced for this cohort."""

    fallback: FallbackOverrides = FallbackOverrides()
    """Cipher-group fallback."""
    retry: RetryOverrides = RetryOverrides()
    """When to try again after a failure."""
    deadlines: DeadlineOverrides = DeadlineOverrides()
    """Longest time in each phase."""
    tls: TlsOverrides = TlsOverrides()
    """How the devices speak TLS."""
    card: CardOverrides = CardOverrides()
    """The SD card."""
    bundle: BundleOverrides = BundleOverrides()
    """What the devices accept as certs_server.p7b."""
    clock: ClockOverrides = ClockOverrides()
    """When the devices set their clocks by the network's time."""
    signed_payload: StrictBool | None = None
    """Hash the body into the signature instead of UNSIGNED-PAYLOAD."""
    style: RequestStyle | None = None
    """Bucket in the path or in the host name."""
    change_detection: ChangeDetection | None = None
    """How a changed over-the-air object is noticed."""
    boot_uploads_schema: StrictBool | None = None
    """PUT the rule schema once per power cycle."""


class CohortSpec(Part):
    """Devices that are alike."""

    name: Name
    """Name in reports; unique in the scenario."""
    count: Annotated[StrictInt, Field(ge=1, le=MAX_DEVICES)]
    """Number of devices."""
    client: Client = Client.DEVICE
    """device = as the reference device's firmware; sdk = through an AWS SDK."""
    sdk: SdkSpec | None = None
    """Settings of the SDK (client: sdk only)."""
    profile: Annotated[str, Field(min_length=1, max_length=4096)] = "canedge2"
    """Device profile: a name from `fleetsim profiles`, or a profile file."""
    cipher_table: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Ladder of cipher groups; left out = the first table of the profile."""
    security: Security | None = None
    """low = HTTP, medium = HTTPS, high = HTTPS with client certificates; left out = as
    the front, or by the scheme of the endpoint."""
    front: Name | None = None
    """Front of the lab; left out = the first one."""
    trust: Trust | None = None
    """Trust anchors; left out = the lab's root, or the target's ca_file."""
    credentials: CredentialsSource | None = None
    """Source of the S3 credentials; left out = lab, or env with a target."""
    client_certificates: ClientCertificatesSpec | None = None
    """Certificates of the devices (security high only)."""
    clock: ClockSpec = ClockSpec()
    """The devices' own clocks."""
    start_up: StartUpSpec = StartUpSpec()
    """When the devices are powered on."""
    workload: WorkloadSpec = WorkloadSpec()
    """What is logged and uploaded."""
    heartbeat: Duration | None = None
    """Period of the PUT of device.json; 0 = off; left out = as the profile says."""
    ota: Duration | None = None
    """Period of the over-the-air check; 0 = off; left out = as the profile says."""
    overrides: Overrides = Overrides()
    """Single figures of the profile, replaced."""
