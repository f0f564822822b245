"""Tests of fleetsim.lab.s3_request and s3_uri: bucket, key and operation."""

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.sigv4 import uri_encode
from fleetsim.lab.s3_errors import S3Error
from fleetsim.lab.s3_request import Call, Operation, read_call, route


def call(
    method: str, target: str, host: str = "127.0.0.1:9000", **headers: str
) -> Call:
    """Read a request."""
    sent = {"Host": host, **{n.replace("_", "-"): v for n, v in headers.items()}}
    request = make_mocked_request(method, target, headers=sent)
    return read_call(request, ("localhost", "s3.example.com"), "1", 0.0)


@pytest.mark.parametrize(
    ("target", "host", "bucket", "key"),
    [
        ("/", "127.0.0.1", "", ""),
        ("/fleet", "127.0.0.1", "fleet", ""),
        ("/fleet/", "127.0.0.1", "fleet", ""),
        ("/fleet/a/b", "127.0.0.1", "fleet", "a/b"),
        ("/fleet//a//b/", "127.0.0.1", "fleet", "/a//b/"),
        ("/fleet/a/../b/./c", "127.0.0.1", "fleet", "a/../b/./c"),
        ("/fleet/a%2Fb%20+%C3%BC", "127.0.0.1", "fleet", "a/b +ü"),
        ("/fleet/100%", "127.0.0.1", "fleet", "100%"),
        ("/fleet/%2525", "127.0.0.1", "fleet", "%25"),
        ("/a?x=/b?c", "127.0.0.1", "a", ""),
        ("http://other/fleet/k?a", "127.0.0.1", "fleet", "k"),
        ("/", "fleet.localhost", "fleet", ""),
        ("/a/b", "fleet.localhost:9000", "fleet", "a/b"),
        ("//a", "fleet.localhost", "fleet", "/a"),
        ("/a", "a.b.S3.Example.COM:443", "a.b", "a"),
        ("/a/b", "localhost:9000", "a", "b"),
        ("/a/b", "xlocalhost", "a", "b"),
        ("/a/b", "[::1]:9000", "a", "b"),
        ("/a/b", "[::1]", "a", "b"),
    ],
)
def test_bucket_and_key(target: str, host: str, bucket: str, key: str) -> None:
    """Bucket and key are read as they were sent, in both styles."""
    found = call("GET", target, host)
    assert (found.bucket, found.key) == (bucket, key)


@given(key=st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_any_key(key: str) -> None:
    """Reading undoes the canonical encoding of any key."""
    assert call("GET", "/b/" + uri_encode(key, keep_slash=True)).key == key


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("*", "InvalidURI"),
        ("example.com:443", "InvalidURI"),
        ("ftp://example.com/a", "InvalidURI"),
        ("//a", "InvalidURI"),
        ("/b/%FF", "InvalidURI"),
        ("/b/" + "k" * 1025, "KeyTooLongError"),
        ("/b/" + "%C3%BC" * 513, "KeyTooLongError"),
    ],
)
def test_bad_targets(target: str, code: str) -> None:
    """What names no key is refused."""
    with pytest.raises(S3Error) as caught:
        call("GET", target)
    assert caught.value.code == code


def test_query() -> None:
    """Parameters are decoded; a plus is a space, the first of a name counts."""
    found = call("GET", "/b?prefix=a+b%2Bc&&flag&a=1&a=2&=x")
    assert dict(found.query) == {"prefix": "a b+c", "flag": "", "a": "1", "": "x"}
    assert found.query_items[2:4] == (("a", "1"), ("a", "2"))


@pytest.mark.parametrize(
    ("method", "target", "headers", "operation"),
    [
        ("GET", "/", {}, "ListBuckets"),
        ("PUT", "/b", {}, "CreateBucket"),
        ("HEAD", "/b", {}, "HeadBucket"),
        ("DELETE", "/b", {}, "DeleteBucket"),
        ("GET", "/b", {}, "ListObjects"),
        ("GET", "/b?list-type=2&prefix=x", {}, "ListObjectsV2"),
        ("GET", "/b?location", {}, "GetBucketLocation"),
        ("GET", "/b?versioning", {}, "GetBucketVersioning"),
        ("GET", "/b?acl", {}, "GetAcl"),
        ("GET", "/b?uploads", {}, "ListMultipartUploads"),
        ("POST", "/b?delete", {}, "DeleteObjects"),
        ("PUT", "/b/k", {}, "PutObject"),
        ("PUT", "/b/k?x-id=PutObject", {}, "PutObject"),
        ("PUT", "/b/k", {"x_amz_copy_source": "a/b"}, "CopyObject"),
        ("GET", "/b/k", {}, "GetObject"),
        ("GET", "/b/k?versionId=null", {}, "GetObject"),
        ("HEAD", "/b/k", {}, "HeadObject"),
        ("DELETE", "/b/k", {}, "DeleteObject"),
        ("POST", "/b/k?uploads", {}, "CreateMultipartUpload"),
        ("PUT", "/b/k?uploadId=u&partNumber=1", {}, "UploadPart"),
        (
            "PUT",
            "/b/k?uploadId=u&partNumber=1",
            {"x_amz_copy_source": "a/b"},
            "UploadPartCopy",
        ),
        ("POST", "/b/k?uploadId=u", {}, "CompleteMultipartUpload"),
        ("DELETE", "/b/k?uploadId=u", {}, "AbortMultipartUpload"),
        ("GET", "/b/k?uploadId=u", {}, "ListParts"),
        ("PUT", "/b/k?acl", {}, "PutAcl"),
    ],
)
def test_routes(
    method: str, target: str, headers: dict[str, str], operation: str
) -> None:
    """Method and sub-resource select the operation."""
    assert route(call(method, target, **headers)) is Operation(operation)


@pytest.mark.parametrize(
    ("method", "target", "headers", "code"),
    [
        ("POST", "/", {}, "MethodNotAllowed"),
        ("PATCH", "/b/k", {}, "MethodNotAllowed"),
        ("POST", "/b", {}, "MethodNotAllowed"),
        ("GET", "/b?policy", {}, "NotImplemented"),
        ("GET", "/b/k?tagging", {}, "NotImplemented"),
        ("GET", "/b/k?partNumber=1", {}, "NotImplemented"),
        ("GET", "/b/k?versionId=3", {}, "NotImplemented"),
        ("PUT", "/b/k", {"x_amz_tagging": "a=b"}, "NotImplemented"),
        ("PUT", "/b/k", {"x_amz_acl": "public-read"}, "AccessControlListNotSupported"),
        ("PUT", "/b?versioning", {}, "NotImplemented"),
        ("DELETE", "/b?acl", {}, "NotImplemented"),
        ("DELETE", "/b?uploads", {}, "NotImplemented"),
        ("PUT", "/b?delete", {}, "NotImplemented"),
        ("DELETE", "/b/k?acl", {}, "NotImplemented"),
        ("HEAD", "/b/k?uploadId=u", {}, "NotImplemented"),
        ("PUT", "/b/k?uploads", {}, "NotImplemented"),
    ],
)
def test_refused_routes(
    method: str, target: str, headers: dict[str, str], code: str
) -> None:
    """What is not there says so, and does nothing else instead."""
    with pytest.raises(S3Error) as caught:
        route(call(method, target, **headers))
    assert caught.value.code == code
