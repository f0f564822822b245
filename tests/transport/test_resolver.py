import asyncio
import socket
from typing import Any, cast

import pytest

from fleetsim.exceptions import InputError
from fleetsim.transport.resolver import Resolver


class Dns:
    """An event loop's resolver that knows one name."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def getaddrinfo(
        self,
        host: str,
        port: object,
        *,
        family: int,
        type: int,  # noqa: A002 - its name
    ) -> list[tuple[Any, ...]]:
        """Look a name up."""
        del port, family
        self.asked.append(host)
        if host != "known.example":
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [
            (socket.AF_INET6, type, 6, "", ("2001:db8::1", 0, 0, 0)),
            (socket.AF_INET, type, 6, "", ("192.0.2.1", 0)),
            (socket.AF_INET, type, 6, "", ("192.0.2.1", 0)),
        ]


class Rig:
    """A resolver on a clock the test moves."""

    def __init__(self, ttl_s: float = 30.0) -> None:
        self.dns = Dns()
        self.now_ns = 0
        loop = cast("asyncio.AbstractEventLoop", self.dns)
        self.resolver = Resolver(loop, lambda: self.now_ns, ttl_s)


async def test_answers_are_cached_for_their_time() -> None:
    """IPv4 comes first, doubles once, and nobody is asked before the time is over."""
    rig = Rig()
    assert rig.resolver.cached("known.example") == ()
    found = await rig.resolver.resolve("known.example")
    assert found == ("192.0.2.1", "2001:db8::1")
    rig.now_ns = 29_999_999_999
    assert rig.resolver.cached("known.example") == found
    rig.now_ns = 30_000_000_000
    assert rig.resolver.cached("known.example") == ()
    assert rig.dns.asked == ["known.example"]


@pytest.mark.parametrize("address", ["192.0.2.9", "2001:db8::9"])
async def test_addresses_need_no_look_up(address: str) -> None:
    """An address means itself, for ever."""
    rig = Rig()
    assert rig.resolver.cached(address) == (address,)
    rig.now_ns = 10**18
    assert rig.resolver.cached(address) == (address,)
    assert rig.dns.asked == []


@pytest.mark.parametrize("host", ["known.example", "KNOWN.example", "known.example."])
async def test_moved_name_leads_elsewhere_at_once(host: str) -> None:
    """A cached answer does not survive the change, nor does the letters' case matter."""
    rig = Rig()
    await rig.resolver.resolve("known.example")
    rig.resolver.override("known.example", ("198.51.100.1", "198.51.100.2"))
    assert rig.resolver.cached(host) == ("198.51.100.1", "198.51.100.2")
    assert rig.resolver.dialled_port(host, 443) == 443
    rig.resolver.restore("known.example")
    assert rig.resolver.cached("known.example") == ()
    assert (await rig.resolver.resolve("known.example"))[0] == "192.0.2.1"


async def test_name_that_is_gone_is_not_found() -> None:
    """Nobody is asked, and the error is the one of a name that does not exist."""
    rig = Rig()
    await rig.resolver.resolve("known.example")
    rig.resolver.override("known.example", None)
    assert rig.resolver.cached("known.example") == ()
    with pytest.raises(socket.gaierror) as caught:
        await rig.resolver.resolve("known.example")
    assert caught.value.errno == socket.EAI_NONAME
    assert rig.dns.asked == ["known.example"]


async def test_one_port_of_a_name_moves_alone() -> None:
    """Fronts that share a name are told apart by port, and a port can move too."""
    rig = Rig()
    rig.resolver.override("known.example", ("127.0.0.1",), port=1, to_port=2)
    rig.resolver.override("known.example", None, port=3)
    assert rig.resolver.cached("known.example", 1) == ("127.0.0.1",)
    assert rig.resolver.dialled_port("known.example", 1) == 2
    with pytest.raises(socket.gaierror):
        await rig.resolver.resolve("known.example", 3)
    assert (await rig.resolver.resolve("known.example", 4))[0] == "192.0.2.1"
    assert rig.resolver.dialled_port("known.example", 4) == 4
    rig.resolver.restore("known.example", port=1)
    assert rig.resolver.dialled_port("known.example", 1) == 1


def test_an_address_is_led_elsewhere_and_back() -> None:
    """Nobody looks an address up, but another way may lead to it."""
    rig = Rig()
    rig.resolver.override("192.0.2.7", ("127.0.0.1",), port=443, to_port=9000)
    assert rig.resolver.cached("192.0.2.7", 443) == ("127.0.0.1",)
    assert rig.resolver.dialled_port("192.0.2.7", 443) == 9000
    assert rig.resolver.cached("192.0.2.7", 80) == ("192.0.2.7",)
    rig.resolver.restore("192.0.2.7", port=443)
    assert rig.resolver.cached("192.0.2.7", 443) == ("192.0.2.7",)
    assert rig.resolver.dialled_port("192.0.2.7", 443) == 443


async def test_other_names_are_left_alone() -> None:
    """An override of one name says nothing about another."""
    rig = Rig()
    rig.resolver.override("other.example", ("127.0.0.1",))
    assert (await rig.resolver.resolve("known.example", 1))[0] == "192.0.2.1"


@pytest.mark.parametrize(
    ("host", "addresses", "where"),
    [
        ("a.example", (), ["addresses"]),
        (
            "::1",
            ("b.example", "300.1.1.1"),
            ["address 'b.example'", "address '300.1.1.1'"],
        ),
    ],
)
def test_nonsense_is_refused(
    host: str, addresses: tuple[str, ...], where: list[str]
) -> None:
    """Whatever is led elsewhere is led to addresses."""
    rig = Rig()
    with pytest.raises(InputError) as caught:
        rig.resolver.override(host, addresses)
    assert [problem.where for problem in caught.value.problems] == where
