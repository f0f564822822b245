"""Outages over real sockets: refused, reset, slow, killed; and what is left afterwards."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvloop

from fleetsim.exceptions import InputError, TargetError
from fleetsim.lab.control import Control, encode
from fleetsim.lab.listener import Listener
from fleetsim.lab.process import LabProcess
from fleetsim.lab.server import LabServer
from fleetsim.lab.settings import LabSettings
from fleetsim.profiles.catalog import load
from fleetsim.runner.run import RunOptions, Watcher, run_plan
from fleetsim.scenario.parse import parse_scenario
from fleetsim.scenario.plan import make_plan
from tests.integration.lone_device import (
    KEY,
    LoneDevice,
    endpoint,
    network,
    outcome,
)
from tests.integration.test_lab_process import SECRET, lab_settings, write_pair
from tests.lab.tls_clients import server, turn_until


@pytest.fixture
async def lab() -> AsyncIterator[LabProcess]:
    """A process that does not outlive the test."""
    process = LabProcess()
    yield process
    await process.stop(grace_s=0.1)
    assert not process.is_running


def settings_with_control(folder: Path) -> LabSettings:
    """A lab with a plain, a TLS and a control front."""
    plain = lab_settings(folder)
    control = {"name": "control", "scheme": "http", "is_control": True}
    values = plain.wire()
    return LabSettings.model_validate(
        {**values, "fronts": [*values["fronts"], control]}
    )


async def until(
    lab: LabProcess, holds: Callable[[dict[str, Any]], object], command: str = "status"
) -> None:
    """Ask the lab until something holds; the test's own timeout bounds it."""
    while not holds(await lab.request(command)):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)


async def outcomes(port: int, *, is_tls: bool) -> str:
    """Try to connect once more."""
    async with network() as net:
        device = LoneDevice(net, endpoint(port, is_tls=is_tls))
        found = str(outcome(await device.connect()))
        device.drop()
    return found


async def test_outage_refuses_resets_and_ends(lab: LabProcess, tmp_path: Path) -> None:
    """Connections are refused, open ones reset; restore brings back the same port."""
    address = await lab.start(settings_with_control(tmp_path))
    port = address.fronts["tls"][1]
    async with network() as net:
        device = LoneDevice(net, endpoint(port))
        assert outcome(await device.connect()) == "connected"
        before_ns = time.monotonic_ns()
        done = await lab.request("outage", front="tls")
        assert before_ns <= done["monotonic_ns"] <= time.monotonic_ns()
        assert done["fronts"] == {"tls": {"connections_reset": 1, "ends_in_s": None}}
        assert outcome(await device.report()) == "lost"
        for _ in range(3):
            assert outcome(await device.connect()) == "tcp.refused"
        assert await outcomes(address.fronts["plain"][1], is_tls=False) == "connected"
        again = await lab.request("outage", front="tls")
        assert again["fronts"]["tls"]["connections_reset"] == 0
        done = await lab.request("restore", front="tls")
        assert done["fronts"] == {"tls": {"ended": ["outage"]}}
        assert outcome(await device.connect()) == "connected"
        assert outcome(await device.put("a/x", b"x")) == 200


async def test_outage_ends_by_itself(lab: LabProcess, tmp_path: Path) -> None:
    """The lab keeps the time: nobody has to say that it is over."""
    address = await lab.start(settings_with_control(tmp_path))
    port = address.fronts["plain"][1]
    began = await lab.request("outage", front="plain", duration_s=0.4)
    assert await outcomes(port, is_tls=False) == "tcp.refused"
    await until(lab, lambda status: status["fronts"]["plain"]["is_accepting"])
    assert await outcomes(port, is_tls=False) == "connected"
    elapsed_s = (time.monotonic_ns() - began["monotonic_ns"]) / 1e9
    assert elapsed_s >= 0.4
    status = await lab.request("status")
    assert status["fronts"]["plain"]["troubles"] == []
    assert status["fronts"]["plain"]["is_accepting"] is True


async def test_all_fronts_but_the_control_planes(
    lab: LabProcess, tmp_path: Path
) -> None:
    """A trouble without a front leaves the way of the control plane open."""
    address = await lab.start(settings_with_control(tmp_path))
    done = await lab.request("outage", duration_s=60)
    assert set(done["fronts"]) == {"plain", "tls"}
    status = (await lab.request("status"))["fronts"]
    assert {name: each["is_accepting"] for name, each in status.items()} == {
        "plain": False,
        "tls": False,
        "control": True,
    }
    (trouble,) = status["tls"]["troubles"]
    assert trouble["kind"] == "outage"
    assert 0 < trouble["ends_in_s"] <= 60
    assert await outcomes(address.fronts["control"][1], is_tls=False) == "connected"
    await lab.request("restore")
    assert await outcomes(address.fronts["tls"][1], is_tls=True) == "connected"


async def test_named_control_front_is_hit(lab: LabProcess, tmp_path: Path) -> None:
    """Who names it means it."""
    address = await lab.start(settings_with_control(tmp_path))
    await lab.request("outage", front="control")
    assert await outcomes(address.fronts["control"][1], is_tls=False) == "tcp.refused"


@pytest.mark.parametrize(
    ("command", "arguments", "where"),
    [
        ("outage", {"front": "none"}, "front none"),
        ("outage", {"duration_s": 0}, "duration_s"),
        ("outage", {"duration_s": "soon"}, "duration_s"),
        ("slow", {}, "delay_s"),
        ("slow", {"delay_s": -1}, "delay_s"),
        ("fault", {"kind": "flood"}, "kind"),
        ("fault", {"kind": "delay"}, "latency_s"),
        ("fault", {"kind": "reset", "share": 1.5}, "share"),
        ("fault", {"kind": "reset", "front": "none"}, "front none"),
        ("clear", {"front": "none"}, "front none"),
        ("restore", {"front": "none"}, "front none"),
        ("reset", {"front": "none"}, "front none"),
        ("status", {"front": "tls"}, "front"),
    ],
)
async def test_bad_commands_change_nothing(
    tmp_path: Path, command: str, arguments: dict[str, Any], where: str
) -> None:
    """Every refusal names its place, and no front has trouble afterwards."""
    lab = LabServer(lab_settings(tmp_path), clock=lambda: 0.0)
    await lab.start()
    control = Control(lab)
    line = encode({"id": 1, "command": command, "arguments": arguments})
    answer = json.loads(await control.answer(line))
    assert answer["problems"][0]["where"] == where
    for each in lab.troubles.status()["fronts"].values():
        assert each["troubles"] == []
        assert each["is_accepting"] is True
    await lab.stop(0.0)


async def test_fault_by_command_and_its_end(lab: LabProcess, tmp_path: Path) -> None:
    """A share of the connections is hit until the lab's own time for it is over."""
    address = await lab.start(lab_settings(tmp_path))
    port = address.fronts["tls"][1]
    done = await lab.request("fault", kind="reset", share=0.5)
    assert done["fronts"]["tls"] == {"kind": "reset", "share": 0.5, "ends_in_s": None}
    found = [await outcomes(port, is_tls=True) for _ in range(4)]
    assert found == ["tls.reset", "connected", "tls.reset", "connected"]
    status = (await lab.request("status"))["fronts"]["tls"]
    assert status["connections_hit"] == {"reset": 2}
    assert status["troubles"][0]["kind"] == "fault.reset"
    done = await lab.request("fault", kind="reset", duration_s=0.2)
    assert done["fronts"]["tls"] == {"kind": "reset", "share": 1.0, "ends_in_s": 0.2}
    await until(lab, lambda status: not status["fronts"]["tls"]["troubles"])
    assert [await outcomes(port, is_tls=True) for _ in range(2)] == ["connected"] * 2
    await lab.request("fault", front="tls", kind="reset")
    await lab.request("fault", front="tls", kind="delay", latency_s=0.01)
    assert await outcomes(port, is_tls=True) == "tls.reset"
    cleared = await lab.request("clear", front="tls", kind="reset")
    assert cleared["fronts"] == {"tls": {"ended": ["fault.reset"]}}
    assert await outcomes(port, is_tls=True) == "connected"
    cleared = await lab.request("clear")
    assert cleared["fronts"]["tls"] == {"ended": ["fault.delay"]}


async def test_reset_drops_what_is_open(lab: LabProcess, tmp_path: Path) -> None:
    """An idle connection is lost, a request fails, a new connection works."""
    address = await lab.start(lab_settings(tmp_path))
    async with network() as net:
        idle = LoneDevice(net, endpoint(address.fronts["tls"][1]))
        busy = LoneDevice(net, endpoint(address.fronts["tls"][1]))
        assert outcome(await idle.connect()) == "connected"
        assert outcome(await busy.connect()) == "connected"
        await lab.request("slow", delay_s=60)
        busy.send("PUT", "a/x", b"x")
        await until(lab, lambda status: status["fronts"]["tls"]["answers_held"])
        done = await lab.request("reset", front="tls")
        assert done["fronts"] == {"tls": {"connections_reset": 2}}
        assert outcome(await idle.report()) == "lost"
        assert outcome(await busy.report()) == "http.reset"
        await lab.request("restore")
        assert outcome(await idle.connect()) == "connected"
        assert outcome(await idle.put("a/y", b"y")) == 200


# ------------------------------------------------------------------------- slow answers


async def test_slow_server_holds_answers_back(tmp_path: Path) -> None:
    """Requests that wait already are held too; the handshake is not; the end frees all."""
    lab = LabServer(lab_settings(tmp_path), clock=lambda: time.time_ns() / 1e9)
    address = await lab.start()
    async with network() as net:
        devices = [LoneDevice(net, endpoint(address.fronts["tls"][1])) for _ in "ab"]
        for device in devices:
            await device.connect()
        devices[0].send("PUT", "a/1", b"1")
        lab.troubles.slow("tls", 3600.0, None)
        devices[1].send("PUT", "a/2", b"2")

        def held() -> bool:
            held: int = lab.troubles.status()["fronts"]["tls"]["answers_held"]
            return held == 2

        await turn_until(held)
        assert lab.stats()["store"]["objects"] == 2
        ended = await lab.troubles.restore(None)
        assert ended["fronts"]["tls"] == {"ended": ["slow"]}
        assert [outcome(await device.report()) for device in devices] == [200, 200]
    await lab.stop(0.0)


async def test_slow_answer_comes_after_its_delay(tmp_path: Path) -> None:
    """The wait phase is at least the delay, and the device may run out of patience."""
    lab = LabServer(lab_settings(tmp_path), clock=lambda: time.time_ns() / 1e9)
    port = (await lab.start()).fronts["plain"][1]
    lab.troubles.slow(None, 0.05, None)
    async with network() as net:
        device = LoneDevice(net, endpoint(port, is_tls=False))
        await device.connect()
        assert outcome(await device.put("a/x", b"x")) == 200
        # Timers of the loop count whole milliseconds.
        assert device.measures.wait_ns >= 49_000_000
    await lab.stop(0.0)


async def test_stopping_a_slow_lab_answers_what_it_holds(tmp_path: Path) -> None:
    """A stop lets requests under way finish: slowness does not keep them."""
    lab = LabServer(lab_settings(tmp_path), clock=lambda: time.time_ns() / 1e9)
    port = (await lab.start()).fronts["plain"][1]
    lab.troubles.slow(None, 3600.0, None)
    async with network() as net:
        device = LoneDevice(net, endpoint(port, is_tls=False))
        await device.connect()
        device.send("PUT", "a/x", b"x")
        await turn_until(
            lambda: lab.troubles.status()["fronts"]["plain"]["answers_held"]
        )
        await lab.stop(5.0)
        assert outcome(await device.report()) == 200


# ------------------------------------------------------------------------- the listener


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
@pytest.mark.parametrize(
    "make_loop",
    [uvloop.new_event_loop, asyncio.new_event_loop],
    ids=["uvloop", "asyncio"],
)
def test_port_is_kept_while_refusing(host: str, make_loop: Any) -> None:
    """Nobody else can listen there meanwhile, on either loop and family."""

    async def use() -> None:
        loop = asyncio.get_running_loop()
        listener = Listener(loop, asyncio.Protocol, 10)
        try:
            port = await listener.start(host, 0)
        except OSError:
            pytest.skip("this machine has no such address")
        states = [listener.is_accepting]
        for _ in range(3):
            listener.refuse()
            listener.refuse()
            states.append(listener.is_accepting)
            with pytest.raises(ConnectionRefusedError):
                await loop.create_connection(
                    asyncio.Protocol, "127.0.0.1" if host == "localhost" else host, port
                )
            with pytest.raises(OSError, match="in use"):
                await loop.create_server(
                    asyncio.Protocol, host, port, reuse_address=False
                )
            await listener.accept()
            await listener.accept()
            transport, _ = await loop.create_connection(
                asyncio.Protocol, "127.0.0.1" if host == "localhost" else host, port
            )
            transport.close()
        assert states == [True, False, False, False]
        listener.refuse()
        listener.close()
        server = await loop.create_server(asyncio.Protocol, host, port)
        server.close()

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(use())


# ---------------------------------------------------------------------- killed, revived


async def test_killed_lab_refuses_and_comes_back(
    lab: LabProcess, tmp_path: Path
) -> None:
    """Same ports, settings and credentials as before the kill, by command or not."""
    settings = lab_settings(tmp_path, store={"folder": str(tmp_path / "objects")})
    address = await lab.start(settings)
    port = address.fronts["tls"][1]
    pid = lab.pid
    pair = write_pair(tmp_path, "other", server("other.example"))
    await lab.request(
        "swap_front",
        front="tls",
        tls={"certificates": [json.loads(pair.model_dump_json())]},
    )
    await lab.request("remove_credentials", access_key="AKTEST")
    await lab.request(
        "add_credentials", access_key=KEY.access_key, secret_key=KEY.secret_key
    )
    async with network() as net:
        net.resolver.override("other.example", ("127.0.0.1",))
        device = LoneDevice(net, endpoint(port, host="other.example"))
        assert outcome(await device.connect()) == "connected"
        assert outcome(await device.put("a/kept", b"kept", keep_open=True)) == 200
        await lab.kill()
        assert not lab.is_running
        assert outcome(await device.report()) == "lost"
        assert outcome(await device.connect()) == "tcp.refused"
        with pytest.raises(TargetError, match="is not running"):
            await lab.request("stats")
        assert f"signal {int(signal.SIGKILL)}" in await lab.wait_ended()
        assert await lab.restart() == address
        assert lab.pid != pid
        assert outcome(await device.connect()) == "connected"
        got = await device.get("a/kept")
        assert outcome(got) == 200
    assert SECRET not in repr(lab.settings)


async def test_only_a_dead_lab_is_revived(lab: LabProcess, tmp_path: Path) -> None:
    """Neither a lab that never ran nor one that runs; killing twice is harmless."""
    with pytest.raises(RuntimeError, match="has run and is dead"):
        await lab.restart()
    await lab.kill()
    await lab.start(lab_settings(tmp_path))
    with pytest.raises(RuntimeError, match="has run and is dead"):
        await lab.restart()
    await lab.kill()
    await lab.kill()
    await lab.restart()
    assert lab.is_running


async def test_revival_without_files_is_refused_and_can_be_repeated(
    lab: LabProcess, tmp_path: Path
) -> None:
    """A missing key is an input problem; once it is there the lab comes back."""
    await lab.start(lab_settings(tmp_path))
    await lab.kill()
    key = tmp_path / "server.key"
    content = key.read_bytes()
    key.unlink()
    with pytest.raises(InputError, match=r"server\.key"):
        await lab.restart()
    key.touch(mode=0o600)
    key.write_bytes(content)
    await lab.restart()
    assert lab.is_running


SCENARIO = """
version: 1
name: killed-server
seed: 11
duration: 5s
drain: 30s
target:
  endpoint: http://127.0.0.1:{port}
  bucket: fleet
cohorts:
  - name: loggers
    count: 60
    profile: canedge2
    security: low
    heartbeat: 2s
    start_up: {{phase: spread, over: 500ms}}
    overrides: {{retry: {{first: 200ms, max: 500ms}}}}
    workload:
      file_size: {{uniform: [4KiB, 300KiB]}}
      period: 400ms
      phase: spread
      connection: {connection}
thresholds:
  - unaccounted == 0
  - unclassified == 0
"""


@pytest.mark.slow
@pytest.mark.parametrize("connection", ["per_upload", "keep_alive"])
async def test_kill_under_load_loses_no_acknowledged_file(
    lab: LabProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: str
) -> None:
    """SIGKILL amid uploads, twice: at the end all that was acknowledged is stored."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY.secret_key)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    settings = lab_settings(tmp_path, store={"folder": str(tmp_path / "objects")})
    port = (await lab.start(settings)).fronts["plain"][1]
    text = SCENARIO.format(port=port, connection=connection)
    scenario = parse_scenario(text, "s.yaml", lambda n: load(n, tmp_path).profile, [])
    plan = make_plan(scenario, lambda name: load(name, tmp_path).profile, None)
    options = RunOptions(
        results=tmp_path / "results", base_folder=tmp_path, scenario=scenario.to_data()
    )
    stored: list[int] = []

    def has_stored(least: int, stats: dict[str, Any]) -> bool:
        return int(stats["store"]["objects"]) >= least

    async def kill_and_revive() -> None:
        for least in (100, 300):
            await until(lab, partial(has_stored, least), "stats")
            await lab.kill()
            await asyncio.sleep(0.5)  # the outage that the devices shall see
            await lab.restart()
            stored.append((await lab.request("stats"))["store"]["objects"])

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(kill_and_revive())
        _, summary = await run_plan(plan, options, Watcher())
    uploads = summary["uploads"]
    assert len(stored) == 2
    assert 0 < stored[0] <= stored[1] <= uploads["stored"]
    assert uploads["unaccounted"] == 0
    assert uploads["acknowledged"] == uploads["planned"] > 500
    assert summary["failures"]["tcp.refused"] > 0
    assert summary["failures"].get("unclassified", 0) == 0
    assert summary["verdict"] == "passed"
