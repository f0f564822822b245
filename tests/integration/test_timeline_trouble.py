"""Rehearsals of trouble: the server, the path, the devices, commands, and a killed lab."""

import asyncio
import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from fleetsim.lab.process import LabProcess
from fleetsim.recording.run_folder import read_timeline
from fleetsim.runner import run as run_module
from fleetsim.runner.run import RunOptions, Watcher, run_plan
from fleetsim.runner.sites import Target, open_target
from fleetsim.scenario.timeline import TimelinePlan
from tests.integration.runs import FLEETSIM, Finished, cohort, plan_of, run, scenario
from tests.integration.test_timeline_trust import outcomes, states, steps

pytestmark = pytest.mark.slow

S = 1_000_000_000
SURE = ["unaccounted == 0", "unclassified == 0"]


def between(done: Finished, first: str, second: str = "") -> list[dict[str, Any]]:
    """Attempts that began while an entry lasted, or until another one began."""
    (begin,) = (x for x in steps(done, "start") if x["name"] == first)
    (end,) = (
        x
        for x in steps(done, "start" if second else "end")
        if x["name"] == (second or first)
    )
    return [
        row
        for row in done.records
        if begin["actual_ns"] < row["started_ns"] < end["actual_ns"]
    ]


def test_trouble_of_server_and_path(tmp_path: Path) -> None:
    """Each is met by the devices while it lasts, and over when its entry is done."""
    done = run(
        scenario(
            cohort("trucks", 10),
            timeline=[
                {"name": "down", "at": "1s", "server_outage": {"duration": "1s"}},
                {
                    "name": "slow",
                    "after": "down",
                    "delay": "1500ms",
                    "slow_server": {"delay": "300ms", "duration": "1s"},
                },
                {
                    "name": "cut",
                    "after": "slow",
                    "delay": "500ms",
                    "fault": {"kind": "reset", "duration": "1s", "share": 0.5},
                },
                {
                    "name": "gone",
                    "after": "cut",
                    "delay": "1s",
                    "dns_change": {"front": "main"},
                },
                {
                    "name": "back",
                    "after": "gone",
                    "delay": "1s",
                    "dns_change": {"front": "main", "to_front": "main"},
                },
            ],
            duration="9s",
            thresholds=SURE,
        )
        | {"lab": {"fronts": [{"name": "main"}, {"name": "other"}]}},
        tmp_path,
    )
    assert set(outcomes(done).values()) == {"done"}
    assert done.summary["verdict"] == "passed"
    met = {
        "down": "tcp.refused",
        "cut": "tls.reset",
    }
    for name, kind in met.items():
        assert kind in {row["kind"] for row in between(done, name)}
    waits = [r["wait_ns"] for r in between(done, "slow") if r["operation"] == "upload"]
    assert max(waits) >= 0.3 * S
    assert {row["kind"] for row in between(done, "gone", "back")} == {"dns.not_found"}
    (end,) = (x for x in steps(done, "end") if x["name"] == "back")
    last = [row for row in done.records if row["started_ns"] > end["actual_ns"]]
    assert "" in {row["kind"] for row in last}
    assert states(done)["failing"] == 0


def test_devices_asleep_without_network_and_off_their_clock(tmp_path: Path) -> None:
    """What the timeline does to devices shows in their records, and heals."""
    tenth = {"to": {"share": "20%"}}
    done = run(
        scenario(
            cohort("trucks", 10),
            timeline=[
                {"name": "off", "at": "1s", "sleep_devices": tenth},
                {"name": "on", "after": "off", "delay": "2s", "wake_devices": {}},
                {"name": "dead", "after": "on", "delay": "1s", "network_down": tenth},
                {"name": "live", "after": "dead", "delay": "1s", "network_up": {}},
                {"name": "flat", "after": "live", "delay": "500ms", "lose_rtc": tenth},
            ],
            duration="8s",
            drain="1s",
            thresholds=SURE,
        ),
        tmp_path,
    )
    ends = {line["name"]: line for line in steps(done, "end")}
    assert {
        (line["devices"], line["changed"]) for line in (ends["off"], ends["dead"])
    } == {(2, 2)}
    assert (ends["on"]["devices"], ends["on"]["changed"]) == (10, 2)
    asleep = between(done, "off", "on")
    assert len({row["device"] for row in asleep}) == 8
    assert {row["kind"] for row in between(done, "dead", "live")} == {
        "",
        "tcp.unreachable",
    }
    flat = [r for r in done.records if r["device_unix_s"] < 1_000_000_000]
    assert {row["kind"] for row in flat} == {"tls.verify.cert_not_yet_valid"}
    assert len({row["device"] for row in flat}) == 2
    assert states(done)["stranded"] in {0, 2}


def test_commands(tmp_path: Path) -> None:
    """They learn where the run is, and one that fails fails the run."""
    shown = 'test -f "$FLEETSIM_RUN_FOLDER/manifest.json" && echo "$FLEETSIM_ENDPOINT"'
    done = run(
        scenario(
            cohort("trucks", 2),
            timeline=[
                {
                    "name": "good",
                    "at": "1s",
                    "run_command": {"argv": ["sh", "-c", shown]},
                },
                {
                    "name": "bad",
                    "at": "1s",
                    "run_command": {"argv": ["sh", "-c", "exit 7"]},
                },
                {"name": "next", "after": "bad", "reset_connections": {}},
            ],
            duration="2s",
            thresholds=SURE,
        ),
        tmp_path,
    )
    ends = {line["name"]: line for line in steps(done, "end")}
    assert ends["good"]["output"].startswith("https://localhost:")
    assert ends["bad"]["reason"] == "sh ended with exit code 7"
    assert ends["next"]["outcome"] == "skipped"
    assert done.summary["verdict"] == "failed"


def test_a_threshold_ends_the_run(tmp_path: Path) -> None:
    """As soon as it does not hold, not at the end; exit code 99, with the reason."""
    file = tmp_path / "abort.yaml"
    file.write_text(
        json.dumps(
            scenario(
                cohort("trucks", 5),
                timeline=[{"at": "1s", "server_outage": {"duration": "30s"}}],
                duration="40s",
                thresholds=[
                    {"expression": "failing == 0", "abort_on_fail": True},
                    "unclassified == 0",
                ],
            )
        )
    )
    begun = time.monotonic()
    ended = subprocess.run(
        [*FLEETSIM, "run", str(file), "--results", str(tmp_path / "r"), "--json", "-q"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 99, ended.stderr
    assert time.monotonic() - begun < 30
    summary = json.loads(ended.stdout)
    assert (summary["verdict"], summary["outcome"]) == ("failed", "completed")
    (folder,) = (tmp_path / "r").iterdir()
    (line,) = (x for x in read_timeline(folder) if x["action"] == "abort")
    assert line["reason"].startswith("'failing == 0' does not hold")


def test_a_signal_ends_the_timeline_too(tmp_path: Path) -> None:
    """The first signal drains: nothing more is done to the fleet; exit code 130."""
    file = tmp_path / "long.yaml"
    file.write_text(
        json.dumps(
            scenario(
                cohort("trucks", 3),
                timeline=[
                    {"name": "a", "at": "500ms", "reset_connections": {}},
                    {"name": "b", "at": "20s", "reset_connections": {}},
                ],
                duration="30s",
            )
        )
    )
    process = subprocess.Popen(
        [*FLEETSIM, "run", str(file), "--results", str(tmp_path / "r")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if "reset_connections a: done" in line:
            break
    process.send_signal(signal.SIGINT)
    process.stderr.read()
    assert process.wait(timeout=30) == 130
    process.stderr.close()
    (folder,) = (tmp_path / "r").iterdir()
    ends = {x["name"]: x for x in read_timeline(folder) if x.get("step") == "end"}
    assert ends["a"]["outcome"] == "done"
    assert ends["b"]["reason"] == "the run ended before it was due"


class _Killer(Watcher):
    """Kills the lab in the middle of a rotation and starts it again."""

    def __init__(self) -> None:
        self.lab: LabProcess | None = None
        self.group: asyncio.TaskGroup | None = None

    def acted(self, entry: TimelinePlan, step: str, facts: Mapping[str, Any]) -> None:
        """After the second wave."""
        if (entry.key, step, facts.get("wave")) == ("push_bundle", "wave", 2):
            assert self.group is not None
            self.group.create_task(self._kill())

    async def _kill(self) -> None:
        assert self.lab is not None
        await self.lab.kill()
        await self.lab.restart()


def test_a_server_killed_in_the_middle_of_a_rotation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acknowledged files survive the process; the rotation goes on and is completed."""
    data = scenario(
        cohort("trucks", 20, ota="1s", workload={"period": "500ms"}),
        lab={"store": {"folder": "objects"}},
        timeline=[
            {"name": "new_root", "at": "1s", "issue_ca": {}},
            {
                "name": "server2",
                "after": "new_root",
                "issue_server_certificate": {"ca": "new_root"},
            },
            {
                "name": "push",
                "after": "server2",
                "push_bundle": {
                    "certificates": ["root", "new_root"],
                    "waves": {"share": "25%", "every": "2s"},
                },
            },
            {
                "name": "swap",
                "when": "bundle_share >= 1",
                "swap_server_certificate": {"certificate": "server2"},
            },
            {
                "name": "well",
                "after": "swap",
                "wait_for": {"condition": "failing == 0"},
            },
        ],
        duration="14s",
        thresholds=[*SURE, "stranded == 0"],
    )
    killer = _Killer()

    @asynccontextmanager
    async def watched(*arguments: Any, **named: Any) -> AsyncIterator[Target]:
        async with (
            open_target(*arguments, **named) as target,
            asyncio.TaskGroup() as group,
        ):
            killer.lab, killer.group = target.lab, group
            yield target

    monkeypatch.setattr(run_module, "open_target", watched)
    parsed, plan = plan_of(data)
    options = RunOptions(
        results=tmp_path, base_folder=tmp_path, scenario=parsed.to_data()
    )
    done = Finished(*uvloop.run(run_plan(plan, options, killer)))
    assert set(outcomes(done).values()) == {"done"}
    assert done.summary["verdict"] == "passed"
    uploads = done.summary["uploads"]
    assert uploads["acknowledged"] == uploads["stored"] > 0
    assert Counter(row["kind"] for row in done.records)["tcp.refused"]
