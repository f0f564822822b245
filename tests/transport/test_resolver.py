"""The resolver: addresses need no question, answers are kept, failures are not."""

import asyncio
import socket
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from fleetsim.transport.resolver import Resolver, is_ip_literal

S = 1_000_000_000
V4 = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 0))
V6 = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2001:db8::1", 0, 0, 0))


@dataclass
class System:
    """A system resolver that answers as told, and a clock."""

    answer: list[Any] = field(default_factory=list)
    error: OSError | None = None
    asked: list[str] = field(default_factory=list)
    now_ns: int = 0

    async def getaddrinfo(self, host: str, *_: object, **__: object) -> list[Any]:
        """Answer a question."""
        self.asked.append(host)
        if self.error is not None:
            raise self.error
        return list(self.answer)

    def resolver(self, ttl_s: float = 30.0) -> Resolver:
        """A resolver that asks this system."""
        loop = cast("asyncio.AbstractEventLoop", self)
        return Resolver(loop, lambda: self.now_ns, ttl_s)


@pytest.mark.parametrize(
    ("host", "is_literal"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("fe80::1%lo", True),
        ("localhost", False),
        ("127.1", False),
        ("1.2.3.4.example", False),
        ("", False),
    ],
)
def test_literals(host: str, *, is_literal: bool) -> None:
    """Dotted quads and IPv6 addresses are literals, everything else is a name."""
    assert is_ip_literal(host) is is_literal


def test_an_address_needs_no_question() -> None:
    """A literal is its own answer, for ever."""
    system = System()
    resolver = system.resolver()
    assert resolver.cached("192.0.2.7") == ("192.0.2.7",)
    system.now_ns = 10**6 * S
    assert resolver.cached("192.0.2.7") == ("192.0.2.7",)
    assert system.asked == []


async def test_an_answer_is_kept_for_its_time() -> None:
    """Within the time to live nobody is asked again, after it somebody must be."""
    system = System([V4])
    resolver = system.resolver(ttl_s=30)
    assert resolver.cached("a.test") == ()
    assert await resolver.resolve("a.test") == ("192.0.2.1",)
    system.now_ns = 30 * S - 1
    assert resolver.cached("a.test") == ("192.0.2.1",)
    system.now_ns = 30 * S
    assert resolver.cached("a.test") == ()


async def test_without_a_time_to_live_every_look_up_is_real() -> None:
    """0 keeps nothing."""
    system = System([V4])
    resolver = system.resolver(ttl_s=0)
    await resolver.resolve("a.test")
    assert resolver.cached("a.test") == ()


async def test_ipv4_first_without_duplicates() -> None:
    """The reference device is IPv4; the order within a family is the system's."""
    other = (*V4[:4], ("192.0.2.2", 0))
    system = System([V6, other, V4, V6, other])
    assert await system.resolver().resolve("a.test") == (
        "192.0.2.2",
        "192.0.2.1",
        "2001:db8::1",
    )


@pytest.mark.parametrize(
    "system",
    [
        pytest.param(System(error=socket.gaierror(-2, "unknown")), id="error"),
        pytest.param(System([]), id="no address"),
    ],
)
async def test_failures_are_not_kept(system: System) -> None:
    """A failed look-up raises and is made again the next time."""
    resolver = system.resolver()
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await resolver.resolve("a.test")
    assert resolver.cached("a.test") == ()
    assert system.asked == ["a.test", "a.test"]
