"""Device file: the ``device.json`` that a device writes and uploads as its heartbeat.

Keys, their order and the forms of their values follow the example in the CSS
Electronics CANedge documentation, "Device file". A virtual device has no SD card and no
key pair to speak of, and says so rather than inventing them: ``kpub`` and ``sd_info``
are empty, ``sd_used_lifespan`` is ``?`` (documented for "not available").
"""

import json
from collections.abc import Sequence

from fleetsim.core.settings import Identity

_MEBIBYTE = 1 << 20


def device_json(
    identity: Identity,
    *,
    device_id: str,
    fw_ver: str = "",
    config_crc32: str = "",
    digests: Sequence[str] = (),
    used_bytes: int = 0,
    size_bytes: int = 0,
    log_meta: str = "",
    reset_cause: str = "",
) -> bytes:
    """Write device.json.

    Args:
        identity: Constant facts of the device model.
        device_id: 8 upper-case hex digits.
        fw_ver: Firmware in use, ``MM.mm.pp``; empty = the model's.
        config_crc32: CRC-32 of the configuration in use, 8 upper-case hex digits.
        digests: Hashes of the trusted certificates, in bundle order.
        used_bytes: Used space of the card.
        size_bytes: Capacity of the card. Both are written in units of 2**20 bytes:
            the documented ``36/7572`` is the capacity of an 8 GB card in those.
        log_meta: ``general.device.meta`` of the configuration.
        reset_cause: Why the device last restarted; for debugging.

    Returns:
        Compact JSON, ASCII only; equal arguments give equal bytes.
    """
    firmware = fw_ver or identity.fw_ver
    revision = firmware[:5]  # the patch number is in no file name
    content: dict[str, str | list[str]] = {
        "id": device_id,
        "type": identity.type_code,
        "kpub": "",
        "fw_ver": firmware,
        "hw_ver": identity.hw_ver,
        "cfg_ver": revision,
        "cfg_name": f"config-{revision}.json",
        "cfg_crc32": config_crc32,
        "sch_name": f"schema-{revision}.json",
        "log_meta": log_meta,
        "space_used_mb": f"{used_bytes // _MEBIBYTE}/{size_bytes // _MEBIBYTE}",
        "sd_info": "",
        "sd_used_lifespan": "?",
        "reset_cause": reset_cause,
    }
    content.update(identity.extra)
    content[identity.digests_key] = list(digests)
    return json.dumps(content, separators=(",", ":")).encode("ascii")
