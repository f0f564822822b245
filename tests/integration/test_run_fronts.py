"""Whole fleets through the TLS servers of others, and on the wire as tshark sees them."""

import getpass
import json
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fleetsim.cli.app import app
from fleetsim.profiles import catalog
from tests.integration.runs import FLEETSIM, Finished, cohort, plan_of, run, scenario
from tests.integration.test_tls_tshark import SCSV, capturing
from tests.integration.tls_wire import free_port, program, running

pytestmark = [pytest.mark.server, pytest.mark.slow]

NGINX = """
daemon off;
user {user};
worker_processes 1;
pid nginx.pid;
error_log error.log info;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {server}.pem;
    ssl_certificate_key {server}.key;
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
defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
frontend devices
  bind 127.0.0.1:{port} ssl crt {pem} ca-file clients.pem crl-file {pki}/crl.pem verify optional ssl-max-ver TLSv1.2
  default_backend lab
backend lab
  server lab 127.0.0.1:{behind}
"""


def pki(*arguments: str | Path) -> None:
    """Run ``fleetsim pki``."""
    result = CliRunner().invoke(app, ["pki", *map(str, arguments)])
    assert result.exit_code == 0, result.output


def wait_until_open(port: int) -> None:
    """Wait until somebody listens."""
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "nobody listens"
            time.sleep(0.02)
        else:
            return


@pytest.fixture
def behind(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A plain HTTP lab behind the front; its port. The keys are in the environment."""
    arguments = [*FLEETSIM, "lab", "--port", "0", "--json", "--security", "low"]
    clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=clean
    ) as process:
        assert process.stdout is not None
        facts = json.loads(process.stdout.readline())
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", facts["access_key_id"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", facts["secret_access_key"])
        yield int(facts["endpoint"].rsplit(":", 1)[1])
        process.terminate()


def plan_data(port: int) -> dict[str, Any]:
    """Four devices with certificates of our own, against a front on this port."""
    return scenario(
        cohort(
            "a",
            4,
            security="high",
            client_certificates={"pki": "pki"},
            workload={"connection": "per_upload"},
        ),
        target={
            "endpoint": f"https://localhost:{port}",
            "bucket": "fleet",
            "ca_file": "pki/root.pem",
        },
        duration="3s",
        drain="2s",
    )


def prepare(folder: Path, port: int) -> str:
    """Make the PKI, certificates for the fleet, revoke one device; returns its id."""
    _, plan = plan_of(plan_data(port))
    ids = [device.device_id for device in plan.devices]
    (folder / "ids").write_text("\n".join(ids))
    pki("init", folder / "pki")
    pki("issue", "server", folder / "pki", "--name", "localhost")
    pki("issue", "devices", folder / "pki", "--ids", folder / "ids")
    pki("revoke", folder / "pki", ids[0], "--reason", "keyCompromise")
    names = ("devices-ca", "root")
    (folder / "clients.pem").write_text(
        "".join((folder / "pki" / f"{name}.pem").read_text() for name in names)
    )
    server = folder / "pki" / "server" / "localhost"
    (folder / "server.pem").write_text(Path(f"{server}.chain.pem").read_text())
    (folder / "server.key").touch(0o600)
    (folder / "server.key").write_text(Path(f"{server}.key").read_text())
    return ids[0]


def by_device(found: Finished) -> dict[str, set[tuple[str, int]]]:
    """Kinds and statuses of the attempts of each device, cut off ones left out."""
    outcomes: dict[str, set[tuple[str, int]]] = {}
    for row in found.records:
        if row["kind"] != "run.stopped":
            outcome = (row["kind"], row["status"])
            outcomes.setdefault(row["device"], set()).add(outcome)
    return outcomes


def test_nginx_refuses_the_revoked_device(tmp_path: Path, behind: int) -> None:
    """With nginx a revoked certificate is HTTP 400 after a good handshake; others upload."""
    port = free_port()
    revoked = prepare(tmp_path, port)
    (tmp_path / "nginx.conf").write_text(
        NGINX.format(
            user=getpass.getuser(),
            port=port,
            server=tmp_path / "server",
            pki=tmp_path / "pki",
            behind=behind,
        )
    )
    arguments = (program("nginx"), "-p", str(tmp_path), "-c", "nginx.conf")
    with running((*arguments, "-e", "stderr"), tmp_path):
        wait_until_open(port)
        found = run(plan_data(port), tmp_path)
    outcomes = by_device(found)
    assert outcomes.pop(revoked) == {("http.status", 400)}
    assert len(outcomes) == 3
    for others in outcomes.values():
        assert ("", 200) in others
        assert {kind for kind, _ in others} == {""}
    uploads = found.summary["uploads"]
    assert uploads["acknowledged"] == uploads["stored"] > 0
    assert uploads["unaccounted"] == found.summary["unclassified"] == 0


def test_haproxy_refuses_the_revoked_device(tmp_path: Path, behind: int) -> None:
    """HAProxy ends the handshake with the alert certificate_revoked; others upload."""
    port = free_port()
    revoked = prepare(tmp_path, port)
    (tmp_path / "both.pem").touch(0o600)
    (tmp_path / "both.pem").write_text(
        (tmp_path / "server.pem").read_text() + (tmp_path / "server.key").read_text()
    )
    (tmp_path / "haproxy.cfg").write_text(
        HAPROXY.format(
            port=port,
            pem=tmp_path / "both.pem",
            pki=tmp_path / "pki",
            behind=behind,
        )
    )
    arguments = (program("haproxy"), "-db", "-f", "haproxy.cfg")
    with running(arguments, tmp_path):
        wait_until_open(port)
        found = run(plan_data(port), tmp_path)
    outcomes = by_device(found)
    assert outcomes.pop(revoked) == {("tls.alert.certificate_revoked", 0)}
    assert len(outcomes) == 3
    assert {kind for others in outcomes.values() for kind, _ in others} == {""}
    uploads = found.summary["uploads"]
    assert uploads["acknowledged"] == uploads["stored"] > 0


def code_points() -> dict[str, int]:
    """IANA code points of suites by OpenSSL name, from ``openssl ciphers -V``."""
    listed = subprocess.run(
        [program("openssl"), "ciphers", "-V", "ALL:COMPLEMENTOFALL:@SECLEVEL=0"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = {}
    for line in listed.stdout.splitlines():
        code, _, name, *_ = line.split()
        high, low = code.split(",")
        found[name] = int(high, 16) << 8 | int(low, 16)
    return found


def test_fallback_on_the_wire(tmp_path: Path) -> None:
    """Three ClientHellos offer the three groups; two alerts 40 answer, as recorded."""
    port = free_port()
    data = scenario(
        cohort(
            "a",
            1,
            cipher_table="winc-ecdhe-last",
            ota=0,
            workload={"period": 0},
            heartbeat="60s",
            overrides={"boot_uploads_schema": False},
        ),
        lab={
            "fronts": [
                {
                    "port": port,
                    "security": "medium",
                    "tls": {
                        "versions": ["TLSv1.2"],
                        "ciphers": "ECDHE-RSA-AES128-GCM-SHA256",
                    },
                }
            ]
        },
        duration="1s",
        drain="1s",
    )
    with capturing(port, tmp_path) as packets:
        found = run(data, tmp_path)
    rows = sorted(found.records, key=lambda row: row["started_ns"])
    assert [row["alert"] for row in rows] == ["handshake_failure"] * 2 + [""]
    table = next(
        each
        for each in catalog.load("canedge2").profile.cipher_tables
        if each.name == "winc-ecdhe-last"
    )
    assert [row["group"] for row in rows] == [group.name for group in table.groups]
    codes = code_points()
    hellos = [each for each in packets if "1" in each.fields["tls.handshake.type"]]
    offered = [each.numbers("tls.handshake.ciphersuite") for each in hellos]
    assert len(offered) == 3
    for group, row, seen in zip(table.groups, rows, offered, strict=True):
        assert row["suites_offered"] == group.offered
        assert [code for code in seen if code != SCSV] == [
            codes[suite] for suite in group.suites
        ]
    alerts = [
        number
        for each in packets
        if each.fields["tcp.dstport"] != (str(port),)
        for number in each.numbers("tls.alert_message.desc")
    ]
    assert alerts == [40, 40]
