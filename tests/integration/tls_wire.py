"""Real sockets and third-party programs for the TLS integration tests."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from fleetsim.core.failure import Failure, Phase
from fleetsim.transport import errors
from fleetsim.transport.tls_pump import TlsPump
from tests.transport.certificates import Issued

TIMEOUT_S = 10.0
REQUEST = b"GET / HTTP/1.1\r\nHost: storage.test\r\nConnection: close\r\n\r\n"


def program(name: str) -> str:
    """Path of a third-party program; skips the test when it is missing, but not in CI."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return path


def write_identity(folder: Path, name: str, issued: Issued) -> tuple[Path, Path]:
    """Write chain and key as PEM files; returns their paths."""
    chain, own = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(
        b"".join(item.public_bytes(Encoding.PEM) for item in issued.chain)
    )
    own.touch(0o600)
    own.write_bytes(
        issued.key.private_bytes(
            Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        )
    )
    return chain, own


@contextmanager
def running(arguments: Sequence[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a program in a folder until the block ends; stdout and stderr are one pipe."""
    with subprocess.Popen(
        arguments,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(TIMEOUT_S)


@contextmanager
def openssl_server(folder: Path, *options: str) -> Iterator[int]:
    """Run ``openssl s_server -www`` on a free port; yields the port."""
    arguments = (
        *(program("openssl"), "s_server", "-accept", "127.0.0.1:0", "-www"),
        *options,
    )
    with running(arguments, folder) as process:
        said = ""
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if line.startswith("ACCEPT"):
                yield int(line.rsplit(":", 1)[1])
                return
        pytest.fail(f"openssl s_server did not start: {said}")


def free_port() -> int:
    """A port that is free right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one exchange over a real socket."""

    pump: TlsPump
    plaintext: bytes
    failure: Failure | None


def exchange(pump: TlsPump, port: int, request: bytes = REQUEST) -> Outcome:
    """Connect, do the handshake, send a request, read to the end of the stream."""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT_S) as link:
        pump.handshake()
        return _converse(pump, link, request, lambda _: pump.is_closed)


def _converse(
    pump: TlsPump, link: socket.socket, words: bytes, is_done: Callable[[bytes], bool]
) -> Outcome:
    plaintext, said = b"", not words
    failure: Failure | None = None
    while True:
        if pump.is_open and not said:
            pump.send([words])
            said = True
        try:
            link.sendall(pump.take())
            if pump.failure is not None or is_done(plaintext):
                break
            data = link.recv(65536)
        except OSError as exc:
            phase = Phase.WAIT if pump.is_open else Phase.TLS
            failure = errors.from_os_error(exc, phase)
            break
        if not data:
            pump.eof()
            break
        plaintext += pump.receive(data)
    return Outcome(pump, plaintext, pump.failure or failure)


class OneShotServer:
    """Serves one TLS connection with a pump, in a thread of its own."""

    def __init__(self, listener: socket.socket, pool: ThreadPoolExecutor) -> None:
        self.port: int = listener.getsockname()[1]
        self._listener = listener
        self._pool = pool

    def serve(self, pump: TlsPump, answer: bytes = b"hello\n") -> Future[Outcome]:
        """Answer the first line of the next connection, then close politely."""
        return self._pool.submit(self._serve, pump, answer)

    def _serve(self, pump: TlsPump, answer: bytes) -> Outcome:
        link, _ = self._listener.accept()
        with link:
            link.settimeout(TIMEOUT_S)
            outcome = _converse(pump, link, b"", lambda read: b"\n" in read)
            if outcome.failure is None and outcome.plaintext:
                pump.send([answer])
                pump.close()
                link.sendall(pump.take())
            # A close with unread bytes would turn into a reset and eat the alert.
            link.shutdown(socket.SHUT_WR)
            while link.recv(65536):
                pass
            return outcome


@contextmanager
def one_shot_server() -> Iterator[OneShotServer]:
    """Listen on a free loopback port."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        ThreadPoolExecutor(1) as pool,
    ):
        listener.settimeout(TIMEOUT_S)
        yield OneShotServer(listener, pool)
