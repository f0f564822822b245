"""By hand: an S3 server behind a TLS front, until Ctrl-C.

::

    python -m tests.integration.servers ceph /tmp/site --front haproxy
    . /tmp/site/env && fleetsim run /tmp/site/fleet.yaml --create-bucket

The folder gets a PKI (``fleetsim pki``), a scenario to change and the credentials. After
a change of the PKI (a new server certificate, a revoked device) SIGHUP makes the front
use it; the scenario can do that itself with ``run_command``.
"""

import argparse
import asyncio
import shlex
import signal
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import typer
import uvloop

from fleetsim.pki.files import write_new
from tests.integration.servers.ceph import CephServer
from tests.integration.servers.fronts import FrontKind, front
from tests.integration.servers.process import MissingServerError, ServerFailedError
from tests.integration.servers.s3_server import S3Server
from tests.integration.servers.shelf import SERVERS, Shelf
from tests.integration.servers.site_pki import HOST, SitePki

_SCENARIO: Final = """\
version: 1
name: real-servers
duration: 30s
drain: 15s
target:
  endpoint: {endpoint}
  bucket: fleet
  ca_file: pki/root.pem
{observe}cohorts:
  - name: vehicles
    count: 100
    security: {security}
    workload: {{file_size: {{uniform: [16KiB, 64KiB]}}, period: 10s}}
    heartbeat: 10s
    ota: 15s
{client}thresholds:
  - unaccounted == 0
  - unclassified == 0
"""


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.servers")
    parser.add_argument("server", choices=sorted(SERVERS))
    parser.add_argument("folder", type=Path, help="made; must not exist")
    parser.add_argument("--front", type=FrontKind, choices=list(FrontKind))
    parser.add_argument(
        "--security",
        choices=("medium", "high"),
        default="high",
        help="of the front: HTTPS, or mutual TLS too",
    )
    options = parser.parse_args()
    try:
        options.folder.mkdir(mode=0o700)
        with Shelf() as shelf:
            server = shelf.get(options.server)
            uvloop.run(
                _serve(
                    server,
                    options.folder,
                    options.front,
                    is_mutual=options.security == "high",
                )
            )
    except (MissingServerError, ServerFailedError, OSError) as error:
        parser.exit(3, f"{error}\n")


async def _serve(
    server: S3Server, folder: Path, kind: FrontKind | None, *, is_mutual: bool
) -> None:
    loop = asyncio.get_running_loop()
    done, changed = asyncio.Event(), asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, changed.set)

    def end() -> None:
        done.set()
        changed.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end)
    if kind is None:
        _tell(server, folder, server.url, "low")
        await done.wait()
        return
    pki = SitePki(folder / "pki", ["00000001"])
    tls = pki.front_tls(is_mutual=is_mutual)
    async with front(kind, tls, server.port) as running:
        _tell(
            server,
            folder,
            f"https://{HOST}:{running.port}",
            "high" if is_mutual else "medium",
            {f"{kind}_log": running.log} if running.log is not None else {},
        )
        while not done.is_set():
            await changed.wait()
            changed.clear()
            if not done.is_set():
                await running.swap(pki.front_tls(is_mutual=is_mutual))
                typer.echo("the front uses what the PKI holds now")


def _tell(
    server: S3Server,
    folder: Path,
    endpoint: str,
    security: str,
    logs: Mapping[str, Path] = MappingProxyType({}),
) -> None:
    lines = [
        f"export {name}={shlex.quote(value)}\n"
        for name, value in server.variables.items()
    ]
    write_new(folder / "env", "".join(lines).encode(), is_secret=True)
    sources = dict(logs)
    if isinstance(server, CephServer):
        sources["rgw_admin_socket"] = server.socket
    observe = "".join(f"    {name}: [{path}]\n" for name, path in sources.items())
    scenario = _SCENARIO.format(
        endpoint=endpoint,
        security=security,
        observe=f"  observe:\n{observe}" if observe else "",
        client="    client_certificates: {pki: pki}\n" if security == "high" else "",
    )
    if security == "low":
        scenario = scenario.replace("  ca_file: pki/root.pem\n", "")
    write_new(folder / "fleet.yaml", scenario.encode())
    typer.echo(f"{server.name} at {endpoint}; Ctrl-C ends it")
    typer.echo(f". {folder}/env && fleetsim run {folder}/fleet.yaml --create-bucket")


if __name__ == "__main__":
    main()
