"""TCP reset: end a connection with RST instead of FIN."""

import asyncio
import socket
import struct
from typing import Any, Final

_NO_LINGER: Final = struct.pack("ii", 1, 0)


def reset(tcp: asyncio.Transport) -> None:
    """Drop a connection; the peer gets RST, and what was not yet sent is lost.

    ``SO_LINGER`` with time 0 is what makes ``close()`` abortive (socket(7)).
    """
    handle: Any = tcp.get_extra_info("socket")
    if handle is not None and handle.fileno() >= 0:
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    tcp.abort()
