"""The lab's S3 endpoint as the AWS command line sees it."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3

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
    if shutil.which("aws") is None:
        if os.environ.get("CI"):
            pytest.fail("the AWS command line is not installed")
        pytest.skip("the AWS command line is not installed")
    with running_lab() as running:
        yield running


def aws(lab: RunningLab, home: Path, *arguments: str) -> str:
    """Run ``aws`` against the lab, with no configuration but ours."""
    done = subprocess.run(
        ["aws", "--endpoint-url", lab.url, *arguments],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYENV_ROOT": os.environ.get("PYENV_ROOT", ""),
            "PYENV_VERSION": os.environ.get("PYENV_VERSION", ""),
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_cp_ls_rm(lab: RunningLab, tmp_path: Path) -> None:
    """Files of all sizes go up and come back equal; 20 MiB goes in parts."""
    for size in (0, 1, 16 * 1024, 20 * MIB):
        body = random.Random(size).randbytes(size)
        source, back = tmp_path / f"up {size}", tmp_path / f"down {size}"
        source.write_bytes(body)
        target = f"s3://{BUCKET}/cp/é +{size}"
        aws(lab, tmp_path, "s3", "cp", str(source), target)
        aws(lab, tmp_path, "s3", "cp", target, str(back))
        assert back.read_bytes() == body
    listing = aws(lab, tmp_path, "s3", "ls", f"s3://{BUCKET}/cp/")
    sizes = [int(line.split()[2]) for line in listing.splitlines()]
    assert sizes == [0, 1, 16 * 1024, 20 * MIB]
    aws(
        lab,
        tmp_path,
        "s3",
        "cp",
        f"s3://{BUCKET}/cp/é +{20 * MIB}",
        f"s3://{BUCKET}/cp/copy",
    )
    aws(lab, tmp_path, "s3", "rm", "--recursive", f"s3://{BUCKET}/cp/")
    assert not [key for key in lab.store.buckets[BUCKET].objects if key[:3] == "cp/"]


def test_sync(lab: RunningLab, tmp_path: Path) -> None:
    """A tree goes up and comes back the same; syncing again transfers nothing."""
    tree = tmp_path / "tree"
    for index in range(12):
        path = tree / f"{index % 3:08X}" / "00000001" / f"{index:08d}-5E0BE100.MF4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(index).randbytes(1000 + index))
    aws(lab, tmp_path, "s3", "sync", str(tree), f"s3://{BUCKET}/sync")
    assert not aws(lab, tmp_path, "s3", "sync", str(tree), f"s3://{BUCKET}/sync")
    aws(lab, tmp_path, "s3", "sync", f"s3://{BUCKET}/sync", str(tmp_path / "back"))
    for path in tree.rglob("*.MF4"):
        copy = tmp_path / "back" / path.relative_to(tree)
        assert copy.read_bytes() == path.read_bytes()


def test_presign(lab: RunningLab, tmp_path: Path) -> None:
    """A URL presigned by the command line opens."""
    # Version 1 of the command line still presigns with SigV2 unless told otherwise.
    aws(lab, tmp_path, "configure", "set", "default.s3.signature_version", "s3v4")
    (tmp_path / "f").write_bytes(b"for everyone")
    aws(lab, tmp_path, "s3", "cp", str(tmp_path / "f"), f"s3://{BUCKET}/pre/f")
    url = aws(lab, tmp_path, "s3", "presign", f"s3://{BUCKET}/pre/f").strip()
    answer = urllib3.request("GET", url)
    assert (answer.status, answer.data) == (200, b"for everyone")


def test_buckets(lab: RunningLab, tmp_path: Path) -> None:
    """Buckets are made, listed and removed."""
    aws(lab, tmp_path, "s3", "mb", "s3://from-the-cli")
    assert "from-the-cli" in aws(lab, tmp_path, "s3", "ls")
    aws(lab, tmp_path, "s3", "rb", "s3://from-the-cli")
    assert "from-the-cli" not in lab.store.buckets
