"""HAProxy as a front: its configuration, its signals, its runtime API and its words.

Source: HAProxy 2.6 Configuration Manual (bind options, fetches, log formats) and
Management Guide (9.3 "Unix Socket commands", 4 "Stopping and restarting HAProxy").
"""

import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final

from fleetsim.lab.handshake_log import HandshakeEntry
from fleetsim.lab.terminators import files
from fleetsim.lab.terminators.evidence import WORDS, entry_of
from fleetsim.lab.terminators.program import (
    ADMIN,
    CONFIG,
    LAB,
    OUTPUT,
    Capacity,
    Transaction,
    Wiring,
    folder_name,
)
from fleetsim.target.observer.haproxy_log import (
    CONNECTION,
    ERROR_FORMAT,
    FORMAT,
    HaproxyReader,
)
from fleetsim.transport.tls_server import ServerTls

CERTIFICATES: Final = "certificates.list"
"""The list of certificates and the names they are for (``crt-list``)."""

_MAX_PAYLOAD_BYTES: Final = 15_000
"""A command of the runtime API must fit into ``tune.bufsize``, 16,384 bytes."""
_SESSIONS: Final = 20_000
_KINDS: Final = {files.CLIENT_CA: "ca-file", files.CRL: "crl-file"}

_VERSIONS: Final = {
    "TLSv1": "TLSv1.0",
    "TLSv1.1": "TLSv1.1",
    "TLSv1.2": "TLSv1.2",
    "TLSv1.3": "TLSv1.3",
}
_REQUEST: Final = "{" + CONNECTION + ',"status":"%ST"}'


class Haproxy:
    """The program HAProxy, 2.6 or newer."""

    name: ClassVar[str] = "haproxy"
    reload_signal: ClassVar[int] = signal.SIGUSR2
    log: ClassVar[str] = OUTPUT
    words: ClassVar[Sequence[str]] = (OUTPUT,)

    def __init__(self) -> None:
        self._reader = HaproxyReader(WORDS)

    def config(
        self,
        tls: ServerTls,
        generation: int,
        capacity: Capacity,
        wiring: Wiring = LAB,
    ) -> str:
        """See :class:`~fleetsim.lab.terminators.program.Program`."""
        return "\n".join(self._lines(tls, generation, capacity, wiring)) + "\n"

    def lists(self, tls: ServerTls, generation: int) -> Mapping[str, bytes]:
        """The ``crt-list``: the certificates used by default come first."""
        folder = folder_name(generation)
        lines = [
            " ".join(
                (
                    f"{folder}/{one.name}",
                    *(files.word("server_names", name) for name in one.server_names),
                )
            )
            for one in files.certificate_files(tls)
        ]
        return {CERTIFICATES: "".join(f"{line}\n" for line in lines).encode("ascii")}

    def live_changes(
        self, old: Mapping[str, bytes], new: Mapping[str, bytes], generation: int
    ) -> Sequence[Transaction] | None:
        """Certificates and lists change in memory: ``set ssl …``, ``commit ssl …``."""
        folder = folder_name(generation)
        found = []
        for name, content in new.items():
            # The parameters for DHE are in the certificate's file as well.
            if old[name] == content or name == files.DH:
                continue
            kind = _KINDS.get(name, "cert")
            path = f"{folder}/{name}"
            payload = content.decode("ascii").strip()
            if len(payload) > _MAX_PAYLOAD_BYTES:
                return None
            found.append(
                Transaction(
                    commands=(
                        f"set ssl {kind} {path} <<\n{payload}\n\n",
                        f"commit ssl {kind} {path}\n",
                    ),
                    expected=("transaction created", "transaction updated", "success"),
                    abort=f"abort ssl {kind} {path}\n",
                )
            )
        return found

    def check_arguments(self, config: str) -> Sequence[str]:
        """See :class:`~fleetsim.lab.terminators.program.Program`."""
        return ("-c", "-f", config)

    def run_arguments(self) -> Sequence[str]:
        """See :class:`~fleetsim.lab.terminators.program.Program`."""
        # With a master: only it can take new settings without losing connections.
        return ("-W", "-f", CONFIG)

    def parse(self, line: str) -> HandshakeEntry | None:
        """See :class:`~fleetsim.lab.terminators.program.Program`."""
        seen = self._reader.read(line)
        return None if seen is None or not seen.is_first else entry_of(seen)

    def _lines(
        self, tls: ServerTls, generation: int, capacity: Capacity, wiring: Wiring
    ) -> Iterator[str]:
        idle = _ms(capacity.idle_timeout_s)
        yield from (
            "global",
            "nbthread 1",
            f"maxconn {capacity.connections}",
            f"stats socket unix@{ADMIN} mode 600 level admin",
            "log stdout format raw local0",
            # Sessions must not outlive a new revocation list.
            f"tune.ssl.cachesize {_SESSIONS if wiring.session_cache else 0}",
            f"tune.ssl.default-dh-param {max(1024, tls.dh_bits)}",
            "defaults",
            "mode http",
            "timeout connect 5s",
            f"timeout client {idle}",
            f"timeout http-keep-alive {idle}",
            f"timeout http-request {_ms(capacity.handshake_timeout_s)}",
            "timeout server 1d",
            "retries 0",
            # A request that meets a reload on a kept connection is still answered.
            "option idle-close-on-response",
            "frontend front",
            *(
                f"bind {_at(place)} "
                + ("accept-proxy mode 600 ssl " if is_proxied else "ssl ")
                + " ".join(self._tls_words(tls, folder_name(generation)))
                for place, is_proxied in wiring.listening(generation)
            ),
            "log global",
            "option dontlognull",
            *_log_lines(is_alone=wiring.listen is not None),
            f"error-log-format '{ERROR_FORMAT}'",
            "default_backend s3",
            "backend s3",
            f"server s3 {_at(wiring.server)}",
        )

    @staticmethod
    def _tls_words(tls: ServerTls, folder: str) -> Iterator[str]:
        yield f"crt-list {folder}/{CERTIFICATES}"
        yield f"ssl-min-ver {_VERSIONS[tls.min_version]}"
        yield f"ssl-max-ver {_VERSIONS[tls.max_version]}"
        yield f"ciphers {files.ciphers(tls)}"
        if tls.tls13_suites:
            yield f"ciphersuites {files.word('tls13_suites', tls.tls13_suites)}"
        if tls.curves:
            yield f"curves {files.word('curves', tls.curves)}"
        if not tls.prefer_server_ciphers:
            yield "prefer-client-ciphers"
        if not tls.session_tickets:
            yield "no-tls-tickets"
        if tls.client_cas:
            mode = "required" if tls.require_client_certificate else "optional"
            yield f"ca-file {folder}/{files.CLIENT_CA} verify {mode}"
        if tls.check_crl:
            yield f"crl-file {folder}/{files.CRL}"


def _log_lines(*, is_alone: bool) -> Iterator[str]:
    """What is logged of a connection that carries requests."""
    if is_alone:
        yield f"log-format '{FORMAT}'"
        return
    # One line a connection: later requests say nothing new about TLS, and the lab
    # counts them itself.
    yield "http-request set-log-level silent unless { http_first_req }"
    yield f"log-format '{_REQUEST}'"


def _at(place: str) -> str:
    """Write an address as HAProxy does."""
    return place.replace("unix:", "unix@", 1)


def _ms(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"
