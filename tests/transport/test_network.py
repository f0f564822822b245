"""Channels without a network: whom they dial, from where, and what they refuse to."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from fleetsim.core.commands import Connect, Send
from fleetsim.core.settings import CipherGroup, Deadlines, Endpoint, TlsRules
from fleetsim.core.trust_bundle import EMPTY_BUNDLE
from fleetsim.transport.network import Network, NetworkChannel
from tests.transport.test_scripted import TASK, Told

GROUP = CipherGroup("group 1", ("AES128-GCM-SHA256",))


class FakeNet:
    """An event loop whose names and connections are those of the test."""

    def __init__(self, hosts: dict[str, list[str]], listening: set[str]) -> None:
        self._real = asyncio.get_running_loop()
        self._hosts = hosts
        self._listening = listening
        self.dialled: list[tuple[str, int, Any]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def getaddrinfo(self, host: str, *_: object, **__: object) -> list[Any]:
        """Look a name up."""
        if host not in self._hosts:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        family = socket.AF_INET
        return [(family, 1, 6, "", (each, 0)) for each in self._hosts[host]]

    async def create_connection(
        self, factory: Any, host: str, port: int, local_addr: Any = None
    ) -> Any:
        """Connect: nobody listens but those the test named."""
        self.dialled.append((host, port, local_addr))
        if host not in self._listening:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")
        protocol = factory()
        protocol.connection_made(_Transport())
        return None, protocol


class _Transport(asyncio.Transport):
    """Takes everything."""

    def write(self, data: Any) -> None:
        """Take it."""

    def abort(self) -> None:
        """Nothing to drop."""

    def close(self) -> None:
        """Nothing to close."""

    def is_closing(self) -> bool:
        """Never on its own."""
        return False

    def set_write_buffer_limits(
        self, high: int | None = None, low: int | None = None
    ) -> None:
        """No buffer."""


@asynccontextmanager
async def made(
    hosts: dict[str, list[str]] | None = None,
    listening: set[str] | None = None,
    sources: tuple[str, ...] = (),
) -> AsyncIterator[tuple[NetworkChannel, Told, FakeNet]]:
    """A channel on a fake network; its dials are over when the block ends."""
    net = FakeNet(hosts or {}, listening or set())
    told = Told()
    async with asyncio.TaskGroup() as group:
        network = Network(
            loop=cast("asyncio.AbstractEventLoop", net),
            spawn=group.create_task,
            now_ns=lambda: 0,
            source_addresses=sources,
        )
        channel = NetworkChannel(network, told, tls=TlsRules(), deadlines=Deadlines())
        yield channel, told, net
    await asyncio.sleep(0)
    channel.abort(silent=True)


def command(host: str = "a.test", *, scheme: str = "http") -> Connect:
    """Connect to a host."""
    is_tls = scheme == "https"
    return Connect(
        task=TASK,
        endpoint=Endpoint(scheme=scheme, host=host, port=99, bucket="fleet"),
        group=GROUP if is_tls else None,
        bundle=EMPTY_BUNDLE if is_tls else None,
        verify_unix_s=0,
        resume=False,
    )


async def test_addresses_are_tried_in_turn() -> None:
    """An address nobody listens on is passed over for the next one of the name."""
    hosts = {"a.test": ["192.0.2.1", "192.0.2.2", "192.0.2.3"]}
    async with made(hosts, {"192.0.2.2"}) as (channel, told, net):
        channel.connect(command())
    assert [host for host, _, _ in net.dialled] == ["192.0.2.1", "192.0.2.2"]
    assert told.events == [("connected", None)]


@pytest.mark.parametrize(
    ("host", "kind"),
    [
        pytest.param("a.test", "tcp.refused", id="nobody listens"),
        pytest.param("b.test", "dns.not_found", id="no such name"),
        pytest.param("192.0.2.9", "tcp.refused", id="address"),
    ],
)
async def test_no_connection(host: str, kind: str) -> None:
    """The attempt ends once, with the kind of the last failure."""
    hosts = {"a.test": ["192.0.2.1", "192.0.2.2"]}
    async with made(hosts) as (channel, told, _):
        channel.connect(command(host))
    assert told.events == [("connect_failed", kind)]


async def test_an_empty_bundle_trusts_nobody() -> None:
    """Without anchors nobody is dialled; the answer still comes later, as all do."""
    async with made({"a.test": ["192.0.2.1"]}) as (channel, told, net):
        channel.connect(command(scheme="https"))
        assert told.events == []
        await asyncio.sleep(0)
    assert told.events == [("connect_failed", "device.no_trusted_certificates")]
    assert net.dialled == []


async def test_an_aborted_refusal_is_not_told() -> None:
    """A device whose power was cut hears nothing of what it was about to do."""
    async with made() as (channel, told, _):
        channel.connect(command(scheme="https"))
        channel.abort(silent=True)
        await asyncio.sleep(0)
    assert told.events == []


@pytest.mark.parametrize(
    ("silent", "events"),
    [(True, []), (False, [("connect_failed", "run.stopped")])],
)
async def test_abort_while_dialling(
    *, silent: bool, events: list[tuple[str, str]]
) -> None:
    """The dial is dropped; its task ends with it."""
    async with made({"a.test": ["192.0.2.1"]}, {"192.0.2.1"}) as (channel, told, _):
        channel.connect(command())
        channel.abort(silent=silent)
    assert told.events == events


async def test_source_addresses_take_turns() -> None:
    """Connections leave from all source addresses in turn; port 0 = any."""
    sources = ("127.0.0.2", "127.0.0.3")
    async with made(listening={"192.0.2.1"}, sources=sources) as (channel, _, net):
        for _ in range(4):
            channel.connect(command("192.0.2.1"))
            await asyncio.sleep(0)
    used = [source for _, _, source in net.dialled]
    assert set(used) == {(source, 0) for source in sources}
    assert used[:2] == used[2:]


async def test_a_request_needs_a_connection() -> None:
    """Sending without a connection is a bug of the caller, not a network failure."""
    async with made() as (channel, _, _):
        with pytest.raises(RuntimeError, match="without a connection"):
            channel.send(Send(task=TASK, head=b"", body=()))
