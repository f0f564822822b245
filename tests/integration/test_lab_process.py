"""The lab in its own process: start, commands, death; boto3 as client over TLS."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from fleetsim.exceptions import InputError, TargetError
from fleetsim.lab.process import LabProcess
from fleetsim.lab.settings import (
    CertificateFiles,
    FrontSettings,
    LabAddress,
    LabSettings,
    TlsSettings,
)
from fleetsim.pki.leaves import Leaf
from tests.lab.tls_clients import PumpClient, client_connection, root, server

SECRET = "a-secret-nobody-may-see"


def write_pair(folder: Path, name: str, leaf: Leaf) -> CertificateFiles:
    """Write a chain and its key as the lab wants them."""
    chain, key = folder / f"{name}.pem", folder / f"{name}.key"
    chain.write_bytes(leaf.chain_pem())
    key.touch(mode=0o600)
    key.write_bytes(leaf.key_pem())
    return CertificateFiles(chain_path=chain, key_path=key)


def lab_settings(folder: Path, **changes: Any) -> LabSettings:
    """A lab with a plain and a TLS front."""
    tls = TlsSettings(certificates=(write_pair(folder, "server", server("localhost")),))
    values: dict[str, Any] = {
        "fronts": (
            FrontSettings(name="plain", scheme="http"),
            FrontSettings(name="tls", tls=tls),
        ),
        "credentials": ({"access_key": "AKTEST", "secret_key": SECRET},),
    }
    return LabSettings.model_validate({**values, **changes})


@pytest.fixture
async def lab() -> AsyncIterator[LabProcess]:
    """A process that does not outlive the test."""
    process = LabProcess()
    yield process
    await process.stop(grace_s=0.1)
    assert not process.is_running


def s3_client(address: LabAddress, folder: Path, front: str = "tls") -> Any:
    """Make a boto3 client with its defaults: checksums in trailers over https."""
    boto3 = pytest.importorskip("boto3")
    config = pytest.importorskip("botocore.config")
    ca = folder / "root.pem"
    ca.write_bytes(root("root").certificate.public_bytes(Encoding.PEM))
    host, port = address.fronts[front]
    scheme = "https" if front == "tls" else "http"
    return boto3.client(
        "s3",
        endpoint_url=f"{scheme}://{host}:{port}",
        aws_access_key_id="AKTEST",
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        verify=str(ca),
        config=config.Config(retries={"total_max_attempts": 1}),
    )


async def test_boto3_stores_and_reads_over_tls(lab: LabProcess, tmp_path: Path) -> None:
    """Boto3 with its default checksums puts and gets through the TLS front."""
    address = await lab.start(lab_settings(tmp_path))
    client = s3_client(address, tmp_path)
    body = os.urandom(3 * 1024 * 1024 + 1)

    def use() -> tuple[str, bytes, str]:
        put = client.put_object(Bucket="fleet", Key="a/b.MF4", Body=body)
        got = client.get_object(Bucket="fleet", Key="a/b.MF4")["Body"].read()
        listed = client.list_objects_v2(Bucket="fleet")["Contents"][0]["Key"]
        client.close()
        return put["ETag"], got, listed

    etag, got, listed = await asyncio.to_thread(use)
    assert etag.strip('"') == hashlib.md5(body, usedforsecurity=False).hexdigest()
    assert got == body
    assert listed == "a/b.MF4"
    stats = await lab.request("stats")
    assert stats["requests"]["by_status"] == {"200": 3}
    assert stats["requests"]["by_operation"]["PutObject"] == 1
    assert stats["fronts"]["tls"]["handshakes"] == {"ok": 1}
    assert stats["store"] == {"objects": 1, "bytes": len(body)}


async def test_folder_store_outlives_the_lab(tmp_path: Path) -> None:
    """Objects kept in a folder are there when a new lab opens it."""
    settings = lab_settings(tmp_path, store={"folder": str(tmp_path / "objects")})
    first, second = LabProcess(), LabProcess()
    client = s3_client(await first.start(settings), tmp_path)
    await asyncio.to_thread(
        client.put_object, Bucket="fleet", Key="log/1.MF4", Body=b"kept"
    )
    client.close()
    await first.stop()
    client = s3_client(await second.start(settings), tmp_path, "plain")
    got = await asyncio.to_thread(client.get_object, Bucket="fleet", Key="log/1.MF4")
    assert got["Body"].read() == b"kept"
    client.close()
    await second.stop()


async def test_commands_change_the_running_lab(lab: LabProcess, tmp_path: Path) -> None:
    """Certificates and credentials are swapped while the lab serves."""
    address = await lab.start(lab_settings(tmp_path))
    port = address.fronts["tls"][1]
    new = write_pair(tmp_path, "new", server("new.example"))
    await lab.request(
        "swap_front",
        front="tls",
        tls=TlsSettings(certificates=(new,)).model_dump(mode="json"),
    )
    fresh = await (
        await PumpClient.connect(port, client_connection(host="new.example"))
    ).opened()
    assert fresh.failure is None
    fresh.close()
    log = await lab.request("handshake_log", front="tls")
    assert [entry["server_name"] for entry in log["entries"]] == ["new.example"]
    later = await lab.request("handshake_log", front="tls", after=1)
    assert later == {"entries": [], "total": 1}

    client = s3_client(address, tmp_path, "plain")
    await lab.request("remove_credentials", access_key="AKTEST")

    def refused() -> str:
        with pytest.raises(client.exceptions.ClientError) as caught:
            client.list_buckets()
        return str(caught.value.response["Error"]["Code"])

    assert await asyncio.to_thread(refused) == "InvalidAccessKeyId"
    await lab.request("add_credentials", access_key="AKTEST", secret_key=SECRET)
    buckets = await asyncio.to_thread(client.list_buckets)
    assert [bucket["Name"] for bucket in buckets["Buckets"]] == ["fleet"]
    client.close()


async def test_reload_reads_the_files_again(lab: LabProcess, tmp_path: Path) -> None:
    """A certificate replaced on disk is shown after ``reload``, a bad one is refused."""
    address = await lab.start(lab_settings(tmp_path))
    port = address.fronts["tls"][1]
    write_pair(tmp_path, "server", server("new.example"))
    assert await lab.request("reload") == {"reloaded": ["tls"]}
    (tmp_path / "server.pem").write_text("nonsense")
    with pytest.raises(InputError, match=r"server\.pem"):
        await lab.request("reload", front="tls")
    fresh = await (
        await PumpClient.connect(port, client_connection(host="new.example"))
    ).opened()
    assert fresh.failure is None
    fresh.close()


async def test_refusals_name_every_problem(lab: LabProcess, tmp_path: Path) -> None:
    """What the child refuses reaches the caller as input problems, all at once."""
    tls = TlsSettings(
        certificates=(
            CertificateFiles(
                chain_path=tmp_path / "none.pem", key_path=tmp_path / "none.key"
            ),
        )
    )
    settings = LabSettings(
        fronts=(FrontSettings(name="one", tls=tls), FrontSettings(name="two", tls=tls))
    )
    with pytest.raises(InputError) as caught:
        await lab.start(settings)
    assert len(caught.value.problems) == 4
    assert not lab.is_running


async def test_port_in_use_is_an_input_problem(lab: LabProcess, tmp_path: Path) -> None:
    """A second lab on the same port says so and ends."""
    address = await lab.start(lab_settings(tmp_path))
    taken = FrontSettings(name="again", scheme="http", port=address.fronts["plain"][1])
    second = LabProcess()
    with pytest.raises(InputError, match="in use"):
        await second.start(LabSettings(fronts=(taken,)))
    assert not second.is_running


@pytest.mark.parametrize("core", [100_000, -1])
async def test_unknown_core_is_an_input_problem(
    lab: LabProcess, tmp_path: Path, core: int
) -> None:
    """A core this machine does not have is refused."""
    with pytest.raises(InputError, match="cpu"):
        await lab.start(lab_settings(tmp_path), cpu=core)


async def test_child_runs_on_the_core_it_was_given(
    lab: LabProcess, tmp_path: Path
) -> None:
    """Pinning is real, also from a parent that is pinned elsewhere."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        await lab.start(lab_settings(tmp_path), cpu=max(cores))
    finally:
        os.sched_setaffinity(0, cores)
    assert os.sched_getaffinity(lab.pid) == {max(cores)}


async def test_secrets_leave_no_trace(lab: LabProcess, tmp_path: Path) -> None:
    """The secret is neither in the child's arguments nor in its environment."""
    await lab.start(lab_settings(tmp_path))
    process = Path(f"/proc/{lab.pid}")
    for name in ("cmdline", "environ"):
        assert SECRET.encode() not in (process / name).read_bytes()
    assert SECRET not in repr(lab_settings(tmp_path))
    stats = json.dumps(await lab.request("stats"))
    assert SECRET not in stats


async def test_killed_child_is_reported(lab: LabProcess, tmp_path: Path) -> None:
    """Death by signal ends waiting requests with words for people."""
    await lab.start(lab_settings(tmp_path))
    os.kill(lab.pid, signal.SIGKILL)
    assert "ended by signal 9" in await lab.wait_ended()
    with pytest.raises(TargetError, match="not running"):
        await lab.request("stats")


async def test_last_words_are_reported(
    lab: LabProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that cannot even start is quoted."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    script = "#!/bin/sh\necho the reason it failed >&2\nexit 7\n"
    (tmp_path / "python").write_text(script)
    (tmp_path / "python").chmod(0o700)
    with pytest.raises(TargetError, match="exit code 7") as caught:
        await lab.start(lab_settings(tmp_path))
    assert "the reason it failed" in str(caught.value)


async def test_silent_child_meets_the_deadline(
    lab: LabProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child that never gets ready is killed at the deadline."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "python").chmod(0o700)
    with pytest.raises(TargetError, match="not ready"):
        await lab.start(lab_settings(tmp_path), deadline_s=0.2)
    assert not lab.is_running


async def test_stop_returns_the_last_figures(tmp_path: Path) -> None:
    """Stopping twice is harmless; the first answers with the figures."""
    lab = LabProcess()
    await lab.start(lab_settings(tmp_path))
    stats = await lab.stop()
    assert stats["requests"]["total"] == 0
    assert await lab.wait_ended() == "ended with exit code 0"
    assert await lab.stop() == {}


PARENT = """
import asyncio, json, sys
from fleetsim.lab.process import LabProcess
from fleetsim.lab.settings import FrontSettings, LabSettings

async def main():
    lab = LabProcess()
    await lab.start(LabSettings(fronts=(FrontSettings(name="a", scheme="http"),)))
    print(lab.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_child_does_not_outlive_a_killed_parent() -> None:
    """When the parent dies without a word the lab ends by itself."""
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=subprocess.PIPE, env={"PYTHONPATH": "."}
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    descriptor = os.pidfd_open(pid)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    parent.kill()
    await parent.wait()
    await ended.wait()
    loop.remove_reader(descriptor)
    os.close(descriptor)
