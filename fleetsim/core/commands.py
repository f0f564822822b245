"""Commands: what a device wants done next. Exactly one is outstanding at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum, unique

from fleetsim.core.settings import CipherGroup, Endpoint
from fleetsim.core.trust_bundle import TrustBundle


@unique
class Operation(StrEnum):
    """What an attempt is for. Values are written to results: never rename one."""

    UPLOAD = "upload"  # PUT of a log file
    HEARTBEAT = "heartbeat"  # PUT of device.json
    SCHEMA = "schema"  # PUT of the rule schema, once per power cycle
    CONFIG = "config"  # PUT of the device's own config when the bucket has none
    OTA_BUNDLE = "ota_bundle"  # check / fetch of certs_server.p7b
    OTA_CONFIG = "ota_config"
    OTA_FIRMWARE = "ota_firmware"


@dataclass(slots=True, kw_only=True)
class Task:
    """One operation of a device from plan to success; attempts belong to it.

    Attributes:
        operation: What it is for.
        key: Object key.
        planned_ns: When the plan wanted it to start (run time).
        attempt: Number of the current attempt, from 1.
        body_bytes: Size of the request body.
        content: Which bytes the body has, a key into :mod:`fleetsim.core.payload`
            (0 for bodies that are not log files).
        device_unix_s: The device's own wall clock at signing, whole seconds.
    """

    operation: Operation
    key: str
    planned_ns: int
    attempt: int = 1
    body_bytes: int = 0
    content: int = 0
    device_unix_s: int = 0


@dataclass(slots=True, kw_only=True)
class Connect:
    """Open a connection: DNS, TCP and, for https, TLS.

    Attributes:
        task: What the connection is for.
        endpoint: Where to.
        group: Cipher group to offer, ``None`` for http.
        bundle: Trust anchors, ``None`` for http.
        verify_unix_s: The device's wall clock: time at which the chain is verified.
        resume: Offer the device's last session of this endpoint.
    """

    task: Task
    endpoint: Endpoint
    group: CipherGroup | None
    bundle: TrustBundle | None
    verify_unix_s: int
    resume: bool


@dataclass(slots=True, kw_only=True)
class Send:
    """Send one request on the open connection and wait for its response.

    Attributes:
        task: What the request is for.
        head: Request line and headers, ready for the wire.
        body: Body in pieces, never copied together.
        is_head_request: The response has no body whatever its headers say.
        max_response_bytes: Larger response bodies are ``http.malformed``.
        keep_open: Whether to keep the connection for the next request.
    """

    task: Task
    head: bytes
    body: Sequence[memoryview | bytes]
    is_head_request: bool = False
    max_response_bytes: int = 65536
    keep_open: bool = False


@dataclass(slots=True)
class Wait:
    """Do nothing until ``until_ns`` (run time). An idle connection stays open."""

    until_ns: int


@dataclass(frozen=True, slots=True)
class Stop:
    """The device has nothing more to do; close what is open."""


Command = Connect | Send | Wait | Stop
