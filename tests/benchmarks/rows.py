"""Rows: what is measured, beside what, with which aim.

Rates are above what one core can do, so that every client is busy all the time: the
references work one request after the other, and an upload into a cold cache costs half
as much again.
"""

import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.front import SUITE, Front

CLIENTS = Path(__file__).parent / "clients"
ROOT = Path(__file__).parents[2]
KIB16 = 16 * 1024
MIB8 = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of one client: CPU microseconds per operation, and how many."""

    cpu_us: float
    count: int
    failed: int = 0
    extra: dict[str, object] = field(default_factory=dict)


Client = Callable[[Front, int], Sample]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Ours and what it is compared with.

    Attributes:
        name: What is measured.
        ours: Our client.
        references: By name: client, and the ratio ours/reference aimed at.
        most_cpu_us: CPU per operation aimed at, ``None`` = none.
    """

    name: str
    ours: Client
    references: dict[str, tuple[Client, float | None]]
    most_cpu_us: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure of ours that has a bound of its own.

    Attributes:
        name: What is measured.
        ours: Our client.
        read: Takes the figure out of what the client printed.
        unit: Its unit.
        most: Bound.
    """

    name: str
    ours: Client
    read: Callable[[dict[str, float]], float]
    unit: str
    most: float


def fleet(
    port: str,
    *,
    security: str = "medium",
    connection: str = "per_upload",
    size: str = "16KiB",
    devices: int = 200,
    per_s: float = 2000.0,
    seconds: float = 3.0,
    resumption: bool = False,
    key: str = "rsa-2048",
    wire: bool = False,
) -> Client:
    """Our own client with everything on, open load of ``per_s`` uploads a second."""

    def run(here: Front, cpu: int) -> Sample:
        scheme = "http" if security == "low" else "https"
        lines = [
            "version: 1",
            "name: benchmark",
            f"duration: {seconds}s",
            "drain: 30s",
            "limits: {in_flight: 12000}",
            "target:",
            f"  endpoint: {scheme}://localhost:{getattr(here, port)}",
            "  bucket: fleet",
            "  ca_file: root.pem",
            "cohorts:",
            "  - name: fleet",
            f"    count: {devices}",
            "    profile: generic-tls12",
            f"    security: {security}",
            "    heartbeat: 0",
            "    ota: 0",
            "    credentials: env",
            "    start_up: {phase: herd}",
            (
                "    overrides: {boot_uploads_schema: false, tls: {resumption: "
                f"{str(resumption).lower()}}}}}"
            ),
            (
                f"    workload: {{file_size: {size}, period: {devices / per_s:.6f}s, "
                f"upload_delay: 0s, connection: {connection}}}"
            ),
        ]
        if security == "high":
            lines.append(f"    client_certificates: {{pki: pki-{key}, key: {key}}}")
        arguments = [str(cpu), str(here.folder)]
        if wire:
            arguments.append(str(getattr(here, port)))
        answer = subprocess.run(
            [sys.executable, CLIENTS / "fleet.py", *arguments],
            input="\n".join(lines),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            timeout=600,
        )
        seen = json.loads(answer.stdout)
        return Sample(
            cpu_us=seen["cpu_s"] / max(1, seen["count"]) * 1e6,
            count=seen["count"],
            failed=seen["failed"],
            extra=seen,
        )

    return run


def script(name: str, *arguments: str, port: str, count: int, size: int) -> Client:
    """A reference script; ``{url}``, ``{port}`` and ``{ca}`` are filled in."""

    def run(here: Front, cpu: int) -> Sample:
        scheme = "http" if port == "plain" else "https"
        number = getattr(here, port)
        filled = [
            part.format(
                url=f"{scheme}://localhost:{number}",
                port=number,
                ca="-" if port == "plain" else here.folder / "root.pem",
            )
            for part in arguments
        ]
        answer = subprocess.run(
            [sys.executable, CLIENTS / name, str(cpu), *filled, str(count), str(size)],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=300,
        )
        seen = json.loads(answer.stdout)
        return Sample(cpu_us=seen["cpu_s"] / seen["count"] * 1e6, count=seen["count"])

    return run


def s_time(here: Front, cpu: int) -> Sample:
    """``openssl s_time -new``: handshakes alone, C, the system's OpenSSL."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    answer = subprocess.run(
        [
            "taskset", "-c", str(cpu), "openssl", "s_time", "-new", "-time", "5",
            "-connect", f"127.0.0.1:{here.tls}", "-cipher", SUITE, "-tls1_2",
            "-CAfile", str(here.folder / "root.pem"), "-verify", "3",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = re.search(r"(\d+) connections in", answer.stdout)
    count = int(found[1]) if found else 0
    spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Sample(cpu_us=spent_s / max(1, count) * 1e6, count=count)


def rows(*, quick: bool) -> list[Row]:
    """All rows with references; ``quick`` shortens them to a smoke test."""
    seconds = 1.0 if quick else 3.0
    new, kept = (200, 1000) if quick else (2000, 20_000)
    full = fleet("tls", seconds=seconds)
    return [
        Row(
            name="new TLS 1.2 connection + 16 KiB PUT",
            ours=full,
            references={
                "openssl s_time -new (handshake alone)": (s_time, 0.90),
                "aiohttp, connector per upload": (
                    script(
                        "aiohttp_put.py", "new", "{url}", "{ca}",
                        port="tls", count=new, size=KIB16,
                    ),
                    0.5,
                ),
            },
        ),
        Row(
            name="the same, mutual TLS, P-256 certificate per device",
            ours=fleet("mutual", security="high", seconds=seconds, key="p256"),
            references={"ours, server only": (full, 1.15)},
        ),
        Row(
            name="the same, mutual TLS, RSA-2048 certificate per device",
            ours=fleet("mutual", security="high", seconds=seconds),
            references={"ours, server only": (full, 1.15)},
        ),
        Row(
            name="resumed session + 16 KiB PUT",
            ours=fleet("resuming", resumption=True, seconds=seconds, per_s=5000),
            references={"ours, full handshake": (full, 0.45)},
        ),
        Row(
            name="keep-alive 16 KiB PUT over TLS",
            ours=fleet("tls", connection="keep_alive", per_s=19_000, seconds=seconds),
            most_cpu_us=100,
            references={
                "aiohttp, one session": (
                    script(
                        "aiohttp_put.py", "keep", "{url}", "{ca}",
                        port="tls", count=kept, size=KIB16,
                    ),
                    0.5,
                ),
                "aioboto3 put_object": (
                    script(
                        "aioboto3_put.py", "{url}", "{ca}",
                        port="tls", count=new, size=KIB16,
                    ),
                    0.05,
                ),
            },
        ),
        Row(
            name="keep-alive 8 MiB PUT over TLS",
            ours=fleet(
                "tls", connection="keep_alive", size="8MiB", per_s=250,
                seconds=2 * seconds,
            ),
            references={
                "SSL_write of the same library, blocking": (
                    script(
                        "plain_writes.py", "{port}", "{ca}",
                        port="tls", count=60 if quick else 600, size=MIB8,
                    ),
                    1.25,
                )
            },
        ),
        Row(
            name="keep-alive 16 KiB PUT over plain HTTP",
            ours=fleet(
                "plain", security="low", connection="keep_alive", per_s=19_000,
                seconds=seconds,
            ),
            most_cpu_us=66.7,
            references={
                "aiohttp, one session": (
                    script(
                        "aiohttp_put.py", "keep", "{url}", "{ca}",
                        port="plain", count=kept, size=KIB16,
                    ),
                    0.5,
                )
            },
        ),
        Row(
            name="growth: 10,000 devices, new connection each",
            ours=fleet("tls", devices=10_000, seconds=2 * seconds),
            references={
                "ours, 100 devices": (
                    fleet("tls", devices=100, seconds=2 * seconds), 1.10
                )
            },
        ),
    ]  # fmt: skip


def figures(*, quick: bool) -> list[Figure]:
    """All figures with bounds of their own."""
    scale = 10 if quick else 1
    mutual = fleet(
        "mutual", security="high", connection="keep_alive", devices=10_000 // scale,
        per_s=500, seconds=24.0 / scale, key="p256",
    )  # fmt: skip
    at_rest = fleet("tls", devices=100_000 // scale, per_s=100, seconds=8.0)
    half = fleet("tls", per_s=600, seconds=4.0 if quick else 12.0, wire=True)
    return [
        Figure(
            name="memory: 10,000 devices, own certificates, all connected",
            ours=mutual,
            read=lambda seen: seen["load_rss_kib"] / 1024,
            unit="MiB",
            most=600,
        ),
        Figure(
            name="start: 10,000 devices with certificates, plan to first upload",
            ours=mutual,
            read=lambda seen: seen["start_s"],
            unit="s",
            most=5,
        ),
        Figure(
            name="memory: 100,000 devices at rest between uploads",
            ours=at_rest,
            read=lambda seen: seen["load_rss_kib"] / 1024,
            unit="MiB",
            most=1.2 * 1024,
        ),
        Figure(
            name="accuracy at half load: recorded minus wire, p50",
            ours=half,
            read=lambda seen: seen["off_p50_ms"],
            unit="ms",
            most=0.2,
        ),
        Figure(
            name="accuracy at half load: recorded minus wire, p99",
            ours=half,
            read=lambda seen: seen["off_p99_ms"],
            unit="ms",
            most=1.0,
        ),
        Figure(
            name="planned-to-started lag at half load, p99",
            ours=half,
            read=lambda seen: seen["start_lag_p99_ms"],
            unit="ms",
            most=5.0,
        ),
    ]
