"""Several processes: the same run as in one, and what becomes of it when one of them dies."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import uvloop

from fleetsim.core.progress import Progress
from fleetsim.recording.outcomes import read_audit, read_generator
from fleetsim.recording.recorder import Snapshot
from fleetsim.recording.run_folder import read_timeline
from fleetsim.recording.shards import LostDevices
from fleetsim.recording.states import read_states
from fleetsim.report.summary import build_summary
from fleetsim.runner.run import RunOptions, Watcher, run_plan
from tests.integration.runs import FLEETSIM, Finished, cohort, plan_of, run, scenario

pytestmark = pytest.mark.slow

DEADLINE_S = 40.0
LEAF_FIRST = scenario(
    cohort("trucks", 12, ota="1s"),
    cohort("spared", 4, front="other"),
    name="leaf_first",
    lab={"fronts": [{"name": "one"}, {"name": "other"}]},
    timeline=[
        {"name": "root2", "at": "1s", "issue_ca": {}},
        {
            "name": "leaf",
            "after": "root2",
            "issue_server_certificate": {"ca": "root2"},
        },
        {
            "name": "swap",
            "after": "leaf",
            "swap_server_certificate": {"certificate": "leaf", "front": "one"},
        },
    ],
    thresholds=["unaccounted == 0", "stranded == 12"],
    duration="4s",
    drain="1s",
)
LEAF_FIRST["cohorts"][0]["front"] = "one"


def histories(folder: Path) -> dict[str, list[str]]:
    """States of every device, in order; a file that is late on a busy machine apart."""
    table = read_states(folder)
    assert table is not None
    found: dict[str, list[str]] = {}
    for row in table.to_pylist():
        state = "connected" if row["state"] == "degraded" else row["state"]
        line = found.setdefault(row["device"], [])
        if line[-1:] != [state]:
            line.append(state)
    return found


def start(name: str, processes: int, results: Path, *more: str) -> Any:
    """Start the program as an operator does."""
    return subprocess.Popen(
        [
            *(*FLEETSIM, "run", name, "--processes", str(processes)),
            *("--results", str(results), "--json", "--quiet", *more),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(program: Any, results: Path) -> Finished:
    """Wait for it; its folder and summary."""
    out, err = program.communicate(timeout=DEADLINE_S)
    assert out, err
    (folder,) = results.iterdir()
    return Finished(folder, json.loads(out))


@pytest.mark.parametrize("case", ["done right", "leaf first"])
def test_as_in_one_process(case: str, tmp_path: Path) -> None:
    """Two processes give the verdict and the state histories of one."""
    name, more = "ca_rotation_done_right", ["--time-scale", "8"]
    if case == "leaf first":
        path = tmp_path / "leaf.yaml"
        path.write_text(json.dumps(LEAF_FIRST))
        name, more = str(path), []
    one, two = (
        finish(start(name, count, tmp_path / str(count), *more), tmp_path / str(count))
        for count in (1, 2)
    )
    assert one.summary["verdict"] == two.summary["verdict"] == "passed"
    assert [t["ok"] for t in one.summary["thresholds"]] == [
        t["ok"] for t in two.summary["thresholds"]
    ]
    assert histories(one.folder) == histories(two.folder)
    reasons = [
        [
            (r["reason"], r["devices"])
            for r in each.summary["rehearsal"]["stranded"]["reasons"]
        ]
        for each in (one, two)
    ]
    assert reasons[0] == reasons[1]
    assert {path.name for path in two.folder.iterdir()} == {
        path.name for path in one.folder.iterdir()
    }
    health = read_generator(two.folder)
    assert health is not None
    assert [each.name for each in health.processes] == [
        "shard 1 of 2",
        "shard 2 of 2",
        "parent",
    ]
    assert all(each.rss_bytes > 1 << 20 for each in health.processes)


def test_every_action_reaches_the_shards(tmp_path: Path) -> None:
    """Power, clocks, networks, names, keys and certificates change in both shards."""
    some = {"to": {"share": "50%"}}
    timeline = [
        {"name": "sleep", "at": "1s", "sleep_devices": some},
        {"name": "wake", "after": "sleep", "delay": "300ms", "wake_devices": {}},
        {"name": "skew", "after": "wake", "skew_clock": {"by": "1h", **some}},
        {
            "name": "set",
            "after": "skew",
            "skew_clock": {"by": "1h", "backwards": True, **some},
        },
        {"name": "down", "after": "set", "network_down": some},
        {"name": "up", "after": "down", "network_up": some},
        {
            "name": "cycle",
            "after": "up",
            "power_cycle": {**some, "over": "300ms"},
        },
        {"name": "ca2", "at": "1s", "issue_ca": {}},
        {
            "name": "renew",
            "after": "ca2",
            "rotate_device_certificates": {"ca": "ca2"},
        },
        {
            "name": "keys",
            "after": "renew",
            "rotate_credentials": {"overlap": "500ms"},
        },
        {"name": "gone", "after": "keys", "dns_change": {"front": "strict"}},
        {
            "name": "back",
            "after": "gone",
            "delay": "1200ms",
            "dns_change": {"front": "strict", "to_front": "strict"},
        },
        {
            "name": "well",
            "after": "back",
            "wait_for": {"condition": "failing == 0", "timeout": "4s"},
        },
    ]
    trucks = cohort("trucks", 8, client_certificates={"key": "p256"})
    done = run(
        scenario(
            trucks,
            lab={"fronts": [{"name": "strict", "security": "high"}]},
            timeline=timeline,
            duration="6s",
            drain="1s",
            thresholds=["unaccounted == 0", "unclassified == 0"],
        ),
        tmp_path,
        processes=2,
    )
    ends = [line for line in read_timeline(done.folder) if line.get("step") == "end"]
    assert {line["outcome"] for line in ends} == {"done"}, ends
    changed = {line["name"]: line.get("changed") for line in ends}
    assert [changed[n] for n in ("sleep", "wake", "skew", "down", "up", "cycle")] == [
        4
    ] * 6
    assert changed["keys"] == 8
    assert done.summary["verdict"] == "passed"
    assert "dns.not_found" in done.kinds("trucks")


def shards_of(pid: int) -> list[int]:
    """Process ids of the shards of a program."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            command = Path(f"/proc/{child}/cmdline").read_bytes()
            if b"shards.child" in command:
                found.append(int(child))
    return sorted(found)


class Killer(Watcher):
    """Kills one shard at the second tick."""

    def __init__(self) -> None:
        self.ticks: list[Progress] = []
        self.lost: list[tuple[str, LostDevices]] = []

    def ticked(self, progress: Progress, snapshot: Callable[[], Snapshot]) -> None:
        """Look, and strike once."""
        self.ticks.append(progress)
        assert snapshot().acknowledged >= 0
        if len(self.ticks) == 2:
            os.kill(shards_of(os.getpid())[-1], signal.SIGKILL)

    def shard_lost(self, name: str, lost: LostDevices) -> None:
        """Remember."""
        self.lost.append((name, lost))


def test_a_shard_is_killed(tmp_path: Path) -> None:
    """The run goes on, tells what it lost, and does not pass: it is no longer the plan."""
    data = scenario(cohort("trucks", 9), duration="4s", thresholds=["unaccounted == 0"])
    parsed, plan = plan_of(data)
    options = RunOptions(
        results=tmp_path, base_folder=tmp_path, scenario=parsed.to_data(), processes=2
    )
    killer = Killer()
    folder, summary = uvloop.run(run_plan(plan, options, killer))
    assert summary["verdict"] == "invalid"
    ((name, lost),) = killer.lost
    assert summary["devices"]["total"] == 9
    assert summary["devices"]["lost"] == len(lost.cohorts)
    assert summary["generator"]["devices_lost"] == len(lost.cohorts)
    assert any("SIGKILL" in reason for reason in summary["generator"]["reasons"])
    assert any(name in reason for reason in summary["generator"]["reasons"])
    (line,) = (x for x in read_timeline(folder) if x["action"] == "shard_lost")
    assert (line["shard"], line["devices"]) == (name, len(lost.cohorts))
    states = histories(folder)
    for device, history in states.items():
        assert (history[-1] == "asleep") is (device in lost.cohorts)
    audit = read_audit(folder)
    assert audit is not None
    assert audit.unaccounted == 0
    rows = pq.read_table(folder / "records.parquet", columns=["device", "ended_ns"])
    after = {
        row["device"]
        for row in rows.to_pylist()
        if row["ended_ns"] > lost.at_ns + 10**9
    }
    assert after
    assert not after & lost.cohorts.keys()
    assert killer.ticks[-1].devices == 9
    assert killer.ticks[-1].states["asleep"] == len(lost.cohorts)


@pytest.fixture
def long_run(tmp_path: Path) -> Iterator[Any]:
    """A run of a minute in two processes that has begun to record."""
    path = tmp_path / "long.yaml"
    path.write_text(json.dumps(scenario(cohort("trucks", 8), duration="60s")))
    program = start(str(path), 2, tmp_path / "results")
    try:
        wait_until(
            lambda: (
                len([*(tmp_path / "results").glob("*/shards/*/records.arrows")]) == 2
                and has_records(tmp_path / "results")
            ),
            program,
        )
        yield program
    finally:
        for child in shards_of(program.pid) if program.poll() is None else ():
            os.kill(child, signal.SIGKILL)
        program.kill()
        program.communicate()


def has_records(results: Path) -> bool:
    """Whether every shard has flushed more than the head of its stream."""
    streams = results.glob("*/shards/*/records.arrows")
    return all(path.stat().st_size > 10_000 for path in streams)


def wait_until(condition: Callable[[], bool], program: Any) -> None:
    """Wait for what another process does."""
    until_s = time.monotonic() + DEADLINE_S
    pause = threading.Event()
    while not condition():
        assert program.poll() is None or condition(), program.communicate()
        assert time.monotonic() < until_s
        pause.wait(0.05)


def is_alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_ctrl_c_twice(long_run: Any, tmp_path: Path) -> None:
    """The first drains all shards, the second stops them; what was recorded is kept."""
    children = shards_of(long_run.pid)
    assert len(children) == 2
    long_run.send_signal(signal.SIGINT)
    long_run.send_signal(signal.SIGINT)
    done = finish(long_run, tmp_path / "results")
    assert long_run.returncode == 130
    assert done.summary["verdict"] == "interrupted"
    assert done.summary["audit"]["unexplained"] == 0
    assert done.records
    assert not any(map(is_alive, children))
    assert not (done.folder / "shards").exists()


def test_the_parent_is_killed(long_run: Any, tmp_path: Path) -> None:
    """The shards end with it, and the folder is readable up to their last second."""
    children = shards_of(long_run.pid)
    long_run.kill()
    long_run.communicate()
    until_s = time.monotonic() + DEADLINE_S
    while any(map(is_alive, children)):
        assert time.monotonic() < until_s
        threading.Event().wait(0.05)
    (folder,) = (tmp_path / "results").iterdir()
    summary = build_summary(folder)
    assert summary["verdict"] == "interrupted"
    assert summary["devices"]["total"] == 8
    assert summary["operations"]["heartbeat"]["ok"] >= 8
    assert summary["rehearsal"]["states"]["start"]
