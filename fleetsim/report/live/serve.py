"""Serve: the web page of a run folder, until somebody ends it."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from fleetsim.report.live.address import Address, listen
from fleetsim.report.live.replay import Replay
from fleetsim.report.live.server import PageServer


async def serve_run(
    folder: Path, address: Address, option: str, announce: Callable[[str], None]
) -> None:
    """Serve a run folder until SIGINT or SIGTERM.

    Args:
        folder: The folder.
        address: Where to listen.
        option: Name of the option that gave it, for messages.
        announce: Is told the address for people, and a warning when others can reach it.

    Raises:
        InputError: If it is no run folder, a file in it is damaged, or nobody can listen
            there.
    """
    server = PageServer(Replay(folder), address, listen(address, option), token="")
    await server.start()
    announce(f"{folder.name}: {server.url} (Ctrl-C ends)")
    if not address.is_loopback:
        announce(f"{option}: other machines can reach {address.host} and see the run")
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    handled = (signal.SIGINT, signal.SIGTERM)
    for number in handled:
        loop.add_signal_handler(number, over.set)
    try:
        await over.wait()
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
        await server.close()
