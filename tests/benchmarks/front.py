"""The server of the benchmarks: one nginx worker that ends TLS and discards bodies.

It does as little as a server can, so that the client is what is measured. It is pinned
to a core of its own.
"""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from fleetsim.pki.authority import create_intermediate, create_root
from fleetsim.pki.certificates import Validity, certificates_pem
from fleetsim.pki.folder import create_folder
from fleetsim.pki.leaves import issue_server

SUITE = "ECDHE-RSA-AES128-GCM-SHA256"

_CONF = """
worker_processes 1; worker_cpu_affinity {mask}; daemon off; pid {root}/nginx.pid;
error_log {root}/error.log warn; worker_rlimit_nofile 20000;
events {{ worker_connections 16000; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 75s;
  client_max_body_size 0; client_body_temp_path {root}/b; proxy_temp_path {root}/p;
  fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;
  ssl_protocols TLSv1.2; ssl_ciphers {suite}; ssl_ecdh_curve prime256v1;
  ssl_certificate {root}/server.pem; ssl_certificate_key {root}/server.key;
  server {{ listen 127.0.0.1:{plain} backlog=4096; {answer} }}
  server {{ listen 127.0.0.1:{tls} ssl backlog=4096; ssl_session_cache off;
    ssl_session_tickets off; {answer} }}
  server {{ listen 127.0.0.1:{resuming} ssl backlog=4096; ssl_session_tickets on;
    ssl_session_cache shared:s:10m; {answer} }}
  server {{ listen 127.0.0.1:{mutual} ssl backlog=4096; ssl_session_cache off;
    ssl_session_tickets off; ssl_verify_client on; ssl_verify_depth 3;
    ssl_client_certificate {root}/clients.pem; {answer} }}
}}
"""
_ANSWER = (
    "location / { add_header ETag '\"d41d8cd98f00b204e9800998ecf8427e\"'; return 200; }"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """A running nginx.

    Attributes:
        folder: Root certificate ``root.pem`` and PKI folders ``pki-<key type>`` are
            in it.
        plain: Port without TLS.
        tls: Port with TLS, no resumption.
        resuming: Port with session tickets.
        mutual: Port that wants client certificates.
    """

    folder: Path
    plain: int
    tls: int
    resuming: int
    mutual: int


@contextlib.contextmanager
def front(folder: Path, cpu: int) -> Iterator[Front]:
    """Run nginx on one core for the duration of the block.

    Raises:
        FileNotFoundError: nginx is not installed.
    """
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        raise FileNotFoundError("nginx is needed for the benchmarks")
    _certificates(folder)
    ports = dict(zip(("plain", "tls", "resuming", "mutual"), _free(4), strict=True))
    conf = folder / "nginx.conf"
    conf.write_text(
        _CONF.format(
            root=folder, suite=SUITE, answer=_ANSWER, mask=f"{1 << cpu:b}", **ports
        )
    )
    process = subprocess.Popen([nginx, "-q", "-p", str(folder), "-c", str(conf)])
    try:
        _wait(ports["tls"], process)
        yield Front(folder=folder, **ports)
    finally:
        process.terminate()
        process.wait(20)


def _certificates(folder: Path) -> None:
    now = datetime.now(UTC)
    long = Validity.lasting(now, 86400 * 30.0, starts_in_s=-86400.0)
    root = create_root(validity=long)
    servers = create_intermediate(root, validity=long)
    devices = create_intermediate(root, validity=long, common_name="devices")
    for key in ("rsa-2048", "p256"):
        create_folder(
            folder / f"pki-{key}",
            {"root": root, "intermediate": servers, "devices-ca": devices},
            server_authority="intermediate",
            device_authority="devices-ca",
            created=now,
            crl_validity=long,
        )
    leaf = issue_server(servers, validity=long, names=["localhost"], ips=["127.0.0.1"])
    (folder / "server.pem").write_bytes(leaf.chain_pem())
    key_file = folder / "server.key"
    key_file.touch(0o600)
    key_file.write_bytes(leaf.key_pem())
    (folder / "root.pem").write_bytes(certificates_pem([root.certificate]))
    (folder / "clients.pem").write_bytes(
        certificates_pem([root.certificate, devices.certificate])
    )


def _free(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 10
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.02)
