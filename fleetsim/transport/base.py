"""Base: what the engine sees of a network. Everything else in this room is behind it.

A :class:`Channel` carries out ``Connect`` and ``Send`` commands of one device and
calls its :class:`Listener` back exactly once per command; ``on_lost`` may come at any
time while nothing is outstanding. No coroutine, future or task crosses this border:
that is what keeps a keep-alive request at tens of microseconds.
"""

from dataclasses import dataclass
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from fleetsim.core.commands import Connect, Send
from fleetsim.core.events import Handshake, Response
from fleetsim.core.failure import Failure


@dataclass(frozen=True, slots=True)
class ClientIdentity:
    """Certificate and key of one device (mutual TLS).

    Attributes:
        certificate: The device's own certificate.
        chain: Certificates between it and the root, leaf's issuer first.
        key: Its private key.
    """

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(slots=True)
class Measures:
    """What was measured of the current attempt; ns durations, -1 = did not happen."""

    dns_ns: int = -1
    tcp_ns: int = -1
    tls_ns: int = -1
    send_ns: int = -1
    wait_ns: int = -1
    bytes_sent: int = 0
    bytes_received: int = 0


class Listener(Protocol):
    """Who is told what became of a command: the driver of one device."""

    def on_connected(self, handshake: Handshake | None) -> None:
        """The connection is open."""

    def on_connect_failed(self, failure: Failure) -> None:
        """There is no connection."""

    def on_response(self, response: Response, *, is_open: bool) -> None:
        """A complete response arrived."""

    def on_request_failed(self, failure: Failure) -> None:
        """No complete response; the connection is gone."""

    def on_lost(self) -> None:
        """The idle connection was closed by the peer."""


class Channel(Protocol):
    """The network side of one device: at most one connection at a time."""

    measures: Measures

    def connect(self, command: Connect) -> None:
        """Open a connection; ends in ``on_connected`` or ``on_connect_failed``."""

    def send(self, command: Send) -> None:
        """Send a request; ends in ``on_response`` or ``on_request_failed``."""

    def abort(self, *, silent: bool = False) -> None:
        """Drop the connection.

        Unless ``silent``, an outstanding command ends as a ``run.stopped`` failure
        through its callback.
        """

    def forget_sessions(self) -> None:
        """Resume no TLS session of before: the device lost its memory."""

    def replace_identity(self, identity: ClientIdentity | None) -> None:
        """Use another client certificate from the next connection on."""
