"""OverTheAir: certificates, configuration and firmware that arrive through the bucket.

A device polls three objects under its own id (``device.md`` section 4). What a change
of each does is documented: a bundle is validated and loaded, a configuration is applied
and the device power-cycles, a firmware is installed and the device power-cycles. A
missing configuration makes the device upload its own. How a change is noticed is not
documented and is a profile knob.
"""

import json
from dataclasses import dataclass
from typing import Final

from fleetsim.core import device_config
from fleetsim.core.commands import Operation, Send, Task
from fleetsim.core.device_settings import DeviceSettings, reconfigured
from fleetsim.core.events import Response
from fleetsim.core.failure import Failure, Kind, Phase
from fleetsim.core.object_key import bundle_key, config_key, firmware_key
from fleetsim.core.requests import fetch, put_document
from fleetsim.core.s3_error import failure_of
from fleetsim.core.settings import ChangeDetection
from fleetsim.core.trust_bundle import Refusal, TrustBundle, load_bundle
from fleetsim.exceptions import InputError

CHECKS: Final = (
    Operation.OTA_BUNDLE,
    Operation.OTA_CONFIG,
    Operation.OTA_FIRMWARE,
)
"""One over-the-air check, in order: all three objects share one timer."""

_NOTHING_YET: Final = ("", "", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What an answered check means for the device.

    Attributes:
        failure: Why the check failed, ``None`` = it did not.
        fetch: The object changed and must now be fetched.
        settings: New settings of the device.
        restart: The device power-cycles.
        upload_config: The bucket has no configuration: upload the device's own.
    """

    failure: Failure | None = None
    fetch: bool = False
    settings: DeviceSettings | None = None
    restart: bool = False
    upload_config: bool = False


_NO_CHANGE: Final = Change()


def object_key(operation: Operation, device_id: str, fw_ver: str) -> str:
    """Key of the object a check looks at; CONFIG is the same object as OTA_CONFIG."""
    match operation:
        case Operation.OTA_BUNDLE:
            return bundle_key(device_id)
        case Operation.OTA_FIRMWARE:
            return firmware_key(device_id)
        case _:
            return config_key(device_id, fw_ver)


class OverTheAir:
    """The over-the-air state of one device.

    Attributes:
        bundle: Trust anchors in use.
        fw_ver: Firmware version ``MM.mm.pp`` in use.
        config_crc32: CRC-32 of the configuration in use, 8 hex digits.
        refusals: Why certificates of the last bundle were refused.
        bundles_loaded: Bundles loaded over the air that changed the trust.
    """

    __slots__ = (
        "_etags",
        "_fetching",
        "bundle",
        "bundles_loaded",
        "config_crc32",
        "fw_ver",
        "refusals",
    )

    def __init__(self, bundle: TrustBundle, fw_ver: str) -> None:
        self.bundle = bundle
        self.fw_ver = fw_ver
        self.config_crc32 = "00000000"
        self.refusals: tuple[Refusal, ...] = ()
        self.bundles_loaded = 0
        self._etags = _NOTHING_YET
        self._fetching: Operation | None = None  # a change was seen, its GET is due

    def request(self, settings: DeviceSettings, task: Task, *, keep_open: bool) -> Send:
        """Build the request of a check, or the upload of the device's own config."""
        if task.operation is Operation.CONFIG:
            body = own_config(settings)
            self.config_crc32 = device_config.crc32(body)
            return put_document(
                settings,
                task,
                body,
                content_type="application/json",
                keep_open=keep_open,
            )
        head_first = settings.profile.change_detection is ChangeDetection.HEAD_THEN_GET
        method = (
            "HEAD" if head_first and self._fetching is not task.operation else "GET"
        )
        etag = self._etags[CHECKS.index(task.operation)]
        return fetch(settings, task, method=method, etag=etag, keep_open=keep_open)

    def uploaded_config(self, response: Response) -> None:
        """Remember the ETag of the device's own configuration in the bucket."""
        self._remember(Operation.OTA_CONFIG, response)

    def answered(
        self, settings: DeviceSettings, operation: Operation, response: Response
    ) -> Change:
        """Take in the answer to a check.

        Args:
            settings: Settings of the device.
            operation: Which object was asked for.
            response: The answer.

        Returns:
            What it means. 304 is "unchanged" and 404 is "no such object": neither is a
            failure.
        """
        was_fetching = self._fetching is operation
        self._fetching = None
        if response.status == 304:
            return _NO_CHANGE
        if response.status == 404:
            return _absent(operation, response)
        failure = failure_of(response)
        if failure is not None:
            return Change(failure=failure)
        head_first = settings.profile.change_detection is ChangeDetection.HEAD_THEN_GET
        if head_first and not was_fetching:
            if _etag(response) == self._etags[CHECKS.index(operation)]:
                return _NO_CHANGE
            self._fetching = operation
            return Change(fetch=True)
        self._remember(operation, response)
        match operation:
            case Operation.OTA_BUNDLE:
                return self._load_bundle(settings, response.body)
            case Operation.OTA_CONFIG:
                return self._apply_config(settings, response.body)
            case _:
                return self._install_firmware(response.body)

    def _remember(self, operation: Operation, response: Response) -> None:
        etags = list(self._etags)
        etags[CHECKS.index(operation)] = _etag(response)
        self._etags = (etags[0], etags[1], etags[2])

    def _load_bundle(self, settings: DeviceSettings, body: bytes) -> Change:
        outcome = load_bundle(body, settings.profile.bundle, self.bundle)
        self.refusals = outcome.refusals
        self.bundle = outcome.bundle
        if outcome.changed:
            self.bundles_loaded += 1
        return _NO_CHANGE

    def _apply_config(self, settings: DeviceSettings, body: bytes) -> Change:
        checksum = device_config.crc32(body)
        if checksum == self.config_crc32:
            return _NO_CHANGE
        try:
            config = device_config.parse(body)
            changed = reconfigured(settings, config)
        except InputError as error:
            return Change(
                failure=Failure(
                    Kind.DEVICE_BAD_CONFIG, Phase.DEVICE, str(error).splitlines()[0]
                )
            )
        self.config_crc32 = checksum
        return Change(settings=changed, restart=True)

    def _install_firmware(self, body: bytes) -> Change:
        version = firmware_version(body)
        if version is None:
            return Change(
                failure=Failure(
                    Kind.DEVICE_BAD_FIRMWARE, Phase.DEVICE, "no version in the header"
                )
            )
        if version == self.fw_ver:
            return _NO_CHANGE
        self.fw_ver = version
        # The key of the configuration names the firmware version: another object.
        self._etags = (self._etags[0], "", self._etags[2])
        return Change(restart=True)


def own_config(settings: DeviceSettings) -> bytes:
    """The configuration a device uploads when the bucket has none; no secrets in it."""
    endpoint = settings.endpoint
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    work = settings.workload
    return json.dumps(
        {
            "connect": {
                "s3": {
                    "sync": {
                        "ota": _seconds(work.ota_s),
                        "heartbeat": _seconds(work.heartbeat_s),
                    },
                    "server": {
                        "endpoint": f"{endpoint.scheme}://{host}",
                        "port": endpoint.port,
                        "bucket": endpoint.bucket,
                        "region": endpoint.region,
                        "request_style": 1 if endpoint.style == "virtual" else 0,
                        "signed_payload": int(settings.profile.signed_payload),
                    },
                }
            }
        },
        separators=(",", ":"),
    ).encode()


def _seconds(period_s: float) -> int | float:
    """A period as a configuration has it; only rehearsals have fractions."""
    return int(period_s) if period_s == int(period_s) else period_s


def firmware_version(body: bytes) -> str | None:
    """Read the version out of a firmware header: bytes 4 to 6 (``device.md`` 4)."""
    if len(body) < 7:
        return None
    return ".".join(f"{number:02d}" for number in body[4:7])


def _absent(operation: Operation, response: Response) -> Change:
    failure = failure_of(response)
    code = failure.kind if failure is not None else ""
    if code == "s3.NoSuchBucket":
        return Change(failure=failure)
    return Change(upload_config=operation is Operation.OTA_CONFIG)


def _etag(response: Response) -> str:
    return response.headers.get("etag", "").strip().removeprefix("W/").strip('"')
