"""Terminator choice: from a lab's settings to the program that ends TLS at a front."""

import asyncio
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fleetsim.lab.settings import FrontProgram, FrontSettings
from fleetsim.lab.terminators.haproxy import Haproxy
from fleetsim.lab.terminators.nginx import Nginx, user_of_this_process
from fleetsim.lab.terminators.program import Capacity, Program
from fleetsim.lab.terminators.terminator import Terminator

_FILES_BESIDE: Final = 200
"""Descriptors of a program that are not its connections: logs, listeners, pipes."""


def make_terminator(
    program: FrontProgram,
    folder: Path | None,
    front: FrontSettings,
    make_handler: Callable[[], asyncio.Protocol],
) -> Terminator | None:
    """Make the terminator of one front; it does not run yet.

    Args:
        program: What ends TLS.
        folder: Private folder of all fronts' programs; ``None`` only for ``BUILTIN``.
        front: The front.
        make_handler: Called for every connection to the S3 endpoint.

    Returns:
        ``None`` = the built-in front.
    """
    chosen: Program
    match program:
        case FrontProgram.NGINX:
            chosen = Nginx(user_of_this_process())
        case FrontProgram.HAPROXY:
            chosen = Haproxy()
        case FrontProgram.BUILTIN:
            return None
    if folder is None:
        raise ValueError(f"{program} needs a folder")
    return Terminator(
        chosen,
        folder / front.name,
        make_handler,
        Capacity(
            connections=min(front.max_connections, _most_connections()),
            handshake_timeout_s=front.handshake_timeout_s,
            idle_timeout_s=front.idle_timeout_s,
        ),
    )


def _most_connections() -> int:
    """Connections a program can carry: two descriptors each, within the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        return 1_000_000
    return max(1, (hard - _FILES_BESIDE) // 2)
