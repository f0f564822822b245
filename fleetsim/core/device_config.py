"""Device configuration: what a real ``config-MM.mm.json`` says about uploads.

Keys, ranges and enumerations (numbers) are those of the public rule schemas of the
CANedge2 and CANedge3 for firmware 01.04 to 01.09 (CSS Electronics, config-editor-base,
``dist/schema``). All of them are optional here, because a configuration that is sent
over the air may be written by hand: only what it states is taken over. Keys without a
meaning for a simulated device are passed over, wherever they stand.

More liberal than the rule schema in two points: periods need not be multiples of 5 or
10 seconds, nor whole, so that a rehearsal may run faster than a truck, and the endpoint
may be an IPv6 literal.

Secrets never leave this module: of the secret key only is kept whether there is one and
whether it is encrypted.
"""

import ipaddress
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from fleetsim.exceptions import InputError, Problem

MAX_BYTES: Final = 1 << 20
_MEGABYTE: Final = 1_000_000
_ENDPOINT = re.compile(r"(https?)://([^/]*)(/?)\Z")
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?\Z")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}[a-z0-9]\Z")
_REGION = re.compile(r"[a-z0-9-]{0,32}\Z")
_META = re.compile(r"[A-Za-z0-9; ]{0,30}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConfig:
    """The part of a configuration that a simulated device can follow.

    ``None``, an empty text and port 0 mean that the configuration does not say.

    Attributes:
        scheme: ``http`` or ``https``.
        host: Host name or IP literal (IPv6 without brackets).
        port: TCP port 1..65535.
        bucket: Bucket name, 2..64 characters.
        region: Region of the credential scope; may be empty in a valid configuration.
        virtual_hosted: Whether the bucket name goes into the host name.
        signed_payload: Whether the body is hashed into the signature.
        has_access_key: Whether an access key id is set.
        has_secret_key: Whether a secret key is set.
        is_secret_encrypted: Whether the secret key is encrypted for one device.
        heartbeat_s: Period of device.json, 0..86400; 0 = off.
        ota_s: Period of the over-the-air check, 0..86400; 0 = off.
        uploads_logs: Whether closed log files are uploaded at all.
        split_size_bytes: A file is closed at this size; the configured megabytes times
            10**6.
        split_period_s: A file is closed at multiples of this, 0..86400; 0 = off.
        split_offset_s: Added to the boundary of the period, 0..86400.
        cyclic: Whether the oldest file is deleted when the card is full.
        extension: Log file extension that follows from compression and encryption:
            ``MF4``, ``MFC``, ``MFE`` or ``MFM``.
        log_meta: Text that the device copies to device.json.
        network: ``wifi`` (CANedge2) or ``cellular`` (CANedge3).
    """

    scheme: str = ""
    host: str = ""
    port: int = 0
    bucket: str = ""
    region: str = ""
    virtual_hosted: bool | None = None
    signed_payload: bool | None = None
    has_access_key: bool = False
    has_secret_key: bool = False
    is_secret_encrypted: bool = False
    heartbeat_s: float | None = None
    ota_s: float | None = None
    uploads_logs: bool | None = None
    split_size_bytes: int | None = None
    split_period_s: float | None = None
    split_offset_s: float | None = None
    cyclic: bool | None = None
    extension: str = ""
    log_meta: str = ""
    network: str = ""

    @property
    def is_blank(self) -> bool:
        """Whether it says nothing at all that a simulated device could follow."""
        return all(getattr(self, one.name) == one.default for one in fields(self))


def crc32(data: bytes) -> str:
    """Checksum of a configuration as device.json lists it: 8 upper-case hex digits."""
    return f"{zlib.crc32(data):08X}"


def parse(data: bytes, where: str = "configuration") -> DeviceConfig:
    """Read a configuration.

    Args:
        data: Bytes of the JSON file.
        where: Name of the file for messages.

    Raises:
        InputError: No JSON object, or values of the wrong type or range; lists all of
            them with their JSON path. Values of secret fields are never quoted.
    """
    content = _json_object(data, where)
    reader = _Reader(where)
    connect = reader.section(content, "connect")
    s3 = reader.section(connect, "connect.s3")
    sync = reader.section(s3, "connect.s3.sync")
    server = reader.section(s3, "connect.s3.server")
    log = reader.section(content, "log")
    file = reader.section(log, "log.file")
    device = reader.section(reader.section(content, "general"), "general.device")
    if reader.number(connect, "connect.protocol", 0, 1) == 1:
        reader.refuse(
            "connect.protocol",
            "this device serves its files itself (web server, 1); only S3 (0) uploads",
        )
    scheme, host = _endpoint(reader, server)
    size_mb = reader.number(file, "log.file.split_size", 1, 512)
    base = "connect.s3.server."
    secret_key, is_encrypted = _secret(reader, server)
    config = DeviceConfig(
        scheme=scheme,
        host=host,
        port=reader.number(server, base + "port", 1, 65535) or 0,
        bucket=reader.text(server, base + "bucket", _BUCKET, "2 to 64 of a-z 0-9 . -"),
        region=reader.text(server, base + "region", _REGION, "at most 32 of a-z 0-9 -"),
        virtual_hosted=reader.switch(server, base + "request_style"),
        signed_payload=reader.switch(server, base + "signed_payload"),
        has_access_key=reader.is_set(server, base + "accesskey"),
        has_secret_key=secret_key,
        is_secret_encrypted=is_encrypted,
        heartbeat_s=reader.seconds(sync, "connect.s3.sync.heartbeat"),
        ota_s=reader.seconds(sync, "connect.s3.sync.ota"),
        uploads_logs=reader.switch(sync, "connect.s3.sync.logfiles"),
        split_size_bytes=None if size_mb is None else size_mb * _MEGABYTE,
        split_period_s=reader.seconds(file, "log.file.split_time_period"),
        split_offset_s=reader.seconds(file, "log.file.split_time_offset"),
        cyclic=reader.switch(file, "log.file.cyclic"),
        extension=_extension(reader, log),
        log_meta=reader.text(
            device,
            "general.device.meta",
            _META,
            "at most 30 letters, digits, ; and spaces",
        ),
        network=next((kind for kind in ("wifi", "cellular") if kind in connect), ""),
    )
    if reader.problems:
        raise InputError(reader.problems)
    return config


def _json_object(data: bytes, where: str) -> Mapping[str, Any]:
    if len(data) > MAX_BYTES:
        what = f"{len(data)} bytes; a device configuration has at most {MAX_BYTES}"
        raise InputError(Problem(where, what))
    try:
        content = json.loads(data)
    except json.JSONDecodeError as exc:
        # Without its cause: that exception carries the whole text, secrets included.
        place = f"{where}:{exc.lineno}"
        raise InputError(Problem(place, f"not JSON: {exc.msg}")) from None
    except (ValueError, RecursionError) as exc:  # not UTF-8, huge numbers, nesting
        what = f"not JSON: {type(exc).__name__}"
        raise InputError(Problem(where, what)) from None
    if not isinstance(content, dict):
        raise InputError(Problem(where, "a device configuration is a JSON object"))
    return content


class _Reader:
    """Takes values out of nested objects by JSON path and gathers what is wrong."""

    def __init__(self, where: str) -> None:
        self.problems: list[Problem] = []
        self._where = where

    def refuse(self, path: str, what: str) -> None:
        """Note a problem at a JSON path."""
        self.problems.append(Problem(f"{self._where}: {path}", what))

    def section(self, parent: Mapping[str, Any], path: str) -> Mapping[str, Any]:
        """An object; empty when absent."""
        found = parent.get(_name(path), {})
        if isinstance(found, dict):
            return found
        self.refuse(path, f"expected an object, not {_shown(found)}")
        return {}

    def number(
        self, section: Mapping[str, Any], path: str, low: int, high: int
    ) -> int | None:
        """A whole number; ``None`` when absent."""
        found = section.get(_name(path))
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int):
            self.refuse(path, f"expected a whole number, not {_shown(found)}")
        elif not low <= found <= high:
            self.refuse(path, f"{_shown(found)} is not within {low}..{high}")
        else:
            return found
        return None

    def seconds(self, section: Mapping[str, Any], path: str) -> float | None:
        """A period within a day."""
        found = section.get(_name(path))
        if isinstance(found, float) and 0 <= found <= 86400:
            return found
        number = self.number(section, path, 0, 86400)
        return None if number is None else float(number)

    def switch(self, section: Mapping[str, Any], path: str) -> bool | None:
        """An enumeration of two: 0 or 1."""
        found = self.number(section, path, 0, 1)
        return None if found is None else found == 1

    def text(
        self, section: Mapping[str, Any], path: str, form: re.Pattern[str], accepts: str
    ) -> str:
        """A text of a given form; empty when absent or empty."""
        found = section.get(_name(path))
        if found is None or found == "":
            return ""
        if isinstance(found, str) and form.match(found):
            return found
        self.refuse(path, f"expected {accepts}, not {_shown(found)}")
        return ""

    def is_set(self, section: Mapping[str, Any], path: str) -> bool:
        """Whether a text is there; its value is never quoted."""
        found = section.get(_name(path))
        if found is not None and not isinstance(found, str):
            self.refuse(path, "expected a text")
        return isinstance(found, str) and found != ""


def _endpoint(reader: _Reader, server: Mapping[str, Any]) -> tuple[str, str]:
    path = "connect.s3.server.endpoint"
    found = server.get("endpoint")
    if found is None or found == "":
        return "", ""
    parts = _ENDPOINT.match(found) if isinstance(found, str) else None
    if parts is None or len(found) > 128:
        reader.refuse(
            path,
            "expected http:// or https:// and a host name without a path, at most 128 "
            f"characters, not {_shown(found)}",
        )
        return "", ""
    scheme, host = parts[1], parts[2].removeprefix("[").removesuffix("]")
    if _HOST.match(host) or _is_ipv6(host):
        return scheme, host
    hint = "; the port has its own field" if ":" in host else ""
    reader.refuse(path, f"{_shown(host)} is no host name or address{hint}")
    return "", ""


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _secret(reader: _Reader, server: Mapping[str, Any]) -> tuple[bool, bool]:
    """Tell whether a secret key is set, and whether it is encrypted."""
    is_encrypted = reader.switch(server, "connect.s3.server.keyformat") is True
    is_set = reader.is_set(server, "connect.s3.server.secretkey")
    return is_set, is_set and is_encrypted


def _extension(reader: _Reader, log: Mapping[str, Any]) -> str:
    """Follow compression and encryption to the extension; empty when neither is said."""
    compression = reader.section(log, "log.compression")
    encryption = reader.section(log, "log.encryption")
    level = reader.number(compression, "log.compression.level", 0, 1024)
    state = reader.switch(encryption, "log.encryption.state")
    if level is None and state is None:
        return ""
    return {
        (False, False): "MF4",
        (True, False): "MFC",
        (False, True): "MFE",
        (True, True): "MFM",
    }[bool(level), bool(state)]


def _name(path: str) -> str:
    return path.rpartition(".")[2]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
