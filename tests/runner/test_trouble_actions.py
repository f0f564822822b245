"""Trouble: what the lab is asked for, and that an entry lasts as long as its trouble."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from fleetsim.lab.faults.catalog import make_fault
from fleetsim.lab.settings import LabAddress
from fleetsim.runner import trouble_actions
from fleetsim.runner.timeline import ActionFailedError, Facts
from fleetsim.scenario.target_schema import LabSpec
from fleetsim.scenario.timeline_schema import (
    DnsChange,
    Fault,
    FaultKind,
    ResetConnections,
    ServerOutage,
    SlowServer,
)
from fleetsim.transport.resolver import Resolver
from tests.runner.stage import S, Stage, only, timeline_of

ANSWER = {"monotonic_ns": 1, "unix_s": 2.0, "fronts": {"b": {}, "a": {"closed": 3}}}


class Asked:
    """A front control that writes down what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    async def outage(self, front: str | None, duration_s: float | None) -> Facts:
        """Write it down."""
        self.asked.append(("outage", front, duration_s))
        return ANSWER

    async def slow(
        self, front: str | None, delay_s: float, duration_s: float | None
    ) -> Facts:
        """Write it down."""
        self.asked.append(("slow", front, delay_s, duration_s))
        return ANSWER

    async def reset(self, front: str | None) -> Facts:
        """Write it down."""
        self.asked.append(("reset", front))
        return ANSWER

    async def fault(
        self,
        front: str | None,
        kind: str,
        values: Mapping[str, float],
        *,
        share: float,
        duration_s: float | None,
    ) -> Facts:
        """Write it down."""
        self.asked.append(("fault", front, kind, dict(values), share, duration_s))
        return ANSWER

    async def swap_front(self, front: str, tls: object) -> None:
        """Not for this test."""
        raise AssertionError(front, tls)


ENTRY = only(timeline_of({"name": "t", "at": "0s"}))


@pytest.mark.parametrize(
    ("name", "action", "asked", "lasts_s"),
    [
        pytest.param(
            "server_outage",
            ServerOutage(front="a", duration=5),
            ("outage", "a", 5),
            5,
            id="outage",
        ),
        pytest.param(
            "slow_server",
            SlowServer(delay=0.25, duration=3),
            ("slow", None, 0.25, 3),
            3,
            id="slow",
        ),
        pytest.param(
            "fault",
            Fault(kind=FaultKind.THROTTLE, duration=2, bytes_per_s=1000, share=0.5),
            ("fault", None, "throttle", {"bytes_per_s": 1000.0}, 0.5, 2),
            2,
            id="fault",
        ),
    ],
)
def test_trouble_lasts(
    name: str, action: Any, asked: tuple[Any, ...], lasts_s: float
) -> None:
    """The lab keeps the time; the entry is done when the trouble is over."""
    stage, control = Stage(), Asked()
    execution = stage.execution(ENTRY)
    facts = stage.complete(getattr(trouble_actions, name)(execution, action, control))
    assert control.asked == [asked]
    assert round(stage.now_ns() / S, 3) == lasts_s
    assert facts == {"fronts": ["a", "b"], "duration_s": lasts_s}
    assert [line.step for line in stage.lines] == ["begun"]
    assert execution.is_effective


async def test_reset() -> None:
    """Which connections were reset, front by front."""
    control = Asked()
    facts = await trouble_actions.reset_connections(
        ResetConnections(front="a"), control
    )
    assert facts == {"fronts": ANSWER["fronts"]}


@pytest.mark.parametrize("kind", list(FaultKind))
def test_the_lab_knows_every_fault(kind: FaultKind) -> None:
    """Kind and values are those of the lab's own catalogue."""
    values: dict[FaultKind, dict[str, Any]] = {
        FaultKind.DELAY: {"delay": 0.5, "jitter": 0.25},
        FaultKind.SLOW_FIRST_BYTE: {"delay": 0.5},
        FaultKind.THROTTLE: {"bytes_per_s": 5},
        FaultKind.RESET: {"after_bytes": 7},
    }
    action = Fault(kind=kind, duration=1, **values.get(kind, {}))
    stage, control = Stage(), Asked()
    stage.complete(trouble_actions.fault(stage.execution(ENTRY), action, control))
    (_, _, word, given, _, _) = control.asked[0]
    assert make_fault(word, given).kind == kind.value


SPEC = LabSpec.model_validate(
    {"fronts": [{"name": "a"}, {"name": "b", "host": "127.0.0.2"}]}
)
ADDRESS = LabAddress({"a": ("127.0.0.1", 9001), "b": ("127.0.0.2", 9002)})


@pytest.fixture
def resolver() -> Any:
    """A resolver that asks nobody."""
    loop = asyncio.new_event_loop()
    yield Resolver(loop, lambda: 0)
    loop.close()


def test_dns_leads_elsewhere_and_back(resolver: Resolver) -> None:
    """Only the front's own name and port are redirected."""
    facts = trouble_actions.dns_change(
        DnsChange(front="a", to_front="b"), SPEC, ADDRESS, resolver
    )
    assert resolver.cached("localhost", 9001) == ("127.0.0.2",)
    assert resolver.dialled_port("localhost", 9001) == 9002
    assert resolver.dialled_port("localhost", 9002) == 9002
    assert facts == {"host": "localhost", "port": 9001, "leads_to": "127.0.0.2:9002"}
    trouble_actions.dns_change(
        DnsChange(front="a", to_front="a"), SPEC, ADDRESS, resolver
    )
    assert resolver.dialled_port("localhost", 9001) == 9001


async def test_dns_name_is_gone() -> None:
    """Look-ups fail until the name is back."""
    resolver = Resolver(asyncio.get_running_loop(), lambda: 0)
    facts = trouble_actions.dns_change(DnsChange(front="a"), SPEC, ADDRESS, resolver)
    assert facts["leads_to"] is None
    with pytest.raises(OSError, match="the name is gone"):
        await resolver.resolve("localhost", 9001)


def test_dns_of_a_front_that_is_not_there(resolver: Resolver) -> None:
    """It fails in words and changes nothing."""
    action = DnsChange(front="a", to_front="nobody")
    with pytest.raises(ActionFailedError, match="no front nobody"):
        trouble_actions.dns_change(action, SPEC, ADDRESS, resolver)
