"""Standalone: a lab for people, from a handful of options to a running S3 endpoint.

Certificates come from a PKI folder, which is made when it is missing: a new one gets a
root, intermediates, a server certificate and, for mutual TLS, one device certificate to
try it with. In a folder that exists the newest server certificate is used as it is, be it
expired or for another name: that may be what is to be tried.
"""

import asyncio
import secrets
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from fleetsim.core.settings import Credentials, Security
from fleetsim.exceptions import InputError, Problem
from fleetsim.lab.server import LabServer, s3_settings
from fleetsim.lab.settings import (
    EVERY_SUITE,
    CertificateFiles,
    CredentialSettings,
    LabAddress,
    LabSettings,
    TlsSettings,
    TlsVersion,
    parse_settings,
)
from fleetsim.lab.standalone_pki import is_any_address, open_pki, server_names
from fleetsim.lab.tls_files import load_tls
from fleetsim.pki.certificates import validity_of
from fleetsim.pki.folder import (
    CRL_FILE,
    ROOT,
)
from fleetsim.pki.index import Entry, Kind
from fleetsim.transport.tls_server import ServerTls

FRONT: Final = "lab"
_GRACE_S: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StandaloneOptions:
    """What ``fleetsim lab`` was asked for.

    Attributes:
        host: Address to bind.
        port: Port to bind, 0 = any.
        names: More host names and addresses for a new server certificate.
        security: ``low`` HTTP, ``medium`` HTTPS, ``high`` mutual TLS.
        bucket: Bucket that exists from the start.
        region: Region to sign for.
        credentials: Who may sign; ``None`` = made up.
        store_folder: Folder for objects, ``None`` = in memory.
        limit_bytes: Most bytes of objects.
        keep_bodies: ``False`` = keep only sizes and ETags.
        cipher_list: TLS 1.2 suites, OpenSSL syntax; empty = all.
        tls_versions: Versions as people write them, ``1.2`` or ``TLSv1.2``; none = 1.2
            and 1.3.
    """

    host: str = "127.0.0.1"
    port: int = 9443
    names: tuple[str, ...] = ()
    security: Security = Security.MEDIUM
    bucket: str = "fleet"
    region: str = "us-east-1"
    credentials: Credentials | None = None
    store_folder: Path | None = None
    limit_bytes: int = 2 * 1024**3
    keep_bodies: bool = True
    cipher_list: str = ""
    tls_versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Standalone:
    """A lab ready to be served.

    Attributes:
        settings: For the server.
        options: What was asked for.
        credentials: Who may sign.
        ca_path: Root certificate clients must trust, ``None`` without TLS.
        client_files: Certificate and key of a device to try mutual TLS with.
        notes: What the person should know: expired certificates and the like.
    """

    settings: LabSettings
    options: StandaloneOptions
    credentials: Credentials = field(repr=False)
    ca_path: Path | None = None
    client_files: tuple[Path, Path] | None = None
    notes: tuple[str, ...] = ()

    def endpoint(self, address: LabAddress) -> str:
        """URL for clients of this machine, or of others when one was named for them."""
        host, port = address.fronts[FRONT]
        if is_any_address(host):
            host = next(iter(self.options.names), "127.0.0.1")
        scheme = "http" if self.options.security is Security.LOW else "https"
        return (
            f"{scheme}://[{host}]:{port}"
            if ":" in host
            else f"{scheme}://{host}:{port}"
        )


def prepare(options: StandaloneOptions, pki_path: Path, now: datetime) -> Standalone:
    """Make or read the PKI and describe the lab.

    Args:
        options: What was asked for.
        pki_path: PKI folder, made when missing; not touched for security ``low``.
        now: The present, aware.

    Raises:
        InputError: With every problem of the options or of the folder.
    """
    credentials = options.credentials or new_credentials()
    front: dict[str, Any] = {
        "name": FRONT,
        "scheme": "http",
        "host": options.host,
        "port": options.port,
    }
    described = {
        "buckets": (options.bucket,),
        "region": options.region,
        "store": {
            "folder": options.store_folder,
            "limit_bytes": options.limit_bytes,
            "keep_bodies": options.keep_bodies,
        },
        "virtual_hosts": server_names((options.host, *options.names))[0],
    }
    versions = parse_versions(options.tls_versions)
    # What is wrong with the options must show before a folder is made.
    settings = _settings(described, front, credentials)
    s3_settings(settings)
    if options.security is Security.LOW:
        return Standalone(settings=settings, options=options, credentials=credentials)
    folder = open_pki(
        pki_path,
        now,
        names=(options.host, *options.names),
        with_device=options.security is Security.HIGH,
    )
    server = folder.index.of_kind(Kind.SERVER)[-1]
    is_mutual = options.security is Security.HIGH
    ca_path = folder.path / f"{ROOT}.pem"
    tls = TlsSettings(
        min_version=versions[0],
        max_version=versions[-1],
        cipher_list=options.cipher_list or EVERY_SUITE,
        certificates=(
            CertificateFiles(
                chain_path=folder.path / server.certificate,
                key_path=folder.path / server.key,
            ),
        ),
        client_ca_path=ca_path if is_mutual else None,
        require_client_certificate=is_mutual,
        crl_paths=(folder.path / CRL_FILE,) if is_mutual else (),
        check_crl=is_mutual,
    )
    client_files = None
    if is_mutual:
        device = next(iter(folder.index.of_kind(Kind.DEVICE)), None)
        if device is not None:
            client_files = (folder.path / device.certificate, folder.path / device.key)
    front |= {"scheme": "https", "tls": tls}
    settings = _settings(described, front, credentials)
    return Standalone(
        settings=settings,
        options=options,
        credentials=credentials,
        ca_path=ca_path,
        client_files=client_files,
        notes=tuple(_notes(server, load_tls(tls), now)),
    )


async def serve(
    lab: Standalone,
    *,
    clock: Callable[[], float],
    on_ready: Callable[[LabAddress], None],
    on_reload: Callable[[str], None],
) -> Mapping[str, Any]:
    """Serve until SIGINT or SIGTERM; SIGHUP reads certificates and CRLs again.

    A second signal cuts the requests short that the first one lets finish.

    Args:
        lab: What to serve.
        clock: Wall clock, seconds since 1970.
        on_ready: Called once everything listens.
        on_reload: Called with what came of a SIGHUP.

    Returns:
        The lab's last figures, see :meth:`LabServer.stats`.

    Raises:
        InputError: With every unusable file, setting and address.
    """
    loop = asyncio.get_running_loop()
    first, second, hangup = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (second if first.is_set() else first).set()

    server = LabServer(lab.settings, clock=clock)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    loop.add_signal_handler(signal.SIGHUP, hangup.set)
    try:
        on_ready(await server.start())
        async with asyncio.TaskGroup() as tasks:
            reloading = tasks.create_task(_reload_after(hangup, server, on_reload))
            await first.wait()
            reloading.cancel()
            impatience = tasks.create_task(_reset_after(second, server))
            await server.stop(_GRACE_S)
            impatience.cancel()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
    return server.stats()


async def _reload_after(
    event: asyncio.Event, server: LabServer, on_reload: Callable[[str], None]
) -> None:
    while await event.wait():
        event.clear()
        try:
            await server.reload()
        except InputError as exc:
            on_reload(f"not reloaded:\n{exc}")
        else:
            on_reload("certificates and revocation lists reloaded")


async def _reset_after(event: asyncio.Event, server: LabServer) -> None:
    await event.wait()
    server.close_connections()


def parse_versions(texts: tuple[str, ...]) -> tuple[TlsVersion, ...]:
    """Read TLS versions as people write them, oldest first; none = 1.2 and 1.3.

    Raises:
        InputError: With every unknown version, or when one in between is left out.
    """
    if not texts:
        return (TlsVersion.TLS_1_2, TlsVersion.TLS_1_3)
    known = {
        form: version
        for version in TlsVersion
        for form in (version.lower(), version.lower().removeprefix("tlsv"))
    } | {"1.0": TlsVersion.TLS_1_0, "tlsv1.0": TlsVersion.TLS_1_0}
    unknown = [text for text in texts if text.strip().lower() not in known]
    if unknown:
        raise InputError(
            Problem(f"TLS version {text!r}", "known are 1.0, 1.1, 1.2 and 1.3")
            for text in unknown
        )
    order = list(TlsVersion)
    chosen = sorted({known[text.strip().lower()] for text in texts}, key=order.index)
    if order.index(chosen[-1]) - order.index(chosen[0]) != len(chosen) - 1:
        raise InputError(
            Problem(
                "TLS versions",
                "no version between the oldest and the newest can be left out",
            )
        )
    return tuple(chosen)


def new_credentials() -> Credentials:
    """Make up credentials of the form and length that S3 clients expect."""
    return Credentials(
        access_key=f"LAB{secrets.token_hex(9).upper()[:17]}",
        secret_key=secrets.token_urlsafe(30),
    )


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a bound address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _settings(
    described: Mapping[str, Any], front: Mapping[str, Any], credentials: Credentials
) -> LabSettings:
    return parse_settings(
        LabSettings,
        {
            **described,
            "fronts": (front,),
            "credentials": (CredentialSettings.of(credentials),),
        },
    )


def _notes(server: Entry, tls: ServerTls, now: datetime) -> Iterator[str]:
    """What a person would otherwise find out from refused handshakes."""
    validity = validity_of(tls.certificates[0].chain[0])
    if not validity.contains(now):
        yield (
            f"the server certificate {server.name} is valid from "
            f"{validity.not_before:%Y-%m-%dT%H:%M:%SZ} to "
            f"{validity.not_after:%Y-%m-%dT%H:%M:%SZ}, not now"
        )
    if server.revoked_at is not None:
        yield f"the server certificate {server.name} is revoked"
    if any(
        crl.next_update_utc is not None and crl.next_update_utc < now
        for crl in tls.crls
    ):
        yield (
            "a revocation list has expired: clients are refused until "
            "`fleetsim pki crl` has written it anew"
        )
