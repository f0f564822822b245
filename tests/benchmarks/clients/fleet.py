"""One fleet of ours against a front: everything on (device logic, signing, recording).

Prints one JSON object: uploads acknowledged, failures, CPU and wall seconds from the
first power-on to the last drained file, peak memory.
"""

import json
import os
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from fleetsim.core.settings import Credentials
from fleetsim.engine.fleet import Fleet, Timing
from fleetsim.pki.folder import load_folder
from fleetsim.profiles.catalog import load
from fleetsim.recording.recorder import Recorder
from fleetsim.runner.bindings import Site, bind
from fleetsim.scenario.parse import parse_scenario
from fleetsim.scenario.plan import make_plan
from fleetsim.target.aws_config import resolve_endpoint


def main() -> None:
    """Run the scenario on standard input."""
    os.sched_setaffinity(0, {int(sys.argv[1])})
    base = Path(sys.argv[2])

    def profile_of(name: str):  # type: ignore[no-untyped-def]  # a script's local helper
        return load(name).profile

    plan = make_plan(
        parse_scenario(sys.stdin.read(), "benchmark", profile_of), profile_of
    )
    if plan.target is None:
        raise SystemExit("a benchmark scenario has a target")
    credentials = Credentials(access_key="BENCHMARK", secret_key="not-a-secret")
    endpoint = resolve_endpoint(
        plan.target.bucket, url=plan.target.endpoint, region="us-east-1"
    )
    sites = [Site(endpoint=endpoint, credentials=credentials) for _ in plan.cohorts]
    pki = {c.client_pki for c in plan.cohorts if c.client_pki}
    bindings, refused = bind(
        plan,
        sites,
        kit=None,
        authorities={name: load_folder(base / name).device_authority for name in pki},
        base_folder=base,
        now=datetime.now(UTC),
    )
    if refused:
        raise SystemExit(f"trust bundle refused: {refused}")
    with tempfile.TemporaryDirectory() as folder:
        fleet: Fleet | None = None
        with Recorder(Path(folder), lambda: fleet.now_ns() if fleet else 0) as recorder:
            fleet = Fleet(
                plan.devices,
                bindings,
                timing=Timing(duration_ns=plan.duration_ns, drain_ns=plan.drain_ns),
                in_flight=plan.in_flight,
                sink=recorder,
            )
            cpu_s, wall_s = time.process_time(), time.monotonic()
            uvloop.run(fleet.run())
            cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
            seen = recorder.snapshot()
        health = fleet.health()
    json.dump(
        {
            "count": seen.acknowledged,
            "failed": sum(seen.failures.values()),
            "failures": dict(seen.failures),
            "cpu_s": cpu_s,
            "wall_s": wall_s,
            "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            "start_lag_p99_ms": health.start_lag_p99_ms,
            "saturated": health.saturated,
        },
        sys.stdout,
    )


main()
