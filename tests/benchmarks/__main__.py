"""Benchmarks: CPU per upload of the whole generator process beside references.

    python -m tests.benchmarks [--runs 5] [--only ROW] [--quick]

Every row runs ours and its references in turn, several times, against one nginx worker
on another core. Absolute figures belong to this machine and this hour; the ratios are
what is compared. The result goes to ``results/benchmarks/<date>.json``.
"""

import argparse
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.front import SUITE, Front, front

CLIENTS = Path(__file__).parent / "clients"
ROOT = Path(__file__).parents[2]


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
    """

    name: str
    ours: Client
    references: dict[str, tuple[Client, float | None]]


def fleet(
    port: str,
    *,
    security: str = "medium",
    connection: str = "per_upload",
    size: str = "16KiB",
    devices: int = 50,
    per_s: float = 400.0,
    seconds: float = 8.0,
    resumption: bool = False,
) -> Client:
    """Our own client with everything on, open load of ``per_s`` uploads a second."""

    def run(here: Front, cpu: int) -> Sample:
        scheme = "http" if security == "low" else "https"
        lines = [
            "version: 1",
            "name: benchmark",
            f"duration: {seconds}s",
            "drain: 20s",
            "limits: {in_flight: 4000}",
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
            lines.append("    client_certificates: {pki: pki}")
        answer = subprocess.run(
            [sys.executable, CLIENTS / "fleet.py", str(cpu), here.folder],
            input="\n".join(lines),
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            timeout=300,
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
    """A reference script; ``{url}`` and ``{ca}`` in the arguments are filled in."""

    def run(here: Front, cpu: int) -> Sample:
        scheme = "http" if port == "plain" else "https"
        filled = [
            part.format(
                url=f"{scheme}://localhost:{getattr(here, port)}",
                ca="-" if port == "plain" else here.folder / "root.pem",
            )
            for part in arguments
        ]
        answer = subprocess.run(
            [sys.executable, CLIENTS / name, str(cpu), *filled, str(count), str(size)],
            capture_output=True,
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


KIB16 = 16 * 1024


def rows(*, quick: bool) -> list[Row]:
    """All rows; ``quick`` shortens them to a smoke test."""
    seconds = 2.0 if quick else 8.0
    new, kept = (200, 1000) if quick else (2000, 10_000)
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
            name="the same, mutual TLS, a certificate per device",
            ours=fleet("mutual", security="high", seconds=seconds),
            references={"ours, server only": (full, 1.15)},
        ),
        Row(
            name="resumed session + 16 KiB PUT",
            ours=fleet("resuming", resumption=True, seconds=seconds),
            references={"ours, full handshake": (full, 0.45)},
        ),
        Row(
            name="keep-alive 16 KiB PUT over TLS",
            ours=fleet("tls", connection="keep_alive", per_s=3000, seconds=seconds),
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
            name="keep-alive 16 KiB PUT over plain HTTP",
            ours=fleet(
                "plain", security="low", connection="keep_alive", per_s=4000,
                seconds=seconds,
            ),
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


def measure(row: Row, here: Front, cpu: int, runs: int) -> dict[str, object]:
    """Run a row: ours and every reference in turn, ``runs`` times."""
    samples: dict[str, list[Sample]] = {n: [] for n in ("ours", *row.references)}
    for _ in range(runs):
        samples["ours"].append(row.ours(here, cpu))
        for name, (client, _) in row.references.items():
            samples[name].append(client(here, cpu))
    ours = [sample.cpu_us for sample in samples["ours"]]
    print(f"\n{row.name}")  # noqa: T201 - this is a program
    _line("ours", ours, sum(s.failed for s in samples["ours"]))
    result: dict[str, object] = {"ours_cpu_us": ours}
    for name, (_, aim) in row.references.items():
        theirs = [sample.cpu_us for sample in samples[name]]
        ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
        _line(name, theirs, 0)
        ratio = statistics.median(ratios)
        verdict = (
            "" if aim is None else f"   aim ≤ {aim:g} {'✓' if ratio <= aim else '✗'}"
        )
        print(  # noqa: T201 - this is a program
            f"    ratio {min(ratios):.3f} / {ratio:.3f} / {max(ratios):.3f}{verdict}"
        )
        result[name] = {"cpu_us": theirs, "ratios": ratios, "aim": aim}
    result["details"] = [sample.extra for sample in samples["ours"]]
    return result


def _line(name: str, values: list[float], failed: int) -> None:
    spread = " / ".join(
        f"{value:8.1f}"
        for value in (min(values), statistics.median(values), max(values))
    )
    more = f"   {failed} FAILED" if failed else ""
    print(f"  {name:40s} {spread} µs CPU  (min / median / max){more}")  # noqa: T201


def main() -> None:
    """Run the rows and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--quick", action="store_true", help="a smoke test")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    client_cpu, server_cpu = cores[0], cores[-1]
    now = datetime.now(UTC)
    results: dict[str, object] = {
        "taken": now.isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": {"client": client_cpu, "server": server_cpu},
    }
    with (
        tempfile.TemporaryDirectory(prefix="fleetsim-bench-") as folder,
        front(Path(folder), server_cpu) as here,
    ):
        for row in rows(quick=options.quick):
            if options.only in row.name:
                results[row.name] = measure(row, here, client_cpu, options.runs)
    place = ROOT / "results" / "benchmarks"
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{now:%Y-%m-%dT%H%M%SZ}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\n{path}")  # noqa: T201 - this is a program


main()
