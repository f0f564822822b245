"""From a device configuration to a scenario: one cohort that runs as a real fleet does.

What the configuration states is taken over and says so in a comment; what it cannot
state (how much a vehicle logs, which certificates are on the card) is a figure of the
maker's public sample files or a blank to fill in, and says that instead. Secrets are
never taken over.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from fleetsim.core.device_config import DeviceConfig
from fleetsim.exceptions import InputError, Problem
from fleetsim.scenario.quantities import format_duration, format_size

# Sizes of ten-minute splits in the maker's sample log files (CSS-Electronics,
# api-examples): 2,511 kB plain, 526 kB compressed.
_PLAIN_BYTES_PER_S: Final = 4185.0
_COMPRESSED_BYTES_PER_S: Final = 877.0
_DEFAULT_SPLIT_BYTES: Final = 50_000_000
_LEAST_DURATION_S: Final = 60.0
_COMMENT_COLUMN: Final = 44


@dataclass(frozen=True, slots=True)
class _Split:
    """When a file is closed and how large it is then."""

    period_s: float
    size_bytes: int
    is_on_the_clock: bool
    reason: str


def scenario_from_config(
    config: DeviceConfig, *, name: str, count: int, source: str, checksum: str
) -> str:
    """Write a scenario for a fleet of devices with one configuration.

    Args:
        config: The parsed configuration.
        name: Name of the scenario.
        count: Devices, >= 1.
        source: Name of the configuration file, for the comments.
        checksum: Its CRC-32 as in device.json.

    Returns:
        YAML with comments. It is not checked against the scenario schema here.

    Raises:
        InputError: The configuration does not say where to upload to.
    """
    shown = "".join(one if one.isprintable() else "?" for one in source)
    missing = [
        Problem(f"{shown}: connect.s3.server.{key}", "is needed to make a scenario")
        for key, value in (("endpoint", config.host), ("bucket", config.bucket))
        if not value
    ]
    if missing:
        raise InputError(missing)
    return "\n".join(
        (
            f"# Made from the device configuration {shown} (CRC-32 {checksum}).",
            "# Comments say which of its keys a line comes from.",
            *_secret_notes(config),
            "version: 1",
            f"name: {_quoted(name)}",
            *_body(config, count),
            "",
        )
    )


def _secret_notes(config: DeviceConfig) -> Iterator[str]:
    if config.has_secret_key:
        kind = "encrypted for one device" if config.is_secret_encrypted else "plain"
        yield f"# Its access key and its secret key ({kind}) were not taken over:"
    else:
        yield "# It holds no secret key:"
    yield "# export AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY before the run."


def _body(config: DeviceConfig, count: int) -> Iterator[str]:
    split = _split(config)
    duration_s = max(_LEAST_DURATION_S, 2 * split.period_s)
    yield _line("duration", format_duration(duration_s), "two files of every device")
    yield _line("drain", "2m", "time for the last uploads")
    yield "target:"
    yield from _target(config)
    yield "cohorts:"
    yield "  - name: devices"
    yield _line("    count", str(count))
    if config.network:
        profile = "canedge3" if config.network == "cellular" else "canedge2"
        yield _line("    profile", profile, f"connect.{config.network}")
    else:
        yield _line("    profile", "canedge2", "the configuration names no network")
    if config.scheme == "https":
        yield "    # Copy certs_server.p7b from the SD card to the folder of this file."
        yield "    trust: {file: certs_server.p7b}"
    yield "    credentials: env"
    yield "    workload:"
    if config.uploads_logs is False:
        yield _line("      period", "0s", "connect.s3.sync.logfiles: 0, no uploads")
    else:
        yield "      # How much a vehicle logs is not in a configuration: size and time"
        yield "      # of a file follow from the maker's sample files. Put in your own."
        size = format_size(split.size_bytes)
        yield _line("      file_size", size, _size_reason(config, split))
        yield _line("      period", format_duration(split.period_s), split.reason)
        if split.is_on_the_clock:
            yield _line("      phase", "herd", "splits fall on the clock, fleet-wide")
            if config.split_offset_s:
                offset = format_duration(config.split_offset_s)
                yield f"      # log.file.split_time_offset moves all splits by {offset}."
        else:
            yield _line("      phase", "spread", "splits by size have no common time")
    if config.heartbeat_s is not None:
        heartbeat = format_duration(config.heartbeat_s)
        yield _line("    heartbeat", heartbeat, "connect.s3.sync.heartbeat")
    if config.ota_s is not None:
        yield _line("    ota", format_duration(config.ota_s), "connect.s3.sync.ota")
    yield from _overrides(config)
    yield "thresholds:"
    yield "  - unaccounted == 0"
    yield "  - unclassified == 0"


def _target(config: DeviceConfig) -> Iterator[str]:
    host = f"[{config.host}]" if ":" in config.host else config.host
    port = f":{config.port}" if config.port else ""
    keys = "connect.s3.server.endpoint" + (", port" if port else "")
    endpoint = _quoted(f"{config.scheme}://{host}{port}")
    yield _line("  endpoint", endpoint, keys)
    yield _line("  bucket", _quoted(config.bucket), "connect.s3.server.bucket")
    if config.region:
        yield _line("  region", _quoted(config.region), "connect.s3.server.region")
    if config.virtual_hosted is not None:
        style = "virtual" if config.virtual_hosted else "path"
        yield _line("  style", style, "connect.s3.server.request_style")
    if config.scheme == "https":
        yield "  # ca_file: ca.pem (if the server's CA is not one of this machine's own)"


def _overrides(config: DeviceConfig) -> Iterator[str]:
    lines = []
    if config.signed_payload is not None:
        signed = json.dumps(config.signed_payload)
        lines.append(
            _line("      signed_payload", signed, "connect.s3.server.signed_payload")
        )
    if config.cyclic is not None:
        cyclic = json.dumps(config.cyclic)
        lines.append(_line("      card", f"{{cyclic: {cyclic}}}", "log.file.cyclic"))
    if lines:
        yield "    overrides:"
        yield from lines


def _split(config: DeviceConfig) -> _Split:
    """Find out which comes first, the configured time or the configured size."""
    rate = _rate(config)
    limit = config.split_size_bytes or _DEFAULT_SPLIT_BYTES
    full_s = limit / rate
    period_s = config.split_period_s or 0.0
    if config.uploads_logs is False:
        return _Split(0.0, 0, is_on_the_clock=False, reason="")
    if 0 < period_s <= full_s:
        size = max(1000, round(rate * period_s / 1000) * 1000)
        reason = "log.file.split_time_period"
        return _Split(period_s, size, is_on_the_clock=True, reason=reason)
    reason = f"until log.file.split_size at {rate:.0f} bytes/s"
    return _Split(float(round(full_s)), limit, is_on_the_clock=False, reason=reason)


def _rate(config: DeviceConfig) -> float:
    is_compressed = config.extension in {"MFC", "MFM"}
    return _COMPRESSED_BYTES_PER_S if is_compressed else _PLAIN_BYTES_PER_S


def _size_reason(config: DeviceConfig, split: _Split) -> str:
    if not split.is_on_the_clock:
        return (
            "log.file.split_size" if config.split_size_bytes else "default split size"
        )
    kind = f", files of type {config.extension}" if config.extension else ""
    return f"{_rate(config):.0f} bytes/s{kind}"


def _line(key: str, value: str, comment: str = "") -> str:
    line = f"{key}: {value}"
    return f"{line:<{_COMMENT_COLUMN}}  # {comment}" if comment else line


def _quoted(text: str) -> str:
    """A text as YAML reads it back: JSON strings are YAML strings."""
    return json.dumps(text)
