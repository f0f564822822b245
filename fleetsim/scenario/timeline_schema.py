"""Timeline schema: what the operator does while the fleet uploads, action by action.

An entry has one trigger (``at``, ``date``, ``after`` or ``when``) and exactly one action,
whose key says what is done::

    - {name: new_root, at: 5s, issue_ca: {}}
    - {after: new_root, push_bundle: {certificates: [root, new_root], waves: {share: 10%, every: 30s}}}
    - {when: "bundle_share >= 1", swap_server_certificate: {certificate: server2}}

Certificates and authorities are named by the entry that makes them. ``root`` is the
lab's first root, ``intermediate`` its first server CA, ``devices`` its device CA, and
the front's own name is its first certificate.

Long because it is a vocabulary: whoever writes a timeline finds every word here.
"""

from enum import StrEnum, unique
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, StrictBool, model_validator

from fleetsim.scenario.condition import ConditionField
from fleetsim.scenario.dates import Date
from fleetsim.scenario.model import ClientKey, Name, Part, PathText, Text, TlsVersion
from fleetsim.scenario.quantities import Duration, Number, Ratio, Size
from fleetsim.scenario.target_schema import CertificateName, CipherList

MAX_ENTRIES: Final = 1000
CA_LIFETIME_S: Final = 3650 * 86400.0
LEAF_LIFETIME_S: Final = 90 * 86400.0
DEVICE_LIFETIME_S: Final = 365 * 86400.0

Lifetime = Annotated[Duration, Field(ge=1)]
"""A certificate's dates are whole seconds (RFC 5280 4.1.2.5), of the calendar."""


class Selector(Part):
    """Which devices; what is left out does not narrow the choice."""

    cohorts: tuple[Name, ...] = ()
    """Only these cohorts; empty = all."""
    share: Annotated[Ratio, Field(gt=0)] | None = None
    """This share of them, chosen by the seed; a smaller share is part of a larger."""
    devices: tuple[Annotated[str, Field(pattern=r"^[0-9A-F]{8}$")], ...] = ()
    """Only these device ids."""


ALL: Final = Selector()

# ---------------------------------------------------------------- certificates


class IssueCa(Part):
    """Make a certificate authority, named by the entry."""

    key: ClientKey = "rsa-2048"
    """Type and size of its key."""
    lifetime: Lifetime = CA_LIFETIME_S
    """From now to notAfter."""
    under: Name | None = None
    """Issuer; left out = it is a root of its own."""
    common_name: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """Subject; left out = the entry's name. Two roots may share one on purpose."""


class CrossSign(Part):
    """Certify the key of one authority by another; the result is named by the entry."""

    ca: Name
    """Authority whose key is certified."""
    by: Name
    """Authority that signs."""
    lifetime: Lifetime = CA_LIFETIME_S
    """From now to notAfter."""


class IssueServerCertificate(Part):
    """Make a server certificate, named by the entry."""

    ca: Name = "intermediate"
    """Issuer: a CA or a cross-signed CA."""
    key: ClientKey = "rsa-2048"
    """Type and size of its key."""
    lifetime: Lifetime = LEAF_LIFETIME_S
    """From `starts` to notAfter; seconds are allowed."""
    starts: Duration = 0.0
    """Time from now until it becomes valid; 0 = valid since yesterday."""
    names: Annotated[
        tuple[CertificateName, ...], Field(min_length=1, max_length=100)
    ] = ("localhost", "127.0.0.1")
    """Host names and IP addresses in its subjectAltName."""
    with_common_name: StrictBool = True
    """Put the first name into the subject as CN."""
    with_key_encipherment: StrictBool = True
    """Allow RSA key exchange (RSA keys only)."""


@unique
class ChainForm(StrEnum):
    """What a server sends besides its leaf."""

    FULL = "full"  # every intermediate, in order
    LEAF_ONLY = "leaf_only"  # the intermediate was forgotten
    WRONG_ORDER = "wrong_order"  # intermediates before the leaf's issuer
    WITH_ROOT = "with_root"  # the root too


class SwapServerCertificate(Part):
    """Let a front present another certificate, without dropping connections."""

    front: Name | None = None
    """Front; left out = all TLS fronts."""
    certificate: Name
    """Certificate by name."""
    chain: ChainForm = ChainForm.FULL
    """What is sent along."""
    also_send: tuple[Name, ...] = ()
    """Further CA or cross-signed certificates to send, such as an expired one."""


class SwapCiphers(Part):
    """Let a front accept other TLS 1.2 cipher suites."""

    front: Name | None = None
    """Front; left out = all TLS fronts."""
    ciphers: CipherList
    """OpenSSL cipher list."""


class SwapTlsVersions(Part):
    """Let a front accept other protocol versions."""

    front: Name | None = None
    """Front; left out = all TLS fronts."""
    versions: Annotated[tuple[TlsVersion, ...], Field(min_length=1, max_length=2)]
    """Versions it accepts."""


# ---------------------------------------------------------------- over the air


class Waves(Part):
    """Not everybody at once."""

    share: Annotated[Ratio, Field(gt=0)]
    """Share of the chosen devices per wave."""
    every: Duration
    """Time between two waves."""


@unique
class BundleFault(StrEnum):
    """A bundle that is broken on purpose."""

    EMPTY = "empty"
    GARBAGE = "garbage"
    TRUNCATED = "truncated"


class PushBundle(Part):
    """PUT ``<ID>/certs_server.p7b`` for devices to fetch on their over-the-air timer."""

    to: Selector = ALL
    """Devices."""
    certificates: tuple[Name, ...] = ()
    """Certificates of the bundle, by name."""
    file: PathText | None = None
    """A bundle file instead; relative to the scenario."""
    fault: BundleFault | None = None
    """Break it on purpose."""
    waves: Waves | None = None
    """Left out = all at once."""
    pause_when: ConditionField | None = None
    """No further wave while this holds; the last wave may then never go out."""


class PushConfig(Part):
    """PUT a configuration object; the devices apply it and power-cycle."""

    to: Selector = ALL
    """Devices."""
    front: Name | None = None
    """Front they shall use from then on (scheme, host and port)."""
    heartbeat: Annotated[Duration, Field(le=86400)] | None = None
    """New period of device.json; 0 = off."""
    ota: Annotated[Duration, Field(le=86400)] | None = None
    """New period of the over-the-air check; 0 = off, for ever."""
    waves: Waves | None = None
    """Left out = all at once."""
    pause_when: ConditionField | None = None
    """No further wave while this holds."""


class PushFirmware(Part):
    """PUT ``<ID>/firmware.bin``; the devices install it and power-cycle."""

    to: Selector = ALL
    """Devices."""
    version: Annotated[str, Field(pattern=r"^\d{2}\.\d{2}\.\d{2}$")]
    """``MM.mm.pp``."""
    waves: Waves | None = None
    """Left out = all at once."""
    pause_when: ConditionField | None = None
    """No further wave while this holds."""


# ---------------------------------------------------------------- device identity


class RotateDeviceCertificates(Part):
    """Issue new device certificates; the devices use them from their next connection."""

    to: Selector = ALL
    """Devices."""
    ca: Name = "devices"
    """Issuer."""
    lifetime: Lifetime = DEVICE_LIFETIME_S
    """From now to notAfter."""
    with_client_auth: StrictBool = True
    """Allow client authentication; false = an extended key usage of serverAuth alone."""
    revoke_old: Duration | None = None
    """Revoke the old ones this long afterwards; left out = never."""


class RevokeDevices(Part):
    """Revoke the devices' current certificates and load the new list on the fronts."""

    to: Selector
    """Devices."""


class Unrevoke(Part):
    """Take devices off the revocation list again."""

    to: Selector = ALL
    """Devices."""


class ExpireCrl(Part):
    """Load a revocation list whose nextUpdate has passed on the fronts."""


class RotateCredentials(Part):
    """Give the fleet new S3 keys; the old ones stay valid for the overlap."""

    to: Selector = ALL
    """Devices that learn of the new keys."""
    overlap: Duration = 0.0
    """How long the server accepts the old keys afterwards."""


# ---------------------------------------------------------------- trouble


class ServerOutage(Part):
    """Stop accepting connections for a while; those that are open are reset."""

    front: Name | None = None
    """Front; left out = all."""
    duration: Annotated[Duration, Field(gt=0)]
    """How long."""


class SlowServer(Part):
    """Delay every answer for a while."""

    front: Name | None = None
    """Front; left out = all."""
    delay: Annotated[Duration, Field(gt=0)]
    """Time added before an answer."""
    duration: Annotated[Duration, Field(gt=0)]
    """How long."""


class ResetConnections(Part):
    """Reset every open connection."""

    front: Name | None = None
    """Front; left out = all."""


class DnsChange(Part):
    """Let a front's host name resolve to another address for the devices."""

    front: Name
    """Front whose name changes."""
    to_front: Name | None = None
    """Front whose address and port it leads to: itself = as it was; left out = the name
    is gone."""


@unique
class FaultKind(StrEnum):
    """What happens to connections on their way, at the TCP level, whatever they lead to."""

    DELAY = "delay"  # every byte is late
    THROTTLE = "throttle"  # a narrow way
    SLOW_FIRST_BYTE = "slow_first_byte"  # the server takes its time to begin
    RESET = "reset"  # RST
    HALF_CLOSE = "half_close"  # FIN to the client alone, which is still heard
    BLACKHOLE = "blackhole"  # accepted, then nothing moves
    TRUNCATE = "truncate"  # FIN to both sides in the middle of an answer


class Fault(Part):
    """Disturb the path between devices and their server for a while.

    New connections are hit; those that are open go on as they were. The server may be
    anybody's: the devices of a `target` are sent through a relay on
    this machine while it lasts, with the name they asked for and the server's own
    certificate.
    """

    front: Name | None = None
    """Front of the lab; left out = all, or the target."""
    kind: FaultKind
    """What happens to connections."""
    duration: Annotated[Duration, Field(gt=0)]
    """How long."""
    delay: Duration = 0.0
    """Delay per direction (kind delay), or of the first byte to the client (kind
    slow_first_byte)."""
    jitter: Duration = 0.0
    """Up to this much more, drawn anew for whatever arrives (kind delay)."""
    bytes_per_s: Annotated[Size, Field(ge=1)] | None = None
    """Rate (kind throttle)."""
    after_bytes: Size = 0
    """Bytes to the client before it happens (kinds reset, half_close, truncate)."""
    share: Annotated[Ratio, Field(gt=0)] = 1.0
    """Share of new connections that are hit, in turn."""


# ---------------------------------------------------------------- devices


class PowerCycleDevices(Part):
    """Cut the power and restore it."""

    to: Selector = ALL
    """Devices."""
    over: Duration = 0.0
    """Spread over this time."""


class SleepDevices(Part):
    """Switch devices off: a parked vehicle."""

    to: Selector
    """Devices."""


class WakeDevices(Part):
    """Switch sleeping devices on again."""

    to: Selector = ALL
    """Devices."""


class SkewClock(Part):
    """Move the devices' clocks."""

    to: Selector = ALL
    """Devices."""
    by: Duration
    """How far."""
    backwards: StrictBool = False
    """Into the past."""


class SetClock(Part):
    """Set the devices' clocks to a date."""

    to: Selector = ALL
    """Devices."""
    time: Date
    """Date and time, UTC."""


class LoseRtc(Part):
    """The clock's battery is flat: the devices believe it is 2000-01-01."""

    to: Selector = ALL
    """Devices."""


class NetworkDown(Part):
    """The devices lose their network."""

    to: Selector = ALL
    """Devices."""


class NetworkUp(Part):
    """The devices get their network back."""

    to: Selector = ALL
    """Devices."""


# ---------------------------------------------------------------- control


class RunCommand(Part):
    """Run the operator's own program; only with ``--allow-commands``."""

    argv: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)
    ]
    """Program and arguments; no shell."""
    timeout: Annotated[Duration, Field(gt=0)] = 60.0
    """It is killed after this."""
    replaces: Name | None = None
    """Entry or kind of action (`swap_server_certificate`) that it is run for where the
    target is not the lab; such an entry has no time of its own."""


class WaitFor(Part):
    """Wait until a condition holds; entries that come `after` this one wait with it."""

    condition: ConditionField
    """On the live figures."""
    timeout: Annotated[Duration, Field(gt=0)] = 300.0
    """Fails after this."""


class Assert(Part):
    """Fail the run when a condition does not hold now."""

    condition: ConditionField
    """On the live figures."""
    reason: Text = ""
    """Why; for people."""


ACTIONS: Final[dict[str, type[Part]]] = {
    "issue_ca": IssueCa,
    "cross_sign": CrossSign,
    "issue_server_certificate": IssueServerCertificate,
    "swap_server_certificate": SwapServerCertificate,
    "swap_ciphers": SwapCiphers,
    "swap_tls_versions": SwapTlsVersions,
    "push_bundle": PushBundle,
    "push_config": PushConfig,
    "push_firmware": PushFirmware,
    "rotate_device_certificates": RotateDeviceCertificates,
    "revoke_devices": RevokeDevices,
    "unrevoke": Unrevoke,
    "expire_crl": ExpireCrl,
    "rotate_credentials": RotateCredentials,
    "server_outage": ServerOutage,
    "slow_server": SlowServer,
    "reset_connections": ResetConnections,
    "dns_change": DnsChange,
    "fault": Fault,
    "power_cycle": PowerCycleDevices,
    "sleep_devices": SleepDevices,
    "wake_devices": WakeDevices,
    "skew_clock": SkewClock,
    "set_clock": SetClock,
    "lose_rtc": LoseRtc,
    "network_down": NetworkDown,
    "network_up": NetworkUp,
    "run_command": RunCommand,
    "wait_for": WaitFor,
    "assert": Assert,
}
"""Every action by the key that names it."""

Action = (
    IssueCa
    | CrossSign
    | IssueServerCertificate
    | SwapServerCertificate
    | SwapCiphers
    | SwapTlsVersions
    | PushBundle
    | PushConfig
    | PushFirmware
    | RotateDeviceCertificates
    | RevokeDevices
    | Unrevoke
    | ExpireCrl
    | RotateCredentials
    | ServerOutage
    | SlowServer
    | ResetConnections
    | DnsChange
    | Fault
    | PowerCycleDevices
    | SleepDevices
    | WakeDevices
    | SkewClock
    | SetClock
    | LoseRtc
    | NetworkDown
    | NetworkUp
    | RunCommand
    | WaitFor
    | Assert
)


class TimelineEntry(Part):
    """One thing that is done, and when."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": [key]} for key in ACTIONS]}
    )

    name: Name | None = None
    """What others call it, and what it makes; unique in the timeline."""
    at: Duration | None = None
    """Run time."""
    date: Date | None = None
    """Date of the scenario's calendar instead of a run time."""
    after: Name | None = None
    """As soon as the entry of this name is done."""
    when: ConditionField | None = None
    """As soon as this holds; checked once a second, oftener in a shortened run."""
    delay: Duration = 0.0
    """Time added to `after` or `when`."""

    issue_ca: IssueCa | None = None
    """Make a certificate authority, called by the entry's name."""
    cross_sign: CrossSign | None = None
    """Certify the key of one authority by another."""
    issue_server_certificate: IssueServerCertificate | None = None
    """Make a server certificate, called by the entry's name."""
    swap_server_certificate: SwapServerCertificate | None = None
    """Let a front present another certificate."""
    swap_ciphers: SwapCiphers | None = None
    """Let a front accept other TLS 1.2 cipher suites."""
    swap_tls_versions: SwapTlsVersions | None = None
    """Let a front accept other protocol versions."""
    push_bundle: PushBundle | None = None
    """Put new trust anchors where the devices fetch them."""
    push_config: PushConfig | None = None
    """Put a new configuration where the devices fetch it."""
    push_firmware: PushFirmware | None = None
    """Put new firmware where the devices fetch it."""
    rotate_device_certificates: RotateDeviceCertificates | None = None
    """Give devices new certificates."""
    revoke_devices: RevokeDevices | None = None
    """Revoke the certificates of devices."""
    unrevoke: Unrevoke | None = None
    """Take devices off the revocation list again."""
    expire_crl: ExpireCrl | None = None
    """Let the revocation list of the fronts expire."""
    rotate_credentials: RotateCredentials | None = None
    """Give devices new S3 keys."""
    server_outage: ServerOutage | None = None
    """Stop accepting connections for a while."""
    slow_server: SlowServer | None = None
    """Delay every answer for a while."""
    reset_connections: ResetConnections | None = None
    """Reset every open connection."""
    dns_change: DnsChange | None = None
    """Let a host name lead elsewhere."""
    fault: Fault | None = None
    """Disturb the path between devices and a front for a while."""
    power_cycle: PowerCycleDevices | None = None
    """Cut the devices' power and restore it."""
    sleep_devices: SleepDevices | None = None
    """Switch devices off."""
    wake_devices: WakeDevices | None = None
    """Switch devices on again."""
    skew_clock: SkewClock | None = None
    """Move the devices' clocks."""
    set_clock: SetClock | None = None
    """Set the devices' clocks to a date."""
    lose_rtc: LoseRtc | None = None
    """Let the devices forget the time."""
    network_down: NetworkDown | None = None
    """Take the devices' network away."""
    network_up: NetworkUp | None = None
    """Give the devices their network back."""
    run_command: RunCommand | None = None
    """Run the operator's own program; only with `--allow-commands`."""
    wait_for: WaitFor | None = None
    """Wait until a condition holds."""
    assert_: Annotated[Assert | None, Field(alias="assert")] = None
    """Fail the run when a condition does not hold now."""

    @model_validator(mode="before")
    @classmethod
    def _bare_actions(cls, value: Any) -> Any:
        """``issue_ca:`` without a value means ``issue_ca: {}``."""
        if isinstance(value, dict):
            return {
                key: {} if key in ACTIONS and each is None else each
                for key, each in value.items()
            }
        return value

    def content(self, key: str) -> Action | None:
        """Content of the action of a key; ``None`` = the entry does not have it."""
        found: Action | None = getattr(self, "assert_" if key == "assert" else key)
        return found

    @property
    def action(self) -> tuple[str, Action]:
        """Key and content of the one action.

        Raises:
            ValueError: There is none.
        """
        for key in ACTIONS:
            found = self.content(key)
            if found is not None:
                return key, found
        raise ValueError("an entry without an action")


class CalendarSpec(Part):
    """Maps a calendar onto the run: certificates, device clocks and the lab follow."""

    start: Date
    """Date at run time 0, UTC: `2027-03-02` or `2027-03-02T00:00Z`."""
    time_scale: Annotated[Number, Field(ge=1, le=10_000_000)] = 1.0
    """Seconds of the calendar per second of the run."""


Expectation = Literal["pass", "fail"]
"""``fail`` = the scenario shows damage on purpose: a failed verdict is exit code 0."""
