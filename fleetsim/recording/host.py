"""Host facts: on what and with which versions a run took place."""

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from OpenSSL import SSL

import fleetsim

_DEPENDENCIES: Final = (
    "aioboto3",
    "aiohttp",
    "cryptography",
    "hdrhistogram",
    "pyarrow",
    "pydantic",
    "pyOpenSSL",
    "uvloop",
)


def versions() -> dict[str, str]:
    """Give the versions of the program, Python, OpenSSL and what it stands on."""
    found = {
        "fleetsim": fleetsim.__version__,
        "python": platform.python_version(),
        "openssl": SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode("ascii", "replace"),
    }
    for name in _DEPENDENCIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


def host_facts() -> dict[str, Any]:
    """Give what reports need to compare hosts; names no user and no address."""
    return {
        "system": platform.platform(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cpus": os.cpu_count() or 0,
        "cpus_usable": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "implementation": sys.implementation.name,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return platform.processor()
    for line in lines.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor()
