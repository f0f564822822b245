"""Control: commands to a running lab as JSON objects, one a line.

There is no network port for this: lines go through the pipes between the lab's process
and its parent (:mod:`fleetsim.lab.process`), because they may carry secrets. A request is
``{"id": 7, "command": "stats", "arguments": {}}``; its answer is ``{"id": 7, "result":
{…}}`` or ``{"id": 7, "problems": [{"where": "…", "what": "…"}]}``.

Commands: ``start_clock`` (origin_monotonic_ns) for a calendar that stands still so far,
``swap_front`` (front, tls), ``reload`` (front?), ``add_credentials``
(access_key, secret_key, session_token?), ``remove_credentials`` (access_key), ``stats``,
``handshake_log`` (front, after?, limit?), ``refused`` (who was refused a handshake, by
certificate), ``close_connections`` (front?) and ``stop`` (grace_s?).

Trouble (:mod:`fleetsim.lab.troubles`; a front that is left out means all but the control
plane's, a duration that is left out means until a command ends it): ``outage`` (front?,
duration_s?), ``slow`` (front?, delay_s, duration_s?), ``restore`` (front?) ends both,
``reset`` (front?), ``fault`` (front?, kind, share?, duration_s? and the fields of the
fault, see :mod:`fleetsim.lab.faults.catalog`), ``clear`` (front?, kind?) and ``status``.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from fleetsim.exceptions import InputError, Problem
from fleetsim.lab.faults.catalog import make_fault
from fleetsim.lab.server import LabServer
from fleetsim.lab.settings import CredentialSettings, TlsSettings, parse_settings


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _NoArguments(_Arguments):
    pass


class _StartClock(_Arguments):
    origin_monotonic_ns: Annotated[int, Field(ge=0)]


class _SwapFront(_Arguments):
    front: str
    tls: TlsSettings


class _MaybeFront(_Arguments):
    front: str | None = None


class _RemoveCredentials(_Arguments):
    access_key: str


class _HandshakeLog(_Arguments):
    front: str
    after: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1000


Duration = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]


class _Outage(_MaybeFront):
    duration_s: Duration | None = None


class _Slow(_MaybeFront):
    delay_s: Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
    duration_s: Duration | None = None


class _Fault(_MaybeFront):
    kind: str
    share: Annotated[float, Field(ge=0, le=1)] = 1.0
    duration_s: Duration | None = None
    latency_s: float | None = None
    jitter_s: float | None = None
    delay_s: float | None = None
    bytes_per_s: float | None = None
    after_bytes: int | None = None

    def values(self) -> dict[str, float]:
        """Fields of the fault itself that were given."""
        given = self.model_dump(exclude={"front", "kind", "share", "duration_s"})
        return {name: value for name, value in given.items() if value is not None}


class _Clear(_MaybeFront):
    kind: str | None = None


class _Stop(_Arguments):
    grace_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 5.0


_Result = dict[str, Any]
_Command = Callable[[Mapping[str, Any]], _Result | Awaitable[_Result]]


class Control:
    """Carries out commands on one lab server.

    Args:
        server: The lab.

    Attributes:
        stop_grace_s: Set by ``stop``: whoever runs the server stops it after this
            grace; ``None`` until then.
    """

    def __init__(self, server: LabServer) -> None:
        self._server = server
        self.stop_grace_s: float | None = None
        self._commands: dict[str, _Command] = {
            "start_clock": self._start_clock,
            "swap_front": self._swap_front,
            "reload": self._reload,
            "add_credentials": self._add_credentials,
            "remove_credentials": self._remove_credentials,
            "stats": self._stats,
            "handshake_log": self._handshake_log,
            "refused": self._refused,
            "close_connections": self._close_connections,
            "outage": self._outage,
            "slow": self._slow,
            "restore": self._restore,
            "reset": self._reset,
            "fault": self._fault,
            "clear": self._clear,
            "status": self._status,
            "stop": self._stop,
        }

    async def answer(self, line: bytes) -> bytes:
        """Carry out one request line; returns the line that answers it."""
        request_id: object = None
        try:
            request = _parse(line)
            request_id = request.get("id")
            result = await self._dispatch(request)
        except InputError as exc:
            return encode({"id": request_id, "problems": problem_values(exc)})
        return encode({"id": request_id, "result": result})

    async def _dispatch(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request.get("command")
        command = self._commands.get(name) if isinstance(name, str) else None
        if command is None:
            known = ", ".join(self._commands)
            raise InputError(Problem("command", f"no such command; known: {known}"))
        arguments = request.get("arguments", {})
        if not isinstance(arguments, dict):
            raise InputError(Problem("arguments", "must be an object"))
        result = command(arguments)
        return result if isinstance(result, dict) else await result

    def _start_clock(self, values: Mapping[str, Any]) -> dict[str, Any]:
        arguments = parse_settings(_StartClock, values)
        self._server.start_clock(arguments.origin_monotonic_ns)
        return {}

    async def _swap_front(self, values: Mapping[str, Any]) -> dict[str, Any]:
        arguments = parse_settings(_SwapFront, values)
        await self._server.swap_front(arguments.front, arguments.tls)
        return {}

    async def _reload(self, values: Mapping[str, Any]) -> dict[str, Any]:
        arguments = parse_settings(_MaybeFront, values)
        return {"reloaded": await self._server.reload(arguments.front)}

    def _add_credentials(self, values: Mapping[str, Any]) -> dict[str, Any]:
        added = parse_settings(CredentialSettings, values)
        self._server.add_credentials(added.credentials())
        return {}

    def _remove_credentials(self, values: Mapping[str, Any]) -> dict[str, Any]:
        arguments = parse_settings(_RemoveCredentials, values)
        self._server.remove_credentials(arguments.access_key)
        return {}

    def _stats(self, values: Mapping[str, Any]) -> dict[str, Any]:
        parse_settings(_NoArguments, values)
        return self._server.stats()

    def _handshake_log(self, values: Mapping[str, Any]) -> dict[str, Any]:
        arguments = parse_settings(_HandshakeLog, values)
        entries, total = self._server.handshakes(
            arguments.front, arguments.after, arguments.limit
        )
        return {"entries": [asdict(entry) for entry in entries], "total": total}

    def _refused(self, values: Mapping[str, Any]) -> dict[str, Any]:
        parse_settings(_NoArguments, values)
        return {"refused": self._server.refused()}

    def _close_connections(self, values: Mapping[str, Any]) -> dict[str, Any]:
        arguments = parse_settings(_MaybeFront, values)
        return {"closed": self._server.close_connections(arguments.front)}

    def _outage(self, values: Mapping[str, Any]) -> dict[str, Any]:
        arguments = parse_settings(_Outage, values)
        return self._server.troubles.outage(arguments.front, arguments.duration_s)

    def _slow(self, values: Mapping[str, Any]) -> dict[str, Any]:
        arguments = parse_settings(_Slow, values)
        return self._server.troubles.slow(
            arguments.front, arguments.delay_s, arguments.duration_s
        )

    async def _restore(self, values: Mapping[str, Any]) -> dict[str, Any]:
        arguments = parse_settings(_MaybeFront, values)
        return await self._server.troubles.restore(arguments.front)

    def _reset(self, values: Mapping[str, Any]) -> dict[str, Any]:
        arguments = parse_settings(_MaybeFront, values)
        return self._server.troubles.reset(arguments.front)

    def _fault(self, values: Mapping[str, Any]) -> dict[str, Any]:
        arguments = parse_settings(_Fault, values)
        fault = make_fault(arguments.kind, arguments.values())
        return self._server.troubles.fault(
            arguments.front, fault, arguments.share, arguments.duration_s
        )

    def _clear(self, values: Mapping[str, Any]) -> dict[str, Any]:
        arguments = parse_settings(_Clear, values)
        return self._server.troubles.clear(arguments.front, arguments.kind)

    def _status(self, values: Mapping[str, Any]) -> dict[str, Any]:
        parse_settings(_NoArguments, values)
        return self._server.troubles.status()

    def _stop(self, values: Mapping[str, Any]) -> dict[str, Any]:
        self.stop_grace_s = parse_settings(_Stop, values).grace_s
        return self._server.stats()


def encode(message: Mapping[str, Any]) -> bytes:
    """Write one message as a line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def problem_values(exc: InputError) -> list[dict[str, str]]:
    """Write problems as JSON values."""
    return [{"where": each.where, "what": each.what} for each in exc.problems]


def problems_of(values: object) -> InputError:
    """Read problems back from JSON values."""
    problems = [
        Problem(str(each.get("where", "")), str(each.get("what", "")))
        for each in (values if isinstance(values, list) else [])
        if isinstance(each, dict)
    ]
    return InputError(problems or Problem("lab", "refused without saying why"))


def _parse(line: bytes) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except ValueError:
        request = None
    if not isinstance(request, dict):
        raise InputError(Problem("request", "must be one JSON object on one line"))
    return request
