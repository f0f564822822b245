"""One fleet of ours against a front: everything on (device logic, signing, recording).

    fleet.py CPU FOLDER [PORT] < scenario.yaml

Prints one JSON object: uploads acknowledged, failures, CPU and wall seconds from the
first power-on to the last drained file, memory during the load, time from the plan to
the first upload; with a port to watch also how far the recorded latencies are from those
on the wire.
"""

import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from fleetsim.core.progress import Progress, Stage
from fleetsim.core.settings import Credentials, DeviceProfile
from fleetsim.engine.fleet import Fleet, Timing
from fleetsim.pki.certificates import Validity
from fleetsim.pki.folder import load_folder
from fleetsim.pki.identities import issue_devices
from fleetsim.pki.index import Kind
from fleetsim.pki.inventory import add_devices
from fleetsim.pki.keys import KeyType
from fleetsim.profiles.catalog import load
from fleetsim.recording.record import Record
from fleetsim.recording.recorder import Recorder
from fleetsim.runner.bindings import Site, bind
from fleetsim.runner.device_pki import load_device_pkis
from fleetsim.scenario.parse import parse_scenario
from fleetsim.scenario.plan import Plan, make_plan
from fleetsim.target.aws_config import resolve_endpoint
from tests.benchmarks.wire import Capture, distance_ms


def profile_of(name: str) -> DeviceProfile:
    """A shipped profile."""
    return load(name).profile


def enrol(plan: Plan, base: Path) -> None:
    """Issue the certificates that the devices of the plan do not have yet."""
    for cohort in plan.cohorts:
        if not cohort.client_pki:
            continue
        now = datetime.now(UTC)
        folder = load_folder(base / cohort.client_pki)
        known = {each.name for each in folder.index.of_kind(Kind.DEVICE)}
        missing = [d.device_id for d in plan.devices if d.device_id not in known]
        if missing:
            kind = KeyType(cohort.client_key)
            identities = issue_devices(
                folder.device_authority,
                missing,
                validity=Validity.lasting(now, 86400.0 * 10, starts_in_s=-86400.0),
                key_type=kind,
            )
            add_devices(
                folder, identities, key_type=kind, unique_keys=False, issued_at=now
            )


class Sink(Recorder):
    """The recorder of every run, and a look at what goes through it."""

    __slots__ = ("first_s", "started_unix_s", "totals_ns")

    def watch(self, *, every: bool) -> None:
        """Begin; keep every service time if asked to."""
        self.first_s = 0.0
        self.totals_ns: list[int] | None = [] if every else None

    def add(self, record: Record) -> None:
        """Take one attempt."""
        if not self.first_s:
            self.first_s = time.monotonic()
        if self.totals_ns is not None:
            self.totals_ns.append(record.ended_ns - record.started_ns)
        super().add(record)


def rss_kib() -> int:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGESIZE") // 1024


def main() -> None:
    """Run the scenario on standard input."""
    os.sched_setaffinity(0, {int(sys.argv[1])})
    base = Path(sys.argv[2])
    plan = make_plan(
        parse_scenario(sys.stdin.read(), "benchmark", profile_of), profile_of
    )
    if plan.target is None:
        raise SystemExit("a benchmark scenario has a target")
    enrol(plan, base)
    planned_s = time.monotonic()
    credentials = Credentials(access_key="BENCHMARK", secret_key="not-a-secret")
    endpoint = resolve_endpoint(
        plan.target.bucket, url=plan.target.endpoint, region="us-east-1"
    )
    sites = [Site(endpoint=endpoint, credentials=credentials) for _ in plan.cohorts]
    now = datetime.now(UTC)
    pkis = load_device_pkis(plan, base, now)
    bindings, refused = bind(
        plan,
        sites,
        kit=None,
        authorities={name: pki.authority for name, pki in pkis.items()},
        base_folder=base,
        now=now,
        issued={name: pki.issued for name, pki in pkis.items()},
    )
    if refused:
        raise SystemExit(f"trust bundle refused: {refused}")
    memory = [0]

    def look(progress: Progress) -> None:
        if progress.stage is Stage.LOAD:
            memory.append(rss_kib())

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        capture = Capture(folder, int(sys.argv[3])) if len(sys.argv) > 3 else None
        fleet: Fleet | None = None
        with Sink(folder, lambda: fleet.now_ns() if fleet else 0) as recorder:
            recorder.watch(every=capture is not None)
            fleet = Fleet(
                plan.devices,
                bindings,
                timing=Timing(duration_ns=plan.duration_ns, drain_ns=plan.drain_ns),
                in_flight=plan.in_flight,
                sink=recorder,
                on_tick=look,
            )
            cpu_s, wall_s = time.process_time(), time.monotonic()
            uvloop.run(fleet.run())
            cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
            seen = recorder.snapshot()
            off: dict[str, float] = {}
            if capture is not None and recorder.totals_ns is not None:
                off = distance_ms(recorder.totals_ns, capture.read())
        health = fleet.health()
    json.dump(
        {
            "count": seen.acknowledged,
            "failed": sum(seen.failures.values()),
            "failures": dict(seen.failures),
            "cpu_s": cpu_s,
            "wall_s": wall_s,
            "load_rss_kib": max(memory),
            "start_s": recorder.first_s - planned_s,
            "start_lag_p99_ms": health.start_lag_p99_ms,
            "saturated": health.saturated,
            **off,
        },
        sys.stdout,
    )


main()
