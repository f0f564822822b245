"""Host header of an endpoint."""

import ipaddress
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.host_header import host_header
from fleetsim.core.settings import Endpoint, RequestStyle
from fleetsim.exceptions import InputError


def endpoint(scheme: str, host: str, port: int, style: str = "path") -> Endpoint:
    """Make an endpoint of the bucket ``fleet``."""
    return Endpoint(
        scheme=scheme, host=host, port=port, bucket="fleet", style=RequestStyle(style)
    )


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (endpoint("https", "s3.example.com", 443), "s3.example.com"),
        (endpoint("http", "s3.example.com", 80), "s3.example.com"),
        (endpoint("http", "s3.example.com", 443), "s3.example.com:443"),
        (endpoint("https", "s3.example.com", 80), "s3.example.com:80"),
        (endpoint("https", "10.0.0.1", 9000), "10.0.0.1:9000"),
        (endpoint("https", "::1", 9000), "[::1]:9000"),
        (endpoint("http", "fe80::1%eth0", 80), "[fe80::1]"),
        (endpoint("https", "s3.example.com", 443, "virtual"), "fleet.s3.example.com"),
        (endpoint("http", "minio", 9000, "virtual"), "fleet.minio:9000"),
    ],
    ids=str,
)
def test_host_header(where: Endpoint, expected: str) -> None:
    """Default ports are left out, IPv6 is bracketed, the style places the bucket."""
    assert host_header(where) == expected


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "fe80::1%eth0"])
def test_virtual_style_refuses_addresses(host: str) -> None:
    """No bucket name fits in front of an IP address."""
    with pytest.raises(InputError, match="path style"):
        host_header(endpoint("https", host, 443, "virtual"))


@given(st.ip_addresses(), st.integers(1, 65535), st.sampled_from(["http", "https"]))
def test_addresses_survive_a_url(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, scheme: str
) -> None:
    """A URL made with the header leads back to address and port."""
    parts = urlsplit(f"{scheme}://{host_header(endpoint(scheme, str(address), port))}/")
    assert ipaddress.ip_address(parts.hostname or "") == address
    assert (parts.port or {"http": 80, "https": 443}[scheme]) == port
