"""Settings: every rule and figure of a device as plain frozen values.

A profile (YAML, with provenance) becomes a :class:`DeviceProfile`; a scenario may
replace single figures; the device reads nothing else. Durations are seconds (float),
sizes bytes (int).

Long because every rule and figure of a device stands in one vocabulary.
"""

from dataclasses import dataclass, field
from enum import StrEnum, unique

from fleetsim.core.draws import Distribution


@unique
class Security(StrEnum):
    """Server security mode (CANedge documentation, "S3 security")."""

    LOW = "low"  # HTTP
    MEDIUM = "medium"  # HTTPS, server authenticated
    HIGH = "high"  # HTTPS, mutual authentication


@unique
class RequestStyle(StrEnum):
    """Where the bucket name goes (AWS: virtual hosting of buckets)."""

    PATH = "path"
    VIRTUAL = "virtual"


# ---------------------------------------------------------------- cipher groups


@dataclass(frozen=True, slots=True)
class CipherGroup:
    """A set of cipher suites offered together.

    Attributes:
        name: As reports print it, for example ``group 1``.
        suites: OpenSSL names, most preferred first; TLS 1.2 and TLS 1.3 names may mix.
    """

    name: str
    suites: tuple[str, ...]

    @property
    def offered(self) -> str:
        """The suites in OpenSSL's list syntax."""
        return ":".join(self.suites)


@dataclass(frozen=True, slots=True)
class CipherTable:
    """The ladder of cipher groups of a device, tried first to last; length >= 1."""

    name: str
    groups: tuple[CipherGroup, ...]


@unique
class AdvanceOn(StrEnum):
    """Which failures move a device on to the next cipher group."""

    ANY_FAILURE = "any_failure"  # any failed connection attempt: DNS, TCP or TLS
    TLS_FAILURE = "tls_failure"  # TLS failures only
    CIPHER_FAILURE = "cipher_failure"  # only what another group could mend
    NEVER = "never"


@unique
class GroupMemory(StrEnum):
    """How long a device remembers the group it reached."""

    POWER_CYCLE = "power_cycle"  # until the next power-on
    FOREVER = "forever"  # over power cycles too
    CONNECTION = "connection"  # every new connection starts at the first group


@unique
class StepBack(StrEnum):
    """What a success on a later group does."""

    NEVER = "never"  # stays there
    AFTER_SUCCESS = "after_success"  # the next connection starts at the first group


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackPolicy:
    """Cipher-group fallback.

    Attributes:
        advance_on: Failures that advance the group.
        memory: How long the reached group is remembered.
        step_back: What a success on a later group does.
        delay_s: Pause between a failed attempt and the attempt with the next group.
    """

    advance_on: AdvanceOn = AdvanceOn.ANY_FAILURE
    memory: GroupMemory = GroupMemory.POWER_CYCLE
    step_back: StepBack = StepBack.NEVER
    delay_s: float = 0.0


# ---------------------------------------------------------------- trust


@unique
class DistinctBy(StrEnum):
    """Field by which the device tells its trusted certificates apart."""

    ISSUER = "issuer"
    SUBJECT = "subject"
    NOTHING = "nothing"


@unique
class OnBadBundle(StrEnum):
    """What a device does with a bundle that breaks a rule."""

    KEEP_OLD = "keep_old"
    CLEAR = "clear"
    LOAD_WHAT_FITS = "load_what_fits"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRules:
    """What a device accepts as ``certs_server.p7b``.

    Attributes:
        max_certificates: Most certificates in one bundle.
        max_bytes: Largest file the device reads.
        distinct_by: Certificates must differ in this field.
        require_ca: Every certificate needs basicConstraints CA:TRUE.
        rsa_bits: Accepted RSA modulus sizes; empty = any.
        ec_curves: Accepted curves by SEC name (``secp256r1``); empty = no EC keys;
            ``("*",)`` = any.
        on_bad: Policy when a rule is broken.
        digest: ``sha1`` or ``md5``: hash listed in device.json, one per certificate.
    """

    max_certificates: int = 10
    max_bytes: int = 64 * 1024
    distinct_by: DistinctBy = DistinctBy.ISSUER
    require_ca: bool = False
    rsa_bits: tuple[int, ...] = (512, 1024, 2048)
    ec_curves: tuple[str, ...] = ()
    on_bad: OnBadBundle = OnBadBundle.KEEP_OLD
    digest: str = "sha1"


# ---------------------------------------------------------------- TLS


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsRules:
    """How a device speaks TLS.

    Attributes:
        min_version: ``TLSv1.2`` or ``TLSv1.3``.
        max_version: Likewise, not below ``min_version``.
        security_level: OpenSSL security level 0..2 (0 admits RSA-512/1024, SHA-1).
        curves: Groups for key exchange, OpenSSL names, preferred first; empty = default.
        send_sni: Send SNI when the endpoint is a host name (RFC 6066 3).
        check_host: The certificate must name the endpoint (RFC 9525).
        check_ip: Check the address when the endpoint is an IP literal.
        check_key_usage: Static RSA key exchange only with a leaf whose key usage
            allows keyEncipherment (RFC 5246 7.4.2).
        resumption: Offer the last session again.
    """

    min_version: str = "TLSv1.2"
    max_version: str = "TLSv1.2"
    security_level: int = 0
    curves: tuple[str, ...] = ("P-256",)
    send_sni: bool = True
    check_host: bool = True
    check_ip: bool = True
    check_key_usage: bool = True
    resumption: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """Longest time a device waits in each phase, seconds.

    Attributes:
        dns_s: Name resolution.
        connect_s: TCP connect.
        handshake_s: TLS handshake.
        send_s: Sending the request; restarts whenever bytes leave.
        response_s: From request sent to response complete.
    """

    dns_s: float = 5.0
    connect_s: float = 10.0
    handshake_s: float = 15.0
    send_s: float = 30.0
    response_s: float = 30.0


# ---------------------------------------------------------------- storage, timers


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRules:
    """The SD card.

    Attributes:
        size_bytes: Capacity.
        cyclic: When full, delete the oldest file; otherwise stop logging.
    """

    size_bytes: int = 8_000_000_000
    cyclic: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When to try again after a failure: ``first_s * factor**n``, at most ``max_s``.

    Attributes:
        first_s: Wait after the first failure, > 0.
        factor: Growth per further failure, >= 1.
        max_s: Longest wait.
        jitter_ratio: 0..1; the wait is drawn from ``[wait * (1 - ratio), wait]``.
    """

    first_s: float = 10.0
    factor: float = 1.0
    max_s: float = 300.0
    jitter_ratio: float = 0.0


@unique
class ClockSync(StrEnum):
    """When a device sets its clock by the network's time."""

    OFF = "off"  # never: the time servers are out of reach
    WHEN_CONNECTED = "when_connected"  # before it opens a connection


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockRules:
    """The device's clock. It goes on while the power is off.

    Attributes:
        sync: When it is set by the network's time.
        tolerance_s: It is set when it is off by more than this, >= 0.
    """

    sync: ClockSync = ClockSync.OFF
    tolerance_s: float = 30.0


@unique
class ChangeDetection(StrEnum):
    """How a device notices that an over-the-air object changed."""

    CONDITIONAL_GET = "conditional_get"  # GET with If-None-Match
    HEAD_THEN_GET = "head_then_get"  # HEAD, GET when the ETag differs


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What a device says of itself in device.json.

    Attributes:
        type_code: 8 hex digits, for example ``0000005F`` (CANedge2 GNSS).
        fw_ver: ``MM.mm.pp``.
        hw_ver: ``nn.nn/nn.nn``.
        digests_key: Key of the trust hashes: ``certs_server_sha1`` or ``…_md5``.
        extra: Further constant keys (``wifi_fw_ver`` …).
    """

    type_code: str = "0000005F"
    fw_ver: str = "01.07.05"
    hw_ver: str = "00.03/00.00"
    digests_key: str = "certs_server_sha1"
    extra: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProfile:
    """A device model: everything its logic needs, no scenario in it.

    Attributes:
        name: Profile name, printed in every report.
        cipher_tables: All tables of the profile; the first is the default.
        heartbeat_s: Period of the device.json PUT; 0 = off.
        ota_s: Period of the over-the-air check; 0 = off.
        upload_delay: Pause between closing a file and starting its upload, seconds.
        signed_payload: Hash the body into the signature; otherwise UNSIGNED-PAYLOAD.
        extension: Log file extension without the dot (``MF4``).
        boot_uploads_schema: PUT the rule schema once per power cycle.
        metadata_network_key: Second ``x-amz-meta-`` name that differs by firmware:
            ``Ssid`` or ``Net``; empty = no metadata headers at all.
    """

    name: str
    description: str
    cipher_tables: tuple[CipherTable, ...]
    fallback: FallbackPolicy = field(default_factory=FallbackPolicy)
    bundle: BundleRules = field(default_factory=BundleRules)
    tls: TlsRules = field(default_factory=TlsRules)
    deadlines: Deadlines = field(default_factory=Deadlines)
    card: CardRules = field(default_factory=CardRules)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    clock: ClockRules = field(default_factory=ClockRules)
    change_detection: ChangeDetection = ChangeDetection.CONDITIONAL_GET
    identity: Identity = field(default_factory=Identity)
    heartbeat_s: float = 300.0
    ota_s: float = 600.0
    upload_delay: Distribution
    style: RequestStyle = RequestStyle.PATH
    signed_payload: bool = False
    extension: str = "MF4"
    boot_uploads_schema: bool = True
    metadata_network_key: str = "Net"
    split_size_bytes: int = 50_000_000


# ---------------------------------------------------------------- target


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """S3 credentials. The secret and the token never show in ``repr``.

    Attributes:
        access_key: AWS access key id.
        secret_key: AWS secret access key.
        session_token: Token of temporary credentials, empty when there is none.
    """

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a device uploads to.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Host name or IP literal (IPv6 without brackets).
        port: TCP port 1..65535.
        bucket: Bucket name.
        region: Region of the credential scope.
        style: Path style or virtual-hosted style.
    """

    scheme: str
    host: str
    port: int
    bucket: str
    region: str = "us-east-1"
    style: RequestStyle = RequestStyle.PATH

    @property
    def is_tls(self) -> bool:
        """Whether connections to it are TLS."""
        return self.scheme == "https"


# ---------------------------------------------------------------- workload


@unique
class Phasing(StrEnum):
    """Where in the period devices close their files."""

    HERD = "herd"  # all on the same boundary
    SPREAD = "spread"  # uniformly over the period, fixed per device


@unique
class ConnectionUse(StrEnum):
    """How long a connection lives."""

    PER_UPLOAD = "per_upload"  # a new connection for every request
    KEEP_ALIVE = "keep_alive"  # one connection until somebody closes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What a device logs and how it uploads.

    File ``k`` (k = 0, 1, …) of a device closes at ``phase + k * period + jitter_k``
    after the start of the run; files that would close before the device is powered
    on do not exist.

    Attributes:
        file_size: Size of a closed file, bytes.
        period_s: Time between two files; 0 = the device logs nothing.
        phasing: Common boundary or spread over the period.
        jitter: Added to each closing time, seconds; may be negative.
        upload_delay: Pause between closing and upload, seconds.
        connection: New connection per request or kept alive.
        heartbeat_s: Period of the device.json PUT; 0 = off.
        ota_s: Period of the over-the-air check; 0 = off.
        duplicate_ratio: 0..1, share of confirmations the device loses and uploads
            again under a new key.
    """

    file_size: Distribution
    period_s: float
    phasing: Phasing
    jitter: Distribution
    upload_delay: Distribution
    connection: ConnectionUse
    heartbeat_s: float
    ota_s: float
    duplicate_ratio: float = 0.0
