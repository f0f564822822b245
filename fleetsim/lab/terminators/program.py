"""Terminator programs: what nginx and HAProxy have in common, seen from here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

from fleetsim.lab.handshake_log import HandshakeEntry
from fleetsim.transport.tls_server import ServerTls

CONFIG: Final = "front.conf"
NEXT_CONFIG: Final = "next.conf"
UPSTREAM: Final = "s3.sock"
ERRORS: Final = "errors.log"
HANDSHAKES: Final = "handshakes.log"
OUTPUT: Final = "output.log"
ADMIN: Final = "admin.sock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """Limits of a front, as its program is configured.

    Attributes:
        connections: At the same time.
        handshake_timeout_s: To get the first request.
        idle_timeout_s: Between two requests, and while nothing moves.
    """

    connections: int
    handshake_timeout_s: float
    idle_timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """What a program stands between.

    Attributes:
        listen: Host and port of its own; ``None`` = devices come through the lab, which
            listens for it. For some 100 ms after a reload both the old and the new
            settings may meet a connection there.
        upstream: S3 server behind it, plain HTTP, ``host:port``; ``None`` = the lab.
        session_cache: Keep TLS sessions across changes of certificates and lists, as
            a server does that nobody thought about. A revoked device can then resume.
    """

    listen: tuple[str, int] | None = None
    upstream: str | None = None
    session_cache: bool = False

    def listening(self, generation: int) -> Sequence[tuple[str, bool]]:
        """Addresses that a program configured with this generation listens on.

        The sockets of the lab are always among them: they tell when it is ready.

        Returns:
            Each with whether the client's address comes in a PROXY protocol header.
        """
        own = () if self.listen is None else ((":".join(map(str, self.listen)), False),)
        return (*own, *((f"unix:{each}", True) for each in listening(generation)))

    @property
    def server(self) -> str:
        """Address of the S3 server."""
        return self.upstream or f"unix:{UPSTREAM}"


LAB: Final = Wiring()
"""Between the lab's own listener and the lab's S3 endpoint."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A change of one file in the memory of a running program.

    Attributes:
        commands: To be sent one by one; may hold a private key.
        expected: An answer with none of these words, in lower case, is a refusal.
        abort: Undoes what was not committed.
    """

    commands: tuple[str, ...] = field(repr=False)
    expected: tuple[str, ...]
    abort: str


class Program(Protocol):
    """One terminator program; says what to write, run and read, and does nothing."""

    name: ClassVar[str]
    """Name of its executable."""
    reload_signal: ClassVar[int]
    """Makes it read its configuration again."""
    log: ClassVar[str]
    """File that handshakes are read from."""
    words: ClassVar[Sequence[str]]
    """Files that hold its words for people."""

    def config(
        self,
        tls: ServerTls,
        generation: int,
        capacity: Capacity,
        wiring: Wiring = LAB,
    ) -> str:
        """Write the configuration; every path in it is relative to the folder.

        Raises:
            InputError: A setting that cannot be said in it.
        """
        ...

    def lists(self, tls: ServerTls, generation: int) -> Mapping[str, bytes]:
        """Further files of its own beside the certificates, by name.

        Raises:
            InputError: A setting that cannot be said in them.
        """
        ...

    def live_changes(
        self, old: Mapping[str, bytes], new: Mapping[str, bytes], generation: int
    ) -> Sequence[Transaction] | None:
        """Say how the running program takes other files under the same configuration.

        Args:
            old: Content of the files as it has them, by name.
            new: Content they shall have; the same names.
            generation: Of the running configuration.

        Returns:
            ``None`` = only a reload can do it.
        """
        ...

    def check_arguments(self, config: str) -> Sequence[str]:
        """Arguments that make it check a configuration file."""
        ...

    def run_arguments(self) -> Sequence[str]:
        """Arguments that run it in the foreground."""
        ...

    def parse(self, line: str) -> HandshakeEntry | None:
        """Read one line of its log; number 0, ``None`` = about something else."""
        ...


def socket_name(generation: int) -> str:
    """Socket that the program listens on with this generation of settings."""
    return f"front-{generation}.sock"


def listening(generation: int) -> tuple[str, ...]:
    """Sockets that a program configured with this generation listens on.

    The one of the generation before is among them: a connection that was dialled and
    not yet accepted when the program reloads is taken over instead of reset.
    """
    return tuple(socket_name(each) for each in (generation - 1, generation) if each > 0)


def folder_name(generation: int) -> str:
    """Folder of this generation's certificates."""
    return f"tls-{generation}"
