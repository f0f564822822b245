"""OpenStack Swift with its S3 API: five small servers and memcached (Debian).

Of all the servers here it checks a signature most strictly, region included.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.integration.servers.process import (
    answers,
    executable,
    free_ports,
    running,
    wait_until,
)
from tests.integration.servers.s3_server import ACCESS_KEY, SECRET_KEY, S3Server

_ACCOUNT: Final = "fleet"
_COMMON: Final = """\
[DEFAULT]
swift_dir = {folder}/etc
bind_ip = 127.0.0.1
bind_port = {port}
user = {user}
log_udp_host = 127.0.0.1
log_udp_port = 9
log_level = WARNING
"""
_STORE: Final = """\
devices = {folder}/srv
mount_check = false
workers = 1
disable_fallocate = true
fallocate_reserve = 0
recon_cache_path = {folder}/cache
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
_PROXY: Final = """\
workers = 2
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck proxy-logging cache bulk s3api tempauth slo dlo versioned_writes proxy-logging proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
[filter:tempauth]
use = egg:swift#tempauth
user_{account}_{access_key} = {secret_key} .admin
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{cache_port}
[filter:proxy-logging]
use = egg:swift#proxy_logging
"""
_FILTERS: Final = (
    *("slo", "dlo", "versioned_writes", "bulk", "catch_errors", "gatekeeper"),
    "healthcheck",
)


@contextmanager
def swift(folder: Path) -> Iterator[S3Server]:
    """Run Swift until the block ends; usable after some four seconds.

    Args:
        folder: Empty or missing; one that user ``swift`` may enter when this is root.

    Raises:
        MissingServerError: It is not installed.
        ServerFailedError: It did not start.
    """
    for name in ("swift-proxy-server", "swift-ring-builder", "memcached"):
        executable(name)
    for name in ("etc", "srv/d1", "cache"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    port, cache_port, *store_ports = free_ports(5)
    user = "swift" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    stores = tuple(zip(("account", "container", "object"), store_ports, strict=True))
    _write_settings(folder, user, stores, port, cache_port)
    if user == "swift":
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, user)
    server = S3Server(
        name="OpenStack Swift", port=port, access_key=f"{_ACCOUNT}:{ACCESS_KEY}"
    )
    with ExitStack() as stack:
        memcached = ("memcached", "-l", "127.0.0.1", "-m", "32", "-u", user)
        stack.enter_context(
            running((*memcached, "-p", str(cache_port)), folder / "memcached.log")
        )
        started = [
            stack.enter_context(
                running(
                    (f"swift-{kind}-server", folder / "etc" / f"{kind}-server.conf"),
                    folder / f"{kind}.log",
                    stop_s=0.5,
                )
            )
            for kind in ("account", "container", "object", "proxy")
        ]
        wait_until(
            lambda: answers(f"{server.url}/healthcheck"),
            server.name,
            *started,
            log=folder / "proxy.log",
        )
        yield server


def _write_settings(
    folder: Path,
    user: str,
    stores: tuple[tuple[str, int], ...],
    port: int,
    cache_port: int,
) -> None:
    etc = folder / "etc"
    (etc / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = a\nswift_hash_path_prefix = b\n"
    )
    builder = executable("swift-ring-builder")
    for kind, store_port in stores:
        common = _COMMON.format(folder=folder, port=store_port, user=user)
        text = common + _STORE.format(folder=folder, kind=kind)
        (etc / f"{kind}-server.conf").write_text(text)
        for arguments in (
            ("create", "8", "1", "1"),
            ("add", f"r1z1-127.0.0.1:{store_port}/d1", "1"),
            ("rebalance",),
        ):
            # Rebalancing a ring of one device ends with a warning, exit code 1.
            subprocess.run(
                [builder, f"{kind}.builder", *arguments],
                cwd=etc,
                stdout=subprocess.DEVNULL,
                check=False,
            )
    proxy = etc / "proxy-server.conf"
    proxy.touch(0o600)
    proxy.write_text(
        _COMMON.format(folder=folder, port=port, user=user)
        + _PROXY.format(
            account=_ACCOUNT,
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            cache_port=cache_port,
        )
        + "".join(f"[filter:{name}]\nuse = egg:swift#{name}\n" for name in _FILTERS)
    )
