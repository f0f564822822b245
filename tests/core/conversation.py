"""Conversations with a device: ``talk >> event << command``, on a scripted clock.

A test feeds an event with ``>>`` and states with ``<<`` what the device must command
in answer: the class of the command and, by keyword, facts about it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fleetsim.core.commands import Command, Connect, Send, Wait
from fleetsim.core.device import Device
from fleetsim.core.device_settings import DeviceSettings, RunClock
from fleetsim.core.draws import Draws
from fleetsim.core.events import Event, Response
from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.core.payload import PayloadBlock
from fleetsim.core.settings import (
    CipherGroup,
    CipherTable,
    ConnectionUse,
    Credentials,
    DeviceProfile,
    Endpoint,
    FallbackPolicy,
    Phasing,
    RetryPolicy,
    Security,
    Workload,
)
from fleetsim.core.sigv4 import Signer
from fleetsim.core.trust_bundle import EMPTY_BUNDLE, TrustBundle

S = 1_000_000_000
EPOCH_S = 1_800_000_000

LADDER = CipherTable(
    "ladder",
    (
        CipherGroup("group 1", ("AES128-GCM-SHA256",)),
        CipherGroup("group 2", ("AES128-GCM-SHA256", "AES128-SHA")),
        CipherGroup("group 3", ("AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256")),
    ),
)

NO_SHARED_CIPHER = Failure("tls.alert.handshake_failure", Phase.TLS)
REFUSED = Failure(Kind.TCP_REFUSED, Phase.TCP)
RESET = Failure(Kind.HTTP_RESET, Phase.WAIT)


@dataclass(frozen=True)
class Always:
    """A distribution with one value."""

    value: float

    @property
    def fixed(self) -> float | None:
        """The value."""
        return self.value

    def sample(self, draws: Draws) -> float:
        """Give the value."""
        return self.value + 0 * len(repr(draws))


def make_settings(
    *,
    fallback: FallbackPolicy | None = None,
    retry: RetryPolicy | None = None,
    connection: ConnectionUse = ConnectionUse.PER_UPLOAD,
    scheme: str = "https",
    period_s: float = 10.0,
    heartbeat_s: float = 0.0,
    ota_s: float = 0.0,
    duration_s: float = 100.0,
    duplicate_ratio: float = 0.0,
    boot_uploads_schema: bool = False,
    **profile: Any,
) -> DeviceSettings:
    """Settings of a quiet device: files every 10 s, no timers, no boot uploads."""
    endpoint = Endpoint(scheme=scheme, host="lab.test", port=9443, bucket="fleet")
    credentials = Credentials(access_key="AKIDEXAMPLE", secret_key="not-a-secret")
    return DeviceSettings(
        cohort="cohort",
        profile=DeviceProfile(
            name="test",
            description="",
            cipher_tables=(LADDER,),
            upload_delay=Always(0.0),
            fallback=fallback or FallbackPolicy(),
            retry=retry or RetryPolicy(first_s=5.0),
            boot_uploads_schema=boot_uploads_schema,
            **profile,
        ),
        cipher_table=LADDER,
        security=Security.MEDIUM if scheme == "https" else Security.LOW,
        workload=Workload(
            file_size=Always(1000),
            period_s=period_s,
            phasing=Phasing.HERD,
            jitter=Always(0.0),
            upload_delay=Always(0.0),
            connection=connection,
            heartbeat_s=heartbeat_s,
            ota_s=ota_s,
            duplicate_ratio=duplicate_ratio,
        ),
        endpoint=endpoint,
        credentials=credentials,
        signer=Signer(credentials, endpoint),
        clock=RunClock(EPOCH_S * S),
        payload=PayloadBlock(seed=1, block_bytes=4096),
        load_end_ns=int(duration_s * S),
    )


def make_device(
    settings: DeviceSettings | None = None,
    *,
    bundle: TrustBundle = EMPTY_BUNDLE,
    skew_s: float = 0.0,
    phase_ns: int = 0,
) -> Device:
    """One device with a fixed seed."""
    return Device(
        settings or make_settings(),
        device_id="AABBCCDD",
        seed=7,
        phase_ns=phase_ns,
        clock_skew_s=skew_s,
        bundle=bundle,
    )


def ok(status: int = 200, body: bytes = b"", **headers: str) -> Response:
    """A response without error."""
    return Response(status, headers, body, keep_alive=True)


def s3_error(status: int, code: str) -> Response:
    """An S3 error document."""
    body = f"<Error><Code>{code}</Code><Message>words</Message></Error>".encode()
    return Response(status, {"content-type": "application/xml"}, body, keep_alive=True)


_FACTS: dict[str, Callable[[Any], Any]] = {
    "operation": lambda command: command.task.operation.value,
    "attempt": lambda command: command.task.attempt,
    "planned_s": lambda command: command.task.planned_ns / S,
    "key": lambda command: command.task.key,
    "group": lambda command: command.group.name if command.group else None,
    "until_s": lambda command: command.until_ns / S,
    "verify_unix_s": lambda command: command.verify_unix_s,
    "keep_open": lambda command: command.keep_open,
    "bundle": lambda command: command.bundle,
    "method": lambda command: command.head.split(b" ", 1)[0].decode(),
}


@dataclass
class Expect:
    """What a command must be."""

    kind: type
    facts: dict[str, Any]


def connect(**facts: Any) -> Expect:
    """The device must connect."""
    return Expect(Connect, facts)


def send(**facts: Any) -> Expect:
    """The device must send."""
    return Expect(Send, facts)


def wait(**facts: Any) -> Expect:
    """The device must wait."""
    return Expect(Wait, facts)


@dataclass
class Conversation:
    """A conversation under way."""

    device: Device
    now_ns: int = 0
    command: Command | None = None
    log: list[str] = field(default_factory=list)

    def at(self, seconds: float) -> "Conversation":
        """Move the clock."""
        self.now_ns = int(seconds * S)
        return self

    def __rshift__(self, event: Event) -> "Conversation":
        """Feed an event."""
        self.command = self.device.handle(event, self.now_ns)
        self.log.append(f"{self.now_ns / S:8.3f} >> {type(event).__name__}")
        self.log.append(f"         << {self.command}")
        return self

    def __lshift__(self, expected: Expect | type) -> "Conversation":
        """State what the device must have commanded."""
        if isinstance(expected, type):
            expected = Expect(expected, {})
        story = "\n".join(self.log)
        assert isinstance(self.command, expected.kind), (
            f"wanted {expected.kind.__name__}\n{story}"
        )
        for name, value in expected.facts.items():
            found = _FACTS[name](self.command)
            assert found == value, f"{name}: {found!r}, wanted {value!r}\n{story}"
        return self
