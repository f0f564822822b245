"""LabFronts: every command is one the lab's own control understands."""

import json
from typing import Any

import pytest
from pydantic import BaseModel

from fleetsim.exceptions import InputError
from fleetsim.lab import control
from fleetsim.lab.faults.catalog import make_fault
from fleetsim.lab.settings import TlsSettings, parse_settings
from fleetsim.runner.front_control import LabFronts

TLS = parse_settings(
    TlsSettings, {"certificates": [{"chain_path": "/c.pem", "key_path": "/k.pem"}]}
)


class Lab:
    """A lab process that reads its requests as the real one does and keeps them."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, Any]]] = []

    async def request(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Check the arguments by the lab's own models."""
        travelled = json.loads(json.dumps(arguments))
        models: dict[str, type[BaseModel]] = {
            "swap_front": control._SwapFront,
            "outage": control._Outage,
            "slow": control._Slow,
            "reset": control._MaybeFront,
            "fault": control._Fault,
        }
        read = parse_settings(models[command], travelled)
        if isinstance(read, control._Fault):
            make_fault(read.kind, read.values())
        self.requests.append((command, travelled))
        return {"fronts": {"main": {}}}


@pytest.fixture
def lab() -> Lab:
    """A lab."""
    return Lab()


@pytest.fixture
def fronts(lab: Lab) -> LabFronts:
    """Its fronts."""
    process: Any = lab
    return LabFronts(process)


async def test_swap(lab: Lab, fronts: LabFronts) -> None:
    """Settings arrive as they were sent, paths included."""
    await fronts.swap_front("main", TLS)
    ((command, arguments),) = lab.requests
    assert (command, arguments["front"]) == ("swap_front", "main")
    assert TlsSettings.model_validate(arguments["tls"]) == TLS


async def test_trouble(lab: Lab, fronts: LabFronts) -> None:
    """Names, times and shares, with and without a front."""
    await fronts.outage(None, 2.5)
    await fronts.slow("main", 0.25, None)
    await fronts.reset("main")
    answer = await fronts.fault(
        "main", "delay", {"latency_s": 0.5}, share=0.5, duration_s=3.0
    )
    assert answer == {"fronts": {"main": {}}}
    assert lab.requests == [
        ("outage", {"front": None, "duration_s": 2.5}),
        ("slow", {"front": "main", "delay_s": 0.25, "duration_s": None}),
        ("reset", {"front": "main"}),
        (
            "fault",
            {
                "front": "main",
                "kind": "delay",
                "share": 0.5,
                "duration_s": 3.0,
                "latency_s": 0.5,
            },
        ),
    ]


async def test_a_refusal_is_passed_on(fronts: LabFronts) -> None:
    """What the lab refuses comes with its reasons."""
    with pytest.raises(InputError, match="nonsense"):
        await fronts.fault(None, "nonsense", {}, share=1.0, duration_s=None)
