"""Real S3 clients round-trip the same files through the lab, and all bytes are equal.

Five programs and libraries that know nothing of each other (nor of us): put, list, get,
presign and delete, from one byte to 64 MiB, which every one of them sends in parts. What
only one of them does has its own module (``test_lab_awscli``, ``test_lab_boto3``,
``test_lab_s3cmd``).
"""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import boto3
import minio
import pytest
import urllib3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from minio.deleteobjects import DeleteObject

from tests.integration.s3_lab import (
    ACCESS_KEY,
    BUCKET,
    MIB,
    SECRET_KEY,
    RunningLab,
    running_lab,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SIZES = {
    "one": 1,
    "16 KiB (ü)+&": 16 * 1024,
    "deep/er/5 MiB and a bit": 5 * MIB + 3,
    "64 MiB": 64 * MIB,
}
"""Name below the prefix, size in bytes."""


class Client(Protocol):
    """One S3 client; objects live below ``prefix``."""

    def put(self, folder: Path, prefix: str) -> None:
        """Send every file below a folder."""

    def listed(self, prefix: str) -> dict[str, int]:
        """Names below the prefix with their sizes, as the client lists them."""

    def get(self, prefix: str, folder: Path) -> None:
        """Fetch everything into a folder."""

    def presigned(self, key: str) -> str:
        """URL that opens an object for everybody; empty = the client cannot."""

    def delete(self, prefix: str) -> None:
        """Delete everything below the prefix."""


def program(name: str) -> str:
    """Path of a client program: beside this interpreter, or on PATH."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.is_file() else shutil.which(name)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return found


def call(arguments: list[str], environment: Mapping[str, str]) -> str:
    """Run a client; give its standard output."""
    kept = ("PATH", "PYENV_ROOT", "PYENV_VERSION")
    done = subprocess.run(
        arguments,
        env={**{k: os.environ[k] for k in kept if k in os.environ}, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@dataclass(frozen=True, slots=True)
class _AwsCli:
    """``aws s3``; multipart from 8 MiB."""

    lab: RunningLab
    home: Path

    def _aws(self, *arguments: str) -> str:
        (self.home / "config").write_text(
            "[default]\ns3 =\n  signature_version = s3v4\n"
        )
        return call(
            [program("aws"), "--endpoint-url", self.lab.url, "s3", *arguments],
            {
                "HOME": str(self.home),
                "AWS_CONFIG_FILE": str(self.home / "config"),
                "AWS_ACCESS_KEY_ID": ACCESS_KEY,
                "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_MAX_ATTEMPTS": "1",
            },
        )

    def put(self, folder: Path, prefix: str) -> None:
        self._aws("cp", "--recursive", str(folder), f"s3://{BUCKET}/{prefix}")

    def listed(self, prefix: str) -> dict[str, int]:
        lines = self._aws("ls", "--recursive", f"s3://{BUCKET}/{prefix}").splitlines()
        rows = [line.split(maxsplit=3) for line in lines]
        return {row[3].removeprefix(prefix): int(row[2]) for row in rows}

    def get(self, prefix: str, folder: Path) -> None:
        self._aws("cp", "--recursive", f"s3://{BUCKET}/{prefix}", str(folder))

    def presigned(self, key: str) -> str:
        return self._aws("presign", f"s3://{BUCKET}/{key}").strip()

    def delete(self, prefix: str) -> None:
        self._aws("rm", "--recursive", f"s3://{BUCKET}/{prefix}")


@dataclass(frozen=True, slots=True)
class _S3cmd:
    """``s3cmd``; multipart from 15 MiB, presigns with SigV2 only."""

    lab: RunningLab
    home: Path

    def _s3cmd(self, *arguments: str) -> str:
        config = self.home / "s3cfg"
        config.write_text(
            f"[default]\naccess_key = {ACCESS_KEY}\nsecret_key = {SECRET_KEY}\n"
            f"host_base = 127.0.0.1:{self.lab.port}\n"
            f"host_bucket = 127.0.0.1:{self.lab.port}\n"
            "bucket_location = us-east-1\nuse_https = False\nmax_retries = 1\n"
        )
        config.chmod(0o600)
        options = ["--config", str(config), "--no-progress"]
        environment = {"HOME": str(self.home), "LC_ALL": "C.UTF-8"}
        return call([program("s3cmd"), *options, *arguments], environment)

    def put(self, folder: Path, prefix: str) -> None:
        self._s3cmd("put", "--recursive", f"{folder}/", f"s3://{BUCKET}/{prefix}")

    def listed(self, prefix: str) -> dict[str, int]:
        lines = self._s3cmd("ls", "--recursive", f"s3://{BUCKET}/{prefix}").splitlines()
        rows = [line.split(maxsplit=3) for line in lines]
        start = f"s3://{BUCKET}/{prefix}"
        return {row[3].removeprefix(start): int(row[2]) for row in rows}

    def get(self, prefix: str, folder: Path) -> None:
        self._s3cmd("get", "--recursive", f"s3://{BUCKET}/{prefix}", f"{folder}/")

    def presigned(self, key: str) -> str:
        del key
        return ""

    def delete(self, prefix: str) -> None:
        self._s3cmd("del", "--recursive", "--force", f"s3://{BUCKET}/{prefix}")


@dataclass(frozen=True, slots=True)
class _Rclone:
    """``rclone``; multipart from 8 MiB here, in parts of 5 MiB."""

    lab: RunningLab
    home: Path

    def _rclone(self, *arguments: str) -> str:
        settings = {
            "TYPE": "s3",
            "PROVIDER": "Other",
            "ACCESS_KEY_ID": ACCESS_KEY,
            "SECRET_ACCESS_KEY": SECRET_KEY,
            "ENDPOINT": self.lab.url,
            "REGION": "us-east-1",
            "UPLOAD_CUTOFF": "8Mi",
            "CHUNK_SIZE": "5Mi",
        }
        options = [
            "--config",
            "/dev/null",
            "--retries",
            "1",
            "--low-level-retries",
            "1",
        ]
        return call(
            [program("rclone"), *options, *arguments],
            {
                "HOME": str(self.home),
                **{f"RCLONE_CONFIG_LAB_{name}": v for name, v in settings.items()},
            },
        )

    def put(self, folder: Path, prefix: str) -> None:
        self._rclone("copy", str(folder), f"lab:{BUCKET}/{prefix}")

    def listed(self, prefix: str) -> dict[str, int]:
        where = f"lab:{BUCKET}/{prefix}"
        lines = self._rclone("lsf", "-R", "--files-only", "--format", "sp", where)
        rows = [line.split(";", 1) for line in lines.splitlines()]
        return {name: int(size) for size, name in rows}

    def get(self, prefix: str, folder: Path) -> None:
        self._rclone("copy", f"lab:{BUCKET}/{prefix}", str(folder))

    def presigned(self, key: str) -> str:
        return self._rclone("link", "--expire", "5m", f"lab:{BUCKET}/{key}").strip()

    def delete(self, prefix: str) -> None:
        self._rclone("delete", f"lab:{BUCKET}/{prefix}")


@dataclass(frozen=True, slots=True)
class _Boto3:
    """boto3's transfer manager; multipart from 8 MiB, with CRC-32 checksums."""

    lab: RunningLab
    home: Path

    @property
    def _s3(self) -> Any:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.lab.url,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(signature_version="s3v4", retries={"total_max_attempts": 1}),
        )

    def put(self, folder: Path, prefix: str) -> None:
        transfer = TransferConfig(multipart_threshold=8 * MIB)
        for path in files(folder):
            key = prefix + path.relative_to(folder).as_posix()
            self._s3.upload_file(str(path), BUCKET, key, Config=transfer)

    def listed(self, prefix: str) -> dict[str, int]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=BUCKET, Prefix=prefix, PaginationConfig={"PageSize": 3}
        )
        entries = [entry for page in pages for entry in page["Contents"]]
        return {each["Key"].removeprefix(prefix): each["Size"] for each in entries}

    def get(self, prefix: str, folder: Path) -> None:
        for name in self.listed(prefix):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self._s3.download_file(BUCKET, prefix + name, str(path))

    def presigned(self, key: str) -> str:
        where = {"Bucket": BUCKET, "Key": key}
        url: str = self._s3.generate_presigned_url("get_object", Params=where)
        return url

    def delete(self, prefix: str) -> None:
        keys = [{"Key": prefix + name} for name in self.listed(prefix)]
        self._s3.delete_objects(Bucket=BUCKET, Delete={"Objects": keys})


@dataclass(frozen=True, slots=True)
class _MinioPy:
    """minio-py, a signer and an XML reader of its own; parts of 5 MiB here."""

    lab: RunningLab
    home: Path

    @property
    def _s3(self) -> minio.Minio:
        return minio.Minio(
            f"127.0.0.1:{self.lab.port}",
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            secure=False,
            region="us-east-1",
        )

    def put(self, folder: Path, prefix: str) -> None:
        for path in files(folder):
            key = prefix + path.relative_to(folder).as_posix()
            self._s3.fput_object(BUCKET, key, str(path), part_size=5 * MIB)

    def listed(self, prefix: str) -> dict[str, int]:
        found = self._s3.list_objects(BUCKET, prefix=prefix, recursive=True)
        return {
            (each.object_name or "").removeprefix(prefix): each.size or 0
            for each in found
        }

    def get(self, prefix: str, folder: Path) -> None:
        for name in self.listed(prefix):
            self._s3.fget_object(BUCKET, prefix + name, str(folder / name))

    def presigned(self, key: str) -> str:
        return self._s3.presigned_get_object(BUCKET, key, expires=timedelta(minutes=5))

    def delete(self, prefix: str) -> None:
        names = [DeleteObject(prefix + name) for name in self.listed(prefix)]
        assert list(self._s3.remove_objects(BUCKET, names)) == []


def files(folder: Path) -> list[Path]:
    """Every file below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    """One lab for all clients; each has its own prefix."""
    with running_lab() as running:
        yield running


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files all clients send."""
    folder = tmp_path_factory.mktemp("source")
    for name, size in SIZES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(random.Random(size).randbytes(size))
    return folder


@pytest.mark.parametrize(
    "make",
    [_AwsCli, _S3cmd, _Rclone, _Boto3, _MinioPy],
    ids=lambda make: make.__name__[1:],
)
def test_round_trip(
    lab: RunningLab,
    source: Path,
    tmp_path: Path,
    make: Callable[[RunningLab, Path], Client],
) -> None:
    """What a client puts is listed, comes back byte for byte, and goes when deleted."""
    client = make(lab, tmp_path)
    prefix = f"{make.__name__[1:]}/"
    client.put(source, prefix)
    stored = lab.store.buckets[BUCKET].objects
    assert stored[f"{prefix}64 MiB"].etag.rpartition("-")[2].isdigit(), "not in parts"
    assert client.listed(prefix) == SIZES
    back = tmp_path / "back"
    back.mkdir()
    client.get(prefix, back)
    assert {path.relative_to(back).as_posix() for path in files(back)} == set(SIZES)
    for name in SIZES:
        assert (back / name).read_bytes() == (source / name).read_bytes(), name
    for name in ("one", "16 KiB (ü)+&"):
        url = client.presigned(prefix + name)
        if url:
            answer = urllib3.request("GET", url)
            assert answer.status == 200, answer.data
            assert answer.data == (source / name).read_bytes()
    client.delete(prefix)
    assert [key for key in stored if key.startswith(prefix)] == []


@pytest.mark.parametrize("by", ["boto3", "minio-py"])
def test_presigned_put(lab: RunningLab, tmp_path: Path, by: str) -> None:
    """A URL made by a library lets somebody without keys store an object."""
    key = f"presigned/{by} & ü"
    if by == "boto3":
        where = {"Bucket": BUCKET, "Key": key}
        url = _Boto3(lab, tmp_path)._s3.generate_presigned_url(
            "put_object", Params=where
        )
    else:
        url = _MinioPy(lab, tmp_path)._s3.presigned_put_object(BUCKET, key)
    answer = urllib3.request("PUT", url, body=b"from a stranger")
    assert answer.status == 200, answer.data
    assert lab.store.buckets[BUCKET].objects[key].size == 15
    forged = url.replace("X-Amz-Signature=", "X-Amz-Signature=0")
    assert urllib3.request("PUT", forged).status == 403
