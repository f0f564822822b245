"""What real fronts log, by the settings we print, beside what the devices say."""

import getpass
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
import uvloop
from typer.testing import CliRunner

from fleetsim.cli.app import app
from fleetsim.runner.run import RunOptions, Watcher, run_plan
from tests.integration.runs import Finished, plan_of
from tests.integration.test_run_fronts import (
    behind,
    plan_data,
    prepare,
    wait_until_open,
)
from tests.integration.tls_wire import free_port, program, running

__all__ = ["behind"]  # a fixture

pytestmark = [pytest.mark.server, pytest.mark.slow]

NGINX = """
daemon off;
user {user};
worker_processes 1;
pid nginx.pid;
events {{ worker_connections 256; }}
http {{
  {settings}
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate server.pem;
    ssl_certificate_key server.key;
    ssl_protocols TLSv1.2;
    ssl_client_certificate clients.pem;
    ssl_crl {pki}/crl.pem;
    ssl_verify_client optional;
    ssl_verify_depth 3;
    location / {{
      if ($ssl_client_verify ~ ^FAILED) {{ return 495; }}
      proxy_pass http://127.0.0.1:{behind};
      proxy_set_header Host $http_host;
      proxy_request_buffering off;
      proxy_http_version 1.1;
    }}
  }}
}}
"""
HAPROXY = """
{settings}
  bind 127.0.0.1:{port} ssl crt both.pem ca-file clients.pem crl-file {pki}/crl.pem verify optional ssl-max-ver TLSv1.2
  default_backend lab
defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
backend lab
  server lab 127.0.0.1:{behind}
"""


def settings(server: str) -> str:
    """What ``fleetsim log-format`` prints."""
    result = CliRunner().invoke(app, ["log-format", server])
    assert result.exit_code == 0
    return result.stdout


def data(port: int, **observe: Any) -> dict[str, Any]:
    """Devices with certificates, one of them revoked, and logs to read."""
    made = plan_data(port)
    return made | {"target": made["target"] | {"observe": observe}}


def figures(found: Finished) -> dict[str, tuple[int, int]]:
    """Both sides by what they count; nothing is missing, the strangers are left out."""
    observed = found.summary["observed"]
    assert observed["is_complete"], observed["sources"]
    assert [each["others"] for each in observed["sources"]] == [2]
    return {row["what"]: (row["devices"], row["front"]) for row in observed["rows"]}


class Strangers(Watcher):
    """Other clients at another address: one request, one broken handshake."""

    def __init__(self, port: int) -> None:
        self._port = port

    def started(self, folder: Path, target: str) -> None:
        """The logs are being watched, and no device is up yet."""
        del folder, target
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with self._dialled() as link, context.wrap_socket(link) as stranger:
            stranger.sendall(
                b"GET /fleet/other/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            )
            while stranger.recv(4096):
                pass
        with self._dialled() as link:
            # A record of TLS with nothing in it that is a ClientHello.
            link.sendall(b"\x16\x03\x01\x00\x04none")
            while link.recv(4096):
                pass

    def _dialled(self) -> socket.socket:
        return socket.create_connection(
            ("127.0.0.1", self._port), 10, source_address=("127.0.0.9", 0)
        )


def observed_run(folder: Path, port: int, **observe: Any) -> Finished:
    """Run the fleet while others are about."""
    parsed, plan = plan_of(data(port, **observe))
    options = RunOptions(results=folder, base_folder=folder, scenario=parsed.to_data())
    return Finished(*uvloop.run(run_plan(plan, options, Strangers(port))))


def test_nginx_says_the_same(tmp_path: Path, behind: int) -> None:
    """Every handshake and request, and in its own words why it refused one device."""
    port = free_port()
    revoked = prepare(tmp_path, port)
    printed = settings("nginx").replace("/var/log/nginx/", "")
    (tmp_path / "nginx.conf").write_text(
        NGINX.format(
            user=getpass.getuser(),
            settings=printed,
            port=port,
            pki=tmp_path / "pki",
            behind=behind,
        )
    )
    arguments = (program("nginx"), "-p", str(tmp_path), "-c", "nginx.conf")
    with running((*arguments, "-e", "stderr"), tmp_path):
        wait_until_open(port)
        logs = ["fleetsim.log", "fleetsim-errors.log"]
        found = observed_run(tmp_path, port, nginx_log=logs)
    sides = figures(found)
    refusals = found.summary["observed"]["refusals"]
    (pair,) = refusals
    assert (pair["device_says"], pair["front_says"]) == (
        "http.status",
        "tls.verify.cert_revoked",
    )
    assert pair["gap"] == 0
    # To nginx a handshake with a revoked certificate is not refused but completed.
    completed, at_front = sides["handshakes completed"]
    assert completed - at_front == pair["attempts"] == sides["handshakes refused"][1]
    for what in ("requests answered", "objects stored"):
        assert sides[what][0] == sides[what][1] > 0
    assert {row["device"] for row in found.records if row["status"] == 400} == {revoked}


def test_haproxy_says_the_same(tmp_path: Path, behind: int) -> None:
    """Every handshake and request, and in its own words why it refused one device."""
    port = free_port()
    prepare(tmp_path, port)
    (tmp_path / "both.pem").touch(0o600)
    (tmp_path / "both.pem").write_text(
        (tmp_path / "server.pem").read_text() + (tmp_path / "server.key").read_text()
    )
    printed = settings("haproxy").replace(
        "log /dev/log len 8192 local0", "log stdout len 8192 format raw local0"
    )
    (tmp_path / "haproxy.cfg").write_text(
        HAPROXY.format(settings=printed, port=port, pki=tmp_path / "pki", behind=behind)
    )
    log = tmp_path / "haproxy.log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            (program("haproxy"), "-db", "-f", "haproxy.cfg"),
            cwd=tmp_path,
            stdout=output,
            stderr=subprocess.DEVNULL,
        ) as haproxy,
    ):
        try:
            wait_until_open(port)
            found = observed_run(tmp_path, port, haproxy_log="haproxy.log")
        finally:
            haproxy.terminate()
    sides = figures(found)
    for what in sides:
        assert sides[what][0] == sides[what][1], what
    assert sides["handshakes refused"][0] > 0
    assert sides["objects stored"][0] > 0
    (pair,) = found.summary["observed"]["refusals"]
    assert (pair["device_says"], pair["front_says"], pair["gap"]) == (
        "tls.alert.certificate_revoked",
        "tls.verify.cert_revoked",
        0,
    )
