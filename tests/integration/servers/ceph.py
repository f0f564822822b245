"""Ceph RADOS Gateway: one monitor, one object store in memory, one gateway.

Debian packages ``radosgw ceph-mon ceph-osd ceph-common``; no systemd, block device or
manager daemon is needed. Objects take two to three times their size in memory.
"""

import json
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.integration.servers.process import (
    ServerFailedError,
    answers,
    executable,
    free_ports,
    running,
    wait_until,
)
from tests.integration.servers.s3_server import ACCESS_KEY, SECRET_KEY, S3Server

GATEWAY: Final = "client.rgw.a"
USER: Final = "fleet"
_CONFIG: Final = """\
[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{mon2},v1:127.0.0.1:{mon1}]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
keyring = {folder}/keyring
auth_allow_insecure_global_id_reclaim = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 8
osd_pool_default_pg_autoscale_mode = off
mon_allow_pool_size_one = true
osd_crush_chooseleaf_type = 0
mon_max_pg_per_osd = 1000
admin_socket = {folder}/$name.asok
log_file = {folder}/$name.log
pid_file = {folder}/$name.pid
run_dir = {folder}
crash_dir = {folder}/crash
[mon]
mon_data = {folder}/mon
keyring = {folder}/mon/keyring
mon_cluster_log_file = {folder}/cluster.log
mon_data_avail_warn = 2
mon_data_avail_crit = 1
[osd]
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = {store_bytes}
osd_op_num_shards = 2
osd_op_num_threads_per_shard = 2
[{gateway}]
rgw_data = {folder}/rgw
rgw_frontends = beast endpoint=127.0.0.1:{port}
rgw_thread_pool_size = 64
rgw_run_sync_thread = false
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class CephServer(S3Server):
    """A gateway, and how to administer it.

    Attributes:
        config: Configuration file of the cluster.
        socket: Admin socket of the gateway.
        pid: Process id of the gateway.
    """

    config: Path
    socket: Path
    pid: int

    def admin(self, *arguments: str) -> str:
        """Run ``radosgw-admin``; returns what it printed."""
        return _output("radosgw-admin", "-c", self.config, *arguments)

    def set_option(self, name: str, value: str) -> None:
        """Change an option of the running gateway."""
        _output("ceph", "daemon", self.socket, "config", "set", name, value)

    def counters(self) -> dict[str, Any]:
        """The gateway's own performance counters, section ``rgw``."""
        dump = json.loads(_output("ceph", "daemon", self.socket, "perf", "dump"))
        counters: dict[str, Any] = dump["rgw"]
        return counters


@contextmanager
def ceph(folder: Path, *, store_bytes: int = 4 * 1024**3) -> Iterator[CephServer]:
    """Run a cluster of one until the block ends; usable after some 13 seconds.

    Args:
        folder: Empty or missing, path shorter than 80 characters (sockets).
        store_bytes: What it says its memory can hold.

    Raises:
        MissingServerError: It is not installed.
        ServerFailedError: It did not start.
    """
    for name in ("ceph-mon", "ceph-osd", "radosgw", "radosgw-admin", "ceph"):
        executable(name)
    for name in ("mon", "osd", "rgw", "crash"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    mon2, mon1, port = free_ports(3)
    config = folder / "ceph.conf"
    config.write_text(
        _CONFIG.format(
            fsid=uuid.uuid4(),
            folder=folder,
            mon2=mon2,
            mon1=mon1,
            store_bytes=store_bytes,
            gateway=GATEWAY,
            port=port,
        )
    )
    _make_keys_and_monitor(folder, config, f"[v2:127.0.0.1:{mon2},v1:127.0.0.1:{mon1}]")
    with ExitStack() as stack:

        def start(*arguments: str) -> subprocess.Popen[bytes]:
            log = folder / f"{arguments[0]}.out"
            return stack.enter_context(
                running((*arguments, "-f", "-c", str(config)), log)
            )

        start("ceph-mon", "-i", "a")
        osd_uuid = str(uuid.uuid4())
        _output("timeout", "60", "ceph", "-c", config, "osd", "new", osd_uuid)
        osd = ("ceph-osd", "-i", "0", "-c", config)
        _output(*osd, "--mkfs", "--osd-uuid", osd_uuid)
        store = start("ceph-osd", "-i", "0")
        wait_until(
            lambda: "1 up" in _output("ceph", "-c", config, "osd", "stat"),
            "Ceph's object store",
            store,
            log=folder / "ceph-osd.out",
        )
        gateway = start("radosgw", "-n", GATEWAY)
        server = CephServer(
            name="Ceph RGW",
            port=port,
            config=config,
            socket=folder / f"{GATEWAY}.asok",
            pid=gateway.pid,
        )
        # It makes its pools first.
        wait_until(
            lambda: answers(f"{server.url}/"),
            server.name,
            gateway,
            log=folder / "radosgw.out",
        )
        server.admin(
            *("user", "create", f"--uid={USER}", f"--display-name={USER}"),
            *(f"--access-key={ACCESS_KEY}", f"--secret-key={SECRET_KEY}"),
        )
        yield server


def _make_keys_and_monitor(folder: Path, config: Path, addresses: str) -> None:
    """Make the cluster's keys and the monitor's store."""
    keys, mon_keys, monmap = folder / "keyring", folder / "monkeys", folder / "monmap"
    everything = ("--cap", "mon", "allow *", "--cap", "osd", "allow *")
    fsid = next(
        line.split(" = ")[1]
        for line in config.read_text().splitlines()
        if line.startswith("fsid")
    )
    _output("monmaptool", "--create", "--fsid", fsid, "--addv", "a", addresses, monmap)
    for arguments in (
        ("--create-keyring", keys, "--gen-key", "-n", "client.admin", *everything),
        (
            *(keys, "--gen-key", "-n", "osd.0"),
            *("--cap", "mon", "allow profile osd", "--cap", "osd", "allow *"),
        ),
        (
            *(keys, "--gen-key", "-n", GATEWAY),
            *("--cap", "mon", "allow rw", "--cap", "osd", "allow rwx"),
        ),
        (
            *("--create-keyring", mon_keys, "--gen-key", "-n", "mon."),
            *("--cap", "mon", "allow *"),
        ),
        (mon_keys, "--import-keyring", keys),
    ):
        _output("ceph-authtool", *arguments)
    monitor = ("ceph-mon", "-i", "a", "-c", config)
    _output(*monitor, "--mkfs", "--monmap", monmap, "--keyring", mon_keys)


def _output(name: str, *arguments: str | Path) -> str:
    done = subprocess.run(
        [executable(name), *map(str, arguments)],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if done.returncode:
        shown = f"{name} {arguments[0]}"
        raise ServerFailedError(f"{shown}: {done.stderr.strip()[-500:]}")
    return done.stdout
