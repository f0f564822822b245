"""Fields of lab and target."""

from typing import Any

import pytest
from pydantic import ValidationError

from fleetsim.core.settings import Security
from fleetsim.scenario.target_schema import (
    CertificateSpec,
    FrontSpec,
    LabSpec,
    ObserveSpec,
    TargetSpec,
    TlsSpec,
    is_address,
    is_host_name,
)


@pytest.mark.parametrize(
    ("endpoint", "scheme", "host", "port"),
    [
        ("https://s3.example.org", "https", "s3.example.org", 443),
        ("http://s3.example.org", "http", "s3.example.org", 80),
        ("https://s3.example.org:9000/", "https", "s3.example.org", 9000),
        ("https://[2001:db8::1]:9000", "https", "2001:db8::1", 9000),
        ("http://127.0.0.1:8080", "http", "127.0.0.1", 8080),
        (None, None, None, None),
    ],
)
def test_endpoints_are_taken_apart(
    endpoint: str | None, scheme: str | None, host: str | None, port: int | None
) -> None:
    """Scheme, host without brackets, port or the scheme's default."""
    target = TargetSpec(endpoint=endpoint, bucket="fleet")
    assert (target.scheme, target.host, target.port) == (scheme, host, port)


@pytest.mark.parametrize(
    ("value", "paths"), [("a.log", ("a.log",)), (["a", "b"], ("a", "b")), ([], ())]
)
def test_one_log_or_several(value: object, paths: tuple[str, ...]) -> None:
    """One path needs no list; what is empty observes nothing."""
    spec = ObserveSpec.model_validate({"nginx_log": value})
    assert spec.nginx_log == paths
    assert spec.is_empty is not bool(paths)


@pytest.mark.parametrize(
    "value",
    ["", 7, None, [""], ["a"] * 33, "a\0b"],
    ids=["empty", "number", "null", "empty item", "too many", "zero byte"],
)
def test_what_is_no_log(value: object) -> None:
    """Paths are texts that a system can open."""
    with pytest.raises(ValidationError):
        ObserveSpec.model_validate({"haproxy_log": value})


@pytest.mark.parametrize(
    ("endpoint", "says"),
    [
        ("s3.example.org", "expected http"),
        ("ftp://h", "expected http"),
        ("https://", "expected http"),
        ("https://user:secret@h", "no user name or password"),
        ("https://h/path", "no path"),
        ("https://h?x=1", "no path"),
        ("https://h:0", "port 0"),
        ("https://h:99999", "not a URL"),
        ("https://[::1", "not a URL"),
        ("https://a b", "neither a host name"),
        (3, "valid string"),
    ],
)
def test_other_endpoints_are_refused(endpoint: object, says: str) -> None:
    """An endpoint is scheme, host and port; what it is not, is not repeated."""
    with pytest.raises(ValidationError, match=says) as caught:
        TargetSpec.model_validate({"endpoint": endpoint, "bucket": "fleet"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "bucket", ["ab", "Fleet", "fleet_1", "-fleet", "fleet.", "a..b", "x" * 64, "ä-b"]
)
def test_buckets_follow_the_rules_of_s3(bucket: str) -> None:
    """AWS: 3 to 63 of lower case letters, digits, dots and hyphens."""
    with pytest.raises(ValidationError, match="a bucket name has"):
        LabSpec(bucket=bucket)
    assert LabSpec(bucket="fleet-1.test").bucket == "fleet-1.test"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.10", "::1"])
def test_fronts_listen_on_loopback(host: str) -> None:
    """The lab is for this machine."""
    assert FrontSpec(host=host).host == host


ELSEWHERE = ["0.0.0.0", "example.org", "192.0.2.1", "::", ""]  # noqa: S104 - refused


@pytest.mark.parametrize("host", ELSEWHERE)
def test_fronts_listen_nowhere_else(host: str) -> None:
    """A scenario cannot open a port to the network."""
    with pytest.raises(ValidationError, match="this machine only"):
        FrontSpec(host=host)


def test_defaults_of_tls_are_filled_in_and_plain_fronts_have_none() -> None:
    """Security low is HTTP."""
    assert FrontSpec().effective_tls == TlsSpec()
    assert FrontSpec(security=Security.LOW).effective_tls is None


@pytest.mark.parametrize(
    "field",
    [
        {"names": []},
        {"names": ["a b"]},
        {"names": ["*.*.x"]},
        {"key": "rsa-512"},
        {"lifetime": "0s"},
        {"lifetime": "999ms"},
    ],
    ids=repr,
)
def test_certificates_that_cannot_be_made_are_refused(field: dict[str, Any]) -> None:
    """Names, key and lifetime must make a certificate."""
    with pytest.raises(ValidationError):
        CertificateSpec.model_validate(field)
    assert CertificateSpec(names=("*.example.org", "::1")).names[1] == "::1"


@pytest.mark.parametrize("ciphers", ["", "A;B", "x\n", "é"])
def test_cipher_lists_have_their_own_alphabet(ciphers: str) -> None:
    """Nothing that could break out of a server's configuration file."""
    with pytest.raises(ValidationError, match="cipher list"):
        TlsSpec(ciphers=ciphers)
    assert TlsSpec(ciphers="ECDHE+AESGCM:!aNULL:@SECLEVEL=0").ciphers


@pytest.mark.parametrize(
    ("text", "is_name", "is_ip"),
    [
        ("localhost", True, False),
        ("s3.example.org", True, False),
        ("a_b.example", True, False),
        ("127.0.0.1", True, True),
        ("::1", False, True),
        ("-a", False, False),
        ("a..b", False, False),
        ("x" * 64, False, False),
        ("a." * 130, False, False),
    ],
)
def test_host_names_and_addresses(text: str, *, is_name: bool, is_ip: bool) -> None:
    """RFC 1123 names of at most 253 characters; IPv4 and IPv6 literals."""
    assert is_host_name(text) is is_name
    assert is_address(text) is is_ip
