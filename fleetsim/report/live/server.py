"""Server: the web page of a run, on aiohttp.

========================  ==========================================================
``GET /``                 the page; ``GET /assets/…`` what it loads, all from here
``GET /api/run``          everything so far
``GET /api/events``       what happens from now on, as server-sent events (WHATWG HTML,
                          section 9.2); ``Last-Event-ID`` or ``?after=N`` continues
                          after a break
``GET /api/device/N``     history of the device with index N
``POST /api/stop``        end the load and drain, as Ctrl-C does
========================  ==========================================================

Who may what: reading needs no token, so that a link can be passed on. Stopping needs the
token of the printed address (in its fragment, which browsers never send by themselves),
an ``Origin`` that is this server, and the method POST. Every request must name a host
that is this server: a page elsewhere cannot get in by letting a name of its own point
here (DNS rebinding). The page may load and run nothing that does not come from here
(Content-Security-Policy).
"""

import asyncio
import hmac
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources
from typing import Any, Final, Protocol

from aiohttp import web

from fleetsim.report.live.address import Address

ASSETS: Final = {
    "palette.css": "text/css",
    "live.css": "text/css",
    "live.js": "text/javascript",
    "charts.js": "text/javascript",
    "fleet.js": "text/javascript",
    "words.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
TOKEN_HEADER: Final = "X-Fleetsim-Token"  # noqa: S105 - the name of a header
KEEP_ALIVE_S: Final = 15.0
RETRY_MS: Final = 1_000
COMPRESSED_FROM: Final = 2_000_000
"""Characters from which packing an answer costs less than sending it far away."""

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Source(Protocol):
    """What the page shows."""

    def run_json(self) -> str:
        """Everything so far, as JSON."""

    def follow(self, last_id: int | None) -> AsyncIterator[str]:
        """Server-sent events after ``last_id``, ready to send; ends with the run."""

    async def device(self, index: int) -> dict[str, Any] | None:
        """History of a device; ``None`` = there is no such device."""

    def stop(self) -> bool:
        """End the load; ``False`` = nothing is running."""


class PageServer:
    """Serves the page of one run.

    Args:
        source: What it shows.
        address: Where it listens, for the host check.
        listening: The open socket.
        token: What a request to stop must prove; empty = nothing can be stopped.
    """

    def __init__(
        self, source: Source, address: Address, listening: socket.socket, token: str
    ) -> None:
        self._source = source
        self._address = address
        self._socket = listening
        self._token = token
        self._runner: web.AppRunner | None = None
        self._files = {
            name: resources.files("fleetsim.report.web").joinpath(name).read_bytes()
            for name in ("live.html", *ASSETS)
        }

    @property
    def url(self) -> str:
        """Address for people, with the token in its fragment."""
        port = self._socket.getsockname()[1]
        host = "127.0.0.1" if self._address.is_wildcard else self._address.host
        fragment = f"#token={self._token}" if self._token else ""
        return f"http://{Address(host, port)}/{fragment}"

    async def start(self) -> None:
        """Begin to answer."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/", self._page)
        app.router.add_get("/assets/{name}", self._asset)
        app.router.add_get("/api/run", self._run)
        app.router.add_get("/api/events", self._events)
        app.router.add_get(r"/api/device/{index:\d{1,9}}", self._device)
        app.router.add_post("/api/stop", self._stop)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()

    async def close(self) -> None:
        """Stop answering; what is being sent has a second to get through."""
        if self._runner is not None:
            await self._runner.cleanup()
        self._socket.close()

    # ------------------------------------------------------------ who may what

    @web.middleware
    async def _guard(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        if not self._is_our_host(request.headers.get("Host", "")):
            return self._refused(421, "this server goes by another name")
        try:
            response = await handler(request)
        except web.HTTPException as error:
            return self._refused(error.status, error.reason)
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    def _refused(self, status: int, why: str) -> web.Response:
        return web.json_response({"error": why}, status=status, headers=_HEADERS)

    def _is_our_host(self, host: str) -> bool:
        """Whether a ``Host`` header names this server.

        An address literal cannot be rebound, so any will do where the server listens
        on all of them.
        """
        name, _, port = host.rpartition(":")
        if host.endswith("]") or not port.isdecimal():
            name, port = host, "80"
        if port != str(self._socket.getsockname()[1]):
            return False
        name = name.strip("[]").lower()
        if name in {"localhost", self._address.host.lower()}:
            return True
        if self._address.is_wildcard and name == socket.gethostname().lower():
            return True
        try:
            ip = ipaddress.ip_address(name)
        except ValueError:
            return False
        return ip.is_loopback or self._address.is_wildcard

    def _may_stop(self, request: web.Request) -> str:
        """Why a request may not stop the run; empty = it may."""
        host = request.headers.get("Host", "")
        if request.headers.get("Origin", "") != f"http://{host}":
            return "the request comes from another page"
        given = request.headers.get(TOKEN_HEADER, "")
        if not self._token or not hmac.compare_digest(
            given.encode(), self._token.encode()
        ):
            return "the token is wrong: open the address that fleetsim printed"
        return ""

    # ------------------------------------------------------------ answers

    async def _page(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._files["live.html"], content_type="text/html", charset="utf-8"
        )

    async def _asset(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in ASSETS:
            raise web.HTTPNotFound
        return web.Response(
            body=self._files[name], content_type=ASSETS[name], charset="utf-8"
        )

    async def _run(self, _: web.Request) -> web.Response:
        text = self._source.run_json()
        response = web.Response(text=text, content_type="application/json")
        if len(text) > COMPRESSED_FROM:
            response.enable_compression()
        return response

    async def _events(self, request: web.Request) -> web.StreamResponse:
        # A browser that reconnects by itself sends the header and the old query.
        last = request.headers.get("Last-Event-ID") or request.query.get("after", "")
        response = web.StreamResponse(
            headers={**_HEADERS, "Content-Type": "text/event-stream; charset=utf-8"}
        )
        await response.prepare(request)
        await response.write(f"retry: {RETRY_MS}\n\n".encode())
        events = self._source.follow(int(last) if last.isdecimal() else None)
        try:
            async for text in events:
                await response.write(text.encode())
        except ConnectionError:
            pass  # the reader has left
        return response

    async def _device(self, request: web.Request) -> web.Response:
        found = await self._source.device(int(request.match_info["index"]))
        if found is None:
            raise web.HTTPNotFound(reason="no such device")
        return web.json_response(found)

    async def _stop(self, request: web.Request) -> web.Response:
        why = self._may_stop(request)
        if why:
            return self._refused(403, why)
        if not self._source.stop():
            return self._refused(409, "nothing is running")
        return web.json_response({"stopping": True}, status=202)


def event_text(name: str, data: str, number: int | None = None) -> str:
    """One server-sent event of JSON, which has no line ends."""
    head = "" if number is None else f"id: {number}\n"
    return f"{head}event: {name}\ndata: {data}\n\n"


async def with_keep_alive(queue: asyncio.Queue[str | None]) -> AsyncIterator[str]:
    """Give what the queue gives until ``None``; a comment when it is long silent."""
    while True:
        try:
            async with asyncio.timeout(KEEP_ALIVE_S):
                text = await queue.get()
        except TimeoutError:
            yield ": still here\n\n"
            continue
        if text is None:
            return
        yield text
