"""Hooks: how exchanges of the SDK are seen.

Two hook systems meet here. botocore's events tell which request of which call begins and
ends (``request-created``, ``before-send``, ``response-received``); aiohttp's traces tell
what its connection does meanwhile. Both run in the task that awaits the request, so a
context variable joins them.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

import aiohttp

from fleetsim.core.events import Response
from fleetsim.transport.sdk.exchange import Call, Exchange

_KEY: Final = "fleetsim_exchange"
"""Where an exchange waits in botocore's context of an API call."""

_CALL: ContextVar[Call | None] = ContextVar("fleetsim_sdk_call", default=None)
_EXCHANGE: ContextVar[Exchange | None] = ContextVar(
    "fleetsim_sdk_exchange", default=None
)


def enter(call: Call) -> None:
    """From here on, requests of this task and of tasks it starts belong to a call."""
    _CALL.set(call)
    _EXCHANGE.set(None)


def current() -> Exchange | None:
    """The exchange that this task began last."""
    return _EXCHANGE.get()


def watch(client: Any) -> None:
    """Register the hooks with an aiobotocore client.

    Args:
        client: An S3 client. botocore events: "request-created", "before-send",
            "response-received" (botocore reference, "Extensibility guide").
    """
    events = client.meta.events
    events.register("request-created.s3", _request_created)
    events.register("before-send.s3", _before_send)
    events.register("response-received.s3", _response_received)
    events.register_first("needs-retry.s3", _stay_in_region)


def _request_created(request: Any, operation_name: str, **_: Any) -> None:
    call = _CALL.get()
    if call is None:
        return
    exchange = Exchange(call, operation_name)
    before = request.context.get(_KEY)
    request.context[_KEY] = exchange
    _EXCHANGE.set(exchange)
    call.began(exchange, before)


def _before_send(request: Any, **_: Any) -> None:
    exchange = _EXCHANGE.get()
    if exchange is not None:
        head = len(request.method) + len(request.url) + 15
        head += sum(
            len(name) + len(value) + 4 for name, value in request.headers.items()
        )
        exchange.sized(head, int(request.headers.get("Content-Length", 0)))


def _response_received(
    response_dict: dict[str, Any] | None,
    parsed_response: dict[str, Any] | None,
    context: dict[str, Any],
    exception: BaseException | None,
    **_: Any,
) -> None:
    exchange = context.get(_KEY)
    if not isinstance(exchange, Exchange):
        return
    response = None
    if response_dict is not None:
        body = response_dict["body"]
        response = Response(
            status=response_dict["status_code"],
            headers=dict(response_dict["headers"]),
            body=bytes(body) if isinstance(body, bytes | bytearray) else b"",
            keep_alive=True,
        )
        exchange.received(sum(len(k) + len(v) + 4 for k, v in response.headers.items()))
    exchange.ended(response, exception, parsed_response or {})
    exchange.call.finished(exchange)


def traces() -> aiohttp.TraceConfig:
    """Make the hooks of aiohttp (its client reference, "Tracing Reference")."""
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(_plain(Exchange.dialling))
    trace.on_connection_create_end.append(_plain(Exchange.opened))
    trace.on_connection_reuseconn.append(_plain(Exchange.reusing))
    trace.on_request_headers_sent.append(_plain(lambda exchange: exchange.wrote(0)))
    trace.on_request_chunk_sent.append(_request_chunk)
    trace.on_response_chunk_received.append(_response_chunk)
    trace.freeze()
    return trace


def _plain(tell: Callable[[Exchange], None]) -> Any:
    async def hook(*_: object) -> None:
        exchange = _EXCHANGE.get()
        if exchange is not None:
            tell(exchange)

    return hook


async def _request_chunk(
    _session: aiohttp.ClientSession,
    _context: object,
    params: aiohttp.TraceRequestChunkSentParams,
) -> None:
    exchange = _EXCHANGE.get()
    if exchange is not None:
        exchange.wrote(len(params.chunk))


async def _response_chunk(
    _session: aiohttp.ClientSession,
    _context: object,
    params: aiohttp.TraceResponseChunkReceivedParams,
) -> None:
    exchange = _EXCHANGE.get()
    if exchange is not None:
        exchange.received(len(params.chunk))


def _stay_in_region(request_dict: Any, **_: Any) -> None:
    """Keep the SDK from looking for the bucket's region.

    Its search asks the server that just redirected; one that redirects every request
    is asked without end.
    """
    request_dict["context"].setdefault("s3_redirect", {})["redirected"] = True
