"""The lab's S3 endpoint as s3cmd sees it: a signer that is not of AWS's making."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.s3_lab import (
    ACCESS_KEY,
    BUCKET,
    MIB,
    SECRET_KEY,
    RunningLab,
    running_lab,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    """One lab; every test has keys of its own."""
    if shutil.which("s3cmd") is None:
        if os.environ.get("CI"):
            pytest.fail("s3cmd is not installed")
        pytest.skip("s3cmd is not installed")
    with running_lab() as running:
        yield running


@pytest.fixture
def config(lab: RunningLab, tmp_path: Path) -> Path:
    """Write a configuration file for the lab."""
    path = tmp_path / "s3cfg"
    path.write_text(
        "[default]\n"
        f"access_key = {ACCESS_KEY}\n"
        f"secret_key = {SECRET_KEY}\n"
        f"host_base = 127.0.0.1:{lab.port}\n"
        f"host_bucket = 127.0.0.1:{lab.port}\n"
        "bucket_location = us-east-1\n"
        "use_https = False\n"
        "signature_v2 = False\n"
        "max_retries = 1\n",
        encoding="utf-8",
    )
    path.chmod(0o600)
    return path


def s3cmd(config: Path, *arguments: str) -> str:
    """Run ``s3cmd``."""
    done = subprocess.run(
        ["s3cmd", "--config", str(config), "--no-progress", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_put_get_info_del(lab: RunningLab, config: Path, tmp_path: Path) -> None:
    """Files of all sizes go up and come back equal; 20 MiB goes in parts."""
    for size in (1, 16 * 1024, 20 * MIB):
        body = random.Random(size).randbytes(size)
        source, back = tmp_path / f"up {size}", tmp_path / f"down {size}"
        source.write_bytes(body)
        target = f"s3://{BUCKET}/put/ü (1)+{size}"
        s3cmd(config, "put", "--add-header=x-amz-meta-fw:01.07.05", str(source), target)
        s3cmd(config, "get", target, str(back))
        assert back.read_bytes() == body
        info = s3cmd(config, "ls", target)
        assert info.split()[2] == str(size)
    stored = lab.store.buckets[BUCKET].objects[f"put/ü (1)+{20 * MIB}"]
    assert stored.etag.endswith("-2")
    assert ("x-amz-meta-fw", "01.07.05") in stored.headers
    s3cmd(config, "del", "--recursive", "--force", f"s3://{BUCKET}/put/")
    assert not [key for key in lab.store.buckets[BUCKET].objects if key[:4] == "put/"]


def test_sync_cp_mv(lab: RunningLab, config: Path, tmp_path: Path) -> None:
    """Trees and copies inside the store keep every byte."""
    tree = tmp_path / "tree"
    tree.mkdir()
    for index in range(5):
        (tree / f"{index}.bin").write_bytes(random.Random(index).randbytes(500 + index))
    s3cmd(config, "sync", f"{tree}/", f"s3://{BUCKET}/s/")
    s3cmd(config, "cp", f"s3://{BUCKET}/s/0.bin", f"s3://{BUCKET}/s/copy")
    s3cmd(config, "mv", f"s3://{BUCKET}/s/1.bin", f"s3://{BUCKET}/s/moved")
    back = tmp_path / "back"
    back.mkdir()
    s3cmd(config, "sync", f"s3://{BUCKET}/s/", f"{back}/")
    assert sorted(path.name for path in back.iterdir()) == sorted(
        ["0.bin", "2.bin", "3.bin", "4.bin", "copy", "moved"]
    )
    assert (back / "copy").read_bytes() == (tree / "0.bin").read_bytes()
    assert (back / "moved").read_bytes() == (tree / "1.bin").read_bytes()
    assert lab.store.buckets[BUCKET].objects["s/copy"].size == 500


def test_buckets(lab: RunningLab, config: Path) -> None:
    """Buckets are made, listed and removed."""
    s3cmd(config, "mb", "s3://from-s3cmd")
    assert "s3://from-s3cmd" in s3cmd(config, "ls")
    s3cmd(config, "rb", "s3://from-s3cmd")
    assert "from-s3cmd" not in lab.store.buckets
