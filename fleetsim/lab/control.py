"""Control: commands to a running lab as JSON objects, one a line.

There is no network port for this: lines go through the pipes between the lab's process
and its parent (:mod:`fleetsim.lab.process`), because they may carry secrets. A request is
``{"id": 7, "command": "stats", "arguments": {}}``; its answer is ``{"id": 7, "result":
{…}}`` or ``{"id": 7, "problems": [{"where": "…", "what": "…"}]}``.

Commands: ``swap_front`` (front, tls), ``reload`` (front?), ``add_credentials``
(access_key, secret_key, session_token?), ``remove_credentials`` (access_key), ``stats``,
``handshake_log`` (front, after?, limit?), ``close_connections`` (front?) and ``stop``
(grace_s?).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from fleetsim.exceptions import InputError, Problem
from fleetsim.lab.server import LabServer
from fleetsim.lab.settings import CredentialSettings, TlsSettings, parse_settings


class _Arguments(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class _NoArguments(_Arguments):
    pass


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


class _Stop(_Arguments):
    grace_s: Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)] = 5.0


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
        self._commands: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "swap_front": self._swap_front,
            "reload": self._reload,
            "add_credentials": self._add_credentials,
            "remove_credentials": self._remove_credentials,
            "stats": self._stats,
            "handshake_log": self._handshake_log,
            "close_connections": self._close_connections,
            "stop": self._stop,
        }

    def answer(self, line: bytes) -> bytes:
        """Carry out one request line; returns the line that answers it."""
        request_id: object = None
        try:
            request = _parse(line)
            request_id = request.get("id")
            result = self._dispatch(request)
        except InputError as exc:
            return encode({"id": request_id, "problems": problem_values(exc)})
        return encode({"id": request_id, "result": result})

    def _dispatch(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request.get("command")
        command = self._commands.get(name) if isinstance(name, str) else None
        if command is None:
            known = ", ".join(self._commands)
            raise InputError(Problem("command", f"no such command; known: {known}"))
        arguments = request.get("arguments", {})
        if not isinstance(arguments, dict):
            raise InputError(Problem("arguments", "must be an object"))
        return command(arguments)

    def _swap_front(self, values: Mapping[str, Any]) -> dict[str, Any]:
        arguments = parse_settings(_SwapFront, values)
        self._server.swap_front(arguments.front, arguments.tls)
        return {}

    def _reload(self, values: Mapping[str, Any]) -> dict[str, Any]:
        arguments = parse_settings(_MaybeFront, values)
        return {"reloaded": self._server.reload(arguments.front)}

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

    def _close_connections(self, values: Mapping[str, Any]) -> dict[str, Any]:
        arguments = parse_settings(_MaybeFront, values)
        return {"closed": self._server.close_connections(arguments.front)}

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
