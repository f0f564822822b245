"""Integration tests run on uvloop, as the program does; real servers are shared."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from typing import NoReturn

import pytest
import uvloop

from tests.integration.servers.process import MissingServerError
from tests.integration.servers.s3_server import S3Server
from tests.integration.servers.shelf import Shelf


def pytest_asyncio_loop_factories() -> Mapping[
    str, Callable[[], asyncio.AbstractEventLoop]
]:
    """Choose the event loop of every asynchronous test in this folder."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def shelf() -> Iterator[Shelf]:
    """S3 servers of others, each started when a test first asks for it."""
    with Shelf() as servers:
        yield servers


@pytest.fixture
def s3_server(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], S3Server]:
    """Get a running server by name, with its credentials in the environment."""

    def get(name: str) -> S3Server:
        try:
            server = shelf.get(name)
        except MissingServerError as error:
            missing(error)
        for variable, value in server.variables.items():
            monkeypatch.setenv(variable, value)
        return server

    return get


def missing(error: MissingServerError) -> NoReturn:
    """Skip a test whose server is not installed; in CI it fails."""
    if os.environ.get("CI"):
        pytest.fail(str(error))
    pytest.skip(str(error))
