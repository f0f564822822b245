"""Path faults over real sockets: what our devices, and curl, make of them.

Every fault is tried in both of its places: inside a front of the lab, and in a relay of
its own before a front that knows nothing of it.
"""

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.core.events import Response
from fleetsim.core.failure import Failure
from fleetsim.core.settings import Deadlines
from fleetsim.lab.faults.blackhole import Blackhole
from fleetsim.lab.faults.delay import Delay
from fleetsim.lab.faults.flow import Fault
from fleetsim.lab.faults.half_close import HalfClose
from fleetsim.lab.faults.reset import Reset
from fleetsim.lab.faults.slow_first_byte import SlowFirstByte
from fleetsim.lab.faults.throttle import Throttle
from fleetsim.lab.faults.truncate import Truncate
from fleetsim.lab.server import LabServer
from fleetsim.lab.settings import LabSettings, parse_settings
from tests.integration.lone_device import (
    KEY,
    LoneDevice,
    endpoint,
    network,
    outcome,
)
from tests.integration.test_lab_front import run_program
from tests.lab.tls_clients import root, server, turn_until

BIG = os.urandom(40_000)
SHORT = Deadlines(dns_s=1, connect_s=1, handshake_s=0.3, send_s=0.3, response_s=0.3)
PATIENT = Deadlines()


@dataclass
class Rig:
    """A lab, and the one place where faults are made."""

    lab: LabServer
    ports: dict[str, int]
    way: LabServer

    def begin(self, fault: Fault, share: float = 1.0) -> None:
        """Make trouble on the way to both fronts."""
        self.way.troubles.fault(None, fault, share, None)

    def end(self) -> None:
        """End it."""
        self.way.troubles.clear(None, None)

    def hits(self, front: str) -> dict[str, int]:
        """Connections hit."""
        hits: dict[str, int] = self.way.troubles.status()["fronts"][front][
            "connections_hit"
        ]
        return hits

    def objects(self) -> int:
        """Objects stored."""
        count: int = self.lab.stats()["store"]["objects"]
        return count


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Folder with the server's certificate, its key and the root."""
    tmp_path.chmod(0o700)
    leaf = server("localhost")
    (tmp_path / "server.pem").write_bytes(leaf.chain_pem())
    key = tmp_path / "server.key"
    key.touch(mode=0o600)
    key.write_bytes(leaf.key_pem())
    (tmp_path / "root.pem").write_bytes(
        root("root").certificate.public_bytes(Encoding.PEM)
    )
    return tmp_path


def settings(folder: Path) -> LabSettings:
    """A lab with a plain and a TLS front."""
    files = {
        "chain_path": str(folder / "server.pem"),
        "key_path": str(folder / "server.key"),
    }
    return parse_settings(
        LabSettings,
        {
            "fronts": [
                {"name": "plain", "scheme": "http"},
                {"name": "tls", "tls": {"certificates": [files]}},
            ],
            "credentials": [
                {"access_key": KEY.access_key, "secret_key": KEY.secret_key}
            ],
        },
    )


def now() -> float:
    """The machine's time of day."""
    return time.time_ns() / 1e9


def relays_to(ports: dict[str, int]) -> LabServer:
    """A lab of fronts that only pass bytes on, one for each server."""
    fronts = [
        {
            "name": name,
            "scheme": "tcp",
            "upstream": {"host": "127.0.0.1", "port": port},
        }
        for name, port in ports.items()
    ]
    return LabServer(parse_settings(LabSettings, {"fronts": fronts}), clock=now)


@pytest.fixture(params=["front", "relay"])
async def rig(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Rig]:
    """A lab whose faults are made in its fronts, or in relays before them."""
    lab = LabServer(settings(folder), clock=now)
    address = await lab.start()
    ports = {name: port for name, (_, port) in address.fronts.items()}
    way = lab
    if request.param == "relay":
        way = relays_to(ports)
        address = await way.start()
        ports = {name: port for name, (_, port) in address.fronts.items()}
    yield Rig(lab, ports, way)
    await lab.stop(0.0)
    if way is not lab:
        await way.stop(0.0)
        assert all(each["live"] == 0 for each in way.stats()["fronts"].values())


@pytest.mark.parametrize(
    ("fault", "deadlines", "expected"),
    [
        (Delay(0.03), PATIENT, ["connected", 200, 200]),
        (Delay(0.01, jitter_s=0.02), PATIENT, ["connected", 200, 200]),
        (Delay(5.0), SHORT, ["tls.timeout"]),
        (Throttle(200_000), PATIENT, ["connected", 200, 200]),
        (Throttle(1_000), SHORT, ["tls.timeout"]),
        (Reset(), PATIENT, ["tls.reset"]),
        (Reset(500), PATIENT, ["tls.reset"]),
        (Reset(20_000), PATIENT, ["connected", 200, "http.reset"]),
        (HalfClose(), PATIENT, ["tls.reset"]),
        (HalfClose(20_000), PATIENT, ["connected", 200, "http.reset"]),
        (Truncate(), PATIENT, ["tls.reset"]),
        (Truncate(500), PATIENT, ["tls.reset"]),
        (Truncate(20_000), PATIENT, ["connected", 200, "http.reset"]),
        (Blackhole(), SHORT, ["tls.timeout"]),
        (SlowFirstByte(0.05), PATIENT, ["connected", 200, 200]),
        (SlowFirstByte(5.0), SHORT, ["tls.timeout"]),
    ],
    ids=repr,
)
async def test_device_names_what_happened(
    rig: Rig, fault: Fault, deadlines: Deadlines, expected: list[object]
) -> None:
    """Connect, PUT and GET under each fault end as documented, over TLS."""
    rig.begin(fault)
    async with network() as net:
        device = LoneDevice(net, endpoint(rig.ports["tls"]), deadlines=deadlines)
        found = [outcome(await device.connect())]
        if found == ["connected"]:
            put = await device.put("a/big", BIG, keep_open=True)
            found.append(outcome(put))
            got = await device.get("a/big")
            found.append(outcome(got))
            if isinstance(got, Response):
                assert got.body == BIG
        device.drop()
    assert found == expected
    assert rig.hits("tls") == {fault.kind: 1}


@pytest.mark.parametrize(
    ("fault", "expected", "detail"),
    [
        (Blackhole(), "http.timeout", ""),
        (Delay(5.0), "http.timeout", ""),
        (SlowFirstByte(5.0), "http.timeout", ""),
        (Throttle(20_000), "http.timeout", ""),
        (Reset(), "http.reset", ""),
        (Truncate(), "http.reset", "before the response"),
        (Truncate(10), "http.reset", "within the response head"),
        (HalfClose(), "http.reset", "before the response"),
    ],
    ids=repr,
)
async def test_plain_upload_names_what_happened(
    rig: Rig, fault: Fault, expected: str, detail: str
) -> None:
    """Without TLS the same faults hit the request."""
    rig.begin(fault)
    async with network() as net:
        device = LoneDevice(
            net, endpoint(rig.ports["plain"], is_tls=False), deadlines=SHORT
        )
        assert outcome(await device.connect()) == "connected"
        failure = await device.put("a/big", BIG)
        assert isinstance(failure, Failure)
        assert failure.kind == expected
        assert detail in failure.detail
        device.drop()


@pytest.mark.parametrize(
    ("fault", "is_stored"),
    [(HalfClose(), True), (Truncate(), False), (Reset(), False)],
    ids=repr,
)
async def test_only_a_half_closed_upload_is_stored(
    rig: Rig, fault: Fault, is_stored: bool
) -> None:
    """All fail alike for the device; the server has the file after a half close alone."""
    rig.begin(fault)
    async with network() as net:
        device = LoneDevice(net, endpoint(rig.ports["plain"], is_tls=False))
        await device.connect()
        device.send("PUT", "a/one", b"content", keep_open=True)
        assert outcome(await device.report()) == "http.reset"
        rig.end()
        await device.connect()
        assert outcome(await device.get("a/one")) == (200 if is_stored else 404)
        device.drop()
    assert rig.objects() == int(is_stored)


async def test_delay_is_felt_in_every_round_trip(rig: Rig) -> None:
    """A TLS 1.2 handshake takes two round trips, a request one more."""
    rig.begin(Delay(0.04))
    async with network() as net:
        device = LoneDevice(net, endpoint(rig.ports["tls"]))
        assert outcome(await device.connect()) == "connected"
        assert device.measures.tls_ns >= 4 * 40_000_000
        assert outcome(await device.put("a/x", b"x", keep_open=True)) == 200
        assert device.measures.wait_ns >= 2 * 39_000_000
        device.drop()


async def test_throttle_bounds_the_rate(rig: Rig) -> None:
    """An upload takes at least its size divided by the rate."""
    rig.begin(Throttle(100_000))
    async with network() as net:
        device = LoneDevice(net, endpoint(rig.ports["plain"], is_tls=False))
        await device.connect()
        assert outcome(await device.put("a/big", BIG)) == 200
        spent_ns = device.measures.send_ns + device.measures.wait_ns
        assert spent_ns >= len(BIG) / 100_000 * 1e9


@pytest.mark.parametrize("fault", [Delay(0.01), Throttle(30e6)], ids=repr)
async def test_large_bodies_pass_whole_both_ways(rig: Rig, fault: Fault) -> None:
    """Many windows of bytes survive the back-pressure of the path in both directions."""
    body = os.urandom(900_000)
    rig.begin(fault)
    async with network() as net:
        device = LoneDevice(net, endpoint(rig.ports["tls"]))
        await device.connect()
        assert outcome(await device.put("a/large", body, keep_open=True)) == 200
        got = await device.get("a/large")
        assert isinstance(got, Response)
        assert hashlib.sha256(got.body).digest() == hashlib.sha256(body).digest()
        device.drop()


async def test_share_of_the_connections_is_hit_in_turn(rig: Rig) -> None:
    """Every third new connection fails, and no other."""
    rig.begin(Reset(), 1 / 3)
    found = []
    async with network() as net:
        device = LoneDevice(net, endpoint(rig.ports["tls"]))
        for _ in range(9):
            found.append(outcome(await device.connect()))
            device.drop()
    assert found == ["tls.reset", "connected", "connected"] * 3
    assert rig.hits("tls") == {"reset": 3}


async def test_open_connections_are_left_alone(rig: Rig) -> None:
    """A fault hits connections made after it began."""
    async with network() as net:
        early = LoneDevice(net, endpoint(rig.ports["tls"]))
        late = LoneDevice(net, endpoint(rig.ports["tls"]), deadlines=SHORT)
        await early.connect()
        rig.begin(Blackhole())
        assert outcome(await late.connect()) == "tls.timeout"
        assert outcome(await early.put("a/x", b"x")) == 200


async def test_what_a_blackhole_held_arrives_when_it_is_over(rig: Rig) -> None:
    """A device that was patient enough gets through on the same connection."""
    rig.begin(Blackhole())
    async with network() as net, asyncio.TaskGroup() as tasks:
        device = LoneDevice(net, endpoint(rig.ports["tls"]))
        connecting = tasks.create_task(device.connect())
        await turn_until(lambda: rig.hits("tls").get("blackhole"))
        rig.end()
        assert outcome(await connecting) == "connected"
        assert outcome(await device.put("a/x", b"x")) == 200


@pytest.mark.server
@pytest.mark.parametrize(
    ("fault", "front", "exit_code"),
    [
        (None, "tls", 0),
        (Delay(0.01), "tls", 0),
        (Blackhole(), "tls", 28),  # CURLE_OPERATION_TIMEDOUT
        (Blackhole(), "plain", 28),
        (Reset(), "tls", 35),  # CURLE_SSL_CONNECT_ERROR
        (Reset(), "plain", 56),  # CURLE_RECV_ERROR
        (Truncate(), "plain", 52),  # CURLE_GOT_NOTHING
        (Truncate(300), "plain", 18),  # CURLE_PARTIAL_FILE
        (HalfClose(300), "plain", 18),
        (SlowFirstByte(30.0), "tls", 28),
    ],
    ids=repr,
)
async def test_curl_sees_the_same(
    rig: Rig, folder: Path, fault: Fault | None, front: str, exit_code: int
) -> None:
    """Curl's exit code names each fault, whether it is the lab's or a relay's."""
    if fault is not None:
        rig.begin(fault)
    url = {
        "plain": f"http://127.0.0.1:{rig.ports['plain']}/fleet/none",
        "tls": f"https://localhost:{rig.ports['tls']}/fleet/none",
    }[front]
    code, output = await run_program(
        "curl",
        "-sS",
        "--max-time",
        "1.5",
        "--ipv4",
        "--cacert",
        str(folder / "root.pem"),
        url,
    )
    assert code == exit_code, output


async def test_relay_resets_clients_when_its_server_is_down(folder: Path) -> None:
    """The client was accepted, so a refused server shows as a reset; then it works."""
    lab = LabServer(settings(folder), clock=now)
    relay = relays_to({"plain": (await lab.start()).fronts["plain"][1]})
    port = (await relay.start()).fronts["plain"][1]
    async with network() as net:
        device = LoneDevice(net, endpoint(port, is_tls=False))
        lab.troubles.outage("plain", None)
        await device.connect()
        device.send("PUT", "a/x", b"x")
        assert outcome(await device.report()) in {"http.reset", "lost"}
        assert relay.stats()["fronts"]["plain"]["upstream_failed"] == 1
        await lab.troubles.restore("plain")
        await device.connect()
        assert outcome(await device.put("a/x", b"x")) == 200
        assert relay.stats()["fronts"]["plain"]["accepted"] == 2
    await lab.stop(0.0)
    await relay.stop(0.0)


async def test_relay_in_an_outage_refuses(folder: Path) -> None:
    """A relay can play a server that is down, and come back on its port."""
    lab = LabServer(settings(folder), clock=now)
    relay = relays_to({"tls": (await lab.start()).fronts["tls"][1]})
    port = (await relay.start()).fronts["tls"][1]
    async with network() as net:
        device = LoneDevice(net, endpoint(port))
        await device.connect()
        relay.troubles.outage(None, None)
        assert outcome(await device.report()) == "lost"
        assert outcome(await device.connect()) == "tcp.refused"
        await relay.troubles.restore(None)
        assert outcome(await device.connect()) == "connected"
        device.drop()
    await lab.stop(0.0)
    await relay.stop(0.0)
