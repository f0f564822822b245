"""Every fault of a scenario, before the lab and before an endpoint: what devices call it."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq
import pytest

from fleetsim.recording.run_folder import read_timeline
from tests.integration.runs import FLEETSIM, cohort, scenario

pytestmark = pytest.mark.slow

LASTS_S: Final = 0.5
PAUSE_S: Final = 0.3
FAULTS: Final[Mapping[str, tuple[dict[str, Any], str, str]]] = {
    "delay": ({"delay": "20ms", "jitter": "20ms"}, "", ""),
    "throttle": ({"bytes_per_s": 1000}, "tls.timeout", "http.timeout"),
    "slow_first_byte": ({"delay": "5s"}, "tls.timeout", "http.timeout"),
    "reset": ({}, "tls.reset", "http.reset"),
    "half_close": ({}, "tls.reset", "http.reset"),
    "blackhole": ({}, "tls.timeout", "http.timeout"),
    "truncate": ({"after_bytes": 20}, "tls.reset", "http.reset"),
}
"""Fields of each fault, and the failure kind it is over TLS and over plain HTTP."""

TIMELINE: Final = [
    {
        "name": kind,
        "at": f"{0.5 + number * (LASTS_S + PAUSE_S):.1f}s",
        "fault": {"kind": kind, "duration": f"{LASTS_S}s", **fields},
    }
    for number, (kind, (fields, _, _)) in enumerate(FAULTS.items())
]
BUSY: Final = {
    "heartbeat": 0,
    "ota": 0,
    "workload": {"file_size": "8KiB", "period": "150ms", "connection": "per_upload"},
    "overrides": {
        "retry": {"first": "150ms", "factor": 1},
        "deadlines": {"handshake": "250ms", "send": "250ms", "response": "250ms"},
        "fallback": {"delay": 0},
    },
}


@contextmanager
def endpoint(security: str) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """A lab of somebody else's: target section of a scenario, and the keys to it."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    arguments = [*FLEETSIM, "lab", "--port", "0", "--json", "--security", security]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=clean
    ) as process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        target = {"endpoint": facts["endpoint"], "bucket": "fleet"}
        if security != "low":
            target["ca_file"] = facts["ca_path"]
        keys = {
            "AWS_ACCESS_KEY_ID": facts["access_key_id"],
            "AWS_SECRET_ACCESS_KEY": facts["secret_access_key"],
        }
        yield target, {**clean, **keys}
        process.terminate()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """Run folders by place and cohort, of runs that went on side by side."""
    folder = tmp_path_factory.mktemp("faults")
    fronts = [{"name": "tls"}, {"name": "plain", "security": "low"}]
    both = [cohort(each["name"], 4, front=each["name"], **BUSY) for each in fronts]
    runs: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
        "lab": (scenario(*both, lab={"fronts": fronts}), dict(os.environ))
    }
    with ExitStack() as stack:
        for name, security in (("tls", "medium"), ("plain", "low")):
            target, keys = stack.enter_context(endpoint(security))
            more = {} if security == "low" else {"trust": {"file": target["ca_file"]}}
            data = scenario(cohort(name, 4, **BUSY, **more), target=target)
            runs[f"endpoint {name}"] = (data, keys)
        started = []
        for name, (data, keys) in runs.items():
            data |= {"timeline": TIMELINE, "duration": "6200ms", "drain": "2s"}
            data["thresholds"] = ["unaccounted == 0", "unclassified == 0"]
            file = folder / f"{name}.yaml"
            file.write_text(json.dumps(data))
            results = folder / name
            started.append(
                subprocess.Popen(
                    [*FLEETSIM, "run", str(file), "--results", str(results), "-q"],
                    env=keys,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
            )
        for process in started:
            output, _ = process.communicate(timeout=50)
            assert process.returncode == 0, output.decode()
    folders = {name: next((folder / name).iterdir()) for name in runs}
    return {
        ("lab", "tls"): folders["lab"],
        ("lab", "plain"): folders["lab"],
        ("endpoint", "tls"): folders["endpoint tls"],
        ("endpoint", "plain"): folders["endpoint plain"],
    }


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("name", ["tls", "plain"])
@pytest.mark.parametrize("place", ["lab", "endpoint"])
def test_every_fault_has_its_failure_kind(
    found: dict[tuple[str, str], Path], place: str, name: str, kind: str
) -> None:
    """The same before the lab and before any endpoint, and over when it is over."""
    folder = found[place, name]
    steps = {
        line["step"]: line["actual_ns"]
        for line in read_timeline(folder)
        if line.get("name") == kind
    }
    assert steps.keys() >= {"begun", "end"}
    met = [
        row
        for row in pq.read_table(folder / "records.parquet").to_pylist()
        if row["cohort"] == name
        and steps["begun"] < row["started_ns"]
        # What still waits when a fault is lifted goes on after all.
        and row["ended_ns"] < steps["end"] - 20_000_000
    ]
    expected = FAULTS[kind][1 if name == "tls" else 2]
    assert {row["kind"] for row in met} == {expected}
    if kind == "delay":
        # Three round trips at least: TCP is answered by whoever stands in the way.
        assert min(row["ended_ns"] - row["started_ns"] for row in met) > 40_000_000
