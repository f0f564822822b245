"""Integration tests run on uvloop, as the program does."""

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[
    str, Callable[[], asyncio.AbstractEventLoop]
]:
    """Choose the event loop of every asynchronous test in this folder."""
    return {"uvloop": uvloop.new_event_loop}
