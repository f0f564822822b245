"""A name that moves, or is gone, while devices are connected."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from fleetsim.lab.tls_front import TlsFront
from tests.integration.lone_device import LoneDevice, endpoint, network, outcome


@pytest.fixture
async def ports() -> AsyncIterator[list[int]]:
    """Two plain servers that answer with their number."""

    async def start(status: int) -> tuple[TlsFront, web.Server, int]:
        async def answer(request: web.BaseRequest) -> web.Response:
            await request.read()
            return web.Response(status=status)

        http = web.Server(answer, access_log=None)
        front = TlsFront(None, http, clock=lambda: 0.0)
        return front, http, await front.start("127.0.0.1", 0)

    started = [await start(200), await start(202)]
    yield [port for _, _, port in started]
    for front, http, _ in started:
        front.close_listener()
        front.close_connections()
        await http.shutdown(0.1)
        await front.stop(1)


async def test_new_connections_follow_the_name(ports: list[int]) -> None:
    """Open connections stay where they are, new ones go where the name leads now."""
    async with network() as net:
        old, new = (
            LoneDevice(net, endpoint(ports[0], is_tls=False, host="localhost"))
            for _ in range(2)
        )
        await old.connect()
        assert outcome(await old.put("a", b"x", keep_open=True)) == 200
        net.resolver.override(
            "localhost", ("127.0.0.1",), port=ports[0], to_port=ports[1]
        )
        await new.connect()
        assert outcome(await new.put("a", b"x")) == 202
        assert new.measures.dns_ns == -1
        assert outcome(await old.put("a", b"x", keep_open=True)) == 200
        net.resolver.restore("localhost", port=ports[0])
        await new.connect()
        assert outcome(await new.put("a", b"x")) == 200
        old.drop()


async def test_name_that_is_gone_is_not_found(ports: list[int]) -> None:
    """A device whose server's name is gone sees dns.not_found until it is back."""
    async with network() as net:
        device = LoneDevice(net, endpoint(ports[0], is_tls=False, host="localhost"))
        other = LoneDevice(net, endpoint(ports[1], is_tls=False, host="localhost"))
        assert outcome(await device.connect()) == "connected"
        net.resolver.override("localhost", None, port=ports[0])
        assert outcome(await device.put("a", b"x", keep_open=True)) == 200
        assert outcome(await device.connect()) == "dns.not_found"
        assert outcome(await other.connect()) == "connected"
        net.resolver.restore("localhost", port=ports[0])
        assert outcome(await device.connect()) == "connected"
        device.drop()
        other.drop()


async def test_name_can_lead_to_another_address(ports: list[int]) -> None:
    """Another address on the same port: here one where nobody listens."""
    async with network() as net, asyncio.timeout(10):
        device = LoneDevice(net, endpoint(ports[0], is_tls=False, host="localhost"))
        net.resolver.override("LOCALHOST.", ("127.0.0.77",))
        assert outcome(await device.connect()) == "tcp.refused"
