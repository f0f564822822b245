"""The lab's S3 application on a plain TCP port of loopback, in a thread of its own."""

import asyncio
import contextlib
import ssl
import threading
import time
from collections.abc import Awaitable, Callable, Iterator

from aiohttp import web

from fleetsim.core.settings import Credentials
from fleetsim.lab.object_store import MemoryStore, ObjectStore
from fleetsim.lab.s3_app import (
    SERVER_OPTIONS,
    SERVICE,
    RequestLog,
    S3Service,
    S3Settings,
    create_app,
)

ACCESS_KEY = "FLEETSIMTESTKEY01"
SECRET_KEY = "a/secret+key=of-the-test-lab"
BUCKET = "fleet"
MIB = 1024 * 1024

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Wrap = Callable[[Handler], Handler]


def lab_settings(**changes: object) -> S3Settings:
    """Settings of a lab with one account and one bucket."""
    settings: dict[str, object] = {
        "credentials": (Credentials(access_key=ACCESS_KEY, secret_key=SECRET_KEY),),
        "buckets": (BUCKET,),
        **changes,
    }
    return S3Settings(**settings)  # type: ignore[arg-type]  # keywords of a test


class RunningLab:
    """A lab that serves until the test is over.

    Attributes:
        port: TCP port on 127.0.0.1.
        store: Its store.
        service: Its service.
        requests: What it answered.
    """

    def __init__(
        self,
        settings: S3Settings,
        store: ObjectStore,
        tls: ssl.SSLContext | None = None,
        *,
        is_bare: bool = False,
        wrap: Wrap | None = None,
    ) -> None:
        self.store = store
        self.requests: list[RequestLog] = []
        self._settings = settings
        self._tls = tls
        self._is_bare = is_bare
        self._wrap = wrap
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)
        self.port = 0
        self.service: S3Service

    @property
    def url(self) -> str:
        """Endpoint URL."""
        if self._tls is not None:
            return f"https://localhost:{self.port}"
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Serve."""
        self._thread.start()
        if not self._ready.wait(10):
            raise TimeoutError("the lab did not start")

    def stop(self) -> None:
        """Stop serving."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        app = create_app(self._settings, self.store, time.time, self.requests.append)  # noqa: TID251  # real clients sign with the real clock
        self.service = app[SERVICE]
        runner: web.BaseRunner
        if self._is_bare or self._wrap is not None:
            handle: Handler = self.service.handle
            if self._wrap is not None:
                handle = self._wrap(handle)
            server = web.Server(handle, **SERVER_OPTIONS)
            runner = web.ServerRunner(server)
        else:
            runner = web.AppRunner(app, **SERVER_OPTIONS)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()


@contextlib.contextmanager
def running_lab(
    settings: S3Settings | None = None,
    store: ObjectStore | None = None,
    tls: ssl.SSLContext | None = None,
    *,
    is_bare: bool = False,
    wrap: Wrap | None = None,
) -> Iterator[RunningLab]:
    """Run a lab for the duration of a ``with`` block, bare or as an application.

    With ``wrap`` something stands between the connection and the lab.
    """
    lab = RunningLab(
        settings or lab_settings(),
        store or MemoryStore(),
        tls,
        is_bare=is_bare,
        wrap=wrap,
    )
    lab.start()
    try:
        yield lab
    finally:
        lab.stop()
