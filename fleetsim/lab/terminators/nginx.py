"""nginx as a front: its configuration, its signals and its words.

Source: nginx.org documentation, modules core, http_ssl, http_proxy and http_log;
"Controlling nginx" for the signals.
"""

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, Final

from fleetsim.lab.handshake_log import HandshakeEntry
from fleetsim.lab.terminators import files
from fleetsim.lab.terminators.evidence import WORDS, entry_of
from fleetsim.lab.terminators.program import (
    CONFIG,
    ERRORS,
    HANDSHAKES,
    LAB,
    OUTPUT,
    Capacity,
    Transaction,
    Wiring,
    folder_name,
)
from fleetsim.target.observer.nginx_log import FIELDS, NginxReader, local_time
from fleetsim.transport.tls_server import ServerTls

_VERSIONS: Final = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
_EVIDENCE: Final = {
    **{
        name: variable
        for name, variable in FIELDS.items()
        if name not in {"nth", "method", "uri"}
    },
    "peer": "$proxy_protocol_addr:$proxy_protocol_port",
}


class Nginx:
    """The program nginx, 1.21.4 or newer (``ssl_conf_command`` needs 1.19.4).

    Args:
        user: Name of the user it is to run as, when it is started by root.
        local_time: Reads the local time of day in its error log as a moment.
    """

    name: ClassVar[str] = "nginx"
    reload_signal: ClassVar[int] = signal.SIGHUP
    log: ClassVar[str] = HANDSHAKES
    words: ClassVar[Sequence[str]] = (OUTPUT, ERRORS, HANDSHAKES)

    def __init__(
        self,
        user: str | None,
        local_time: Callable[[str], float] = local_time,
    ) -> None:
        self._user = user
        self._reader = NginxReader(WORDS, local_time)

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
        """None: the configuration names every file."""
        del tls, generation
        return {}

    def live_changes(
        self, old: Mapping[str, bytes], new: Mapping[str, bytes], generation: int
    ) -> Sequence[Transaction] | None:
        """Nginx reads files when it is told to reload, at no other time."""
        del old, new, generation
        return None

    def check_arguments(self, config: str) -> Sequence[str]:
        """See :class:`~fleetsim.lab.terminators.program.Program`."""
        return ("-t", "-q", *self._place(config))

    def run_arguments(self) -> Sequence[str]:
        """See :class:`~fleetsim.lab.terminators.program.Program`."""
        return self._place(CONFIG)

    def parse(self, line: str) -> HandshakeEntry | None:
        """See :class:`~fleetsim.lab.terminators.program.Program`."""
        seen = self._reader.read(line)
        return None if seen is None or not seen.is_first else entry_of(seen)

    @staticmethod
    def _place(config: str) -> Sequence[str]:
        # The prefix ends in a slash or nginx takes its last part for a file.
        return ("-p", "./", "-c", config, "-e", ERRORS)

    def _lines(
        self, tls: ServerTls, generation: int, capacity: Capacity, wiring: Wiring
    ) -> Iterator[str]:
        is_alone = wiring.listen is not None
        evidence = FIELDS if is_alone else _EVIDENCE
        # A connection of a client takes one more to the S3 endpoint.
        slots = 2 * capacity.connections + 16
        if self._user is not None:
            yield f"user {self._user};"
        yield from (
            "daemon off;",
            "worker_processes 1;",
            f"worker_rlimit_nofile {slots + 64};",
            "pid nginx.pid;",
            f"error_log {HANDSHAKES} info;",
            f"events {{ worker_connections {slots}; }}",
            "http {",
            *(
                f"{module}_temp_path {module};"
                for module in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
            ),
            f"log_format evidence escape=json '{json.dumps(dict(evidence))}';",
            # One line a connection: later requests say nothing new about TLS, and the
            # lab counts them itself.
            "map $connection_requests $is_first { default 0; 1 1; }",
            f"access_log {HANDSHAKES} evidence{'' if is_alone else ' if=$is_first'};",
            "server_names_hash_bucket_size 512;",
            "server_tokens off;",
            "client_max_body_size 0;",
            "large_client_header_buffers 8 32k;",
            "merge_slashes off;",
            f"client_header_timeout {_ms(capacity.handshake_timeout_s)};",
            f"client_body_timeout {_ms(capacity.idle_timeout_s)};",
            f"send_timeout {_ms(capacity.idle_timeout_s)};",
            f"keepalive_timeout {_ms(capacity.idle_timeout_s)};",
            # A test of months: the default closes a connection after 1,000 requests.
            "keepalive_requests 1000000000;",
            "keepalive_time 1000d;",
            f"upstream s3 {{ server {wiring.server} max_fails=0; keepalive 64; }}",
            "proxy_http_version 1.1;",
            'proxy_set_header Connection "";',
            # Part of the signature (AWS Signature Version 4).
            "proxy_set_header Host $http_host;",
            "proxy_pass_header Date;",
            "proxy_pass_header Server;",
            "proxy_request_buffering off;",
            "proxy_buffering off;",
            "proxy_read_timeout 1d;",
            "proxy_send_timeout 1d;",
            "proxy_next_upstream off;",
        )
        yield from self._tls_lines(tls, folder_name(generation))
        # A shared cache outlives a reload, and with it whoever was revoked since.
        cache = "shared:devices:10m" if wiring.session_cache else "off"
        yield f"ssl_session_cache {cache};"
        yield from self._servers(tls, generation, wiring)
        yield "}"

    @staticmethod
    def _tls_lines(tls: ServerTls, folder: str) -> Iterator[str]:
        first = _VERSIONS.index(tls.min_version)
        last = _VERSIONS.index(tls.max_version)
        yield f"ssl_protocols {' '.join(_VERSIONS[first : last + 1])};"
        yield f"ssl_ciphers {files.ciphers(tls)};"
        if tls.tls13_suites:
            suites = files.word("tls13_suites", tls.tls13_suites)
            yield f"ssl_conf_command Ciphersuites {suites};"
        if tls.curves:
            yield f"ssl_ecdh_curve {files.word('curves', tls.curves)};"
        if tls.dh_bits:
            yield f"ssl_dhparam {folder}/{files.DH};"
        prefers = "on" if tls.prefer_server_ciphers else "off"
        yield f"ssl_prefer_server_ciphers {prefers};"
        yield f"ssl_session_tickets {'on' if tls.session_tickets else 'off'};"
        if tls.client_cas:
            mode = "on" if tls.require_client_certificate else "optional"
            yield f"ssl_verify_client {mode};"
            # OpenSSL's own default, and so that of the built-in front.
            yield "ssl_verify_depth 100;"
            yield f"ssl_client_certificate {folder}/{files.CLIENT_CA};"
        if tls.check_crl:
            yield f"ssl_crl {folder}/{files.CRL};"

    @staticmethod
    def _servers(tls: ServerTls, generation: int, wiring: Wiring) -> Iterator[str]:
        folder = folder_name(generation)
        servers: dict[tuple[str, ...], list[str]] = {}
        for one in files.certificate_files(tls):
            servers.setdefault(one.server_names, []).append(one.name)
        for names, certificates in servers.items():
            rest = "" if names else " default_server backlog=4096"
            yield "server {"
            for place, is_proxied in wiring.listening(generation):
                header = " proxy_protocol" if is_proxied else ""
                yield f"listen {place} ssl{header}{rest};"
            if names:
                checked = (files.word("server_names", name) for name in names)
                yield f"server_name {' '.join(checked)};"
            for name in certificates:
                yield f"ssl_certificate {folder}/{name};"
                yield f"ssl_certificate_key {folder}/{name};"
            yield "location / { proxy_pass http://s3; }"
            yield "}"


def _ms(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"


def user_of_this_process() -> str | None:
    """Name for ``user``: only root may choose, everybody else stays who they are."""
    if os.geteuid() != 0:
        return None
    return "root"
