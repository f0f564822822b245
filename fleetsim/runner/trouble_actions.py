"""Trouble: outages, slow answers, resets, faults of the path, names that lead elsewhere.

The lab keeps the time of its own troubles, so that it recovers also when this process
dies; the entry of the timeline is done when the trouble is over.
"""

from collections.abc import Mapping
from typing import Any

from fleetsim.lab.settings import LabAddress
from fleetsim.runner.front_control import Answer, FrontControl
from fleetsim.runner.running import Names
from fleetsim.runner.timeline import ActionFailedError, Execution, Facts
from fleetsim.scenario.target_schema import LabSpec
from fleetsim.scenario.timeline_schema import (
    DnsChange,
    Fault,
    FaultKind,
    ResetConnections,
    ServerOutage,
    SlowServer,
)


async def server_outage(
    execution: Execution, action: ServerOutage, control: FrontControl
) -> Facts:
    """Refuse connections for a while."""
    answer = await control.outage(action.front, action.duration)
    return await _lasting(execution, answer, action.duration)


async def slow_server(
    execution: Execution, action: SlowServer, control: FrontControl
) -> Facts:
    """Delay every answer for a while."""
    answer = await control.slow(action.front, action.delay, action.duration)
    return await _lasting(execution, answer, action.duration)


async def fault(execution: Execution, action: Fault, control: FrontControl) -> Facts:
    """Disturb the path to the fronts for a while."""
    answer = await control.fault(
        action.front,
        action.kind.value,
        _values(action),
        share=action.share,
        duration_s=action.duration,
    )
    return await _lasting(execution, answer, action.duration)


async def reset_connections(action: ResetConnections, control: FrontControl) -> Facts:
    """Reset every open connection."""
    answer = await control.reset(action.front)
    return {"fronts": _fronts(answer)}


def dns_change(
    action: DnsChange, spec: LabSpec, address: LabAddress, resolver: Names
) -> Facts:
    """Let a front's name lead to another front, to itself again, or nowhere.

    Open connections live on, as after a real change of a name.

    Raises:
        ActionFailedError: There is no such front.
        InputError: The front is reached by its address, not by a name.
    """
    hosts = {front.name: front.host for front in spec.fronts}
    for name in (action.front, action.to_front):
        if name is not None and name not in address.fronts:
            raise ActionFailedError(f"there is no front {name}")
    host, port = hosts[action.front], address.fronts[action.front][1]
    if action.to_front is None:
        resolver.override(host, None, port=port)
        return {"host": host, "port": port, "leads_to": None}
    if action.to_front == action.front:
        resolver.restore(host, port=port)
        return {"host": host, "port": port, "leads_to": f"{host}:{port}"}
    to_address, to_port = address.fronts[action.to_front]
    resolver.override(host, [to_address], port=port, to_port=to_port)
    return {"host": host, "port": port, "leads_to": f"{to_address}:{to_port}"}


async def _lasting(execution: Execution, answer: Answer, duration_s: float) -> Facts:
    """Note that the trouble is on; done when it is over."""
    execution.note("begun", fronts=_fronts(answer))
    await execution.last(duration_s)
    return {"fronts": sorted(_fronts(answer)), "duration_s": duration_s}


def _fronts(answer: Mapping[str, Any]) -> dict[str, Any]:
    fronts = answer.get("fronts")
    return dict(fronts) if isinstance(fronts, dict) else {}


def _values(action: Fault) -> dict[str, float]:
    match action.kind:
        case FaultKind.DELAY:
            return {"latency_s": action.delay, "jitter_s": action.jitter}
        case FaultKind.SLOW_FIRST_BYTE:
            return {"delay_s": action.delay}
        case FaultKind.THROTTLE:
            return {"bytes_per_s": float(action.bytes_per_s or 0)}
        case FaultKind.BLACKHOLE:
            return {}
        case FaultKind.RESET | FaultKind.HALF_CLOSE | FaultKind.TRUNCATE:
            return {"after_bytes": action.after_bytes}
