"""Over the air: certificates, configuration and firmware that arrive by the bucket."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from fleetsim.core import device_config
from fleetsim.core.commands import Connect, Operation, Send
from fleetsim.core.device import State
from fleetsim.core.events import (
    Connected,
    Handshake,
    PowerOn,
    RequestFailed,
    ResponseReceived,
    WaitOver,
)
from fleetsim.core.over_the_air import (
    CHECKS,
    OverTheAir,
    firmware_version,
    object_key,
    own_config,
)
from fleetsim.core.settings import (
    BundleRules,
    ChangeDetection,
    DistinctBy,
    OnBadBundle,
    RequestStyle,
    Security,
)
from fleetsim.core.trust_bundle import EMPTY_BUNDLE, TrustBundle
from tests.core.certificates import make_certificate
from tests.core.conversation import (
    RESET,
    Conversation,
    connect,
    make_device,
    make_settings,
    ok,
    s3_error,
    send,
    wait,
)

SUITE = Connected(Handshake(version="TLSv1.2", suite="AES128-GCM-SHA256"))
OLD, NEW = make_certificate("Old"), make_certificate("New")
OLD_BUNDLE = TrustBundle.of([OLD])
P7B = pkcs7.serialize_certificates([NEW], Encoding.DER)
GONE = s3_error(404, "NoSuchKey")


class Bucket:
    """Objects by key; answers a device as an S3 server does."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts: dict[str, bytes] = {}
        self.methods: list[tuple[str, str]] = []

    def _etag(self, key: str) -> str:
        return f'"{device_config.crc32(self.objects[key])}"'

    def answer(self, command: Send) -> ResponseReceived:
        """Answer one request."""
        lines = command.head.decode().split("\r\n")
        method = lines[0].split(" ")[0]
        headers = dict(line.lower().split(": ", 1) for line in lines[1:] if line)
        key = command.task.key
        self.methods.append((method, command.task.operation.value))
        response = ok()
        if method == "PUT":
            self.puts[key] = b"".join(bytes(piece) for piece in command.body)
            self.objects[key] = self.puts[key]
            response = ok(etag=self._etag(key))
        elif key not in self.objects:
            response = GONE if method == "GET" else ok(404)
        elif headers.get("if-none-match") == self._etag(key):
            response = ok(304)
        else:
            body = self.objects[key] if method == "GET" else b""
            response = ok(body=body, etag=self._etag(key))
        return ResponseReceived(response, is_open=command.keep_open)


def carry_on(talk: Conversation, bucket: Bucket) -> None:
    """Let the network do what the device wants, until it waits."""
    for _ in range(60):
        if isinstance(talk.command, Connect):
            talk >> SUITE
        elif isinstance(talk.command, Send):
            talk >> bucket.answer(talk.command)
        else:
            return
    pytest.fail("the device never rests")


def talk_of(bucket: Bucket, **profile: Any) -> Conversation:
    """A device that has just booted: a heartbeat every 10 s, a check every 10 s."""
    settings = make_settings(heartbeat_s=10, ota_s=10, period_s=0, **profile)
    talk = Conversation(make_device(settings, bundle=OLD_BUNDLE))
    talk >> PowerOn()
    carry_on(talk, bucket)
    return talk


def next_round(talk: Conversation, bucket: Bucket, seconds: float) -> None:
    """The next turn of heartbeat and check."""
    talk.at(seconds) >> WaitOver()
    carry_on(talk, bucket)


def digests_in(bucket: Bucket) -> list[str]:
    """What the last device.json says of the trust."""
    content = json.loads(bucket.puts["AABBCCDD/device.json"])
    found: list[str] = content["certs_server_sha1"]
    return found


DETECTIONS = pytest.mark.parametrize("detection", list(ChangeDetection))


@DETECTIONS
def test_new_bundle_shows_in_the_next_device_json(detection: ChangeDetection) -> None:
    """A bundle from the bucket is trusted at once and reported with the next PUT."""
    bucket = Bucket()
    talk = talk_of(bucket, change_detection=detection)
    assert digests_in(bucket) == list(OLD_BUNDLE.digests)
    bucket.objects["AABBCCDD/certs_server.p7b"] = P7B
    next_round(talk, bucket, 10)
    assert talk.device.bundle == TrustBundle.of([NEW])
    assert talk.device.ota.bundles_loaded == 1
    next_round(talk, bucket, 20)
    assert digests_in(bucket) == list(TrustBundle.of([NEW]).digests)
    assert talk.device.power_cycles == 0, "a bundle needs no power cycle"


@DETECTIONS
def test_an_unchanged_object_is_not_fetched_again(detection: ChangeDetection) -> None:
    """If-None-Match or HEAD: an object that stays is loaded once."""
    bucket = Bucket()
    bucket.objects["AABBCCDD/certs_server.p7b"] = P7B
    talk = talk_of(bucket, change_detection=detection)
    bucket.methods.clear()
    next_round(talk, bucket, 10)
    verb = "HEAD" if detection is ChangeDetection.HEAD_THEN_GET else "GET"
    assert [m for m in bucket.methods if m[1].startswith("ota")] == [
        (verb, operation.value) for operation in CHECKS
    ]
    assert talk.device.ota.bundles_loaded == 1


@pytest.mark.parametrize(
    ("on_bad", "trusted"),
    [
        pytest.param(OnBadBundle.KEEP_OLD, OLD_BUNDLE, id="keep"),
        pytest.param(OnBadBundle.CLEAR, EMPTY_BUNDLE, id="clear"),
    ],
)
def test_bad_bundle(on_bad: OnBadBundle, trusted: TrustBundle) -> None:
    """What a device does with a bundle that breaks a rule is a knob; it never fails."""
    bucket = Bucket()
    bucket.objects["AABBCCDD/certs_server.p7b"] = b"garbage"
    talk = talk_of(bucket, bundle=BundleRules(on_bad=on_bad))
    assert talk.device.bundle == trusted
    assert [refusal.rule for refusal in talk.device.ota.refusals] == ["unreadable"]


def test_empty_bundle_clears_the_trust() -> None:
    """A file of 0 bytes takes every certificate away."""
    bucket = Bucket()
    bucket.objects["AABBCCDD/certs_server.p7b"] = b""
    talk = talk_of(bucket)
    assert talk.device.bundle.is_empty
    next_round(talk, bucket, 10)
    assert digests_in(bucket) == []


def test_rules_of_the_profile_hold_over_the_air() -> None:
    """Two certificates of one issuer break the CANedge2 rule; the old trust stays."""
    twins = [make_certificate("Twin"), make_certificate("Leaf", issuer="Twin")]
    bucket = Bucket()
    bucket.objects["AABBCCDD/certs_server.p7b"] = pkcs7.serialize_certificates(
        twins, Encoding.PEM
    )
    talk = talk_of(bucket, bundle=BundleRules(distinct_by=DistinctBy.ISSUER))
    assert talk.device.bundle == OLD_BUNDLE
    assert talk.device.ota.refusals[0].rule == "distinct_issuer"


def config(**server: object) -> bytes:
    """A configuration with other timers and this server."""
    sync = {"ota": 40, "heartbeat": 25}
    return json.dumps({"connect": {"s3": {"sync": sync, "server": server}}}).encode()


def test_configuration_is_applied_and_power_cycles() -> None:
    """New timers, endpoint and bucket; the device restarts and reports the checksum."""
    bucket = Bucket()
    talk = talk_of(bucket)
    before = talk.device.settings
    body = config(endpoint="https://new.test", port=8443, bucket="other")
    bucket.objects["AABBCCDD/config-01.07.json"] = body
    next_round(talk, bucket, 10)
    now = talk.device.settings
    assert (now.endpoint.host, now.endpoint.port) == ("new.test", 8443)
    assert now.endpoint.bucket == "other"
    assert (now.workload.heartbeat_s, now.workload.ota_s) == (25, 40)
    assert now.credentials is before.credentials, "no secret came with it"
    assert talk.device.power_cycles == 1
    reported = json.loads(bucket.puts["AABBCCDD/device.json"])
    assert reported["cfg_crc32"] == device_config.crc32(body)
    assert talk.command is not None
    assert getattr(talk.command, "until_ns", 0) == 35 * 10**9, "the new heartbeat"


def test_the_same_configuration_is_applied_once() -> None:
    """A device does not restart for ever on a configuration it already has."""
    bucket = Bucket()
    bucket.objects["AABBCCDD/config-01.07.json"] = config(bucket="other")
    talk = talk_of(bucket)
    assert talk.device.power_cycles == 1
    for seconds in (40, 80):
        next_round(talk, bucket, seconds)
    assert talk.device.power_cycles == 1


def test_configuration_to_plain_http() -> None:
    """An http endpoint takes the device out of TLS; https brings it back."""
    bucket = Bucket()
    talk = talk_of(bucket)
    bucket.objects["AABBCCDD/config-01.07.json"] = config(
        endpoint="http://plain.test", port=9000
    )
    next_round(talk, bucket, 10)
    assert talk.device.settings.security is Security.LOW
    assert talk.device.group_name == ""


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"[]", id="no object"),
        pytest.param(config(port=99999), id="port out of range"),
        pytest.param(
            config(endpoint="http://192.0.2.7", request_style=1),
            id="bucket in front of an address",
        ),
    ],
)
def test_bad_configuration_changes_nothing(body: bytes) -> None:
    """The check fails as device.bad_configuration; settings stay, no restart."""
    bucket = Bucket()
    bucket.objects["AABBCCDD/config-01.07.json"] = body
    settings = make_settings(ota_s=10, period_s=0)
    talk = Conversation(make_device(settings))
    talk >> PowerOn()
    verdicts = []
    while talk.device.state is not State.WAITING:
        if isinstance(talk.command, Send):
            operation = talk.command.task.operation
            talk >> bucket.answer(talk.command)
            if operation is Operation.OTA_CONFIG:
                verdicts.append(talk.device.verdict)
        else:
            talk >> SUITE
    assert [verdict.kind for verdict in verdicts if verdict] == [
        "device.bad_configuration"
    ]
    assert talk.device.settings is settings
    assert talk.device.power_cycles == 0


def test_missing_configuration_is_uploaded_and_not_read_back() -> None:
    """The device puts its own configuration into the bucket, once, without a secret."""
    bucket = Bucket()
    talk = talk_of(bucket)
    body = bucket.puts["AABBCCDD/config-01.07.json"]
    assert b"not-a-secret" not in body
    assert b"AKIDEXAMPLE" not in body
    bucket.methods.clear()
    next_round(talk, bucket, 10)
    assert ("PUT", "config") not in bucket.methods
    assert talk.device.power_cycles == 0


@pytest.mark.parametrize(
    ("scheme", "host", "style"),
    [
        pytest.param("https", "lab.test", RequestStyle.PATH, id="name"),
        pytest.param("http", "192.0.2.7", RequestStyle.PATH, id="IPv4"),
        pytest.param("https", "2001:db8::7", RequestStyle.PATH, id="IPv6"),
        pytest.param("https", "lab.test", RequestStyle.VIRTUAL, id="virtual"),
    ],
)
def test_own_configuration_reads_back_to_the_same_settings(
    scheme: str, host: str, style: RequestStyle
) -> None:
    """What the device uploads is a valid configuration that changes nothing."""
    settings = make_settings(heartbeat_s=300, ota_s=600)
    endpoint = replace(settings.endpoint, scheme=scheme, host=host, style=style)
    parsed = device_config.parse(own_config(replace(settings, endpoint=endpoint)))
    assert (parsed.scheme, parsed.host, parsed.port) == (scheme, host, 9443)
    assert (parsed.bucket, parsed.region) == ("fleet", "us-east-1")
    assert parsed.virtual_hosted is (style is RequestStyle.VIRTUAL)
    assert (parsed.heartbeat_s, parsed.ota_s) == (300, 600)
    assert not parsed.signed_payload


FIRMWARE = bytes([0x43, 0x45, 0, 0, 1, 8, 2]) + b"code"


def test_firmware_power_cycles_and_renames_the_configuration() -> None:
    """New version in device.json; the configuration now asked for has its name."""
    bucket = Bucket()
    talk = talk_of(bucket)
    bucket.objects["AABBCCDD/firmware.bin"] = FIRMWARE
    next_round(talk, bucket, 10)
    assert talk.device.ota.fw_ver == "01.08.02"
    assert talk.device.power_cycles == 1
    assert json.loads(bucket.puts["AABBCCDD/device.json"])["fw_ver"] == "01.08.02"
    assert "AABBCCDD/config-01.08.json" in bucket.puts
    next_round(talk, bucket, 20)
    assert talk.device.power_cycles == 1, "the same firmware is not installed twice"


@pytest.mark.parametrize(
    ("body", "version"),
    [
        pytest.param(FIRMWARE, "01.08.02", id="header"),
        pytest.param(FIRMWARE[:7], "01.08.02", id="just long enough"),
        pytest.param(FIRMWARE[:6], None, id="cut off"),
        pytest.param(b"", None, id="empty"),
    ],
)
def test_firmware_version(body: bytes, version: str | None) -> None:
    """The version is bytes 4 to 6 of the header (``device.md`` section 4)."""
    assert firmware_version(body) == version


def test_bad_firmware_is_a_failure_of_the_check() -> None:
    """A file without a header is ``device.bad_firmware`` and installs nothing."""
    ota = OverTheAir(EMPTY_BUNDLE, "01.07.05")
    change = ota.answered(
        make_settings(), Operation.OTA_FIRMWARE, ok(body=b"x", etag='"1"')
    )
    assert change.failure is not None
    assert change.failure.kind == "device.bad_firmware"
    assert not change.restart
    assert ota.fw_ver == "01.07.05"


@pytest.mark.parametrize(
    ("operation", "code", "kind", "uploads"),
    [
        pytest.param(Operation.OTA_BUNDLE, "NoSuchKey", None, False, id="no bundle"),
        pytest.param(Operation.OTA_CONFIG, "NoSuchKey", None, True, id="no config"),
        pytest.param(
            Operation.OTA_CONFIG, "NoSuchBucket", "s3.NoSuchBucket", False, id="bucket"
        ),
    ],
)
def test_what_404_means(
    operation: Operation, code: str, kind: str | None, *, uploads: bool
) -> None:
    """A missing object is normal, a missing bucket is a failure."""
    ota = OverTheAir(EMPTY_BUNDLE, "01.07.05")
    change = ota.answered(make_settings(), operation, s3_error(404, code))
    assert (change.failure.kind if change.failure else None) == kind
    assert change.upload_config is uploads


def test_a_failed_get_after_head_belongs_to_its_own_object() -> None:
    """The GET that got lost is asked for again; the other objects still begin with HEAD."""
    bucket = Bucket()
    bucket.objects["AABBCCDD/certs_server.p7b"] = P7B
    settings = make_settings(
        ota_s=10,
        period_s=0,
        change_detection=ChangeDetection.HEAD_THEN_GET,
    )
    talk = Conversation(make_device(settings))
    talk >> PowerOn() >> SUITE
    assert isinstance(talk.command, Send)
    talk >> bucket.answer(talk.command)
    assert isinstance(talk.command, Send)
    assert talk.command.head.startswith(b"GET ")
    talk >> RequestFailed(RESET) << connect(operation="ota_bundle")
    talk >> SUITE << send(method="GET")
    talk >> RequestFailed(RESET) << wait(until_s=5.0)
    bucket.methods.clear()
    next_round(talk, bucket, 5)
    assert bucket.methods[:2] == [("HEAD", "ota_config"), ("PUT", "config")]
    next_round(talk, bucket, 10)
    assert ("GET", "ota_bundle") in bucket.methods
    assert not talk.device.bundle.is_empty


def test_keys_of_the_checks() -> None:
    """Every object lies under the device's own id."""
    keys = [object_key(operation, "AABBCCDD", "01.07.05") for operation in CHECKS]
    assert keys == [
        "AABBCCDD/certs_server.p7b",
        "AABBCCDD/config-01.07.json",
        "AABBCCDD/firmware.bin",
    ]
    assert object_key(Operation.CONFIG, "AABBCCDD", "01.07.05") == keys[1]
