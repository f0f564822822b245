"""Object keys: where a device's objects lie in the bucket.

Source: CANedge documentation, "S3 management" (log files) and "Over-the-air updates"
(configuration, firmware, certificates)::

    <ID>/<SESSION 8 digits>/<SPLIT 8 digits>-<EPOCH 8 hex digits>.<EXT>
    <ID>/device.json  <ID>/certs_server.p7b  <ID>/firmware.bin
    <ID>/config-MM.mm.json  <ID>/schema-MM.mm.json

``ID`` is eight upper-case hex digits; ``EPOCH`` is the device's Unix time of the upload,
so that a file sent twice lies under two keys. ``MM.mm`` is the firmware version without
its patch number.
"""

import re
from dataclasses import dataclass
from typing import Final

_DEVICE_ID = re.compile(r"[0-9A-F]{8}")
_LOG_KEY = re.compile(
    r"([0-9A-F]{8})/([0-9]{8})/([0-9]{8})-([0-9A-F]{8})\.([A-Za-z0-9]{1,8})"
)
_EPOCH_MASK: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class LogKey:
    """The parts of a log file's key.

    Attributes:
        device_id: Eight upper-case hex digits.
        session: 0..99,999,999.
        split: 0..99,999,999.
        epoch_unix_s: Upload time by the device's clock, 0..2**32-1.
        extension: Without the dot.
    """

    device_id: str
    session: int
    split: int
    epoch_unix_s: int
    extension: str


def is_device_id(text: str) -> bool:
    """Tell whether a text is a device id: eight upper-case hex digits."""
    return _DEVICE_ID.fullmatch(text) is not None


def log_key(
    device_id: str, session: int, split: int, epoch_unix_s: int, extension: str
) -> str:
    """Write the key of a log file.

    Args:
        device_id: Eight upper-case hex digits.
        session: 0..99,999,999.
        split: 0..99,999,999.
        epoch_unix_s: Upload time by the device's clock. Kept to 32 bits, as many as
            the eight digits hold: a clock before 1970 or after 2106 wraps.
        extension: Without the dot.
    """
    epoch = epoch_unix_s & _EPOCH_MASK
    return f"{device_id}/{session:08d}/{split:08d}-{epoch:08X}.{extension}"


def parse_log_key(key: str) -> LogKey | None:
    """Read the key of a log file; ``None`` when it is no such key."""
    parts = _LOG_KEY.fullmatch(key)
    if parts is None:
        return None
    return LogKey(
        device_id=parts[1],
        session=int(parts[2]),
        split=int(parts[3]),
        epoch_unix_s=int(parts[4], 16),
        extension=parts[5],
    )


def device_file_key(device_id: str) -> str:
    """Key of ``device.json``, the heartbeat."""
    return f"{device_id}/device.json"


def bundle_key(device_id: str) -> str:
    """Key of the trust bundle offered over the air."""
    return f"{device_id}/certs_server.p7b"


def firmware_key(device_id: str) -> str:
    """Key of the firmware offered over the air."""
    return f"{device_id}/firmware.bin"


def config_key(device_id: str, fw_ver: str) -> str:
    """Key of the configuration of a firmware; ``fw_ver`` is ``MM.mm`` or ``MM.mm.pp``."""
    return f"{device_id}/config-{_minor_version(fw_ver)}.json"


def schema_key(device_id: str, fw_ver: str) -> str:
    """Key of the rule schema of a firmware; ``fw_ver`` is ``MM.mm`` or ``MM.mm.pp``."""
    return f"{device_id}/schema-{_minor_version(fw_ver)}.json"


def _minor_version(fw_ver: str) -> str:
    return ".".join(fw_ver.split(".")[:2])
