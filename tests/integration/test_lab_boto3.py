"""The lab's S3 endpoint as boto3 sees it."""

import hashlib
import io
import random
import socket
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import boto3
import pytest
import trustme
import urllib3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetsim.core.settings import Credentials
from fleetsim.lab.folder_store import FolderStore
from fleetsim.lab.object_store import MemoryStore, ObjectStore
from tests.integration.s3_lab import (
    ACCESS_KEY,
    BUCKET,
    MIB,
    SECRET_KEY,
    RunningLab,
    lab_settings,
    running_lab,
)

ALGORITHMS = ("CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256")
# What S3 calls legal: UTF-8 of 1 to 1,024 bytes.
KEYS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00"),
    min_size=1,
    max_size=200,
).filter(lambda key: len(key.encode()) <= 1024)


def client(lab: RunningLab, *, verify: str | None = None, **options: Any) -> Any:
    """Make a client with boto3's defaults, but no retries."""
    style = options.pop("style", "path")
    given_keys = options.pop(
        "keys", {"aws_access_key_id": ACCESS_KEY, "aws_secret_access_key": SECRET_KEY}
    )
    return boto3.session.Session().client(
        "s3",
        endpoint_url=options.pop("url", lab.url),
        region_name="us-east-1",
        verify=verify,
        config=Config(
            retries={"total_max_attempts": 1},
            s3={"addressing_style": style},
            **options,
        ),
        **given_keys,
    )


def code_of(action: Callable[[], object]) -> tuple[str, int]:
    """Return the error code and status that an action ends in."""
    with pytest.raises(ClientError) as caught:
        action()
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    """Each kind of store."""
    if request.param == "memory":
        return MemoryStore()
    return FolderStore(tmp_path / "store")


@pytest.fixture
def lab(store: ObjectStore) -> Iterator[RunningLab]:
    """A lab on each kind of store."""
    with running_lab(store=store) as running:
        yield running


@pytest.fixture(scope="module")
def shared_lab() -> Iterator[RunningLab]:
    """One lab for tests that only add keys of their own."""
    with running_lab() as running:
        yield running


@pytest.fixture(scope="module")
def tls_lab(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RunningLab, str]]:
    """A lab behind the standard library's TLS, and the path of its CA."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "fleet.localhost").configure_cert(context)
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    with running_lab(tls=context) as running:
        yield running, str(path)


@pytest.mark.parametrize("size", [0, 1, 16 * 1024, 1 * MIB, 5 * MIB + 1])
def test_put_get_head_round_trip(lab: RunningLab, size: int) -> None:
    """A body comes back byte for byte, with its MD5 as ETag."""
    s3 = client(lab)
    body = random.Random(size).randbytes(size)
    put = s3.put_object(
        Bucket=BUCKET,
        Key="0000A1B2/00000001/00000001-5E0BE100.MF4",
        Body=body,
        ContentType="application/x-mf4",
        CacheControl="no-store",
        ContentEncoding="gzip",
        Metadata={"Fw": "01.07.05", "Net": "warehouse 7"},
    )
    assert put["ETag"] == f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
    where = {"Bucket": BUCKET, "Key": "0000A1B2/00000001/00000001-5E0BE100.MF4"}
    got = s3.get_object(**where)
    assert got["Body"].read() == body
    for answer in (got, s3.head_object(**where)):
        assert answer["ETag"] == put["ETag"]
        assert answer["ContentLength"] == size
        assert answer["ContentType"] == "application/x-mf4"
        assert answer["CacheControl"] == "no-store"
        assert answer["ContentEncoding"] == "gzip"
        assert answer["Metadata"] == {"fw": "01.07.05", "net": "warehouse 7"}
    assert lab.store.used_bytes == size


@pytest.mark.slow
@pytest.mark.parametrize("size", [8 * MIB, 64 * MIB])
def test_multipart_round_trip(lab: RunningLab, size: int) -> None:
    """The transfer manager's multipart upload and ranged download give equal bytes."""
    s3 = client(lab)
    body = random.Random(size).randbytes(size)
    transfer = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    s3.upload_fileobj(io.BytesIO(body), BUCKET, "big", Config=transfer)
    head = s3.head_object(Bucket=BUCKET, Key="big", ChecksumMode="ENABLED")
    parts = [body[at : at + 5 * MIB] for at in range(0, size, 5 * MIB)]
    digests = b"".join(hashlib.md5(p, usedforsecurity=False).digest() for p in parts)
    etag = hashlib.md5(digests, usedforsecurity=False).hexdigest()
    assert head["ETag"] == f'"{etag}-{len(parts)}"'
    assert head["ChecksumType"] == "COMPOSITE"
    out = io.BytesIO()
    s3.download_fileobj(BUCKET, "big", out, Config=transfer)
    assert out.getvalue() == body
    assert lab.store.used_bytes == size
    s3.delete_object(Bucket=BUCKET, Key="big")
    assert lab.store.used_bytes == 0


@settings(max_examples=60, deadline=None)
@given(key=KEYS, body=st.binary(max_size=300))
def test_every_legal_key_round_trips(
    shared_lab: RunningLab, key: str, body: bytes
) -> None:
    """Any key can be put, found in a listing, read and deleted."""
    s3 = client(shared_lab)
    s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=key, MaxKeys=1)["Contents"]
    assert [(entry["Key"], entry["Size"]) for entry in listed] == [(key, len(body))]
    s3.delete_object(Bucket=BUCKET, Key=key)
    assert code_of(lambda: s3.head_object(Bucket=BUCKET, Key=key)) == ("404", 404)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    keys=st.sets(
        st.sampled_from(
            ["a", "a/b", "a/b/c", "a//b", "./a", "../a", "a/.", "é", "%2F", "a+b"]
        )
    )
)
def test_clashing_keys_live_side_by_side(lab: RunningLab, keys: set[str]) -> None:
    """Keys that would be one file, a folder, or outside of it are just keys."""
    s3 = client(lab)
    for key in keys:
        s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    for key in keys:
        assert s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() == key.encode()
    listed = s3.list_objects_v2(Bucket=BUCKET).get("Contents", [])
    assert [entry["Key"] for entry in listed] == sorted(keys)
    for key in keys:
        s3.delete_object(Bucket=BUCKET, Key=key)
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("is_tls", [False, True], ids=["http", "https"])
def test_checksums(
    shared_lab: RunningLab,
    tls_lab: tuple[RunningLab, str],
    algorithm: str,
    *,
    is_tls: bool,
) -> None:
    """Each algorithm is verified on PUT (over https: as a trailer) and told on HEAD."""
    lab, verify = tls_lab if is_tls else (shared_lab, None)
    s3 = client(lab, verify=verify)
    body = random.Random(1).randbytes(3 * MIB)
    put = s3.put_object(
        Bucket=BUCKET, Key="sum", Body=io.BytesIO(body), ChecksumAlgorithm=algorithm
    )
    name = f"Checksum{algorithm}"
    got = s3.get_object(Bucket=BUCKET, Key="sum", ChecksumMode="ENABLED")
    assert got["Body"].read() == body  # boto3 verifies the checksum itself
    assert got[name] == put[name]
    assert got["ChecksumType"] == "FULL_OBJECT"
    assert lab.requests[-1].received_bytes == 0
    assert lab.requests[-2].received_bytes == len(body)
    wrong = {
        name: s3.put_object(
            Bucket=BUCKET, Key="x", Body=b"x", ChecksumAlgorithm=algorithm
        )[name]
    }
    refused = code_of(lambda: s3.put_object(Bucket=BUCKET, Key="x", Body=b"y", **wrong))
    assert refused == ("BadDigest", 400)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_full_object_checksum_of_parts(shared_lab: RunningLab, algorithm: str) -> None:
    """The checksum of a multipart object equals that of the same bytes put at once."""
    s3 = client(shared_lab)
    body = random.Random(2).randbytes(5 * MIB + 77)
    whole = s3.put_object(
        Bucket=BUCKET, Key="one", Body=body, ChecksumAlgorithm=algorithm
    )[f"Checksum{algorithm}"]
    where = {"Bucket": BUCKET, "Key": "parts"}
    upload = s3.create_multipart_upload(
        **where, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT"
    )["UploadId"]
    parts = []
    for number, piece in enumerate((body[: 5 * MIB], body[5 * MIB :]), 1):
        part = s3.upload_part(
            **where,
            UploadId=upload,
            PartNumber=number,
            Body=piece,
            ChecksumAlgorithm=algorithm,
        )
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    done = s3.complete_multipart_upload(
        **where, UploadId=upload, MultipartUpload={"Parts": parts}
    )
    assert done[f"Checksum{algorithm}"] == whole


def test_multipart_refusals(lab: RunningLab) -> None:
    """Wrong order, ETag, size or id of a multipart upload have S3's codes."""
    s3 = client(lab)
    where = {"Bucket": BUCKET, "Key": "m"}
    upload = s3.create_multipart_upload(**where)["UploadId"]
    ids = {**where, "UploadId": upload}

    def put(number: int, body: bytes) -> str:
        part = s3.upload_part(**ids, PartNumber=number, Body=body)
        etag: str = part["ETag"]
        return etag

    def complete(*parts: tuple[int, str]) -> object:
        chosen = [{"PartNumber": n, "ETag": etag} for n, etag in parts]
        return s3.complete_multipart_upload(**ids, MultipartUpload={"Parts": chosen})

    one, two = put(1, b"small"), put(2, b"last")
    listed = s3.list_parts(**ids)["Parts"]
    assert [(p["PartNumber"], p["Size"]) for p in listed] == [(1, 5), (2, 4)]
    uploads = s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    assert [(u["Key"], u["UploadId"]) for u in uploads] == [("m", upload)]
    assert code_of(lambda: complete((2, two), (1, one))) == ("InvalidPartOrder", 400)
    assert code_of(lambda: complete((1, two))) == ("InvalidPart", 400)
    assert code_of(lambda: complete((3, two))) == ("InvalidPart", 400)
    assert code_of(lambda: complete((1, one), (2, two))) == ("EntityTooSmall", 400)
    assert code_of(lambda: put(0, b"")) == ("InvalidArgument", 400)
    assert code_of(lambda: put(10_001, b"")) == ("InvalidArgument", 400)
    assert code_of(lambda: s3.head_object(**where)) == ("404", 404)
    complete((2, two))  # a single part may be small; the other one is dropped
    assert s3.get_object(**where)["Body"].read() == b"last"
    assert lab.store.used_bytes == 4
    assert code_of(lambda: complete((2, two))) == ("NoSuchUpload", 404)


def test_abort_frees_the_parts(lab: RunningLab) -> None:
    """An aborted upload is gone with all its bytes."""
    s3 = client(lab)
    ids = {"Bucket": BUCKET, "Key": "m"}
    ids["UploadId"] = s3.create_multipart_upload(**ids)["UploadId"]
    for body in (b"x" * 1000, b"y" * 10):  # the second replaces the first
        s3.upload_part(**ids, PartNumber=1, Body=body)
    assert lab.store.used_bytes == 10
    s3.abort_multipart_upload(**ids)
    assert lab.store.used_bytes == 0
    assert code_of(lambda: s3.list_parts(**ids)) == ("NoSuchUpload", 404)


def test_copies(lab: RunningLab) -> None:
    """Copies keep or replace metadata, whole or as parts of an upload."""
    s3 = client(lab)
    body = random.Random(3).randbytes(6 * MIB)
    s3.put_object(Bucket=BUCKET, Key="a b+ü", Body=body, Metadata={"n": "1"})
    source = {"Bucket": BUCKET, "Key": "a b+ü"}
    s3.copy_object(Bucket=BUCKET, Key="kept", CopySource=source)
    s3.copy_object(
        Bucket=BUCKET,
        Key="new",
        CopySource=source,
        Metadata={"n": "2"},
        MetadataDirective="REPLACE",
    )
    for key, meta in (("kept", "1"), ("new", "2")):
        got = s3.get_object(Bucket=BUCKET, Key=key)
        assert (got["Body"].read(), got["Metadata"]) == (body, {"n": meta})
    ids = {"Bucket": BUCKET, "Key": "parts"}
    ids["UploadId"] = s3.create_multipart_upload(**ids)["UploadId"]
    parts = []
    for number, span in (
        (1, f"bytes=0-{5 * MIB - 1}"),
        (2, f"bytes={5 * MIB}-{6 * MIB - 1}"),
    ):
        copied = s3.upload_part_copy(
            **ids, PartNumber=number, CopySource=source, CopySourceRange=span
        )
        parts.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
    s3.complete_multipart_upload(**ids, MultipartUpload={"Parts": parts})
    assert s3.get_object(Bucket=BUCKET, Key="parts")["Body"].read() == body
    assert code_of(lambda: s3.copy_object(CopySource=source, **source)) == (
        "InvalidRequest",
        400,
    )
    assert code_of(
        lambda: s3.copy_object(
            Bucket=BUCKET, Key="n", CopySource={"Bucket": BUCKET, "Key": "none"}
        )
    ) == ("NoSuchKey", 404)


def test_conditions_and_ranges(shared_lab: RunningLab) -> None:
    """Conditional and ranged requests give 304, 412, 206 and 416."""
    s3 = client(shared_lab)
    where = {"Bucket": BUCKET, "Key": "cond"}
    etag = s3.put_object(**where, Body=b"0123456789")["ETag"]
    modified = s3.head_object(**where)["LastModified"]
    for read in (s3.get_object, s3.head_object):
        assert code_of(partial(read, **where, IfNoneMatch=etag)) == ("304", 304)
        assert code_of(partial(read, **where, IfModifiedSince=modified)) == (
            "304",
            304,
        )
        assert code_of(partial(read, **where, IfMatch='"other"'))[1] == 412
        assert read(**where, IfMatch=etag, IfNoneMatch='"other"')["ETag"] == etag
    got = s3.get_object(**where, Range="bytes=2-4")
    assert (got["Body"].read(), got["ContentRange"]) == (b"234", "bytes 2-4/10")
    assert s3.get_object(**where, Range="bytes=-3")["Body"].read() == b"789"
    assert s3.get_object(**where, Range="bytes=8-99")["Body"].read() == b"89"
    assert code_of(lambda: s3.get_object(**where, Range="bytes=10-")) == (
        "InvalidRange",
        416,
    )
    assert code_of(lambda: s3.put_object(**where, Body=b"x", IfNoneMatch="*")) == (
        "PreconditionFailed",
        412,
    )
    assert code_of(lambda: s3.put_object(**where, Body=b"x", IfMatch='"other"')) == (
        "PreconditionFailed",
        412,
    )
    assert s3.put_object(**where, Body=b"x", IfMatch=etag)


def test_listings(shared_lab: RunningLab) -> None:
    """Both listings page, group and order like S3."""
    s3 = client(shared_lab)
    s3.create_bucket(Bucket="lists")
    keys = sorted(
        [f"dir{i}/{j}" for i in range(3) for j in range(4)] + ["a", "b c", "ü", "z"]
    )
    for key in keys:
        s3.put_object(Bucket="lists", Key=key, Body=b"")
    for operation in ("list_objects_v2", "list_objects"):
        pages = s3.get_paginator(operation)
        for size in (1, 3, 1000):
            found = [
                entry["Key"]
                for page in pages.paginate(
                    Bucket="lists", PaginationConfig={"PageSize": size}
                )
                for entry in page.get("Contents", [])
            ]
            assert found == keys
            grouped = list(
                pages.paginate(
                    Bucket="lists", Delimiter="/", PaginationConfig={"PageSize": size}
                )
            )
            assert [
                group["Prefix"]
                for page in grouped
                for group in page.get("CommonPrefixes", [])
            ] == ["dir0/", "dir1/", "dir2/"]
            assert [
                entry["Key"] for page in grouped for entry in page.get("Contents", [])
            ] == ["a", "b c", "z", "ü"]
    after = s3.list_objects_v2(Bucket="lists", StartAfter="dir2/1", Prefix="dir2/")
    assert [entry["Key"] for entry in after["Contents"]] == ["dir2/2", "dir2/3"]
    assert s3.list_objects_v2(Bucket="lists", MaxKeys=0)["IsTruncated"] is False


def test_buckets(lab: RunningLab) -> None:
    """Buckets are made, found, listed, refused and removed."""
    s3 = client(lab)
    s3.create_bucket(Bucket="second-bucket")
    names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert names == [BUCKET, "second-bucket"]
    assert code_of(lambda: s3.create_bucket(Bucket="second-bucket")) == (
        "BucketAlreadyOwnedByYou",
        409,
    )
    assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] is None
    assert s3.head_bucket(Bucket=BUCKET)["BucketRegion"] == "us-east-1"
    assert code_of(lambda: s3.head_bucket(Bucket="nobucket")) == ("404", 404)
    assert code_of(lambda: s3.list_objects_v2(Bucket="nobucket")) == (
        "NoSuchBucket",
        404,
    )
    s3.put_object(Bucket="second-bucket", Key="k", Body=b"")
    assert code_of(lambda: s3.delete_bucket(Bucket="second-bucket")) == (
        "BucketNotEmpty",
        409,
    )
    deleted = s3.delete_objects(
        Bucket="second-bucket",
        Delete={"Objects": [{"Key": "k"}, {"Key": "was <not> & there"}]},
    )
    assert [entry["Key"] for entry in deleted["Deleted"]] == ["k", "was <not> & there"]
    s3.delete_bucket(Bucket="second-bucket")
    assert code_of(lambda: s3.head_bucket(Bucket="second-bucket")) == ("404", 404)


def test_virtual_hosted_style(
    tls_lab: tuple[RunningLab, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the bucket in the host name everything else stays the same."""
    resolve = socket.getaddrinfo

    def resolve_locally(_host: str, *arguments: Any, **options: Any) -> Any:
        return resolve("127.0.0.1", *arguments, **options)

    # Not every resolver knows the names below localhost (RFC 6761 6.3).
    monkeypatch.setattr(socket, "getaddrinfo", resolve_locally)
    lab, verify = tls_lab
    s3 = client(lab, verify=verify, style="virtual")
    s3.put_object(Bucket=BUCKET, Key="/leading//slash", Body=b"v")
    assert s3.get_object(Bucket=BUCKET, Key="/leading//slash")["Body"].read() == b"v"
    assert lab.requests[-1].bucket == BUCKET
    assert lab.requests[-1].key == "/leading//slash"


def test_presigned_urls(shared_lab: RunningLab) -> None:
    """A presigned URL works for a client without credentials."""
    s3 = client(shared_lab, signature_version="s3v4")
    where = {"Bucket": BUCKET, "Key": "pre signed/ü+%"}
    url = s3.generate_presigned_url("put_object", Params=where, ExpiresIn=60)
    put = urllib3.request("PUT", url, body=b"presigned", headers={"X-Other": "free"})
    assert put.status == 200, put.data
    named = {**where, "ResponseContentDisposition": 'attachment; filename="x"'}
    url = s3.generate_presigned_url("get_object", Params=named, ExpiresIn=60)
    got = urllib3.request("GET", url)
    assert got.data == b"presigned"
    assert got.headers["Content-Disposition"] == 'attachment; filename="x"'
    other = urllib3.request("GET", url.replace("X-Amz-Expires=60", "X-Amz-Expires=90"))
    assert other.status == 403
    assert b"<Code>SignatureDoesNotMatch</Code>" in other.data


def test_credentials_rotate_while_serving(shared_lab: RunningLab) -> None:
    """Credentials can be added, expire and be removed at run time."""
    book = shared_lab.service.credentials
    new = Credentials(access_key="NEW", secret_key="s3cret", session_token="token")
    keys = {
        "aws_access_key_id": "NEW",
        "aws_secret_access_key": "s3cret",
        "aws_session_token": "token",
    }
    good = client(shared_lab, keys=keys)
    assert code_of(good.list_buckets) == ("InvalidAccessKeyId", 403)
    book.add(new)
    assert good.list_buckets()["Buckets"]
    wrong = client(shared_lab, keys={**keys, "aws_session_token": "other"})
    assert code_of(wrong.list_buckets) == ("InvalidToken", 400)
    without = client(shared_lab, keys={k: keys[k] for k in list(keys)[:2]})
    assert code_of(without.list_buckets) == ("InvalidAccessKeyId", 403)
    book.add(new, expires_unix_s=1.0)
    assert code_of(good.list_buckets) == ("ExpiredToken", 400)
    book.remove("NEW")
    assert code_of(good.list_buckets) == ("InvalidAccessKeyId", 403)


def test_byte_limit(tmp_path: Path) -> None:
    """Beyond the limit a PUT is refused, and what was there stays."""
    for store in (MemoryStore(1000), FolderStore(tmp_path / "s", 1000)):
        with running_lab(lab_settings(max_object_bytes=5000), store) as lab:
            s3 = client(lab)
            s3.put_object(Bucket=BUCKET, Key="a", Body=b"x" * 900)
            assert code_of(
                partial(s3.put_object, Bucket=BUCKET, Key="b", Body=b"x" * 101)
            ) == ("QuotaExceeded", 403)
            assert code_of(
                partial(s3.put_object, Bucket=BUCKET, Key="b", Body=b"x" * 5001)
            ) == ("EntityTooLarge", 400)
            s3.put_object(Bucket=BUCKET, Key="b", Body=b"x" * 100)
            assert lab.store.used_bytes == 1000


def test_dropped_bodies() -> None:
    """A store that drops log files still lists them with size and ETag."""
    with running_lab(store=MemoryStore(discard_suffixes=(".MF4",))) as lab:
        s3 = client(lab)
        s3.put_object(Bucket=BUCKET, Key="d/1.MF4", Body=b"log")
        s3.put_object(Bucket=BUCKET, Key="d/certs_server.p7b", Body=b"pem")
        head = s3.head_object(Bucket=BUCKET, Key="d/1.MF4")
        assert (head["ContentLength"], lab.store.used_bytes) == (3, 3)
        assert code_of(lambda: s3.get_object(Bucket=BUCKET, Key="d/1.MF4")) == (
            "NotImplemented",
            501,
        )
        body = s3.get_object(Bucket=BUCKET, Key="d/certs_server.p7b")["Body"]
        assert body.read() == b"pem"
