"""Address: where a server of live figures listens, as people write it."""

import ipaddress
import socket
from dataclasses import dataclass

from fleetsim.exceptions import InputError, Problem

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Address:
    """A place to listen.

    Attributes:
        host: Address or name; the default is the loopback.
        port: 0..65535; 0 = any free one.
    """

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every address of this machine."""
        return self.host in {"0.0.0.0", "::"}  # noqa: S104 - compared, not bound

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: str, option: str) -> Address:
    """Read ``[HOST:]PORT``; an IPv6 address stands in brackets.

    Args:
        text: What was written.
        option: Who asks, for the message.

    Raises:
        InputError: It is none.
    """
    host, colon, port = text.strip().rpartition(":")
    if not colon:
        host = LOOPBACK
    problems: list[Problem] = []
    if not port.isascii() or not port.isdecimal() or int(port[:9]) > 65535:
        problems.append(
            Problem(option, f"the port is a number from 0 to 65535, not {port[:40]!r}")
        )
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host and "[" not in host and "]" not in host:
        problems.append(Problem(option, f"write an IPv6 address as [{host[:60]}]"))
    if not host or not host.isprintable() or set(host) & set(" /[]"):
        problems.append(Problem(option, f"no host in {text[:80]!r}: [HOST:]PORT"))
    if problems:
        raise InputError(problems)
    return Address(host, int(port))


def listen(address: Address, option: str) -> socket.socket:
    """Open the listening socket, so that a busy port is known before a run begins.

    Raises:
        InputError: Nobody can listen there.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address.host, address.port))
        made.listen(64)
        made.setblocking(False)
    except OSError as error:
        made.close()
        raise InputError(
            Problem(option, f"cannot listen on {address}: {error.strerror or error}")
        ) from error
    return made
